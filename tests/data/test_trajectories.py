"""Trajectories: geometric futures of the right trajectory, and files that are whole or absent."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from goalbridge.configs.data_schema import DataConfig
from goalbridge.data import DatasetError, TrajectoryBuffer
from goalbridge.worlds.maze.collect import collect_maze
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import make_world

LENGTHS = np.array([1, 7, 3, 60])


def numbered(lengths: NDArray[np.int64] = LENGTHS) -> TrajectoryBuffer:
    """Observations (trajectory, step), goals (trajectory, -step), actions (trajectory, step)."""
    states = np.concatenate([[(n, t) for t in range(size + 1)] for n, size in enumerate(lengths)]).astype(np.float32)
    actions = np.concatenate([[(n, t) for t in range(size)] for n, size in enumerate(lengths)]).astype(np.float32)
    return TrajectoryBuffer(states, states * np.array([1, -1], dtype=np.float32), actions, lengths)


def test_futures_are_of_the_same_trajectory_and_later() -> None:
    batch = numbered().sample_futures(np.random.default_rng(0), 20_000, 0.9)
    np.testing.assert_array_equal(batch.states, batch.actions)  # the action taken in that state
    np.testing.assert_array_equal(batch.goals[:, 0], batch.states[:, 0])
    steps = -batch.goals[:, 1] - batch.states[:, 1]
    assert steps.min() == 1
    assert (-batch.goals[:, 1] <= LENGTHS[batch.states[:, 0].astype(int)]).all()


def test_transitions_are_uniform() -> None:
    batch = numbered().sample_futures(np.random.default_rng(1), 71_000, 0.9)
    first = np.concatenate([[0], np.cumsum(LENGTHS)[:-1]])
    which = first[batch.states[:, 0].astype(int)] + batch.states[:, 1].astype(int)
    assert stats.chisquare(np.bincount(which, minlength=71)).pvalue > 1e-3


@pytest.mark.parametrize("discount", [0.3, 0.9, 0.99])
def test_offsets_follow_the_truncated_geometric(discount: float) -> None:
    batch = numbered().sample_futures(np.random.default_rng(2), 300_000, discount)
    for trajectory, step in ((3, 0), (3, 50), (1, 2)):
        remaining = int(LENGTHS[trajectory]) - step
        chosen = (batch.states == [trajectory, step]).all(axis=1)
        offset = (-batch.goals[chosen, 1] - step).astype(int)
        k = np.arange(1, remaining + 1)
        expected = (1 - discount) * discount ** (k - 1) / (1 - discount**remaining)
        counts, wanted = np.bincount(offset, minlength=remaining + 1)[1:], expected * chosen.sum()
        common = wanted >= 5  # the rest is one bin
        observed = [*counts[common], counts[~common].sum()] if not common.all() else counts
        target = [*wanted[common], wanted[~common].sum()] if not common.all() else wanted
        assert stats.chisquare(observed, target).pvalue > 1e-4, (trajectory, step)


def test_the_same_generator_gives_the_same_batch() -> None:
    first, again, other = (numbered().sample_futures(np.random.default_rng(s), 50, 0.9) for s in (3, 3, 4))
    for name in ("states", "actions", "goals"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.states, other.states)


def test_what_is_opened_is_what_was_saved_and_memory_mapped(tmp_path: Path) -> None:
    numbered().save(tmp_path / "t")
    opened = TrajectoryBuffer.open(tmp_path / "t")
    for name in ("observations", "goals", "actions", "lengths"):
        assert isinstance(getattr(opened, name), np.memmap)
        assert not getattr(opened, name).flags.writeable
        np.testing.assert_array_equal(getattr(opened, name), getattr(numbered(), name))
    first, again = (b.sample_futures(np.random.default_rng(0), 30, 0.9) for b in (numbered(), opened))
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


@pytest.mark.parametrize("kind", ["expert", "random"])
def test_collected_trajectories_are_walks_of_the_world(kind: str) -> None:
    maze = make_world(MazeSettings("goalbridge/ForkMaze-v0"), 1)
    config = DataConfig(kind=kind, trajectories=40, walk_length=9)
    buffer, again, other = (collect_maze(maze.layout, config, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(buffer.observations, again.observations)
    np.testing.assert_array_equal(buffer.actions, again.actions)
    assert not np.array_equal(buffer.observations[:5], other.observations[:5])
    assert len(buffer.lengths) == 40
    slack = 0.0
    if kind == "random":
        assert buffer.lengths.max() == 9  # steps that did not move are left out
        slack = 0.3  # what such steps slid along a wall
    np.testing.assert_array_equal(buffer.goals, buffer.observations)
    cell = np.floor(buffer.observations).astype(int)
    assert not maze.layout.walls[cell[:, 0], cell[:, 1]].any()
    np.testing.assert_allclose(np.linalg.norm(buffer.actions, axis=1), 1, atol=1e-5)
    last = np.cumsum(buffer.lengths + 1) - 1
    moves = np.delete(np.diff(buffer.observations, axis=0), last[:-1], axis=0)  # [transitions, 2]
    assert np.linalg.norm(moves, axis=1).max() < 0.501 + slack
    ahead = (moves * buffer.actions).sum(axis=1)
    assert (ahead > -1e-3 - slack).all()  # it moves where the recorded action points, or not at all
    assert np.median(ahead) > 0.3
