"""Batches by layout: who is compared with whom, uniform where nothing else is asked, and the same for the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from goalbridge.data import DatasetError, TrajectoryBuffer
from goalbridge.data.groups import NEIGHBOURS, Groups

LAYOUTS = np.array([2, 0, 2, 5, 0, 2, 0, 0, 2, 5, 2, 0])  # of each trajectory; in any order, with gaps
Integers = NDArray[np.int64]


def runs_of(drawn: Integers, group_size: int) -> list[Integers]:
    return [drawn[start : start + group_size] for start in range(0, len(drawn), group_size)]


def test_each_run_is_from_one_layout_and_all_layouts_come_up() -> None:
    groups = Groups.of(LAYOUTS, None)
    drawn = groups.draw(np.random.default_rng(0), 400 * 8, 8, 0.0)
    assert drawn.shape == (3200,)
    layouts = [set(LAYOUTS[run]) for run in runs_of(drawn, 8)]
    assert all(len(layout) == 1 for layout in layouts)
    assert set.union(*layouts) == {0, 2, 5}
    assert set(drawn) == set(range(len(LAYOUTS)))


def test_layouts_are_uniform_and_trajectories_uniform_within_them() -> None:
    groups = Groups.of(LAYOUTS, None)
    drawn = groups.draw(np.random.default_rng(1), 30_000, 2, 0.0)
    counts = np.bincount(LAYOUTS[drawn[::2]])[[0, 2, 5]]
    assert stats.chisquare(counts).pvalue > 1e-3
    for layout in (0, 2, 5):
        of_layout = np.bincount(drawn[LAYOUTS[drawn] == layout], minlength=len(LAYOUTS))[layout == LAYOUTS]
        assert stats.chisquare(of_layout).pvalue > 1e-3


@pytest.mark.parametrize(("size", "group_size"), [(10, 4), (3, 8), (1, 1), (7, 7)])
def test_the_last_run_may_be_cut_short(size: int, group_size: int) -> None:
    drawn = Groups.of(LAYOUTS, None).draw(np.random.default_rng(0), size, group_size, 0.0)
    assert drawn.shape == (size,)
    assert all(len(set(LAYOUTS[run])) == 1 for run in runs_of(drawn, group_size))


def nearest(trajectory: int, groups: Integers, places: NDArray[np.float32], kept: int) -> list[int]:
    """The `kept` trajectories of the same layout that start nearest; the earlier one where two are as near."""
    same = [other for other in range(len(groups)) if groups[other] == groups[trajectory]]
    return sorted(same, key=lambda other: (np.abs(places[other] - places[trajectory]).sum(), other))[:kept]


def some_places(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 20, size=(count, 2)).astype(np.float32)


def test_neighbours_start_nearest_in_the_same_layout() -> None:
    layouts, places = np.repeat([3, 1, 4], 24)[np.random.default_rng(0).permutation(72)], some_places(72)
    groups = Groups.of(layouts, places)
    kept = int(24 * NEIGHBOURS)
    assert groups.near is not None
    assert groups.near.shape == (72, kept)
    for trajectory in range(72):
        assert groups.near[trajectory].tolist() == nearest(trajectory, layouts, places, kept)
        assert groups.near[trajectory, 0] == trajectory


@pytest.mark.parametrize(("nearby", "close"), [(0.5, 8), (0.25, 4), (1.0, 16), (0.05, 0)])
def test_a_share_of_each_run_starts_near_each_other(nearby: float, close: int) -> None:
    layouts, places = np.repeat(np.arange(4), 60), some_places(240)
    groups = Groups.of(layouts, places)
    assert groups.near is not None
    drawn = groups.draw(np.random.default_rng(0), 300 * 16, 16, nearby).reshape(300, 16)
    for run in drawn:
        assert any(set(run[:close]) <= set(groups.near[anchor]) for anchor in range(240))
        assert len(set(layouts[run])) == 1
    spread = np.abs(places[drawn][:, :, None] - places[drawn][:, None]).sum(-1)  # [R, n, n]
    if 0 < close < 16:
        assert spread[:, :close, :close].mean() < 0.6 * spread[:, close:, close:].mean()
    rest = drawn[:, close:].reshape(-1)
    if rest.size:
        for layout in range(4):
            assert stats.chisquare(np.bincount(rest[layouts[rest] == layout] - 60 * layout, minlength=60)).pvalue > 1e-3


def test_without_places_nobody_is_near() -> None:
    groups = Groups.of(LAYOUTS, None)
    assert groups.near is None
    apart, near = (groups.draw(np.random.default_rng(0), 64, 8, nearby) for nearby in (0.0, 0.5))
    np.testing.assert_array_equal(apart, near)


def test_layouts_of_a_single_trajectory_are_their_own_neighbours() -> None:
    groups = Groups.of(np.array([7, 7, 7, 9]), some_places(4))
    assert groups.near is not None
    assert groups.near[3].tolist() == [3, 3]
    drawn = groups.draw(np.random.default_rng(0), 400, 4, 0.5).reshape(100, 4)
    alone = [run for run in drawn.tolist() if 3 in run]
    assert alone
    assert all(run == [3] * 4 for run in alone)
    single = Groups.of(np.array([0]), some_places(1))
    assert (single.draw(np.random.default_rng(0), 5, 2, 1.0) == 0).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(1, 40), st.integers(1, 9), st.floats(0, 1))
def test_any_trajectories_can_be_grouped(layouts: list[int], size: int, group_size: int, nearby: float) -> None:
    layout = np.array(layouts)
    groups = Groups.of(layout, some_places(len(layouts)))
    assert sorted(groups.members) == list(range(len(layouts)))
    first, again = (groups.draw(np.random.default_rng(3), size, group_size, nearby) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (size,)
    assert all(len(set(layout[run])) == 1 for run in runs_of(first, group_size))


def numbered(lengths: Integers, **of_trajectories: Any) -> TrajectoryBuffer:
    """Observations (trajectory, step) in uint8, which are their own goals; actions (trajectory, step)."""
    states = np.concatenate([[(n, t) for t in range(size + 1)] for n, size in enumerate(lengths)]).astype(np.uint8)
    actions = np.concatenate([[(n, t) for t in range(size)] for n, size in enumerate(lengths)]).astype(np.float32)
    return TrajectoryBuffer(states, states, actions, lengths, **of_trajectories)


LENGTHS = np.array([4, 9, 1, 30, 2, 7, 3, 12, 5, 6, 8, 2])


def test_futures_of_a_run_are_of_one_layout() -> None:
    buffer = numbered(LENGTHS, groups=LAYOUTS, places=some_places(12))
    batch = buffer.sample_futures(np.random.default_rng(0), 800, 0.7, 8, 0.5)
    assert batch.states.dtype == batch.goals.dtype == np.uint8
    trajectory, step = batch.states.T.astype(np.int64)
    np.testing.assert_array_equal(batch.states, batch.actions)
    np.testing.assert_array_equal(batch.goals[:, 0], trajectory)
    assert (batch.goals[:, 1] > step).all()
    assert (batch.goals[:, 1] <= LENGTHS[trajectory]).all()
    assert all(len(set(LAYOUTS[run])) == 1 for run in runs_of(trajectory, 8))
    for name, other in (("states", batch.states), ("actions", batch.actions), ("goals", batch.goals)):
        again = buffer.sample_futures(np.random.default_rng(0), 800, 0.7, 8, 0.5)
        np.testing.assert_array_equal(getattr(again, name), other)


def test_every_step_of_a_drawn_trajectory_is_as_likely() -> None:
    buffer = numbered(np.array([6, 6]), groups=np.array([0, 1]))
    step = buffer.sample_futures(np.random.default_rng(2), 24_000, 0.9, 4).states[:, 1]
    assert stats.chisquare(np.bincount(step, minlength=6)).pvalue > 1e-3


def test_groups_do_not_change_batches_that_ask_for_none() -> None:
    plain, grouped = numbered(LENGTHS), numbered(LENGTHS, groups=LAYOUTS)
    batches = [buffer.sample_futures(np.random.default_rng(0), 50, 0.9) for buffer in (plain, grouped)]
    np.testing.assert_array_equal(batches[0].goals, batches[1].goals)


def test_a_saved_buffer_keeps_groups_and_places_and_stores_shared_goals_once(tmp_path: Path) -> None:
    buffer = numbered(LENGTHS, groups=LAYOUTS, places=some_places(12))
    buffer.save(tmp_path / "t")
    names = {path.stem for path in (tmp_path / "t").glob("*.npy")}
    assert names == {"observations", "actions", "lengths", "groups", "places"}
    opened = TrajectoryBuffer.open(tmp_path / "t")
    assert opened.goals is opened.observations
    assert opened.observations.dtype == np.uint8
    for name in ("observations", "actions", "lengths", "groups", "places"):
        assert isinstance(getattr(opened, name), np.memmap)
        np.testing.assert_array_equal(getattr(opened, name), getattr(buffer, name))
    first, again = (b.sample_futures(np.random.default_rng(0), 64, 0.5, 8, 0.5) for b in (buffer, opened))
    np.testing.assert_array_equal(first.goals, again.goals)


def test_a_buffer_without_groups_comes_back_without(tmp_path: Path) -> None:
    numbered(LENGTHS, groups=LAYOUTS).save(tmp_path / "t")
    numbered(LENGTHS).save(tmp_path / "t")  # over one that has them
    opened = TrajectoryBuffer.open(tmp_path / "t")
    assert (opened.groups, opened.places) == (None, None)


def test_grouped_batches_need_groups() -> None:
    with pytest.raises(DatasetError, match=r"groups: are missing; train\.negatives_per_layout=0 would") as caught:
        numbered(LENGTHS).sample_futures(np.random.default_rng(0), 8, 0.9, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["groups", "places"])
def test_as_many_groups_and_places_as_trajectories(name: str) -> None:
    with pytest.raises(DatasetError, match=f"{name}: has 3 entries for 12 trajectories"):
        numbered(LENGTHS, **{name: np.zeros(3)})
