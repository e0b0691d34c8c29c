"""Collecting without missions: what is random, what is walked, and what is recorded."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs.babyai.encoding import CLOSED, DOOR, OPEN
from goalbridge.envs.babyai.explore import RANDOM_PLAY, Exploration, begin_play, explore, scripted_actions
from goalbridge.envs.babyai.layouts import Layouts, draw_layouts, free_cells, free_poses
from goalbridge.envs.babyai.optimum import PoseGraph
from goalbridge.envs.babyai.simulator import FORWARD, LEFT, RIGHT, TOGGLE, GridBatch

LAYOUTS = draw_layouts(["GoToObjMazeS4R2", "GoToLocalS5N2", "GoToObjMazeS4"], 6, np.random.default_rng(0))
PER_LAYOUT, LENGTH = 20, 30
COUNT = len(LAYOUTS) * PER_LAYOUT


def record(batch: GridBatch) -> NDArray[np.uint8]:
    """Goals and all of the grids, [N, 7 + 3 W H]."""
    return np.concatenate([batch.goals().astype(np.uint8), batch.grids.reshape(len(batch.poses), -1)], axis=1)


def collect(scripted_share: float, seed: int = 0, **settings: Any) -> Exploration:
    return explore(LAYOUTS, PER_LAYOUT, LENGTH, scripted_share, np.random.default_rng(seed), record, **settings)


def unpack(exploration: Exploration) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Poses [N, T + 1, 3] and grids [N, T + 1, W, H, 3]."""
    recorded = exploration.recorded
    return recorded[..., :3].astype(np.int64), recorded[..., 7:].reshape(*recorded.shape[:2], *LAYOUTS.grids.shape[1:])


def test_what_is_recorded_follows_from_the_actions() -> None:
    """Before each action and at the end, from layouts as they were drawn, but for doors that are started in."""
    found = collect(0.5)
    assert found.recorded.shape == (COUNT, LENGTH + 1, 7 + LAYOUTS.grids[0].size)
    assert [array.dtype for array in (found.recorded, found.actions, found.layout)] == [np.uint8, np.int64, np.int64]
    assert set(found.actions.ravel().tolist()) == {0, 1, 2, 3}
    assert found.layout.tolist() == np.repeat(np.arange(len(LAYOUTS)), PER_LAYOUT).tolist()
    poses, grids = unpack(found)
    changed = (grids[:, 0] != LAYOUTS.grids[found.layout]).any(axis=-1)  # [N, W, H]
    assert (LAYOUTS.grids[found.layout][changed][:, [0, 2]] == (DOOR, CLOSED)).all()
    assert changed.sum(axis=(1, 2)).max() == 1
    batch = GridBatch(grids[:, 0], poses[:, 0], LAYOUTS.sizes[found.layout])
    for step, actions in enumerate(found.actions.T):
        np.testing.assert_array_equal(record(batch), found.recorded[:, step])
        batch.step(actions)
    np.testing.assert_array_equal(record(batch), found.recorded[:, -1])
    play = begin_play(LAYOUTS, PER_LAYOUT, np.random.default_rng(0))
    np.testing.assert_array_equal(record(play), found.recorded[:, 0])


def test_the_generator_decides() -> None:
    one, same, other = collect(0.5, seed=1), collect(0.5, seed=1), collect(0.5, seed=2)
    for name in ("recorded", "actions", "scripted"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
        assert (getattr(one, name) != getattr(other, name)).any()


def test_starts_are_uniform_over_free_poses_and_never_in_a_closed_door() -> None:
    layouts = Layouts(LAYOUTS.grids[:1], LAYOUTS.sizes[:1], LAYOUTS.level[:1])
    batch = begin_play(layouts, 4000, np.random.default_rng(0))
    free, counts = np.unique(batch.poses, axis=0, return_counts=True)
    assert free.tolist() == sorted(free_poses(layouts.grids[0]).tolist())
    assert 0.5 < (counts * len(free) / 4000).min() < (counts * len(free) / 4000).max() < 1.6
    cells = batch.grids[np.arange(4000), batch.poses[:, 0], batch.poses[:, 1]]
    doorways = cells[cells[:, 0] == DOOR]
    assert len(doorways) > 100
    assert (doorways[:, 2] == OPEN).all()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_share_of_scripted_trajectories_spread_over_layouts(share: float) -> None:
    found = collect(share)
    assert found.scripted.sum() == round(share * COUNT)
    per_layout = np.bincount(found.layout[found.scripted], minlength=len(LAYOUTS))
    assert (np.abs(per_layout - share * PER_LAYOUT) <= 6).all()


def test_random_play_draws_actions_by_their_shares() -> None:
    actions = collect(0.0).actions
    np.testing.assert_allclose(np.bincount(actions.ravel(), minlength=4) / actions.size, RANDOM_PLAY, atol=0.03)
    assert set(collect(0.0, random_play=(0, 0, 1, 0)).actions.ravel().tolist()) == {FORWARD}


def test_walks_waste_nothing_spare_boxes_and_go_everywhere_within_reach() -> None:
    found = collect(1.0)
    poses, grids = unpack(found)
    moved = (poses[:, 1:] != poses[:, :-1]).any(axis=-1)  # [N, T]
    np.testing.assert_array_equal(moved, found.actions != TOGGLE)
    changes = (grids[:, 1:] != grids[:, :-1]).any(axis=(2, 3, 4))  # [N, T]
    np.testing.assert_array_equal(changes, found.actions == TOGGLE)
    assert changes.sum() > 20
    opened = grids[:, :-1][grids[:, :-1] != grids[:, 1:]]  # what toggles change: a state, from closed
    assert set(opened.tolist()) == {CLOSED}
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
    every, rng = free_poses(grid), np.random.default_rng(1)
    mean = np.mean([len(graph.walk(*rng.choice(every, size=2))) for _ in range(200)])
    assert 0.5 * 400 / mean < cuts < 1.2 * 400 / mean


def test_a_cell_that_nothing_leads_to_and_turns_about_either_way() -> None:
    grid = np.full((5, 3, 3), (2, 5, 0), dtype=np.uint8)
    grid[1, 1] = grid[3, 1] = (1, 0, 0)
    rng = np.random.default_rng(0)
    actions = np.stack([scripted_actions(grid, np.array([1, 1, 0]), 20, rng) for _ in range(500)])  # [R, T]
    assert set(actions.ravel().tolist()) == {LEFT, RIGHT}
    directions = np.cumsum(np.where(actions == RIGHT, 1, -1), axis=1)[:, :-2] % 4  # before the second action and on
    twice = np.where(actions[:, 1:-1] == actions[:, 2:], actions[:, 2:], -1)
    for direction in range(4):
        left, right = (((directions == direction) & (twice == turn)).sum() for turn in (LEFT, RIGHT))
        assert abs(left - right) < 0.2 * (left + right)


@pytest.mark.parametrize(
    "wrong",
    [
        {"per_layout": 0},
        {"length": 0},
        {"scripted_share": 1.5},
        {"random_play": (0.5, 0.5)},
        {"random_play": (0.5, 0.5, 0.5, -0.5)},
        {"random_play": (0.5, 0.5, 0.5, 0.5)},
    ],
)
def test_bad_input(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {"per_layout": 1, "length": 1, "scripted_share": 0.0}
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}.*: expected"):
        explore(LAYOUTS, rng=np.random.default_rng(0), record=record, **(good | wrong))
