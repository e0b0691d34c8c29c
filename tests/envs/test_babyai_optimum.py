"""Fewest actions: closed forms, a search over every state of the simulator, and minigrid's own verdict."""

import math
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs.babyai import simulator
from goalbridge.envs.babyai.layouts import Layouts, draw_layouts, free_cells, free_poses
from goalbridge.envs.babyai.optimum import PoseGraph, facing, fewest_steps, mission_targets
from goalbridge.envs.babyai.simulator import DIRECTIONS, FORWARD, LEFT, MINIGRID_ACTIONS, RIGHT, TOGGLE, GridBatch

OPEN, CLOSED, LOCKED = (4, 0, 0), (4, 0, 1), (4, 0, 2)

CELLS = {"#": (2, 5, 0), ".": (1, 0, 0), "o": OPEN, "c": CLOSED, "l": LOCKED, "b": (7, 0, 0), "k": (5, 0, 0)}


def grid_of(*rows: str) -> NDArray[np.uint8]:
    """A grid [W, H, 3] from rows of letters, top to bottom."""
    return np.array([[CELLS[letter] for letter in row] for row in rows], dtype=np.uint8).transpose(1, 0, 2)


def cells(grid: NDArray[np.uint8], *positions: tuple[int, int]) -> NDArray[np.bool_]:
    marked = np.zeros(grid.shape[:2], dtype=np.bool_)
    marked[tuple(np.transpose(positions))] = True
    return marked


ROOM = grid_of("########", "#......#", "#......#", "#......#", "########")
HOUSE = grid_of(
    "#########",
    "#...#..b#",
    "#.k.c...#",
    "#...#...#",
    "##o###l##",
    "#...#..k#",
    "#...c...#",
    "#b..#...#",
    "#########",
)


@pytest.mark.parametrize(
    ("start", "target", "faced", "stood_in"),
    [
        ((1, 1, 0), (6, 1), 4, 5),
        ((1, 1, 1), (6, 1), 5, 6),  # a turn first
        ((1, 1, 2), (6, 1), 6, 7),
        ((1, 3, 0), (6, 1), 7, 8),  # five steps, a turn, a step
        ((6, 1, 0), (6, 1), 4, 0),  # from on the target: a turn, a step away, and about
        ((1, 1, 3), (2, 1), 1, 2),
        ((1, 1, 0), (2, 1), 0, 1),  # in front already
    ],
)
def test_closed_forms(start: tuple[int, ...], target: tuple[int, int], faced: int, stood_in: int) -> None:
    for fewest, by_facing in ((faced, True), (stood_in, False)):
        assert fewest_steps(ROOM, start, cells(ROOM, target), by_facing, at_least=0) == fewest
        assert fewest_steps(ROOM, start, cells(ROOM, target), by_facing) == max(1, fewest)  # judged after an action
        assert fewest_steps(ROOM, start, np.zeros((8, 5), dtype=np.bool_), by_facing) == math.inf


def test_doors_and_objects() -> None:
    corridor = [grid_of("######", f"#.{thing}..#", "######") for thing in "oclb"]
    here, end = cells(corridor[0], (2, 1)), cells(corridor[0], (4, 1))
    assert [fewest_steps(grid, (1, 1, 1), here) for grid in corridor] == [1, 1, 1, 1]
    assert [fewest_steps(grid, (1, 1, 0), end) for grid in corridor] == [2, 3, math.inf, math.inf]
    assert [fewest_steps(grid, (1, 1, 0), end, faced=False) for grid in corridor] == [3, 4, math.inf, math.inf]
    assert [fewest_steps(grid, (1, 1, 0), here, faced=False) for grid in corridor] == [1, 2, math.inf, math.inf]


def test_facing() -> None:
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
        allowed = (actions != TOGGLE) | (batch.goals()[:, 5] != simulator.BOX)
        changed = batch.step(np.where(allowed, actions, FORWARD)) & allowed
        new = []
        for row in np.flatnonzero(changed).tolist():
            key = batch.grids[row].tobytes() + batch.poses[row].tobytes()
            if key not in known:
                known.add(key)
                new.append(row)
        grids, poses, depth = batch.grids[new], batch.poses[new], depth + 1
    return fewest


def small_layouts() -> Layouts:
    return draw_layouts(["GoToObjMazeS4R2", "GoToSeqS5R2", "GoToLocalS5N2"], 6, np.random.default_rng(0))


def small_grids() -> list[NDArray[np.uint8]]:
    layouts = small_layouts()
    drawn = [grid[:width, :height] for grid, (width, height) in zip(layouts.grids, layouts.sizes, strict=True)]
    return [HOUSE.copy(), *drawn]


def test_equals_a_search_over_every_state() -> None:
    rng = np.random.default_rng(0)
    for grid in [HOUSE.copy(), HOUSE.copy(), *small_grids()]:
        start = rng.choice(free_poses(grid))
        x, y, _ = start
        grid[x, y, 2] = 0  # nobody stands in a closed door
        plain = plain_distances(grid, start)
        for target in np.ndindex(grid.shape[0], grid.shape[1]):
            here = cells(grid, target)
            faced = [(target[0] - dx, target[1] - dy, d) for d, (dx, dy) in enumerate(DIRECTIONS.tolist())]
            inside = [p for p in faced if 0 <= p[0] < grid.shape[0] and 0 <= p[1] < grid.shape[1]]
            assert fewest_steps(grid, start, here, at_least=0) == min(plain[pose] for pose in inside)
            assert fewest_steps(grid, start, here, faced=False, at_least=0) == plain[target].min()


def test_house_has_what_a_search_could_get_wrong() -> None:
    distances = plain_distances(HOUSE, np.array([1, 1, 0]))
    assert distances[2, 6].min() == 9  # around the key and through the open door
    assert distances[4, 6].min() < distances[5, 6].min() < math.inf  # through closed ones
    assert np.isinf(distances[6, 4]).all()  # locked
    assert np.isfinite(distances[free_cells(HOUSE)]).all()


def play(grid: NDArray[np.uint8], start: NDArray[np.int64], actions: list[int]) -> tuple[int, ...]:
    batch = GridBatch(grid[None], start[None])
    assert all(batch.step(np.array([action]))[0] for action in actions)  # none of them in vain
    return tuple(batch.poses[0].tolist())


def test_walks_are_shortest_and_lead_there() -> None:
    rng = np.random.default_rng(1)
    for grid in small_grids():
        start, goal = rng.choice(free_poses(grid), size=2, replace=False)
        grid[start[0], start[1], 2] = 0
        fewest = plain_distances(grid, start)[tuple(goal)]
        if math.isinf(fewest):
            continue
        for graph in (PoseGraph(grid), PoseGraph(grid, rng)):
            actions = graph.walk(start, goal)
            assert play(grid, start, actions) == tuple(goal.tolist())
            assert len(actions) == fewest


def test_doors_stay_open_behind_a_walk() -> None:
    graph = PoseGraph(HOUSE)
    there, back = graph.walk((3, 2, 0), (5, 2, 0)), graph.walk((5, 2, 2), (3, 2, 2))
    assert there == [TOGGLE, FORWARD, FORWARD]
    assert back == [FORWARD, FORWARD]
    assert HOUSE[4, 2].tolist() == list(CLOSED)


@pytest.mark.parametrize("row", [1, 3])
def test_a_door_once_opened_is_the_shorter_way(row: int) -> None:
    graph = PoseGraph(grid_of("#######", "#..c..#", "#.###.#", "#..c..#", "#######"))
    fewest = len(graph.walk((1, row, 0), (3, row, 0)))
    assert fewest == 3
    around = graph.walk((1, 2, 0), (5, 2, 0))  # by the other row it takes as long, but for its door
    assert TOGGLE not in around
    assert len(around) == 10


def test_ties_are_broken_at_random_but_only_with_a_generator() -> None:
    about = {tuple(PoseGraph(ROOM, np.random.default_rng(seed)).walk((3, 2, 0), (3, 2, 2))) for seed in range(20)}
    assert about == {(LEFT, LEFT), (RIGHT, RIGHT)}
    assert len({tuple(PoseGraph(ROOM).walk((1, 1, 0), (6, 3, 0))) for _ in range(5)}) == 1


def test_walk_out_of_reach() -> None:
    grid = grid_of("######", "#.l..#", "######")
    with pytest.raises(ValueError, match=r"goal: expected a pose within reach"):
        PoseGraph(grid).walk((1, 1, 0), (4, 1, 0))


@pytest.mark.parametrize("name", ["GoToRedBallGrey", "GoToLocal", "GoToDoor", "GoToObjDoor", "GoToObjMazeS4", "GoTo"])
def test_minigrid_rewards_the_shortest_walk_at_its_last_step(name: str) -> None:
    world: Any = gymnasium.make(f"BabyAI-{name}-v0").unwrapped
    for seed in range(8):
        world.reset(seed=seed)
        grid, targets = world.grid.encode(), mission_targets(world)
        start = np.array([*world.agent_pos, world.agent_dir])
        fewest = fewest_steps(grid, start, targets)
        goal = next(pose for pose in np.argwhere(facing(targets)) if distance(grid, start, pose) == fewest)
        results = [world.step(MINIGRID_ACTIONS[action]) for action in PoseGraph(grid).walk(start, goal)]
        assert [reward > 0 for _, reward, _, _, _ in results] == [False] * (int(fewest) - 1) + [True]


def distance(grid: NDArray[np.uint8], start: NDArray[np.int64], goal: NDArray[np.int64]) -> float:
    marked = np.zeros((*grid.shape[:2], 4), dtype=np.bool_)
    marked[tuple(goal)] = True
    return float(PoseGraph(grid).distances(marked)[tuple(start)])


def test_mission_targets() -> None:
    world: Any = gymnasium.make("BabyAI-GoToRedBall-v0").unwrapped
    world.reset(seed=1)
    grid = world.grid.encode()
    np.testing.assert_array_equal(mission_targets(world), (grid[..., 0] == 6) & (grid[..., 1] == 0))


@pytest.mark.parametrize(("name", "seed"), [("MiniGrid-FourRooms-v0", 0), ("BabyAI-GoToSeqS5R2-v0", 1)])
def test_other_missions_have_no_targets(name: str, seed: int) -> None:
    world: Any = gymnasium.make(name).unwrapped
    world.reset(seed=seed)
    with pytest.raises(ValueError, match=r"mission: expected one to go to one object"):
        mission_targets(world)
