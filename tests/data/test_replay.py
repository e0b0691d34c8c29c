"""The replay buffer: a bounded ring whose futures stay in their segment, without the steps that did not move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.data import DatasetError
from goalbridge.data.replay import ReplayBuffer

STEPS = 6


def segments(first: int, count: int, steps: int = STEPS) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Observations (segment, step), actions (segment, step)."""
    numbers = np.arange(first, first + count)
    places = np.stack(np.broadcast_arrays(numbers[:, None], np.arange(steps + 1)), axis=-1).astype(np.float32)
    return places, places[:, :-1].copy()


def filled(capacity: int, *counts: int) -> ReplayBuffer:
    buffer, first = ReplayBuffer(capacity, STEPS, 2, 2), 0
    for count in counts:
        buffer.add(*segments(first, count))
        first += count
    return buffer


def test_futures_are_of_the_same_segment_and_later() -> None:
    batch = filled(10, 4, 3).sample_futures(np.random.default_rng(0), 5000, 0.9)
    np.testing.assert_array_equal(batch.states, batch.actions)  # the action taken in that state
    np.testing.assert_array_equal(batch.goals[:, 0], batch.states[:, 0])
    assert (batch.goals[:, 1] > batch.states[:, 1]).all()
    assert batch.goals[:, 1].max() == STEPS
    assert set(batch.states[:, 0]) == set(range(7))
    counts = np.unique(batch.states, axis=0, return_counts=True)[1]
    assert len(counts) == 7 * STEPS
    assert counts.min() > 0.5 * counts.mean()


def test_the_oldest_make_way() -> None:
    buffer = filled(5, 4, 4)
    assert len(buffer) == 5
    assert buffer.transitions == 5 * STEPS
    batch = buffer.sample_futures(np.random.default_rng(0), 2000, 0.9)
    assert set(batch.states[:, 0]) == {3, 4, 5, 6, 7}
    np.testing.assert_array_equal(batch.goals[:, 0], batch.states[:, 0])
    assert set(buffer.states[:, 0]) == {3, 4, 5, 6, 7}


def test_steps_that_did_not_move_are_left_out_and_time_is_closed_up() -> None:
    places = np.array([0, 1, 1.1, 1.1, 2, 3, 3], dtype=np.float32)[None, :, None].repeat(2, axis=2)
    buffer = ReplayBuffer(3, STEPS, 2, 1)
    visited = buffer.add(places, np.arange(STEPS, dtype=np.float32)[None, :, None])
    np.testing.assert_allclose(visited[:, 0], [0, 1, 2, 3])
    assert buffer.step_length == pytest.approx(np.sqrt(2), abs=0.01)
    batch = buffer.sample_futures(np.random.default_rng(0), 500, 0.5)
    seen = np.unique(np.concatenate([batch.states[:, :1], batch.actions], axis=1), axis=0)
    np.testing.assert_allclose(seen, [[0, 0], [1, 3], [2, 4]])


def test_a_segment_that_never_moved_is_not_kept() -> None:
    places, actions = segments(0, 3)
    places[1] = places[1, :1]
    buffer = ReplayBuffer(5, STEPS, 2, 2)
    assert len(buffer.add(places, actions)) == 2 * (STEPS + 1)
    assert len(buffer) == 2
    assert set(buffer.states[:, 0]) == {0, 2}


def test_codes_keep_what_changed_nothing() -> None:
    """A wall that was walked into: where actions have no noise, that is how one learns of it."""
    buffer = ReplayBuffer(2, 3, 2, 1, np.uint8)
    codes = np.array([[[0, 0], [9, 9], [9, 9], [9, 8]], [[5, 5]] * 4], dtype=np.uint8)
    visited = buffer.add(codes, np.arange(6, dtype=np.float32).reshape(2, 3, 1))
    np.testing.assert_array_equal(visited, codes[0])  # all of one segment, nothing of the one that never moved
    assert buffer.transitions == 3
    assert buffer.states.dtype == np.uint8
    batch = buffer.sample_futures(np.random.default_rng(0), 500, 1e-6)
    at_the_wall = batch.goals[batch.actions[:, 0] == 1]
    np.testing.assert_array_equal(np.unique(at_the_wall, axis=0), [[9, 9]])


def test_groups_stay_together() -> None:
    places, actions = segments(0, 8)
    groups = np.arange(8) % 2
    buffer = ReplayBuffer(8, STEPS, 2, 2)
    buffer.add(places, actions, groups, places[:, 0])
    batch = buffer.sample_futures(np.random.default_rng(0), 64, 0.9, group_size=16, nearby=0.5)
    of_run = (batch.states[:, 0] % 2).reshape(4, 16)
    assert (of_run == of_run[:, :1]).all()
    np.testing.assert_array_equal(batch.goals[:, 0], batch.states[:, 0])


@pytest.mark.parametrize("counts", [(3,), (4, 4, 2)])
def test_a_restored_buffer_goes_on_alike(counts: tuple[int, ...]) -> None:
    buffer, other = filled(5, *counts), filled(5, 5)
    other.load_state_arrays(buffer.state_arrays())
    for one in (buffer, other):
        one.add(*segments(100, 2))
    assert len(buffer) == len(other)
    for seed in range(3):
        first, second = (one.sample_futures(np.random.default_rng(seed), 50, 0.8) for one in (buffer, other))
        np.testing.assert_array_equal(first.states, second.states)
        np.testing.assert_array_equal(first.goals, second.goals)
        np.testing.assert_array_equal(first.actions, second.actions)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda seen, done: (np.where(np.arange(3)[:, None, None] == 1, np.nan, seen), done),
            "segment 1 is not finite",
        ),
        (lambda seen, done: (seen[:, :-1], done), "observations: has shape"),
        (lambda seen, done: (seen, done[..., :1]), "actions: has shape"),
        (lambda seen, done: (seen.repeat(2, 0), done.repeat(2, 0)), "the buffer holds 5"),
    ],
)
def test_what_cannot_be_kept_is_named(spoil: Any, says: str) -> None:
    buffer = ReplayBuffer(5, STEPS, 2, 2)
    with pytest.raises(DatasetError, match=says):
        buffer.add(*spoil(*segments(0, 3)))
    assert len(buffer) == 0
    with pytest.raises(DatasetError, match="nothing has been collected"):
        buffer.sample_futures(np.random.default_rng(0), 4, 0.9)
