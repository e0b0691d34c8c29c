"""Observations of grids: which goals they allow, what is yet unknown, when an episode goes on, what cannot be read."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.encoders.grid import SITUATION, possible_situations, situations
from goalbridge.encoders.readers import GridView, ObservationError, imaginable, read_grids, states_of
from goalbridge.envs.babyai.layouts import draw_layouts, free_poses
from goalbridge.envs.babyai.simulator import GridBatch

Grid = NDArray[np.uint8]
EMPTY, WALL, DOOR, KEY, BALL, BOX = 1, 2, 4, 5, 6, 7
RED, BLUE, GREY = 0, 2, 5
OPEN, CLOSED, LOCKED = 0, 1, 2


def room(width: int = 9, height: int = 7) -> Grid:
    grid = np.zeros((width, height, 3), dtype=np.uint8)
    grid[:] = (WALL, GREY, 0)
    grid[1:-1, 1:-1] = (EMPTY, 0, 0)
    return grid


def view(grid: Grid, *pose: int) -> GridView:
    return GridView(grid.copy(), np.array(pose or (1, 1, 0)))


def test_a_batch_is_read_row_by_row() -> None:
    rng = np.random.default_rng(0)
    grids = draw_layouts(["GoToLocal"], 3, rng).grids
    poses = np.stack([rng.choice(free_poses(grid)) for grid in grids])
    views = read_grids({"grid": grids, "pose": poses.astype(np.int32), "more": None}, (22, 22))
    for each, grid, pose in zip(views, grids, poses, strict=True):
        np.testing.assert_array_equal(each.grid, grid)
        np.testing.assert_array_equal(each.pose, pose)
        np.testing.assert_array_equal(each.goals(), possible_situations(grid))
    np.testing.assert_array_equal(states_of(views), situations(grids, poses))


def test_what_an_environment_gives_can_be_read() -> None:
    for name in ("full", "partial"):
        env: Any = gymnasium.make_vec("goalbridge/BabyAI-GoToLocal-v0", num_envs=3, view=name)
        observation, _ = env.reset(seed=0)
        assert len(read_grids(observation["observation"], (8, 8))) == 3
        with pytest.raises(ObservationError, match="at most 7 x 9, as those trained on, got 8 x 8"):
            read_grids(observation["observation"], (7, 9))
        env.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"grid": np.zeros((9, 7, 3))}, r"got grid \(9, 7, 3\) and pose \(2, 3\)"),
        ({"grid": np.zeros((2, 9, 7, 2))}, r"got grid \(2, 9, 7, 2\)"),
        ({"grid": np.zeros((3, 9, 7, 3))}, r"got grid \(3, 9, 7, 3\) and pose \(2, 3\); try a row for each"),
        ({"pose": np.ones(3)}, r"pose \(3,\)"),
        ({"pose": np.array([(1, 1, 0), (8, 1, 0)])}, r"walls of 9 x 7 cells, got pose \(8, 1, 0\)"),
        ({"pose": np.array([(1, 1, 0), (1, 0, 0)])}, r"got pose \(1, 0, 0\)"),
        ({"pose": np.array([(1, 1, 0), (1, 1, -1)])}, r"got pose \(1, 1, -1\)"),
        ({"grid": np.full((2, 9, 7, 3), 11)}, "types below 11 and colours below 6, got up to 11 and 11"),
        (None, "observation: expected {'grid': .*}, got NoneType"),
        (np.zeros((2, 3)), "observation: expected {'grid': .*}, got ndarray"),
        ([], "observation: expected {'grid': .*}, got list"),
        ({"grid": None}, r"observation: expected {'grid': .*}, got \['pose'\]"),
        ({"pose": None}, r"observation: expected {'grid': .*}, got \['grid'\]"),
        ({"grid": np.stack([room(), np.full((9, 7, 3), 2, np.uint8)])}, "a cell to stand in, got none in grid 1"),
    ],
)
def test_what_cannot_be_read_is_one_line(change: Any, says: str) -> None:
    whole = {"grid": np.stack([room(), room()]), "pose": np.array([(1, 1, 0), (2, 2, 3)])}
    assert len(read_grids(whole, (22, 22))) == 2
    if isinstance(change, dict):
        change = {name: value for name, value in (whole | change).items() if value is not None}
    with pytest.raises(ObservationError, match=says) as caught:
        read_grids(change, (22, 22))
    assert "\n" not in str(caught.value)


def test_the_layout_is_the_grid_but_for_how_doors_stand() -> None:
    grid = room()
    grid[4, 0], grid[4, 3] = (DOOR, RED, CLOSED), (BOX, BLUE, 0)
    before = view(grid)
    grid[4, 0, 2] = OPEN
    assert view(grid).layout == before.layout
    grid[4, 0, 2] = LOCKED
    assert view(grid).layout != before.layout
    grid[4, 0, 2] = CLOSED
    grid[4, 3] = (EMPTY, 0, 0)
    assert view(grid).layout != before.layout
    assert view(grid, 3, 3, 1).layout == view(grid).layout
    assert before.grid[4, 0, 2] == CLOSED  # reading changes nothing


def poses_of(goals: NDArray[np.uint8]) -> set[tuple[int, ...]]:
    return {tuple(goal) for goal in goals[:, :3].tolist()}


def at_frontier(grid: Grid) -> NDArray[np.uint8]:
    """The goals that look at what has not been seen."""
    goals = view(grid).goals()
    return goals[view(grid).frontier(goals)]


def test_the_frontier_faces_what_has_not_been_seen() -> None:
    grid = room()
    assert not len(at_frontier(grid))
    grid[6:] = 0
    assert poses_of(at_frontier(grid)) == {(5, y, 0) for y in range(1, 6)}
    grid[5, 3] = 0  # a single dark cell
    assert poses_of(at_frontier(grid)) == {(5, y, 0) for y in (1, 2, 4, 5)} | {(4, 3, 0), (5, 2, 1), (5, 4, 3)}


@pytest.mark.parametrize("state", [OPEN, CLOSED, LOCKED])
def test_what_lies_behind_a_door_is_beyond_the_frontier_if_it_opens(state: int) -> None:
    grid = room(11, 7)
    grid[6:], grid[5] = 0, (WALL, GREY, 0)
    grid[5, 3] = (DOOR, RED, state)
    hidden = at_frontier(grid)
    expected = {OPEN: {(4, 3, 0), (5, 3, 0)}, CLOSED: {(4, 3, 0), (5, 3, 0)}, LOCKED: set[tuple[int, ...]]()}[state]
    assert poses_of(hidden) == expected
    if state == CLOSED:  # both facing it closed and facing it opened
        assert sorted(hidden[hidden[:, 5] == DOOR, 7].tolist()) == [OPEN, CLOSED]
    grid[6, 3] = (EMPTY, 0, 0)
    assert (4, 3, 0) not in poses_of(at_frontier(grid))


def test_doors_in_the_outermost_columns_hide_nothing() -> None:
    grid = room()
    grid[-1, 3], grid[3, 0] = (DOOR, RED, CLOSED), (DOOR, RED, OPEN)
    goals = at_frontier(grid)
    assert ((goals[:, 0] == 8) | (goals[:, 1] == 0)).all()  # but from within the door itself


def test_alike_is_what_faces_its_like_or_stands_in_the_same_place() -> None:
    grid = room()
    grid[3, 3], grid[6, 5], grid[6, 1] = (BALL, RED, 0), (BALL, RED, 0), (BALL, BLUE, 0)
    seen, goals = view(grid), view(grid).goals()

    def alike(*pose: int) -> set[tuple[int, ...]]:
        return poses_of(goals[seen.alike(goals, situations(grid[None], np.array([pose]))[0])])

    red = {(2, 3, 0), (4, 3, 2), (3, 2, 1), (3, 4, 3), (5, 5, 0), (7, 5, 2), (6, 4, 1)}
    assert alike(2, 3, 0) == red
    assert alike(6, 4, 1) == red
    assert alike(2, 3, 1) == {(2, 3, 1), (2, 3, 2), (2, 3, 3)}
    assert alike(1, 1, 2) == {(1, 1, direction) for direction in range(4)}


def test_an_episode_goes_on_while_one_known_cell_at_most_changes() -> None:
    grid = room()
    grid[3, 3], grid[5, 5] = (BOX, RED, 0), (DOOR, BLUE, CLOSED)
    before = view(grid, 2, 3, 0)
    for pose, goes_on in (((2, 3, 1), True), ((2, 4, 0), True), ((3, 4, 0), False), ((2, 5, 0), False)):
        assert view(grid, *pose).goes_on_from(before) == goes_on
    changed = grid.copy()
    changed[3, 3] = (EMPTY, 0, 0)
    assert view(changed, 2, 3, 0).goes_on_from(before)
    changed[5, 5, 2] = OPEN
    assert not view(changed, 2, 3, 0).goes_on_from(before)
    assert not view(room(8, 7), 2, 3, 0).goes_on_from(before)
    dark = grid.copy()
    dark[6:] = 0  # what comes into view ends no episode, what vanishes does
    assert before.goes_on_from(view(dark, 2, 3, 0))
    assert not view(dark, 2, 3, 0).goes_on_from(before)


@pytest.mark.parametrize("level", ["GoToLocal", "GoToSeqS5R2", "GoToObjMazeS4"])
def test_every_step_of_play_goes_on_from_the_one_before(level: str) -> None:
    rng = np.random.default_rng(0)
    layouts = draw_layouts([level], 8, rng)
    batch = GridBatch(layouts.grids, np.stack([rng.choice(free_poses(grid)) for grid in layouts.grids]))
    before = read_grids({"grid": batch.grids.copy(), "pose": batch.poses.copy()}, (22, 22))
    for _ in range(40):
        batch.step(rng.integers(4, size=8))
        after = read_grids({"grid": batch.grids.copy(), "pose": batch.poses.copy()}, (22, 22))
        assert all(late.goes_on_from(early) for late, early in zip(after, before, strict=True))
        before = after
    assert not after[0].goes_on_from(after[1])


@pytest.mark.parametrize("size", [(4, 4), (8, 8), (22, 22), (6, 11)])
def test_all_that_a_goal_may_mean_can_be_imagined(size: tuple[int, int]) -> None:
    rows = imaginable(*size)
    assert rows.dtype == np.uint8
    assert rows.shape[1] == SITUATION
    assert (rows[:, 3:5] == size).all()
    things = {tuple(row) for row in rows[rows[:, 5] != WALL, 5:7].tolist()}
    assert things == {(kind, colour) for kind in (DOOR, KEY, BALL, BOX) for colour in range(6)}
    places = {tuple(row) for row in rows[rows[:, 5] == WALL, :2].tolist()}
    assert places == {(x, y) for x in range(1, size[0] - 1) for y in range(1, size[1] - 1)}
