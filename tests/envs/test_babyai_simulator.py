"""The batched simulator against minigrid's own step, action by action."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from minigrid.core.world_object import Box, Door
from numpy.typing import NDArray

from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.babyai.simulator import BOX, DOOR, EMPTY, FORWARD, GOAL, MINIGRID_ACTIONS, TOGGLE, WALL, GridBatch


def make(name: str) -> Any:
    """minigrid's own level, but for the picture of what is seen, which is the slow part of a step."""
    world: Any = gymnasium.make(LEVELS[name].minigrid_id, disable_env_checker=True).unwrapped
    world.gen_obs = dict
    return world


def pose_of(world: Any) -> tuple[int, int, int]:
    return int(world.agent_pos[0]), int(world.agent_pos[1]), int(world.agent_dir)


def batch_of(worlds: Sequence[Any]) -> GridBatch:
    """The same grids and poses, on the canvas of the largest."""
    sizes = np.array([(world.width, world.height) for world in worlds])
    grids = np.full((len(worlds), *sizes.max(axis=0), 3), (WALL, 5, 0), dtype=np.uint8)
    for grid, world in zip(grids, worlds, strict=True):
        grid[: world.width, : world.height] = world.grid.encode()
    return GridBatch(grids, np.array([pose_of(world) for world in worlds]), sizes)


def reset_anywhere(worlds: Sequence[Any], rng: np.random.Generator) -> None:
    """New layouts, and starts on any cell that minigrid lets one stand on: also before doors, objects and goals."""
    for world in worlds:
        world.reset(seed=int(rng.integers(2**31)))
        places = np.ndindex(world.width, world.height)
        free = [at for at in places if (cell := world.grid.get(*at)) is None or cell.can_overlap()]
        world.agent_pos, world.agent_dir = free[rng.integers(len(free))], int(rng.integers(4))


def encoded(cell: Any) -> tuple[int, ...]:
    return (EMPTY, 0, 0) if cell is None else tuple(cell.encode())


def step_one(world: Any, action: int, events: Counter[str]) -> bool:
    """minigrid's step; counts what happened, and returns whether anything did."""
    pose, front = pose_of(world), tuple(world.front_pos)
    cell = world.grid.get(*front)
    before = encoded(cell)
    world.step(MINIGRID_ACTIONS[action])
    toggled = "toggled a" if action == TOGGLE else "bumped into a" if pose == pose_of(world) else "went to a"
    events[f"{toggled} {cell.type if cell else 'empty'} {before[2]}"] += 1
    return pose != pose_of(world) or before != encoded(world.grid.get(*front))


def compare_whole(worlds: Sequence[Any], batch: GridBatch) -> None:
    np.testing.assert_array_equal(batch.grids, batch_of(worlds).grids)
    goals = [(*pose_of(w), w.width, w.height, *encoded(w.grid.get(*w.front_pos))[:2]) for w in worlds]
    np.testing.assert_array_equal(batch.goals(), goals)


def compare(worlds: Sequence[Any], rounds: int, steps: int, every: int, seed: int) -> Counter[str]:
    """Steps both side by side: poses and changes compared in every step, grids and goals in some."""
    rng, events = np.random.default_rng(seed), Counter[str]()
    for _ in range(rounds):
        reset_anywhere(worlds, rng)
        batch = batch_of(worlds)
        for count in range(1, steps + 1):
            actions = rng.choice(4, size=len(worlds), p=(0.2, 0.2, 0.4, 0.2))
            changed = [step_one(*pair, events) for pair in zip(worlds, actions.tolist(), strict=True)]
            np.testing.assert_array_equal(batch.step(actions), changed)
            np.testing.assert_array_equal(batch.poses, [pose_of(world) for world in worlds])
            if count % every == 0:
                compare_whole(worlds, batch)
    return events


def test_equals_minigrid() -> None:
    names = ("GoToObjS4", "GoToLocal", "GoToObjDoor", "GoToDoor", "GoToObjMazeS4", "GoToOpen", "GoTo", "FourRooms")
    events = compare([make(name) for name in names], rounds=5, steps=130, every=26, seed=0)
    assert events.total() == 5200
    assert min(events[f"toggled a {thing}"] for thing in ("door 0", "door 1", "door 2", "box 0")) >= 3
    assert min(events["went to a door 0"], events["toggled a ball 0"], events["toggled a wall 0"]) >= 3
    assert min(events[f"bumped into a {thing}"] for thing in ("wall 0", "door 1", "ball 0", "box 0", "key 0")) >= 3


@pytest.mark.slow
def test_equals_minigrid_over_a_million_steps() -> None:
    worlds = [make(name) for name in LEVELS]
    rounds, steps = 120, -(-1_000_000 // (120 * len(worlds)))
    events = compare(worlds, rounds, steps, every=50, seed=1)
    assert events.total() >= 1_000_000
    things = ("door 1", "door 2", "box 0", "ball 0", "key 0", "wall 0")
    seen = {f"{what} a {thing}" for thing in things for what in ("toggled", "bumped into")}
    seen |= {"toggled a door 0", "toggled a goal 0", "went to a door 0", "went to a goal 0"}
    assert {event: events[event] for event in seen if events[event] < 10} == {}


def room(cell: tuple[int, int, int]) -> GridBatch:
    """A 5x4 room with one cell (2, 1) given, in front of an agent at the top left."""
    grid = np.full((5, 4, 3), (WALL, 5, 0), dtype=np.uint8)
    grid[1:-1, 1:-1] = (EMPTY, 0, 0)
    grid[2, 1] = cell
    return GridBatch(grid[None], np.array([[1, 1, 0]]))


def test_stands_on_the_goal_square_and_leaves_it_there() -> None:
    batch = room((GOAL, 1, 0))
    for action, pose in ((TOGGLE, [1, 1, 0]), (FORWARD, [2, 1, 0]), (FORWARD, [3, 1, 0])):
        assert batch.step(np.array([action])).tolist() == [action == FORWARD]
        assert batch.poses.tolist() == [pose]
    assert batch.grids[0, 2, 1].tolist() == [GOAL, 1, 0]


def test_each_grid_is_its_own() -> None:
    grids = np.concatenate([room(cell).grids for cell in ((BOX, 2, 0), (DOOR, 2, 1), (DOOR, 2, 0))])
    given, poses = grids.copy(), np.tile([1, 1, 0], (3, 1))
    batch = GridBatch(grids, poses)
    assert batch.step(np.array([TOGGLE, TOGGLE, FORWARD])).tolist() == [True, True, True]
    assert batch.grids[:, 2, 1].tolist() == [[1, 0, 0], [4, 2, 0], [4, 2, 0]]
    assert batch.poses[:, 0].tolist() == [1, 1, 2]
    np.testing.assert_array_equal(grids, given)  # what was given is left as it was
    assert poses.tolist() == [[1, 1, 0]] * 3


def test_boxes_of_these_levels_hold_nothing() -> None:
    """What lets the simulator make every toggled box vanish, and doors ignore keys."""
    for name in LEVELS:
        world = make(name)
        reset_anywhere([world], np.random.default_rng(0))
        assert all(cell.contains is None for cell in world.grid.grid if isinstance(cell, Box))
        assert not any(cell.is_open and cell.is_locked for cell in world.grid.grid if isinstance(cell, Door))


def test_bad_input() -> None:
    grids: NDArray[np.uint8] = room((EMPTY, 0, 0)).grids
    for wrong, poses in ((grids[0], [[1, 1, 0]]), (grids, [[1, 1, 0], [1, 1, 0]])):
        with pytest.raises(ValueError, match="grids, poses: expected"):
            GridBatch(wrong, np.array(poses))
    for outside in ([0, 1, 0], [4, 1, 0], [1, 3, 0]):
        with pytest.raises(ValueError, match="poses: expected"):
            GridBatch(grids, np.array([outside]))
