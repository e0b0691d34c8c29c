"""Pictures of BabyAI levels: minigrid's own, then the heat, the path and the caption, each where it belongs."""

import contextlib
import io
import time
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs.babyai import rendering
from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.babyai.navigation import Navigation
from goalbridge.envs.babyai.rendering import draw_grid
from goalbridge.envs.rendering import TITLE_COLOUR, WALL_COLOUR

TILE = 24
EMPTY, WALL, DOOR, KEY, BALL, GOAL = 1, 2, 4, 5, 6, 8


def room(width: int = 10, height: int = 6) -> NDArray[np.uint8]:
    """An empty room [W, H, 3] in which x and y cannot be mistaken for each other."""
    grid = np.zeros((width, height, 3), dtype=np.uint8)
    grid[:] = (WALL, 5, 0)
    grid[1:-1, 1:-1] = (EMPTY, 0, 0)
    return grid


def cell(frame: NDArray[np.uint8], grid: NDArray[np.uint8], x: int, y: int, tile: int = TILE) -> NDArray[np.uint8]:
    """The pixels [tile, tile, 3] of a cell; what a caption or padding adds lies above and at the sides."""
    top, left = frame.shape[0] - grid.shape[1] * tile, (frame.shape[1] - grid.shape[0] * tile) // 2
    return frame[top + y * tile : top + (y + 1) * tile, left + x * tile : left + (x + 1) * tile]


def middle(frame: NDArray[np.uint8], grid: NDArray[np.uint8], x: int, y: int) -> list[int]:
    """Colour of a cell's middle."""
    colour: list[int] = cell(frame, grid, x, y)[TILE // 2, TILE // 2].tolist()
    return colour


@pytest.mark.parametrize(("name", "tile"), [("GoToLocal", TILE), ("GoToSeqS5R2", 16), ("FourRooms", TILE)])
def test_plain_pictures_are_minigrids_own(name: str, tile: int) -> None:
    env: Any = gymnasium.make(LEVELS[name].minigrid_id, disable_env_checker=True).unwrapped
    with contextlib.redirect_stdout(io.StringIO()):
        env.reset(seed=4)
    pose = np.array([*env.agent_pos, env.agent_dir])
    frame = draw_grid(env.grid.encode(), pose, tile=tile)
    expected = env.get_frame(highlight=False, tile_size=tile)
    assert frame.dtype == np.uint8
    assert frame.shape[0] % 16 == frame.shape[1] % 16 == 0
    left = (frame.shape[1] - expected.shape[1]) // 2
    np.testing.assert_array_equal(frame[-expected.shape[0] :, left : left + expected.shape[1]], expected)


def test_cells_never_seen_are_dark_grey() -> None:
    env = Navigation("GoToLocal", view="partial")
    observation, _ = env.reset(seed=3)
    grid, pose = observation["observation"]["grid"], observation["observation"]["pose"]
    frame = draw_grid(grid, pose)
    unseen = np.argwhere(grid[..., 0] == 0).tolist()
    assert unseen
    for x, y in unseen:
        assert (cell(frame, grid, x, y) == rendering.UNSEEN_COLOUR).all()
    seen = np.argwhere((grid[..., 0] == EMPTY) & ~(np.indices(grid.shape[:2]) == pose[:2, None, None]).all(axis=0))
    assert [middle(frame, grid, x, y) for x, y in seen.tolist()] == [[0, 0, 0]] * len(seen)


def test_heat_brightens_cells_in_their_order_and_leaves_the_least_alone() -> None:
    grid, heat = room(), np.zeros((10, 6))
    heat[1:8, 2] = (0.019, 0.021, 0.1, 0.25, 0.5, 0.75, 1.0)
    frame, plain = (draw_grid(grid, np.array([8, 4, 0]), shown) for shown in (7.0 * heat, None))
    light = [int(np.dot((299, 587, 114), middle(frame, grid, x, 2))) for x in range(1, 8)]
    assert light[0] == 0
    assert light == sorted(set(light))
    assert min(middle(frame, grid, 7, 2)) > 90
    for x in range(10):
        for y in range(6):
            same = np.array_equal(cell(frame, grid, x, y), cell(plain, grid, x, y))
            assert same == (heat[x, y] < 0.02)
    np.testing.assert_array_equal(draw_grid(grid, np.array([8, 4, 0]), np.zeros((10, 6))), plain)


def test_things_and_the_agent_keep_their_colours_above_heat_and_path() -> None:
    grid, pose = room(), np.array([4, 2, 1])
    grid[2, 2], grid[6, 2], grid[8, 2] = (KEY, 4, 0), (DOOR, 2, 0), (GOAL, 1, 0)
    heat = np.ones((10, 6)) * (grid[..., 0] != WALL)
    path = np.array([(x, 2) for x in (2, 8, 4)])
    plain, frame = draw_grid(grid, pose), draw_grid(grid, pose, heat, path=path)
    for x in (2, 4, 6, 8):
        before, after = cell(plain, grid, x, 2), cell(frame, grid, x, 2)
        coloured = before.max(axis=-1) > 150  # a thing's, not the floor's nor its lines'
        assert coloured.any()
        np.testing.assert_array_equal(after[coloured], before[coloured])
    shaded = cell(draw_grid(grid, pose, heat), grid, 4, 2)[TILE // 2]  # [24, 3], across the triangle
    first = int(np.argmax(shaded[:, 0] == 255))
    rim = shaded[first - 2]  # the pixel between is the edge of the triangle, half red
    assert rim.max() < 60 < 200 < shaded[first - 5].max()  # it keeps the agent's red off the heat's orange


def test_the_path_runs_through_the_cells_and_grows_stronger() -> None:
    grid, pose = room(), np.array([7, 4, 1])
    path = np.array([(1, 1), (1, 1), (2, 1), (3, 1), (3, 2), (3, 3), (3, 3), (4, 3), (5, 3), (6, 3), (7, 3), (7, 4)])
    frame = draw_grid(grid, pose, path=path)
    on_path = [middle(frame, grid, x, y) for x, y in path[2:-1].tolist()]
    blue = [colour[2] for colour in on_path]
    assert blue == sorted(blue)
    assert 80 < blue[0] < blue[-1] < 256
    assert all(colour[2] > colour[1] > colour[0] for colour in on_path)
    start = cell(frame, grid, 1, 1)
    assert (start == rendering.PATH_COLOUR).all(axis=-1).any()  # a ring in full colour marks where it began
    visited = {(x, y) for x, y in path.tolist()}
    plain = draw_grid(grid, pose)
    for x in range(10):
        for y in range(6):
            same = np.array_equal(cell(frame, grid, x, y), cell(plain, grid, x, y))
            assert same == ((x, y) not in visited)
    np.testing.assert_array_equal(draw_grid(grid, pose, path=path[:0]), plain)


def test_missions_of_any_length_are_written_out_above_the_picture() -> None:
    grid, pose = room(8, 8), np.array([1, 1, 0])
    short = "go to the red ball"
    long = "go to the purple ball and go to a green door, then go to the grey key and go to the yellow box"
    frames = [draw_grid(grid, pose, title=title) for title in ("", short, long)]
    heights = [frame.shape[0] for frame in frames]
    assert heights == sorted(set(heights))
    assert len({frame.shape[1] for frame in frames}) == 1
    for frame in frames:
        assert frame.shape[0] % 16 == 0
        np.testing.assert_array_equal(frame[-8 * TILE :], frames[0])
    for frame in frames[1:]:
        strip = frame[: -8 * TILE]
        ink = (np.abs(strip.astype(int) - np.array(WALL_COLOUR)) < 40).all(axis=-1)
        assert ink.any()
        for edge in (strip[:2], strip[-2:], strip[:, :2], strip[:, -2:]):  # no letter is cut off
            assert (edge == TITLE_COLOUR).all()
    assert draw_grid(grid, np.array([6, 5, 2]), np.ones((8, 8)), long).shape == frames[2].shape


def test_large_frames_take_less_than_30_milliseconds() -> None:
    env = Navigation("GoTo")
    with contextlib.redirect_stdout(io.StringIO()):
        observation, _ = env.reset(seed=5)
    grid, pose = observation["observation"]["grid"], observation["observation"]["pose"]
    heat = np.random.default_rng(0).random(grid.shape[:2])
    path = np.argwhere(grid[..., 0] == EMPTY)
    durations = []
    for _ in range(6):
        begin = time.perf_counter()
        draw_grid(grid, pose, heat, observation["instruction"], path)
        durations.append(time.perf_counter() - begin)
    assert min(durations[1:]) < 0.03


BAD: dict[str, list[Any]] = {
    "grid": [np.ones((8, 8), dtype=np.uint8), np.ones((2, 8, 3), dtype=np.uint8)],
    "pose": [np.array([1, 1])],
    "heat": [np.ones((6, 10))],
    "path": [np.ones((4, 3), dtype=np.int64)],
    "tile": [7],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
def test_what_cannot_be_drawn_is_refused(field: str, value: Any) -> None:
    arguments: dict[str, Any] = {"grid": room(), "pose": np.array([1, 1, 0]), field: value}
    with pytest.raises(ValueError, match=f"{field}.*expected"):
        draw_grid(**arguments)
