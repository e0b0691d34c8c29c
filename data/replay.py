"""A bounded replay buffer: the last segments of online data, and their geometric futures.

Steps that did not move are left out: all that they teach is that a wall is there, and they make far goals look farther.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.data.trajectories import DatasetError, FutureBatch, Groups, geometric_offsets

STILL: Final = 0.3  # of a step's length: who moved less did not move
_QUANTILE: Final = 0.9  # of the moves: how long a step is where nothing is in the way
_ARRAYS: Final = ("observations", "actions", "lengths", "groups", "places")


def distances(observations: NDArray[Any]) -> NDArray[np.float64]:
    """How far each step led, [E, T], from observations [E, T + 1, S]."""
    moves = np.diff(observations.astype(np.float64), axis=1)  # [E, T, S]
    return np.asarray(np.sqrt((moves**2).sum(axis=-1)))


def step_length(distance: NDArray[np.float64]) -> float:
    """How far a step leads where nothing is in the way, from those of some play; 0 where nothing moved."""
    moved = distance[distance > 0]
    return float(np.quantile(moved, _QUANTILE)) if len(moved) else 0.0


def drop_no_ops(
    observations: NDArray[Any], actions: NDArray[np.float32], moved: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.int64]]:
    """Segments of which at least one step moved, with those that did in front: what follows is to be ignored.

    observations [E, T + 1, S], actions [E, T, D], moved [E, T]; gives [R, T + 1, S], [R, T, D] and lengths [R].
    """
    rows = np.flatnonzero(moved.any(axis=1))  # [R]
    order = np.argsort(~moved[rows], axis=1, kind="stable")  # [R, T]
    after = np.concatenate([np.zeros((len(rows), 1), np.int64), order + 1], axis=1)  # [R, T + 1]
    return observations[rows[:, None], after], actions[rows[:, None], order], moved[rows].sum(axis=1)


class ReplayBuffer:
    """A ring of `capacity` segments of at most T steps; the oldest make way for new ones.

    A segment is a stretch of one episode: no future crosses an episode's end. Of numbers, steps that did not move are
    left out and time is closed up over them; of codes all steps stay. Observations are goals too.

    observation_dim, action_dim: S, D. dtype: of observations.
    Raises DatasetError for segments of another size, or with a value that is not finite.
    """

    def __init__(
        self, capacity: int, length: int, observation_dim: int, action_dim: int, dtype: Any = np.float32
    ) -> None:
        self.capacity, self.length = capacity, length
        self._observations = np.zeros((capacity, length + 1, observation_dim), dtype=dtype)
        self._actions = np.zeros((capacity, length, action_dim), dtype=np.float32)
        self._lengths = np.zeros(capacity, dtype=np.int64)  # 0: empty
        self._groups = np.zeros(capacity, dtype=np.int64)
        self._places = np.zeros((capacity, 2), dtype=np.float32)
        self.added = 0  # segments so far, those that were overwritten included
        self.step_length = 0.0  # how far a step leads where nothing is in the way; 0 until something was added

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    @property
    def transitions(self) -> int:
        """Number of (state, action) pairs that are kept."""
        return int(self._lengths.sum())

    def add(
        self,
        observations: NDArray[Any],
        actions: NDArray[np.float32],
        groups: NDArray[np.int64] | None = None,
        places: NDArray[np.float32] | None = None,
    ) -> NDArray[Any]:
        """Keeps E segments of play: observations [E, T + 1, S], actions [E, T, D]; gives what was visited, [V, S].

        groups: [E], each segment's layout, where there are several; places: [E, 2], where it starts in it.
        """
        self._check(observations, actions)
        distance = distances(observations)  # [E, T]
        if self.step_length == 0.0:
            self.step_length = step_length(distance)
        if observations.dtype.kind == "f":
            moved = distance > STILL * self.step_length  # [E, T]
        else:  # codes, as of grids: what changes nothing tells of walls and doors, where actions have no noise
            moved = np.broadcast_to(distance.any(axis=1, keepdims=True), distance.shape)  # [E, T]
        rows = np.flatnonzero(moved.any(axis=1))  # [R]
        slots = (self.added + np.arange(len(rows))) % self.capacity  # [R]
        kept = drop_no_ops(observations, actions, moved)
        self._observations[slots], self._actions[slots], self._lengths[slots] = kept
        if groups is not None:
            self._groups[slots] = groups[rows]
        if places is not None:
            self._places[slots] = places[rows]
        self.added += len(rows)
        self._forget_index()
        return np.asarray(self._observations[slots][self._visited[slots]])  # [V, S]

    def _check(self, observations: NDArray[Any], actions: NDArray[np.float32]) -> None:
        count = len(actions)
        for name, given, kept in (
            ("observations", observations, self._observations),
            ("actions", actions, self._actions),
        ):
            needed = (count, *kept.shape[1:])
            if given.shape != needed:
                raise DatasetError(f"{name}: has shape {given.shape}, a segment of each episode needs {needed}")
            if not np.isfinite(given).all():
                raise DatasetError(f"{name}: segment {int(np.argwhere(~np.isfinite(given))[0, 0])} is not finite")
        if count > self.capacity:
            raise DatasetError(f"observations: {count} segments at once, but the buffer holds {self.capacity}")

    def _forget_index(self) -> None:
        for name in ("_ends", "_grouped", "_visited", "states"):
            self.__dict__.pop(name, None)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """[C]: how many transitions there are up to and with each segment."""
        return np.asarray(np.cumsum(self._lengths))

    @cached_property
    def _visited(self) -> NDArray[np.bool_]:
        """[C, T + 1]: which observations are of what is kept."""
        inside = np.arange(self.length + 1) <= self._lengths[:, None]
        return np.asarray(inside & (self._lengths > 0)[:, None])

    @cached_property
    def _grouped(self) -> Groups:
        count = len(self)
        return Groups.of(self._groups[:count], self._places[:count])

    @cached_property
    def states(self) -> NDArray[Any]:
        """All that was visited and is kept, [V, S]."""
        return np.asarray(self._observations[self._visited])

    def sample_futures(
        self, rng: np.random.Generator, batch_size: int, discount: float, group_size: int = 0, nearby: float = 0.0
    ) -> FutureBatch:
        """As `TrajectoryBuffer.sample_futures`: transitions drawn uniformly, each with a later goal of its segment."""
        if not len(self):
            raise DatasetError("observations: nothing has been collected yet, or nothing that moved")
        if group_size:
            segment = self._grouped.draw(rng, batch_size, group_size, nearby)  # [B]
            step = (rng.random(batch_size) * self._lengths[segment]).astype(np.int64)  # [B]
        else:
            drawn = rng.integers(self._ends[-1], size=batch_size)  # [B]
            segment = np.searchsorted(self._ends, drawn, side="right")  # [B]
            step = drawn - (self._ends[segment] - self._lengths[segment])  # [B]
        offset = geometric_offsets(rng, self._lengths[segment] - step, discount)  # [B]
        goals = self._observations[segment, step + offset]  # [B, S]
        return FutureBatch(self._observations[segment, step], self._actions[segment, step], goals)

    def sample_reached(self, rng: np.random.Generator, groups: NDArray[np.int64]) -> NDArray[Any]:
        """A state visited in the layout of each of `groups` [R], uniform over its segments and their steps, [R, S].

        DatasetError for a layout in which nothing has moved yet.
        """
        found = []
        for group in groups.tolist():
            rows = np.flatnonzero((self._groups == group) & (self._lengths > 0))
            if not len(rows):
                raise DatasetError(f"groups: nothing has been collected in layout {group} yet")
            row = rows[rng.integers(len(rows))]
            found.append(self._observations[row, rng.integers(self._lengths[row] + 1)])
        return np.stack(found)

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """All that is kept, as arrays, for `load_state_arrays`."""
        count = len(self)
        arrays = {name: getattr(self, f"_{name}")[:count] for name in _ARRAYS}
        return arrays | {"added": np.array(self.added), "step_length": np.array(self.step_length)}

    def load_state_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restores what `state_arrays` gave; KeyError or ValueError where it is of another size."""
        for name in _ARRAYS:
            kept = getattr(self, f"_{name}")
            kept[:] = 0
            kept[: len(arrays[name])] = arrays[name]
        self.added, self.step_length = int(arrays["added"]), float(arrays["step_length"])
        self._forget_index()
