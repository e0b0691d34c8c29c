"""Collecting without missions: what is random, what is walked, and what is recorded."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs.babyai.layouts import RANDOM_PLAY, Layouts, draw_layouts, explore, free_poses, scripted_actions
from goalbridge.envs.babyai.optimum import PoseGraph
from goalbridge.envs.babyai.simulator import LEFT, RIGHT, TOGGLE, GridBatch, free_cells

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
    for one, same, other in zip(collect(0.5, seed=1), collect(0.5, seed=1), collect(0.5, seed=2), strict=True):
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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"per_layout": 0}, "per_layout"),
        ({"length": 0}, "length"),
        ({"scripted_share": 1.5}, r"scripted_share: .* got 1.5"),
    ],
)
def test_bad_input(settings: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"per_layout": 1, "length": 1, "scripted_share": 0.0}
    with pytest.raises(ValueError, match=message):
        explore(LAYOUTS, rng=np.random.default_rng(0), record=record, **(good | settings))
