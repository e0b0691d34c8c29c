"""Trajectories as flat arrays and lengths, and batches of them: geometric futures, layout by layout where asked."""

from __future__ import annotations

import json
import shutil
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import UserError
from goalbridge.configs.durable import digest, make_folder, settle
from goalbridge.configs.texts import read_json_object

FIELDS = ("observations", "goals", "actions", "lengths", "groups", "places")
_OPTIONAL = ("goals", "groups", "places")
UNREADABLE = (
    *(OSError, ValueError, EOFError, SyntaxError, RuntimeError, MemoryError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What numpy raises for damaged .npy and .npz files."""
FOLDER = "trajectories"  # in a run's folder
CHECKED = "checked.json"  # written beside arrays whose numbers have been looked at: they need not be again
NEIGHBOURS = 1 / 6  # of a layout's trajectories, how many count as starting near one of them
_BLOCK = 16  # transitions
_ROWS = 1 << 16  # looked at together, so that a memory map larger than memory passes


class DatasetError(UserError):
    """Trajectories that cannot be used; its message is one line that names the field."""


def unexpected(where: str, expected: str, got: object, instead: str) -> DatasetError:
    """The error that says so in one line; where: the dataset or episode, and the field."""
    return DatasetError(f"{where}: expected {expected}, got {got}; try {instead}")


def geometric_offsets(rng: np.random.Generator, remaining: NDArray[np.int64], discount: float) -> NDArray[np.int64]:
    """Offsets [B], Geometric(1 - discount), for transitions with `remaining` steps [B] to their trajectory's end.

    At least 1; the distribution is cut at the end and renormalised (inverse transform), so that every draw is a true
    future.
    """
    uniform = rng.random(len(remaining))  # [B]
    offset = np.ceil(np.log1p(-uniform * (1 - discount**remaining)) / np.log(discount))  # [B]
    return np.asarray(np.clip(offset, 1, remaining).astype(np.int64))


@dataclass(frozen=True, eq=False)
class Groups:
    """members: [N] trajectories, layout by layout. first, count: [L], where each layout's lie in it, and how many.

    near: [N, K] for each trajectory, those of its layout that start nearest, itself first; None where nobody said where
    trajectories start.
    """

    members: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    near: NDArray[np.int64] | None

    @classmethod
    def of(cls, groups: NDArray[np.int64], places: NDArray[np.float32] | None) -> Groups:
        """From the layout of each trajectory, [N], and the place where it starts, [N, P]."""
        members = np.argsort(groups, kind="stable")  # [N]
        _, first, count = np.unique(groups[members], return_index=True, return_counts=True)  # [L] each
        near = None if places is None else _nearest(members, first, count, np.asarray(places))
        return cls(members, first, count, near)

    def draw(self, rng: np.random.Generator, size: int, group_size: int, nearby: float) -> NDArray[np.int64]:
        """Trajectories [size], in runs of `group_size` from one layout each.

        A share `nearby` of each run are neighbours of one of its layout's trajectories, which is drawn first; the rest
        are uniform over the layout.
        """
        runs = -(-size // group_size)
        layout = rng.integers(len(self.first), size=runs)  # [R]
        pick = (rng.random((runs, group_size)) * self.count[layout, None]).astype(np.int64)  # [R, n]
        drawn = self.members[self.first[layout, None] + pick]  # [R, n]
        close = int(nearby * group_size)
        if self.near is not None and close:
            which = rng.integers(self.near.shape[1], size=(runs, close))  # [R, c]
            drawn[:, :close] = self.near[drawn[:, :1], which]
        flat: NDArray[np.int64] = drawn.reshape(-1)[:size]
        return flat


def _nearest(
    members: NDArray[np.int64], first: NDArray[np.int64], count: NDArray[np.int64], places: NDArray[np.float32]
) -> NDArray[np.int64]:
    kept = max(2, int(count.min() * NEIGHBOURS))
    near = np.empty((len(members), kept), dtype=np.int64)
    for start, size in zip(first, count, strict=True):
        own = members[start : start + size]  # [n]
        distance = np.abs(places[own, None] - places[own]).sum(axis=-1)  # [n, n]
        order = np.argsort(distance, axis=1, kind="stable")[:, :kept]  # a layout of one trajectory is its own neighbour
        near[own] = own[np.pad(order, ((0, 0), (0, kept - order.shape[1])), mode="edge")]
    return near


@dataclass(frozen=True)
class FutureBatch:
    """Positives of the state-action/goal pair: states [B, S], actions [B, D], goals reached later [B, G]."""

    states: NDArray[Any]
    actions: NDArray[np.float32]
    goals: NDArray[Any]


@dataclass(frozen=True, eq=False)
class TrajectoryBuffer:
    """N trajectories in flat arrays; trajectory n has lengths[n] actions and one more observation than that.

    observations: [sum(lengths + 1), S]. goals: [sum(lengths + 1), G], the goal that each observation achieves; the
    very array of observations where they are the same. actions: [sum(lengths), D]. lengths: [N], each at least 1.
    groups: [N], which layout each trajectory is from, where there are several; places: [N, P], where it starts in it.
    The arrays may be memory-mapped. checked: somebody has seen that all values are finite.
    Raises DatasetError where sizes disagree, a trajectory is empty or a value is not finite.
    """

    observations: NDArray[Any]
    goals: NDArray[Any]
    actions: NDArray[np.float32]
    lengths: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None
    places: NDArray[np.float32] | None = None
    checked: InitVar[bool] = False

    def __post_init__(self, checked: bool) -> None:
        count = self.lengths.size
        if self.lengths.ndim != 1 or count == 0 or self.lengths.min() < 1:
            raise DatasetError("lengths: needs at least one trajectory, each of at least one action")
        steps = int(self.lengths.sum())
        for name, rows in (("observations", steps + count), ("goals", steps + count), ("actions", steps)):
            array = getattr(self, name)
            if array.ndim != 2 or len(array) != rows:
                raise DatasetError(f"{name}: has shape {array.shape}, but lengths ask for {rows} rows of vectors")
            row = None if checked else first_not_finite(array)
            if row is not None:
                raise DatasetError(f"{name}: row {row} is not finite")
        for name in ("groups", "places"):
            array = getattr(self, name)
            if array is not None and len(array) != count:
                raise DatasetError(f"{name}: has {len(array)} entries for {count} trajectories")

    @property
    def transitions(self) -> int:
        """Number of (state, action) pairs."""
        return len(self.actions)

    @cached_property
    def _plain(self) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[Any]]:
        """Observations, actions and goals as plain arrays of the same memory: a memory map is slower to index."""
        return np.asarray(self.observations), np.asarray(self.actions), np.asarray(self.goals)

    @cached_property
    def _end(self) -> NDArray[np.int64]:
        return np.cumsum(self.lengths)  # [N], in memory even where the lengths are mapped

    @cached_property
    def _at_block(self) -> NDArray[np.int64]:
        """Which trajectory every sixteenth transition is of: an index of all would be as long as the data."""
        starts = np.arange(0, self.transitions, _BLOCK)
        return np.searchsorted(self._end, starts, side="right")  # [transitions / 16]

    def _trajectory_of(self, transition: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which trajectory each transition [B] is of, [B]; several times as quick as a search among all."""
        trajectory = self._at_block[transition // _BLOCK]  # [B], where its block begins
        while True:
            later = self._end[trajectory] <= transition  # [B]
            if not later.any():
                return trajectory
            trajectory = trajectory + later

    @cached_property
    def _groups(self) -> Groups:
        if self.groups is None:
            raise unexpected("groups", "the layout of each trajectory", "none", "train.negatives_per_layout=0")
        return Groups.of(self.groups, self.places)

    def sample_futures(
        self, rng: np.random.Generator, batch_size: int, discount: float, group_size: int = 0, nearby: float = 0.0
    ) -> FutureBatch:
        """Transitions drawn uniformly, each with a goal Geometric(1 - discount) steps ahead in its trajectory.

        The offset is at least 1 and its distribution is cut at the trajectory's end and renormalised (inverse
        transform), so that every draw is a true future. Same rng state, same batch.
        group_size: each run of so many rows comes from one group (layout), a share `nearby` of them from trajectories
        that start close together; 0 to draw from all alike. DatasetError where there are no groups.
        """
        if group_size:
            trajectory = self._groups.draw(rng, batch_size, group_size, nearby)  # [B]
            step = (rng.random(batch_size) * self.lengths[trajectory]).astype(np.int64)  # [B]
            transition = self._end[trajectory] - self.lengths[trajectory] + step
        else:
            transition = rng.integers(self.transitions, size=batch_size)  # [B]
            trajectory = self._trajectory_of(transition)  # [B]
        remaining = self._end[trajectory] - transition  # [B], at least 1
        offset = geometric_offsets(rng, remaining, discount)  # [B]
        state = transition + trajectory  # each earlier trajectory holds one more observation than actions
        observations, actions, goals = self._plain
        taken = observations.take(state, axis=0), actions.take(transition, axis=0), goals.take(state + offset, axis=0)
        return FutureBatch(*taken)  # `take` gathers rows several times as quickly as an index does

    def save(self, folder: Path) -> None:
        """Writes one .npy an array into `folder`, which appears whole or not at all."""
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial)
        try:
            for name in FIELDS:
                array = getattr(self, name)
                if array is not None and not (name == "goals" and array is self.observations):
                    np.save(partial / f"{name}.npy", array)
            write_checked(partial)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)  # on a full disk, that is room
            raise
        settle(partial, folder)

    @classmethod
    def open(cls, folder: Path) -> TrajectoryBuffer:
        """The trajectories saved in `folder`, memory-mapped read-only; DatasetError where they cannot be read."""
        arrays: dict[str, Any] = {}
        for name in FIELDS:
            if name in _OPTIONAL and not (folder / f"{name}.npy").exists():
                continue
            try:
                arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            except UNREADABLE as error:
                raise DatasetError(
                    f"{folder / name}.npy: cannot be read ({error}); delete {folder} to collect anew"
                ) from error
        return cls(**({"goals": arrays["observations"]} | arrays), checked=_is_checked(folder, arrays))


def first_not_finite(array: NDArray[Any]) -> int | None:
    """The first row of [N, D] with a number that is not finite; None where there is none."""
    if array.dtype.kind != "f":
        return None
    for start in range(0, len(array), _ROWS):
        bad = ~np.isfinite(array[start : start + _ROWS]).all(axis=1)  # [rows]
        if bad.any():
            return start + int(bad.argmax())
    return None


def _forms(arrays: Mapping[str, NDArray[Any]]) -> dict[str, list[Any]]:
    """Type and shape of each array, which an exchanged file hardly has."""
    return {name: [array.dtype.str, *array.shape] for name, array in arrays.items()}


def write_checked(folder: Path) -> None:
    """Notes what the files in `folder` hold, and that all numbers are finite: `TrajectoryBuffer.open` need not look."""
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
    digests = {path.name: digest(path) for path in sorted(folder.iterdir()) if path.name != CHECKED}
    (folder / CHECKED).write_text(json.dumps({"forms": _forms(arrays), "digests": digests}))


def _checked(folder: Path) -> dict[str, Any]:
    """What `write_checked` noted; nothing where it is missing, damaged or of an earlier version."""
    try:
        kept = read_json_object(folder / CHECKED)
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept.get("digests"), dict) else {}


def _is_checked(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> bool:
    return bool(_checked(folder).get("forms") == _forms(arrays))


def require_unchanged(folder: Path) -> None:
    """DatasetError for the first file in `folder` that is not what was written there: a run must not go on with it."""
    for name, expected in _checked(folder).get("digests", {}).items():
        path = folder / Path(name).name
        if not path.is_file() or digest(path) != expected:
            raise DatasetError(f"{path}: expected what was written there, got something else; train in another run_dir")
