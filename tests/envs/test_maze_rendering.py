"""Pictures show the walls, the region, the path, the agent, the heat and the caption."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs import rendering
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.rendering import draw


def is_near(frame: NDArray[np.uint8], colour: tuple[int, int, int], tolerance: int = 12) -> NDArray[np.bool_]:
    return np.asarray((np.abs(frame.astype(int) - np.array(colour)) <= tolerance).all(axis=-1))


def centre_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(np.argwhere(mask).mean(axis=0))


def test_everything_is_where_it_should_be() -> None:
    layout = LAYOUTS["blocker"]
    region = np.zeros_like(layout.walls)
    region[:, 9] = True
    path = np.array([[9.5, 0.5], [9.5, 3.5], [6.5, 3.5]])
    frame = draw(layout, path[-1], path, region, size_px=330)
    assert frame.dtype == np.uint8
    assert frame.shape[0] % 16 == frame.shape[1] % 16 == 0
    top_left = np.array([(frame.shape[0] - 330) // 2, (frame.shape[1] - 330) // 2])

    def pixel(row: float, column: float) -> NDArray[np.uint8]:
        return np.asarray(frame[tuple((top_left + np.array([row, column]) * 30).astype(int))])

    assert pixel(3.5, 5.5).tolist() == list(rendering.WALL_COLOUR)
    assert pixel(1.5, 5.5).tolist() == list(rendering.FREE_COLOUR)
    assert np.argmax(pixel(5.5, 9.5)) == 1  # the region is shaded green
    np.testing.assert_allclose(centre_of(is_near(frame, rendering.AGENT_COLOUR)), top_left + path[-1] * 30, atol=1.5)
    early, late = pixel(9.5, 1.5).astype(int), pixel(7.5, 3.5).astype(int)
    assert early.sum() > late.sum()  # the path grows stronger towards the present
    assert late[2] > late[0]


def test_heat_shades_free_cells_in_proportion() -> None:
    layout = Layout.from_text("....\n.#..", "tiny")
    region = np.zeros_like(layout.walls)
    region[0, 3] = True
    heat = np.array([[0.0, 1.0, 2.0, 4.0], [0.0, 4.0, 0.0, 0.0]])
    frame = draw(layout, np.array([1.5, 3.5]), np.zeros((0, 2)), region, size_px=160, heat=heat)
    top, left = (frame.shape[0] - 80) // 2, (frame.shape[1] - 160) // 2
    shades = [int(frame[top + 10, left + 20 + 40 * column].astype(int).sum()) for column in range(4)]
    assert shades == sorted(shades, reverse=True)
    assert len(set(shades)) == 4
    assert frame[top + 60, left + 60].tolist() == list(rendering.WALL_COLOUR)
    finer = draw(layout, np.array([1.5, 3.5]), np.zeros((0, 2)), region, 160, heat.repeat(4, axis=0).repeat(4, axis=1))
    np.testing.assert_array_equal(frame, finer)
    blank = draw(layout, np.array([1.5, 3.5]), np.zeros((0, 2)), region, 160, np.zeros((2, 4)))
    assert blank.shape == frame.shape


def test_captions_do_not_change_the_size_of_frames() -> None:
    layout = LAYOUTS["slit"]
    titles = ["go", "go to row 3", "word " * 40, "x" * 250]
    frames = [draw(layout, np.array([0.5, 0.5]), np.zeros((0, 2)), layout.walls, title=title) for title in titles]
    assert len({frame.shape for frame in frames}) == 1
    strip = frames[0][:60]
    assert is_near(strip, rendering.WALL_COLOUR, 60).any()
    assert not np.array_equal(strip, frames[1][:60])
    with pytest.raises(ValueError, match=r"size_px: .* got 10"):
        draw(layout, np.array([0.5, 0.5]), np.zeros((0, 2)), layout.walls, size_px=10)


def test_environments_render_their_episode() -> None:
    kwargs: dict[str, Any] = {"render_mode": "rgb_array", "action_noise_degrees": 0.0}
    options = {"position": (5.5, 1.5), "instruction": "go to column 9"}
    env = gymnasium.make("goalbridge/IslandMaze-v0", **kwargs)
    batch = gymnasium.make_vec("goalbridge/IslandMaze-v0", num_envs=2, **kwargs)
    env.reset(seed=0, options=options)
    batch.reset(seed=0, options=options)
    before = env.render()
    action = np.array([0.0, 1.0], dtype=np.float32)
    env.step(action)
    batch.step(np.stack([action, action]))
    after, together = env.render(), batch.render()
    assert isinstance(before, np.ndarray)
    assert isinstance(after, np.ndarray)
    moved = centre_of(is_near(after, rendering.AGENT_COLOUR)) - centre_of(is_near(before, rendering.AGENT_COLOUR))
    np.testing.assert_allclose(moved, [0.0, 0.5 * (480 // 11)], atol=1.0)
    assert isinstance(together, tuple)
    assert len(together) == 2
    np.testing.assert_array_equal(together[0], after)
    assert gymnasium.make("goalbridge/IslandMaze-v0").unwrapped.render() is None
    with pytest.raises(ValueError, match=r"render_mode: .* got 'ansi'"):
        gymnasium.make_vec("goalbridge/IslandMaze-v0", render_mode="ansi")
