"""Futures of any trajectories: they stay within theirs, and lie as far ahead as the formula says."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from goalbridge.data import TrajectoryBuffer

DRAWS = 3000
LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=12)
DISCOUNTS = st.floats(0.01, 0.999)


def numbered(lengths: list[int], layouts: int) -> TrajectoryBuffer:
    """Observations (trajectory, step), goals (trajectory, -step), actions (trajectory, step); layouts in turn."""
    states = np.concatenate([[(n, t) for t in range(size + 1)] for n, size in enumerate(lengths)]).astype(np.float32)
    actions = np.concatenate([[(n, t) for t in range(size)] for n, size in enumerate(lengths)]).astype(np.float32)
    groups = np.arange(len(lengths)) % layouts
    return TrajectoryBuffer(states, states * np.array([1, -1], np.float32), actions, np.array(lengths), groups)


def offsets(lengths: list[int], discount: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps from state to goal, and how many steps there were left, of many draws."""
    batch = numbered(lengths, 1).sample_futures(np.random.default_rng(seed), DRAWS, discount)
    step = batch.states[:, 1].astype(np.int64)
    return -batch.goals[:, 1].astype(np.int64) - step, np.array(lengths)[batch.states[:, 0].astype(np.int64)] - step


@settings(max_examples=60, deadline=None, derandomize=True)
@given(LENGTHS, DISCOUNTS, st.integers(0, 3), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_futures_stay_within_their_trajectory(
    lengths: list[int], discount: float, group_size: int, layouts: int, seed: int
) -> None:
    buffer = numbered(lengths, layouts)
    batch = buffer.sample_futures(np.random.default_rng(seed), 200, discount, group_size)
    assert len(batch.states) == len(batch.actions) == len(batch.goals) == 200
    np.testing.assert_array_equal(batch.states, batch.actions)  # the action taken in that state
    trajectory, step = batch.states.astype(np.int64).T
    reached = -batch.goals[:, 1].astype(np.int64)
    np.testing.assert_array_equal(batch.goals[:, 0], trajectory)
    assert (step >= 0).all()
    assert ((step < reached) & (reached <= np.array(lengths)[trajectory])).all()
    for run in range(0, 200, group_size or 200):
        layout = trajectory[run : run + group_size] % layouts
        assert len(set(layout.tolist())) <= 1


@settings(max_examples=25, deadline=None, derandomize=True)
@given(LENGTHS, DISCOUNTS, st.integers(0, 2**32 - 1))
def test_offsets_are_truncated_geometric(lengths: list[int], discount: float, seed: int) -> None:
    """Through the distribution function, randomised within each step, the draws are uniform on [0, 1]."""
    ahead, remaining = offsets(lengths, discount, seed)
    below, upto = ((1 - discount**k) / (1 - discount**remaining) for k in (ahead - 1, ahead))
    uniform = below + (upto - below) * np.random.default_rng(1).random(DRAWS)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-5


@settings(max_examples=25, deadline=None, derandomize=True)
@given(LENGTHS, st.integers(0, 2**32 - 1))
def test_each_transition_is_as_likely(lengths: list[int], seed: int) -> None:
    batch = numbered(lengths, 1).sample_futures(np.random.default_rng(seed), DRAWS, 0.9)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    which = first[batch.states[:, 0].astype(np.int64)] + batch.states[:, 1].astype(np.int64)
    counts = np.bincount(which, minlength=sum(lengths))
    assert len(counts) == 1 or stats.chisquare(counts).pvalue > 1e-5
