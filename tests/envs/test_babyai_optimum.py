"""Fewest actions: closed forms, a search over every state of the simulator, minigrid's own verdict, and its bot."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError
from numpy.typing import NDArray

from goalbridge.envs.babyai.layouts import draw_layouts, free_poses
from goalbridge.envs.babyai.optimum import PoseGraph, bot_steps, facing, fewest_steps, mission_targets
from goalbridge.envs.babyai.simulator import (
    BALL,
    BOX,
    DIRECTIONS,
    FORWARD,
    LEFT,
    MINIGRID_ACTIONS,
    RIGHT,
    TOGGLE,
    GridBatch,
    free_cells,
)

CELLS = {"#": (2, 5, 0), ".": (1, 0, 0), "o": (4, 0, 0), "c": (4, 0, 1), "l": (4, 0, 2), "b": (7, 0, 0), "k": (5, 0, 0)}


def grid_of(*rows: str) -> NDArray[np.uint8]:
    """A grid [W, H, 3] from rows of letters, top to bottom; doors are open, closed or locked."""
    return np.array([[CELLS[letter] for letter in row] for row in rows], dtype=np.uint8).transpose(1, 0, 2)


def level(name: str, seed: int = 0) -> Any:
    world: Any = gymnasium.make(name).unwrapped
    world.reset(seed=seed)
    return world


def cells(grid: NDArray[np.uint8], *positions: tuple[int, ...]) -> NDArray[np.bool_]:
    marked = np.zeros(grid.shape[:2], dtype=np.bool_)
    marked[tuple(np.transpose(positions))] = True
    return marked


ROOM = grid_of("########", "#......#", "#......#", "#......#", "########")
HOUSE = grid_of(
    "#########", "#...#..b#", "#.k.c...#", "#...#...#", "##o###l##", "#...#..k#", "#...c...#", "#b..#...#", "#########"
)  # fmt: skip
OPEN, CLOSED, LOCKED = (grid_of("######", f"#.{door}..#", "######") for door in "ocl")
BOXED = grid_of("######", "#.b..#", "######")


@pytest.mark.parametrize(
    ("grid", "start", "target", "to_face", "to_reach"),
    [
        (ROOM, (1, 1, 1), (6, 1), 5, 6),  # a turn first
        (ROOM, (6, 1, 0), (6, 1), 4, 0),  # from on the target: a turn, a step away, and about
        (ROOM, (1, 1, 0), (2, 1), 0, 1),
        *((grid, (1, 1, 1), (2, 1), 1, steps) for grid, steps in ((OPEN, 2), (CLOSED, 3), (LOCKED, math.inf))),
        (BOXED, (1, 1, 0), (4, 1), math.inf, math.inf),  # objects block, and boxes stay
        (BOXED, (1, 1, 3), (2, 1), 1, math.inf),
    ],
)
def test_closed_forms(
    grid: Any, start: tuple[int, ...], target: tuple[int, ...], to_face: float, to_reach: float
) -> None:
    for faced, steps in ((True, to_face), (False, to_reach)):
        assert fewest_steps(grid, start, cells(grid, target), faced, at_least=0) == steps
        assert fewest_steps(grid, start, cells(grid, target), faced) == max(1, steps)  # at least one is judged


def test_several_targets_and_none() -> None:
    assert fewest_steps(ROOM, (1, 1, 3), cells(ROOM, (6, 3), (2, 1)), faced=False) == 2
    assert fewest_steps(ROOM, (1, 1, 0), np.zeros((8, 5), dtype=np.bool_)) == math.inf
    marked = np.argwhere(facing(cells(ROOM, (3, 2)))).tolist()
    assert marked == [[2, 2, 0], [3, 1, 1], [3, 3, 3], [4, 2, 2]]


def plain_distances(grid: NDArray[np.uint8], start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Breadth first over all states that the simulator can get to without opening boxes; fewest actions to each pose.

    A state is a pose and all that the grid holds, so that nothing about doors is taken for granted.
    """
    fewest = np.full((*grid.shape[:2], 4), np.inf)
    grids, poses = grid[None], start[None]
    known, depth = set[bytes](), 0
    while len(poses):
        np.minimum.at(fewest, tuple(poses.T), depth)
        batch = GridBatch(np.repeat(grids, 4, axis=0), np.repeat(poses, 4, axis=0))
        actions = np.tile(np.arange(4), len(poses))
        allowed = (actions != TOGGLE) | (batch.goals()[:, 5] != BOX)
        changed = batch.step(np.where(allowed, actions, FORWARD)) & allowed
        new = []
        for row in np.flatnonzero(changed).tolist():
            key = batch.grids[row].tobytes() + batch.poses[row].tobytes()
            if key not in known:
                known.add(key)
                new.append(row)
        grids, poses, depth = batch.grids[new], batch.poses[new], depth + 1
    return fewest


def small_grids() -> list[NDArray[np.uint8]]:
    layouts = draw_layouts(["GoToObjMazeS4R2", "GoToSeqS5R2", "GoToLocalS5N2"], 6, np.random.default_rng(0))
    drawn = [grid[:width, :height] for grid, (width, height) in zip(layouts.grids, layouts.sizes, strict=True)]
    return [HOUSE.copy(), HOUSE.copy(), HOUSE.copy(), *drawn]


def test_equals_a_search_over_every_state() -> None:
    """Walks, too, are as short as they can be, and lead there."""
    rng = np.random.default_rng(0)
    for grid in small_grids():
        start, goal = rng.choice(free_poses(grid), size=2, replace=False)
        grid[start[0], start[1], 2] = 0  # nobody stands in a closed door
        plain = plain_distances(grid, start)
        for target in np.ndindex(grid.shape[0], grid.shape[1]):
            here = cells(grid, target)
            faced = [(target[0] - dx, target[1] - dy, d) for d, (dx, dy) in enumerate(DIRECTIONS.tolist())]
            inside = [p for p in faced if 0 <= p[0] < grid.shape[0] and 0 <= p[1] < grid.shape[1]]
            assert fewest_steps(grid, start, here, at_least=0) == min(plain[pose] for pose in inside)
            assert fewest_steps(grid, start, here, faced=False, at_least=0) == plain[target].min()
        if math.isfinite(plain[tuple(goal)]):
            for graph in (PoseGraph(grid), PoseGraph(grid, rng)):
                actions, batch = graph.walk(start, goal), GridBatch(grid[None], start[None])
                assert all(batch.step(np.array([action]))[0] for action in actions)  # none of them in vain
                assert batch.poses[0].tolist() == goal.tolist()
                assert len(actions) == plain[tuple(goal)]


def test_doors_stay_open_behind_a_walk() -> None:
    graph = PoseGraph(HOUSE)
    assert graph.walk((3, 2, 0), (5, 2, 0)) == [TOGGLE, FORWARD, FORWARD]
    assert graph.walk((5, 2, 2), (3, 2, 2)) == [FORWARD, FORWARD]
    assert HOUSE[4, 2].tolist() == list(CELLS["c"])


@pytest.mark.parametrize("row", [1, 3])
def test_a_door_once_opened_is_the_shorter_way(row: int) -> None:
    graph = PoseGraph(grid_of("#######", "#..c..#", "#.###.#", "#..c..#", "#######"))
    assert len(graph.walk((1, row, 0), (3, row, 0))) == 3
    around = graph.walk((1, 2, 0), (5, 2, 0))  # by the other row it takes as long, but for its door
    assert TOGGLE not in around
    assert len(around) == 10


def test_ties_are_broken_at_random_but_only_with_a_generator() -> None:
    about = {tuple(PoseGraph(ROOM, np.random.default_rng(seed)).walk((3, 2, 0), (3, 2, 2))) for seed in range(20)}
    assert about == {(LEFT, LEFT), (RIGHT, RIGHT)}
    assert len({tuple(PoseGraph(ROOM).walk((1, 1, 0), (6, 3, 0))) for _ in range(5)}) == 1
    with pytest.raises(ValueError, match=r"goal: expected a pose within reach"):
        PoseGraph(LOCKED).walk((1, 1, 0), (4, 1, 0))


@pytest.mark.parametrize("name", ["GoToRedBallGrey", "GoToLocal", "GoToDoor", "GoToObjDoor", "GoToObjMazeS4", "GoTo"])
def test_minigrid_rewards_the_shortest_walk_at_its_last_step(name: str) -> None:
    for seed in range(8):
        world = level(f"BabyAI-{name}-v0", seed)
        grid, targets, start = world.grid.encode(), mission_targets(world), (*world.agent_pos, world.agent_dir)
        fewest, walks = fewest_steps(grid, start, targets), []
        for pose in np.argwhere(facing(targets) & free_cells(grid)[..., None]):
            with contextlib.suppress(ValueError):  # out of reach
                walks.append(PoseGraph(grid).walk(start, pose))
        walk = min(walks, key=len)
        results = [world.step(MINIGRID_ACTIONS[action]) for action in walk]
        assert [reward > 0 for _, reward, _, _, _ in results] == [False] * (int(fewest) - 1) + [True]


def test_mission_targets() -> None:
    world = level("BabyAI-GoToRedBall-v0", 1)
    grid = world.grid.encode()
    np.testing.assert_array_equal(mission_targets(world), (grid[..., 0] == BALL) & (grid[..., 1] == 0))
    for name in ("MiniGrid-FourRooms-v0", "BabyAI-GoToSeqS5R2-v0"):
        with pytest.raises(ValueError, match="mission: expected one to go to one object"):
            mission_targets(level(name, 1))


@pytest.mark.parametrize("name", ["GoToRedBallNoDists", "GoToDoor", "GoToObjMazeS4", "GoToSeqS5R2"])
def test_the_bot_reaches_what_it_is_told_to(name: str) -> None:
    for seed in range(5):
        world = level(f"BabyAI-{name}-v0", seed)
        start, grid = (*world.agent_pos, world.agent_dir), world.grid.encode()
        fewest = 1 if "Seq" in name else fewest_steps(grid, start, mission_targets(world))
        success, steps = bot_steps(world)
        assert success
        assert fewest <= steps == world.step_count <= world.max_steps
        assert bot_steps(level(f"BabyAI-{name}-v0", seed)) == (success, steps)


def broken(error: type[BaseException]) -> Callable[[BabyAIBot], int]:
    def replan(bot: BabyAIBot) -> int:
        raise error("a box was opened, or such")

    return replan


ERRORS = (DisappearedBoxError, AssertionError, IndexError, KeyError, TypeError, AttributeError)


@pytest.mark.parametrize(
    ("replan", "taken"),
    [*((broken(error), 0) for error in ERRORS), (lambda bot: 6, 1), (lambda bot: 4, 64)],  # breaks, gives up, drops
)
def test_a_failure_of_the_bot_costs_the_limit(
    monkeypatch: pytest.MonkeyPatch, replan: Callable[[BabyAIBot], int], taken: int
) -> None:
    monkeypatch.setattr(BabyAIBot, "replan", replan)
    world = level("BabyAI-GoToLocal-v0")
    assert bot_steps(world) == (False, 64)
    assert world.step_count == taken


def test_an_end_without_reward_is_a_failure_and_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    world = level("BabyAI-GoToLocal-v0")
    monkeypatch.setattr(world, "step", lambda action: ({}, 0, True, False, {}))
    assert bot_steps(world) == (False, 64)
    monkeypatch.setattr(BabyAIBot, "replan", broken(MemoryError))
    with pytest.raises(MemoryError):
        bot_steps(level("BabyAI-GoToLocal-v0"))
    with pytest.raises(ValueError, match="expected a BabyAI level after reset, got mission 'reach the goal'"):
        bot_steps(level("MiniGrid-FourRooms-v0"))
