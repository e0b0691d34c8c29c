"""The batched simulator against minigrid's own step, action by action."""

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from minigrid.core.world_object import Box, Door, Goal
from numpy.typing import NDArray

from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.babyai.simulator import FORWARD, LEFT, MINIGRID_ACTIONS, RIGHT, TOGGLE, GridBatch

ACTION_SHARES = (0.2, 0.2, 0.4, 0.2)


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
    grids = np.empty((len(worlds), *sizes.max(axis=0), 3), dtype=np.uint8)
    grids[:] = (2, 5, 0)
    for grid, world in zip(grids, worlds, strict=True):
        grid[: world.width, : world.height] = world.grid.encode()
    return GridBatch(grids, np.array([pose_of(world) for world in worlds]), sizes)


def reset_anywhere(worlds: Sequence[Any], rng: np.random.Generator) -> None:
    """New layouts, and starts on any cell that minigrid lets one stand on: also before doors, objects and goals."""
    for world in worlds:
        with contextlib.redirect_stdout(io.StringIO()):
            world.reset(seed=int(rng.integers(2**31)))
        cells = [(x, y) for x in range(world.width) for y in range(world.height) if can_stand(world.grid.get(x, y))]
        world.agent_pos, world.agent_dir = cells[rng.integers(len(cells))], int(rng.integers(4))


def can_stand(cell: Any) -> bool:
    return cell is None or cell.can_overlap()


def encoded(cell: Any) -> tuple[int, ...]:
    return (1, 0, 0) if cell is None else tuple(cell.encode())


def step_one(world: Any, action: int, events: Counter[str]) -> bool:
    """minigrid's step; counts what happened, and returns whether anything did."""
    pose, front = pose_of(world), tuple(world.front_pos)
    cell = world.grid.get(*front)
    before = encoded(cell)
    world.step(MINIGRID_ACTIONS[action])
    after = encoded(world.grid.get(*front))
    toggled = "toggled a" if action == TOGGLE else "bumped into a" if pose == pose_of(world) else "went to a"
    events[f"{toggled} {cell.type if cell else 'empty'} {before[2]}"] += 1
    return pose != pose_of(world) or before != after


def compare(worlds: Sequence[Any], rounds: int, steps: int, every: int, seed: int) -> Counter[str]:
    """Steps both side by side: poses and changes compared in every step, grids and goals in some."""
    rng, events = np.random.default_rng(seed), Counter[str]()
    for _ in range(rounds):
        reset_anywhere(worlds, rng)
        batch = batch_of(worlds)
        for count in range(1, steps + 1):
            actions = rng.choice(4, size=len(worlds), p=ACTION_SHARES)
            changed = [step_one(*pair, events) for pair in zip(worlds, actions.tolist(), strict=True)]
            np.testing.assert_array_equal(batch.step(actions), changed)
            np.testing.assert_array_equal(batch.poses, [pose_of(world) for world in worlds])
            if count % every == 0:
                compare_whole(worlds, batch)
    return events


def compare_whole(worlds: Sequence[Any], batch: GridBatch) -> None:
    np.testing.assert_array_equal(batch.grids, batch_of(worlds).grids)
    goals = [(*pose_of(w), w.width, w.height, *encoded(w.grid.get(*w.front_pos))[:2]) for w in worlds]
    np.testing.assert_array_equal(batch.goals(), goals)


def test_equals_minigrid() -> None:
    names = ("GoToObjS4", "GoToLocal", "GoToObjDoor", "GoToDoor", "GoToObjMazeS4", "GoToOpen", "GoTo", "FourRooms")
    events = compare([make(name) for name in names], rounds=5, steps=130, every=26, seed=0)
    assert events.total() == 5200
    opened, closed, locked = (events[f"toggled a door {state}"] for state in (1, 0, 2))
    assert min(opened, closed, locked, events["toggled a box 0"]) >= 3
    assert min(events[f"bumped into a {thing}"] for thing in ("wall 0", "door 1", "ball 0", "box 0", "key 0")) >= 3


@pytest.mark.slow
def test_equals_minigrid_over_a_million_steps() -> None:
    worlds = [make(name) for name in LEVELS]
    rounds, steps = 120, -(-1_000_000 // (120 * len(worlds)))
    events = compare(worlds, rounds, steps, every=50, seed=1)
    assert events.total() >= 1_000_000
    seen = {
        f"toggled a {thing}" for thing in ("door 0", "door 1", "door 2", "box 0", "ball 0", "key 0", "wall 0", "goal 0")
    }
    seen |= {f"bumped into a {thing}" for thing in ("door 1", "door 2", "box 0", "ball 0", "key 0", "wall 0")}
    seen |= {f"went to a {thing}" for thing in ("door 0", "goal 0")}
    assert {event: events[event] for event in seen if events[event] < 10} == {}


def room(cell: tuple[int, int, int], pose: tuple[int, int, int] = (1, 1, 0)) -> GridBatch:
    """A 5x4 room with one cell (2, 1) given, in front of an agent at the top left."""
    grid = np.full((5, 4, 3), (2, 5, 0), dtype=np.uint8)
    grid[1:-1, 1:-1] = (1, 0, 0)
    grid[2, 1] = cell
    return GridBatch(grid[None], np.array([pose]))


def do(batch: GridBatch, *actions: int) -> list[bool]:
    return [bool(batch.step(np.array([action]))[0]) for action in actions]


def test_turns() -> None:
    batch = room((1, 0, 0))
    for action, direction in zip([LEFT] * 4 + [RIGHT] * 4, (3, 2, 1, 0, 1, 2, 3, 0), strict=True):
        assert do(batch, action) == [True]
        assert batch.poses.tolist() == [[1, 1, direction]]


@pytest.mark.parametrize(
    ("cell", "actions", "changes", "after", "pose"),
    [
        ((4, 3, 1), (FORWARD, TOGGLE, TOGGLE, FORWARD, TOGGLE), (0, 1, 1, 0, 1), (4, 3, 0), [1, 1, 0]),  # a closed door
        ((4, 3, 0), (FORWARD, FORWARD), (1, 1), (4, 3, 0), [3, 1, 0]),  # an open one
        ((4, 3, 2), (TOGGLE, FORWARD), (0, 0), (4, 3, 2), [1, 1, 0]),  # a locked one stays
        ((7, 2, 0), (FORWARD, TOGGLE, TOGGLE, FORWARD), (0, 1, 0, 1), (1, 0, 0), [2, 1, 0]),  # a box vanishes
        *(((kind, 1, 0), (FORWARD, TOGGLE), (0, 0), (kind, 1, 0), [1, 1, 0]) for kind in (2, 5, 6)),  # the rest stays
    ],
)
def test_what_is_in_front(
    cell: tuple[int, int, int],
    actions: tuple[int, ...],
    changes: tuple[int, ...],
    after: tuple[int, ...],
    pose: list[int],
) -> None:
    batch = room(cell)
    assert do(batch, *actions) == [bool(change) for change in changes]
    assert batch.grids[0, 2, 1].tolist() == list(after)
    assert batch.poses[0].tolist() == pose
    ahead = {1: after[:2], 2: (1, 0), 3: (2, 5)}[pose[0]]
    assert batch.goals()[0].tolist() == [*pose, 5, 4, *ahead]


def test_stands_on_the_goal_square_and_leaves_it_there() -> None:
    world = make("FourRooms")
    world.reset(seed=0)
    world.grid.set(5, 5, Goal())
    world.grid.set(6, 5, None)
    world.agent_pos, world.agent_dir = (4, 5), 0
    batch = batch_of([world])
    for action in (TOGGLE, FORWARD, LEFT, TOGGLE, FORWARD):
        changed = step_one(world, action, Counter())
        assert do(batch, action) == [changed]
        compare_whole([world], batch)
    assert batch.poses.tolist() == [[5, 4, 3]]
    assert batch.grids[0, 5, 5].tolist() == [8, 1, 0]


def test_each_grid_is_its_own() -> None:
    grids = np.concatenate([room((7, 2, 0)).grids, room((4, 2, 1)).grids, room((4, 2, 0)).grids])
    poses: NDArray[np.int64] = np.tile([1, 1, 0], (3, 1))
    batch = GridBatch(grids, poses)
    assert batch.step(np.array([TOGGLE, TOGGLE, FORWARD])).tolist() == [True, True, True]
    assert batch.grids[:, 2, 1].tolist() == [[1, 0, 0], [4, 2, 0], [4, 2, 0]]
    assert batch.poses[:, 0].tolist() == [1, 1, 2]
    assert grids[:, 2, 1, 0].tolist() == [7, 4, 4]  # what was given is left as it was
    assert grids[1, 2, 1, 2] == 1
    assert poses.tolist() == [[1, 1, 0]] * 3


def test_boxes_of_these_levels_hold_nothing() -> None:
    """What lets the simulator make every toggled box vanish, and doors ignore keys."""
    for name in LEVELS:
        world = make(name)
        reset_anywhere([world], np.random.default_rng(0))
        assert all(cell.contains is None for cell in world.grid.grid if isinstance(cell, Box))
        assert not any(cell.is_open and cell.is_locked for cell in world.grid.grid if isinstance(cell, Door))


def test_bad_input() -> None:
    grids = room((1, 0, 0)).grids
    with pytest.raises(ValueError, match="grids"):
        GridBatch(grids[0], np.array([[1, 1, 0]]))
    with pytest.raises(ValueError, match="grids"):
        GridBatch(grids, np.array([[1, 1, 0], [1, 1, 0]]))
    for outside in ([0, 1, 0], [4, 1, 0], [1, 3, 0]):
        with pytest.raises(ValueError, match="poses"):
            GridBatch(grids, np.array([outside]))
