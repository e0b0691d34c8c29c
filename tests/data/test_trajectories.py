"""Trajectories: futures within each, as far ahead as the formula says; batches by layout; files whole or absent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from goalbridge.data import DatasetError, TrajectoryBuffer
from goalbridge.data.trajectories import NEIGHBOURS, Groups

Integers = NDArray[np.int64]
DRAWS = 3000
SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=12)
DISCOUNTS = st.floats(0.01, 0.999)
SEEDS = st.integers(0, 2**32 - 1)
LENGTHS = np.array([4, 9, 1, 30, 2, 7, 3, 12, 5, 6, 8, 2])
LAYOUTS = np.array([2, 0, 2, 5, 0, 2, 0, 0, 2, 5, 2, 0])  # of each trajectory; in any order, with gaps


def numbered(lengths: Any = LENGTHS, dtype: Any = np.float32, **of_trajectories: Any) -> TrajectoryBuffer:
    """Observations (trajectory, step), which are their own goals; actions (trajectory, step)."""
    states = np.concatenate([[(n, t) for t in range(size + 1)] for n, size in enumerate(lengths)]).astype(dtype)
    actions = np.concatenate([[(n, t) for t in range(size)] for n, size in enumerate(lengths)]).astype(np.float32)
    return TrajectoryBuffer(states, states, actions, np.array(lengths), **of_trajectories)


def some_places(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 20, size=(count, 2)).astype(np.float32)


def runs_of(drawn: Integers, group_size: int) -> list[Integers]:
    return [drawn[start : start + group_size] for start in range(0, len(drawn), group_size)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SIZES, DISCOUNTS, st.integers(0, 3), st.integers(1, 4), SEEDS)
def test_futures_stay_within_their_trajectory(
    lengths: list[int], discount: float, group_size: int, layouts: int, seed: int
) -> None:
    buffer = numbered(lengths, groups=np.arange(len(lengths)) % layouts)
    batch = buffer.sample_futures(np.random.default_rng(seed), 200, discount, group_size)
    assert len(batch.states) == len(batch.actions) == len(batch.goals) == 200
    np.testing.assert_array_equal(batch.states, batch.actions)  # the action taken in that state
    trajectory, step = batch.states.astype(np.int64).T
    np.testing.assert_array_equal(batch.goals[:, 0], trajectory)
    assert (step >= 0).all()
    assert ((step < batch.goals[:, 1]) & (batch.goals[:, 1] <= np.array(lengths)[trajectory])).all()
    assert all(len(set((run % layouts).tolist())) == 1 for run in runs_of(trajectory, group_size or 200) if group_size)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SIZES, DISCOUNTS, SEEDS)
def test_offsets_are_truncated_geometric(lengths: list[int], discount: float, seed: int) -> None:
    """Through the distribution function, randomised within each step, the draws are uniform on [0, 1]."""
    batch = numbered(lengths).sample_futures(np.random.default_rng(seed), DRAWS, discount)
    trajectory, step = batch.states.astype(np.int64).T
    ahead, remaining = batch.goals[:, 1].astype(np.int64) - step, np.array(lengths)[trajectory] - step
    below, upto = ((1 - discount**k) / (1 - discount**remaining) for k in (ahead - 1, ahead))
    uniform = below + (upto - below) * np.random.default_rng(1).random(DRAWS)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-5


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SIZES, SEEDS)
def test_each_transition_is_as_likely(lengths: list[int], seed: int) -> None:
    batch = numbered(lengths).sample_futures(np.random.default_rng(seed), DRAWS, 0.9)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    which = first[batch.states[:, 0].astype(np.int64)] + batch.states[:, 1].astype(np.int64)
    counts = np.bincount(which, minlength=sum(lengths))
    assert len(counts) == 1 or stats.chisquare(counts).pvalue > 1e-5


def test_the_same_generator_gives_the_same_batch_with_and_without_layouts() -> None:
    plain, grouped = numbered(), numbered(groups=LAYOUTS)
    first, again, of_grouped, other = (
        buffer.sample_futures(np.random.default_rng(seed), 50, 0.9)
        for buffer, seed in ((plain, 3), (plain, 3), (grouped, 3), (plain, 4))
    )
    for name in ("states", "actions", "goals"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(of_grouped, name))
    assert not np.array_equal(first.states, other.states)


@pytest.mark.parametrize("of_trajectories", [{}, {"groups": LAYOUTS, "places": some_places(12)}])
@pytest.mark.parametrize("goals_differ", [False, True])
def test_what_is_opened_is_what_was_saved_and_memory_mapped(
    tmp_path: Path, of_trajectories: dict[str, Any], goals_differ: bool
) -> None:
    numbered(groups=LAYOUTS).save(tmp_path / "t")  # is written over
    same = numbered(LENGTHS, np.uint8, **of_trajectories)
    goals = same.goals + 1 if goals_differ else same.goals
    buffer = TrajectoryBuffer(same.observations, goals, same.actions, same.lengths, same.groups, same.places)
    buffer.save(tmp_path / "t")
    opened = TrajectoryBuffer.open(tmp_path / "t")
    names = {"observations", "actions", "lengths", *of_trajectories, *(["goals"] if goals_differ else [])}
    assert {path.stem for path in (tmp_path / "t").glob("*.npy")} == names
    for name in names:
        kept = getattr(opened, name)
        assert isinstance(kept, np.memmap)
        assert not kept.flags.writeable
        np.testing.assert_array_equal(kept, getattr(buffer, name))
    assert opened.observations.dtype == np.uint8
    assert (opened.goals is opened.observations) == (not goals_differ)
    assert (opened.groups is None) == (opened.places is None) == (not of_trajectories)
    size = (8, 0.5) if of_trajectories else (0, 0.0)
    first, again = (one.sample_futures(np.random.default_rng(0), 64, 0.5, *size) for one in (buffer, opened))
    np.testing.assert_array_equal(first.goals, again.goals)


def test_an_interrupted_save_leaves_nothing_that_looks_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def save_two(path: Path, array: NDArray[Any]) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        real(path, array)

    real = np.save
    monkeypatch.setattr(np, "save", save_two)
    with pytest.raises(KeyboardInterrupt):
        numbered().save(tmp_path / "t")
    assert not (tmp_path / "t").exists()
    monkeypatch.undo()
    numbered().save(tmp_path / "t")  # the remains of the first attempt are not in the way
    assert TrajectoryBuffer.open(tmp_path / "t").transitions == LENGTHS.sum()
    assert os.listdir(tmp_path) == ["t"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lengths": np.array([], dtype=int)}, "lengths: needs at least one trajectory"),
        ({"lengths": np.array([2, 0])}, "each of at least one action"),
        ({"actions": np.zeros((3, 2))}, r"actions: has shape \(3, 2\), but lengths ask for 2 rows"),
        ({"observations": np.zeros((2, 2))}, "observations: has shape"),
        ({"goals": np.zeros(3)}, "goals: has shape"),
        ({"goals": np.array([[0.0, 0.0], [0.0, np.nan], [0.0, 0.0]])}, "goals: row 1 is not finite"),
        ({"actions": np.array([[np.inf, 0.0], [0.0, 0.0]])}, "actions: row 0 is not finite"),
        ({"groups": np.zeros(3)}, "groups: has 3 entries for 1 trajectories"),
        ({"places": np.zeros((3, 2))}, "places: has 3 entries for 1 trajectories"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], says: str) -> None:
    whole = {"observations": np.zeros((3, 2)), "goals": np.zeros((3, 2)), "actions": np.zeros((2, 2))}
    with pytest.raises(DatasetError, match=says) as caught:
        TrajectoryBuffer(**({**whole, "lengths": np.array([2])} | change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "pickled"])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    numbered().save(tmp_path / "t")
    path = tmp_path / "t" / "actions.npy"
    if damage == "missing":
        path.unlink()
    elif damage == "pickled":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else 200])
    with pytest.raises(DatasetError, match=r"actions\.npy: cannot be read") as caught:
        TrajectoryBuffer.open(tmp_path / "t")
    assert "\n" not in str(caught.value)


def test_batches_by_layout_need_layouts() -> None:
    with pytest.raises(DatasetError, match=r"groups: expected the layout .*; try train\.negatives_per_layout=0"):
        numbered().sample_futures(np.random.default_rng(0), 8, 0.9, 4)


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


def nearest(trajectory: int, groups: Integers, places: NDArray[np.float32], kept: int) -> list[int]:
    """The `kept` trajectories of the same layout that start nearest; the earlier one where two are as near."""
    same = [other for other in range(len(groups)) if groups[other] == groups[trajectory]]
    return sorted(same, key=lambda other: (np.abs(places[other] - places[trajectory]).sum(), other))[:kept]


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


def test_futures_of_a_run_are_of_one_layout() -> None:
    batch = numbered(LENGTHS, np.uint8, groups=LAYOUTS, places=some_places(12)).sample_futures(
        np.random.default_rng(0), 800, 0.7, 8, 0.5
    )
    assert batch.states.dtype == batch.goals.dtype == np.uint8
    trajectory = batch.states[:, 0].astype(np.int64)
    np.testing.assert_array_equal(batch.goals[:, 0], trajectory)
    assert all(len(set(LAYOUTS[run])) == 1 for run in runs_of(trajectory, 8))


def test_every_step_of_a_drawn_trajectory_is_as_likely() -> None:
    buffer = numbered([6, 6], groups=np.array([0, 1]))
    step = buffer.sample_futures(np.random.default_rng(2), 24_000, 0.9, 4).states[:, 1].astype(np.int64)
    assert stats.chisquare(np.bincount(step, minlength=6)).pvalue > 1e-3
