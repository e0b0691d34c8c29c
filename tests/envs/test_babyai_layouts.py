"""Layouts as minigrid generates them, with no held-out object in any, and what is collected in them."""

from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs.babyai.layouts import (
    HELD_OUT_COMBINATIONS,
    RANDOM_PLAY,
    Layouts,
    draw_layouts,
    explore,
    free_poses,
    scripted_actions,
)
from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.babyai.optimum import PoseGraph
from goalbridge.envs.babyai.phrasing import COLOURS, FIRST_TYPE, TYPES
from goalbridge.envs.babyai.simulator import BALL, BOX, DOOR, KEY, LEFT, RIGHT, TOGGLE, GridBatch, free_cells

NAMES = ("GoToLocal", "GoToObjDoor", "GoToObjS4", "FourRooms", "GoToOpen", "GoToObjS6", "GoToSeqS5R2")


def draw(names: Any, count: int, held_out: Any = (), seed: int = 0) -> Layouts:
    return draw_layouts(names, count, np.random.default_rng(seed), held_out)


def pairs(grids: NDArray[np.uint8]) -> set[tuple[int, ...]]:
    """All (type, colour) of what could be carried."""
    return set(map(tuple, grids[np.isin(grids[..., 0], [BALL, BOX, KEY])][:, :2].tolist()))


def test_layouts_are_those_that_minigrid_resets_to(capsys: pytest.CaptureFixture[str]) -> None:
    """On one canvas, with walls around the smaller."""
    layouts = draw(NAMES, 2 * len(NAMES))
    assert capsys.readouterr().out == ""  # minigrid rejects some, and would say so
    assert layouts.grids.shape == (len(layouts), 22, 22, 3) == (14, 22, 22, 3)
    seeds = np.random.default_rng(0).integers(2**31, size=len(layouts)).tolist()
    for index, (grid, (width, height)) in enumerate(zip(layouts.grids, layouts.sizes, strict=True)):
        world: Any = gymnasium.make(LEVELS[NAMES[index % len(NAMES)]].minigrid_id).unwrapped
        world.reset(seed=seeds[index])
        assert (width, height) == (world.width, world.height)
        np.testing.assert_array_equal(grid[:width, :height], world.grid.encode())
        assert (grid[width:] == (2, 5, 0)).all()
        assert (grid[:, height:] == (2, 5, 0)).all()
    assert draw(["GoToObjS4", "GoToLocalS5N2"], 3).grids.shape == (3, 5, 5, 3)


def test_held_out_combinations_are_balanced() -> None:
    colours, kinds = ([pair[part] for pair in HELD_OUT_COMBINATIONS] for part in (0, 1))
    assert [kinds.count(kind) for kind in ("ball", "box", "key")] == [3, 3, 3]
    assert all(1 <= colours.count(colour) <= 2 for colour in COLOURS)
    assert not HELD_OUT_COMBINATIONS & {("red", "ball"), ("blue", "ball")}  # what four levels ask for


def test_no_layout_shows_what_is_held_out() -> None:
    levels = ["GoToLocal", "GoToRedBallGrey", "GoToObjDoor"]
    plain, seen = draw(levels, 150).grids, draw(levels, 150, HELD_OUT_COMBINATIONS).grids
    held = {(FIRST_TYPE + TYPES.index(kind), COLOURS.index(colour)) for colour, kind in HELD_OUT_COMBINATIONS}
    everything = {(kind, colour) for kind in (BALL, BOX, KEY) for colour in range(6)}
    assert pairs(plain) == everything
    assert pairs(seen) == everything - held
    # Nothing else has changed: not what may stay, nor any door, though doors of every colour are there.
    assert {tuple(cell[:2]) for cell in plain[(plain != seen).any(axis=-1)].tolist()} == held
    np.testing.assert_array_equal(plain[..., [0, 2]], seen[..., [0, 2]])
    assert set(seen[seen[..., 0] == DOOR][:, 1].tolist()) == set(range(6))


def test_new_colours_are_uniform() -> None:
    plain = draw(["GoToRedBallGrey"], 300).grids
    repainted = draw(["GoToRedBallGrey"], 300, [("grey", "key"), ("red", "key"), ("green", "key")]).grids
    keys = plain[..., 0] == KEY  # all of them grey
    share = np.bincount(repainted[keys][:, 1], minlength=6) / keys.sum()
    np.testing.assert_allclose(share, [0, 0, 1 / 3, 1 / 3, 1 / 3, 0], atol=0.06)


@pytest.mark.parametrize(
    ("levels", "count", "held_out", "message"),
    [
        ([], 1, [], "levels: expected at least one"),
        (["GoToLocal"], 0, [], "count: expected 1 or more"),
        (["PickupLoc"], 1, [], "level: .*'PickupLoc'"),
        (["GoToLocal"], 1, [("crimson", "key")], "held_out: .*crimson"),
        (["GoToLocal"], 1, [("red", "door")], "held_out: .*door"),
        (["GoToLocal"], 1, [(colour, "box") for colour in COLOURS], "held_out: .*colour left for a box"),
    ],
)
def test_bad_input(levels: list[str], count: int, held_out: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(levels, count, held_out)


def test_free_cells_and_poses() -> None:
    cells = [(kind, 0, 0) for kind in range(9)] + [(DOOR, 1, 1), (DOOR, 1, 2)]
    assert np.flatnonzero(free_cells(np.array(cells, dtype=np.uint8))).tolist() == [1, 3, 4, 8, 9]
    grid = np.full((5, 4, 3), (2, 5, 0), dtype=np.uint8)
    grid[1:4, 1] = [(1, 0, 0), (DOOR, 2, 1), (BALL, 2, 0)]
    expected = [[x, 1, direction] for x in (1, 2) for direction in range(4)]
    assert free_poses(grid).tolist() == free_poses(grid, np.array([5, 4])).tolist() == expected
    assert free_poses(grid, np.array([2, 4])).tolist() == expected[:4]
    assert free_poses(grid).dtype == np.int64


LAYOUTS = draw_layouts(["GoToObjMazeS4R2", "GoToLocalS5N2", "GoToObjMazeS4"], 6, np.random.default_rng(0))
PER_LAYOUT, LENGTH = 20, 30
COUNT = len(LAYOUTS) * PER_LAYOUT


def record(batch: GridBatch) -> NDArray[np.uint8]:
    """Goals and all of the grids, [N, 7 + 3 W H]."""
    return np.concatenate([batch.goals().astype(np.uint8), batch.grids.reshape(len(batch.poses), -1)], axis=1)


def collect(scripted_share: float, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return explore(LAYOUTS, PER_LAYOUT, LENGTH, scripted_share, np.random.default_rng(seed), record)


def unpack(recorded: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Poses [N, T + 1, 3] and grids [N, T + 1, W, H, 3]."""
    return recorded[..., :3].astype(np.int64), recorded[..., 7:].reshape(*recorded.shape[:2], *LAYOUTS.grids.shape[1:])


def test_what_is_recorded_follows_from_layouts_and_actions() -> None:
    recorded, actions = collect(0.5)
    assert recorded.dtype == np.uint8
    assert actions.shape == (COUNT, LENGTH)
    poses, grids = unpack(recorded)
    # But for doors that are started in, each begins with its layout as it was drawn.
    drawn = LAYOUTS.grids.repeat(PER_LAYOUT, axis=0)
    changed = (grids[:, 0] != drawn).any(axis=-1)  # [N, W, H]
    assert (drawn[changed] == (4, 0, 1))[:, [0, 2]].all()
    assert changed.sum(axis=(1, 2)).max() == 1
    batch = GridBatch(grids[:, 0], poses[:, 0], LAYOUTS.sizes.repeat(PER_LAYOUT, axis=0))
    for step, action in enumerate(actions.T):
        np.testing.assert_array_equal(record(batch), recorded[:, step])
        batch.step(action)
    np.testing.assert_array_equal(record(batch), recorded[:, -1])


def test_the_generator_decides() -> None:
    runs = [(draw(NAMES, 8, HELD_OUT_COMBINATIONS, seed).grids, *collect(0.5, seed)) for seed in (1, 1, 2)]
    for one, same, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)


def test_starts_are_uniform_over_free_poses_and_never_in_a_closed_door() -> None:
    layouts = Layouts(LAYOUTS.grids[:1], LAYOUTS.sizes[:1])
    recorded, _ = explore(layouts, 4000, 1, 0.0, np.random.default_rng(0), record)
    starts = recorded[:, 0, :3]
    free, counts = np.unique(starts, axis=0, return_counts=True)
    assert free.tolist() == sorted(free_poses(layouts.grids[0]).tolist())
    assert 0.5 < (counts * len(free) / 4000).min() < (counts * len(free) / 4000).max() < 1.6
    cells = recorded[:, 0, 7:].reshape(4000, *layouts.grids.shape[1:])
    doorways = [cell for cell in cells[np.arange(4000), starts[:, 0], starts[:, 1]].tolist() if cell[0] == 4]
    assert len(doorways) > 100
    assert {state for _, _, state in doorways} == {0}


def test_shares_of_scripted_trajectories_and_of_random_actions() -> None:
    for share in (0.0, 0.25, 0.5, 1.0):
        recorded, _ = collect(share)
        wasteless = (recorded[:, 1:] != recorded[:, :-1]).any(axis=-1).all(axis=1)  # [N]: random play wastes an action
        assert wasteless.sum() == round(share * COUNT)
        spread = wasteless.reshape(-1, PER_LAYOUT).sum(axis=1)
        assert share != 0.5 or 4 <= spread.min() <= spread.max() <= 16
    shares = np.bincount(collect(0.0)[1].ravel(), minlength=4) / (COUNT * LENGTH)
    np.testing.assert_allclose(shares, RANDOM_PLAY, atol=0.03)


def test_walks_waste_nothing_spare_boxes_and_reach_everything() -> None:
    recorded, actions = collect(1.0)
    poses, grids = unpack(recorded)
    moved = (poses[:, 1:] != poses[:, :-1]).any(axis=-1)  # [N, T]
    np.testing.assert_array_equal(moved, actions != TOGGLE)
    changes = (grids[:, 1:] != grids[:, :-1]).any(axis=(2, 3, 4))  # [N, T]
    np.testing.assert_array_equal(changes, actions == TOGGLE)
    assert changes.sum() > 20
    assert set(grids[:, :-1][grids[:, :-1] != grids[:, 1:]].tolist()) == {1}  # what toggles change: closed doors
    for index, grid in enumerate(LAYOUTS.grids[:2]):
        seen = np.unique(poses[index * PER_LAYOUT : (index + 1) * PER_LAYOUT].reshape(-1, 3)[:, :2], axis=0)
        assert len(seen) >= 0.9 * free_cells(grid).sum()


def test_walks_are_shortest_from_goal_to_goal() -> None:
    """Cut wherever it stops being shortest, a walk has about as many pieces as random goals fit into its length."""
    grid = np.full((8, 8, 3), (2, 5, 0), dtype=np.uint8)
    grid[1:7, 1:7] = (1, 0, 0)
    actions = scripted_actions(grid, np.array([1, 1, 0]), 400, np.random.default_rng(0))
    batch, graph = GridBatch(grid[None], np.array([[1, 1, 0]])), PoseGraph(grid)
    poses = [batch.poses[0].copy()]
    for action in actions:
        batch.step(np.array([action]))
        poses.append(batch.poses[0].copy())
    cuts, begin = 0, 0
    for end in range(1, len(poses)):
        if len(graph.walk(poses[begin], poses[end])) < end - begin:
            cuts, begin = cuts + 1, end - 1
    rng = np.random.default_rng(1)
    mean = np.mean([len(graph.walk(*rng.choice(free_poses(grid), size=2))) for _ in range(200)])
    assert 0.5 * 400 / mean < cuts < 1.2 * 400 / mean


def test_a_cell_that_nothing_leads_to_and_turns_about_either_way() -> None:
    grid = np.full((5, 3, 3), (2, 5, 0), dtype=np.uint8)
    grid[1, 1] = grid[3, 1] = (1, 0, 0)
    rng = np.random.default_rng(0)
    actions = np.stack([scripted_actions(grid, np.array([1, 1, 0]), 20, rng) for _ in range(500)])  # [R, T]
    assert set(actions.ravel().tolist()) == {LEFT, RIGHT}
    directions = np.cumsum(np.where(actions == RIGHT, 1, -1), axis=1)[:, :-2] % 4  # before the second action and on
    for direction in range(4):
        left, right = (
            ((directions == direction) & (actions[:, 1:-1] == turn) & (actions[:, 2:] == turn)).sum()
            for turn in (LEFT, RIGHT)
        )
        assert abs(left - right) < 0.2 * (left + right)


@pytest.mark.parametrize(("name", "value"), [("per_layout", 0), ("length", 0), ("scripted_share", 1.5)])
def test_what_cannot_be_collected(name: str, value: float) -> None:
    settings: dict[str, Any] = {"per_layout": 1, "length": 1, "scripted_share": 0.0} | {name: value}
    with pytest.raises(ValueError, match=f"^{name}: expected .*, got {value}$"):
        explore(LAYOUTS, rng=np.random.default_rng(0), record=record, **settings)
