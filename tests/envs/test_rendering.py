"""Pictures of both worlds: walls, things, regions, heat, paths, agents and captions, each where it belongs."""

import timeit
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs import rendering
from goalbridge.envs.babyai import rendering as babyai_rendering
from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.babyai.navigation import Navigation
from goalbridge.envs.babyai.rendering import draw_grid
from goalbridge.envs.babyai.simulator import DOOR, EMPTY, GOAL, KEY, WALL
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.rendering import draw

Frame = NDArray[np.uint8]
NOWHERE = np.zeros((0, 2))
TILE = 24


def near(frame: Frame, colour: tuple[int, int, int], tolerance: int = 12) -> NDArray[np.bool_]:
    return np.asarray((np.abs(frame.astype(int) - np.array(colour)) <= tolerance).all(axis=-1))


def test_everything_in_a_maze_is_where_it_should_be() -> None:
    layout, region = LAYOUTS["blocker"], np.zeros((11, 11), dtype=bool)
    region[:, 9] = True
    path = np.array([[9.5, 0.5], [9.5, 3.5], [6.5, 3.5]])
    frame = draw(layout, path[-1], path, region, size_px=330)
    assert frame.dtype == np.uint8
    assert frame.shape[0] % 16 == frame.shape[1] % 16 == 0
    top_left = (np.array(frame.shape[:2]) - 330) // 2
    points = np.array([(3.5, 5.5), (1.5, 5.5), (5.5, 9.5), (9.5, 1.5), (7.5, 3.5)])
    wall, free, shaded, early, late = frame[tuple((top_left + points * 30).astype(int).T)].astype(int)
    assert (tuple(wall), tuple(free)) == (rendering.WALL_COLOUR, rendering.FREE_COLOUR)
    assert np.argmax(shaded) == 1  # the region is shaded green
    agent = np.argwhere(near(frame, rendering.AGENT_COLOUR)).mean(axis=0)
    np.testing.assert_allclose(agent, top_left + path[-1] * 30, atol=1.5)
    assert early.sum() > late.sum()  # the path grows stronger towards the present
    assert late[2] > late[0]


def test_heat_shades_free_cells_in_proportion() -> None:
    layout, region = Layout.from_text("....\n.#..", "tiny"), np.zeros((2, 4), dtype=bool)
    region[0, 3] = True
    heat = np.array([[0.0, 1.0, 2.0, 4.0], [0.0, 4.0, 0.0, 0.0]])
    here = (np.array([1.5, 3.5]), NOWHERE, region, 160)
    frame = draw(layout, *here, heat=heat)
    top, left = (frame.shape[0] - 80) // 2, (frame.shape[1] - 160) // 2
    shades = [int(frame[top + 10, left + 20 + 40 * column].astype(int).sum()) for column in range(4)]
    assert shades == sorted(set(shades), reverse=True)
    assert frame[top + 60, left + 60].tolist() == list(rendering.WALL_COLOUR)
    np.testing.assert_array_equal(frame, draw(layout, *here, heat.repeat(4, axis=0).repeat(4, axis=1)))
    assert draw(layout, *here, np.zeros((2, 4))).shape == frame.shape


def test_captions_of_mazes_do_not_change_the_size_of_frames() -> None:
    layout = LAYOUTS["slit"]
    scene = (layout, np.array([0.5, 0.5]), NOWHERE, layout.walls)
    drawn = [draw(*scene, title=title) for title in ("go", "go to row 3", "word " * 40, "x" * 250)]
    assert len({frame.shape for frame in drawn}) == 1
    assert near(drawn[0][:60], rendering.WALL_COLOUR, 60).any()
    assert not np.array_equal(drawn[0][:60], drawn[1][:60])


def test_mazes_render_their_episode() -> None:
    env: Any = gymnasium.make("goalbridge/IslandMaze-v0", render_mode="rgb_array", action_noise_degrees=0.0)
    env.reset(seed=0, options={"position": (5.5, 1.5), "instruction": "go to column 9"})
    before = env.render()
    env.step(np.array([0.0, 1.0], dtype=np.float32))
    places = [np.argwhere(near(frame, rendering.AGENT_COLOUR)).mean(axis=0) for frame in (before, env.render())]
    np.testing.assert_allclose(places[1] - places[0], [0.0, 0.5 * (480 // 11)], atol=1.0)


def room(width: int = 10, height: int = 6) -> Frame:
    """An empty room [W, H, 3] in which x and y cannot be mistaken for each other."""
    grid = np.full((width, height, 3), (WALL, 5, 0), dtype=np.uint8)
    grid[1:-1, 1:-1] = (EMPTY, 0, 0)
    return grid


def cell(frame: Frame, grid: Frame, x: int, y: int) -> Frame:
    """The pixels [24, 24, 3] of a cell; what a caption or padding adds lies above and at the sides."""
    top, left = frame.shape[0] - grid.shape[1] * TILE, (frame.shape[1] - grid.shape[0] * TILE) // 2
    return frame[top + y * TILE : top + (y + 1) * TILE, left + x * TILE : left + (x + 1) * TILE]


def middle(frame: Frame, grid: Frame, x: int, y: int) -> Any:
    """Colour of a cell's middle."""
    return cell(frame, grid, x, y)[TILE // 2, TILE // 2].tolist()


def changed(frame: Frame, other: Frame, grid: Frame) -> set[tuple[int, ...]]:
    """The cells (x, y) that look different."""
    return {at for at in np.ndindex(grid.shape[:2]) if (cell(frame, grid, *at) != cell(other, grid, *at)).any()}


@pytest.mark.parametrize(("name", "tile"), [("GoToLocal", TILE), ("GoToSeqS5R2", 16), ("FourRooms", TILE)])
def test_plain_pictures_are_minigrids_own(name: str, tile: int) -> None:
    env: Any = gymnasium.make(LEVELS[name].minigrid_id, disable_env_checker=True).unwrapped
    env.reset(seed=4)
    frame = draw_grid(env.grid.encode(), np.array([*env.agent_pos, env.agent_dir]), tile=tile)
    expected = env.get_frame(highlight=False, tile_size=tile)
    assert frame.shape[0] % 16 == frame.shape[1] % 16 == 0
    left = (frame.shape[1] - expected.shape[1]) // 2
    np.testing.assert_array_equal(frame[-expected.shape[0] :, left : left + expected.shape[1]], expected)


def test_cells_never_seen_are_dark_grey() -> None:
    observation = Navigation("GoToLocal", view="partial").reset(seed=3)[0]["observation"]
    grid, pose = observation["grid"], observation["pose"]
    frame = draw_grid(grid, pose)
    unseen = np.argwhere(grid[..., 0] == 0).tolist()
    assert unseen
    for x, y in unseen:
        assert (cell(frame, grid, x, y) == babyai_rendering.UNSEEN_COLOUR).all()
    seen = [at for at in np.argwhere(grid[..., 0] == EMPTY).tolist() if at != pose[:2].tolist()]
    assert all(middle(frame, grid, x, y) == [0, 0, 0] for x, y in seen)


def test_heat_brightens_cells_in_their_order_and_leaves_the_least_alone() -> None:
    grid, heat, pose = room(), np.zeros((10, 6)), np.array([8, 4, 0])
    heat[1:8, 2] = (0.019, 0.021, 0.1, 0.25, 0.5, 0.75, 1.0)
    frame, plain = draw_grid(grid, pose, 7.0 * heat), draw_grid(grid, pose)
    light = [int(np.dot((299, 587, 114), middle(frame, grid, x, 2))) for x in range(1, 8)]
    assert light == sorted(set(light))
    assert light[0] == 0
    assert min(middle(frame, grid, 7, 2)) > 90
    assert changed(frame, plain, grid) == set(map(tuple, np.argwhere(heat >= 0.02).tolist()))
    np.testing.assert_array_equal(draw_grid(grid, pose, np.zeros((10, 6))), plain)


def test_things_and_the_agent_keep_their_colours_above_heat_and_path() -> None:
    grid, pose = room(), np.array([4, 2, 1])
    grid[2, 2], grid[6, 2], grid[8, 2] = (KEY, 4, 0), (DOOR, 2, 0), (GOAL, 1, 0)
    heat = np.ones((10, 6)) * (grid[..., 0] != WALL)
    plain, frame = draw_grid(grid, pose), draw_grid(grid, pose, heat, path=np.array([(x, 2) for x in (2, 8, 4)]))
    for x in (2, 4, 6, 8):
        before, after = cell(plain, grid, x, 2), cell(frame, grid, x, 2)
        coloured = before.max(axis=-1) > 150  # a thing's, not the floor's nor its lines'
        assert coloured.any()
        np.testing.assert_array_equal(after[coloured], before[coloured])
    shaded = cell(draw_grid(grid, pose, heat), grid, 4, 2)[TILE // 2]  # [24, 3], across the triangle
    first = int(np.argmax(shaded[:, 0] == 255))
    # The pixel between is the edge of the triangle, half red; the rim keeps the agent's red off the heat's orange.
    assert shaded[first - 2].max() < 60 < 200 < shaded[first - 5].max()


def test_the_path_runs_through_the_cells_and_grows_stronger() -> None:
    grid, pose = room(), np.array([7, 4, 1])
    path = np.array([(1, 1), (1, 1), (2, 1), (3, 1), (3, 2), (3, 3), (3, 3), (4, 3), (5, 3), (6, 3), (7, 3), (7, 4)])
    frame, plain = draw_grid(grid, pose, path=path), draw_grid(grid, pose)
    on_path = [middle(frame, grid, x, y) for x, y in path[2:-1].tolist()]
    blue = [colour[2] for colour in on_path]
    assert blue == sorted(blue)
    assert 80 < blue[0] < blue[-1] < 256
    assert all(colour[2] > colour[1] > colour[0] for colour in on_path)
    assert near(cell(frame, grid, 1, 1), babyai_rendering.PATH_COLOUR, 0).any()  # a ring in full colour at its start
    assert changed(frame, plain, grid) == set(map(tuple, path.tolist()))
    np.testing.assert_array_equal(draw_grid(grid, pose, path=path[:0]), plain)


def test_missions_of_any_length_are_written_out_above_the_picture() -> None:
    grid, pose = room(8, 8), np.array([1, 1, 0])
    long = "go to the purple ball and go to a green door, then go to the grey key and go to the yellow box"
    plain, *titled = [draw_grid(grid, pose, title=title) for title in ("", "go to the red ball", long)]
    assert plain.shape[0] < titled[0].shape[0] < titled[1].shape[0]
    assert {frame.shape[1] for frame in titled} == {plain.shape[1]}
    for frame in titled:
        assert frame.shape[0] % 16 == 0
        np.testing.assert_array_equal(frame[-8 * TILE :], plain)
        strip = frame[: -8 * TILE]
        assert near(strip, rendering.WALL_COLOUR, 40).any()
        for edge in (strip[:2], strip[-2:], strip[:, :2], strip[:, -2:]):  # no letter is cut off
            assert (edge == rendering.TITLE_COLOUR).all()
    assert draw_grid(grid, np.array([6, 5, 2]), np.ones((8, 8)), long).shape == titled[1].shape


def test_large_frames_take_less_than_30_milliseconds() -> None:
    seen, _ = Navigation("GoTo").reset(seed=5)
    grid, pose = seen["observation"]["grid"], seen["observation"]["pose"]
    heat, path = np.random.default_rng(0).random(grid.shape[:2]), np.argwhere(grid[..., 0] == EMPTY)
    drawing = timeit.repeat(lambda: draw_grid(grid, pose, heat, seen["instruction"], path), number=1, repeat=6)
    assert min(drawing) < 0.03


def test_what_cannot_be_drawn_is_refused_in_one_line() -> None:
    shapes = (("grid", (8, 8)), ("grid", (2, 8, 3)), ("pose", (2,)), ("heat", (6, 10)), ("path", (4, 3)))
    for field, value in (*((field, np.ones(shape, dtype=np.uint8)) for field, shape in shapes), ("tile", 7)):
        arguments: dict[str, Any] = {"grid": room(), "pose": np.array([1, 1, 0]), field: value}
        with pytest.raises(ValueError, match=f"^[^\n]*{field}[^\n]*: expected [^\n]*$"):
            draw_grid(**arguments)
    with pytest.raises(ValueError, match="size_px: expected 11 or more for this maze, got 10"):
        draw(LAYOUTS["slit"], np.array([0.5, 0.5]), NOWHERE, LAYOUTS["slit"].walls, size_px=10)
