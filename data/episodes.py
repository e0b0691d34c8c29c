"""Episodes of somebody else's: checked one by one, and written as a run's own trajectories without holding them all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs import durable
from goalbridge.configs.texts import parse_json
from goalbridge.data.trajectories import DatasetError, TrajectoryBuffer, first_not_finite, unexpected, write_checked

CAPTIONS = "captions.jsonl"  # beside the arrays, a line for each caption: [row of the observations, text]
SUMMARY = "summary.json"  # beside the arrays: bounds of what they hold, a digest of all, whether actions are numbers


@dataclass(frozen=True)
class Episode:
    """One episode of a dataset.

    name: what to call it in a message, such as "episode 3". observations: [T + 1, S]. actions: [T, D]. goals: [T + 1,
    G], what each observation achieves; None: the observations themselves. captions: texts by their step (0 ... T).
    layout: which one it was played in, where there are several; the first two numbers observed are then the place.
    """

    name: str
    observations: NDArray[Any]
    actions: NDArray[Any]
    goals: NDArray[Any] | None = None
    captions: Mapping[int, Sequence[str]] = field(default_factory=dict)
    layout: int | None = None

    def check(self) -> None:
        """DatasetError, which names episode, field and step, where it is empty, ragged or holds what is no number."""
        steps = len(self.actions) if self.actions.ndim else 0
        for what in ("actions", "observations", "goals"):
            array, where = getattr(self, what), f"{self.name}: {what}"
            if array is None:
                continue
            if array.dtype.kind not in "fiub":
                raise unexpected(where, "numbers", f"type {array.dtype}", "rows of 32-bit floats")
            if array.ndim != 2 or array.shape[1] == 0:
                raise unexpected(where, "a row of numbers a step", f"shape {array.shape}", "[steps, numbers]")
            if steps == 0:
                raise unexpected(f"{self.name}: actions", "at least one", "none", "leaving the episode out")
            if what != "actions" and len(array) != steps + 1:
                raise unexpected(where, f"{steps + 1}, one more than actions", len(array), "the last one too")
            step = first_not_finite(array)
            if step is not None:
                row = array[step].tolist()
                raise unexpected(f"{where}: step {step}", "finite numbers", row, "leaving the episode out")
        for step, texts in self.captions.items():
            where = f"{self.name}: captions: step {step}"
            if not 0 <= step <= steps:
                raise unexpected(where, f"a step from 0 to {steps}", step, "counting from the first observation")
            for text in texts:
                if not isinstance(text, str) or not text.strip():
                    raise unexpected(where, "a text of words", repr(text), "leaving it out")


class EpisodeSource(Protocol):
    """A dataset, read episode by episode; discrete: whether vectors with a single one stand for actions."""

    discrete: bool

    def __iter__(self) -> Iterator[Episode]:
        """The episodes, in order."""


class _Column:
    """One array, appended to row by row in a .npy file; what is known of its numbers so far."""

    def __init__(self, path: Path, row: NDArray[Any]) -> None:
        self._dtype, self._width = row.dtype, row.shape[1:]
        self._count = 0
        self.low, self.high = np.full(self._width, np.inf), np.full(self._width, -np.inf)
        self._file: IO[bytes] = path.open("w+b")
        self._write_header()
        self._begin = self._file.tell()

    def _write_header(self) -> None:
        # Numpy leaves room in the header for the first axis to grow, so that it can be written anew at the end.
        shape = (self._count, *self._width)
        form = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, form)

    def append(self, rows: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).tobytes())
        self._count += len(rows)
        self.low, self.high = np.minimum(self.low, rows.min(axis=0)), np.maximum(self.high, rows.max(axis=0))

    def close(self, whole: bool) -> None:
        """Ends the file; `whole`: with the header that says how many rows there are."""
        try:
            if whole:
                self._file.seek(0)
                self._write_header()
                assert self._file.tell() == self._begin
        finally:
            self._file.close()


class _Writer:
    """Writes episodes, one after the other, as the arrays that `TrajectoryBuffer.open` reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._columns: dict[str, _Column] = {}
        self._first: Episode | None = None
        self._digest = hashlib.blake2b(digest_size=16)
        self._rows = 0
        self._goals_differ = False
        self._captions: IO[str] = (folder / CAPTIONS).open("w", encoding="utf-8")
        self._captioned = 0

    def add(self, episode: Episode) -> None:
        """Appends an episode that is in order; DatasetError where it is not of the form of the first one."""
        first = self._first = self._first or episode
        for what in ("observations", "actions", "goals", "layout"):
            mine, theirs = getattr(episode, what), getattr(first, what)
            if (mine is None) != (theirs is None):
                has, lacks = (first, episode) if mine is None else (episode, first)
                raise DatasetError(f"{lacks.name}: {what}: are missing, but {has.name} has them; all or none would do")
            if isinstance(mine, np.ndarray) and mine.shape[1] != theirs.shape[1]:
                raise DatasetError(
                    f"{episode.name}: {what}: have {mine.shape[1]} numbers a step, those of {first.name} "
                    f"{theirs.shape[1]}; equally many would do"
                )
        self._append("observations", _compact(episode.observations))
        self._append("actions", episode.actions.astype(np.float32))
        self._append("lengths", np.array([len(episode.actions)], dtype=np.int64))
        if episode.goals is not None:
            self._append("goals", _compact(episode.goals))
            self._goals_differ |= not np.array_equal(episode.goals, episode.observations)
        if episode.layout is not None:
            self._append("groups", np.array([episode.layout], dtype=np.int64))
            self._append("places", episode.observations[:1, :2].astype(np.float32))
        for step, texts in sorted(episode.captions.items()):
            for text in texts:
                line = json.dumps([self._rows + step, text])
                self._captions.write(line + "\n")
                self._digest.update(line.encode())
                self._captioned += 1
        self._rows += len(episode.observations)

    def _append(self, name: str, rows: NDArray[Any]) -> None:
        if name not in self._columns:
            self._columns[name] = _Column(self._folder / f"{name}.npy", rows)
        self._columns[name].append(rows)
        self._digest.update(rows.tobytes())

    def close(self, whole: bool, discrete: bool) -> None:
        """Ends all files; `whole`: they hold all that there is."""
        self._captions.close()
        for column in self._columns.values():
            column.close(whole)
        if not whole:
            return
        if not self._goals_differ:
            (self._folder / "goals.npy").unlink(missing_ok=True)  # the observations serve as goals too
        if not self._captioned:
            (self._folder / CAPTIONS).unlink()
        bounds = {name: [column.low.tolist(), column.high.tolist()] for name, column in self._columns.items()}
        summary = {"digest": self._digest.hexdigest(), "discrete": discrete, "bounds": bounds}
        (self._folder / SUMMARY).write_text(json.dumps(summary))
        write_checked(self._folder)


def _compact(rows: NDArray[Any]) -> NDArray[Any]:
    """As they are kept: bytes as such, as images and grids are; all else as 32-bit floats."""
    return rows if rows.dtype == np.uint8 else rows.astype(np.float32)


def partial_folder(folder: Path) -> Path:
    """Where what becomes `folder` is written first."""
    return folder.with_name(f".{folder.name}.partial")


def stage(episodes: EpisodeSource, folder: Path) -> Path:
    """Writes episodes beside `folder`, into its `partial_folder`, and returns that; move it once all else is well.

    Each is checked as it comes, and only one is held in memory. What an earlier attempt left there is removed; where
    this one fails, nothing stays. Raises DatasetError for the first episode that is not in order, for none at all, and
    where the disk is full or cannot be written.
    """
    partial = partial_folder(folder)
    whole = False
    try:
        shutil.rmtree(partial, ignore_errors=True)
        durable.make_folder(partial)
        _write(episodes, partial)
        TrajectoryBuffer.open(partial)
        whole = True
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error.strerror or error}); free some space there") from error
    finally:
        if not whole:
            discard(folder)
    return partial


def discard(folder: Path) -> None:
    """Removes what was staged for `folder`, and the folder around it if nothing else is in there."""
    shutil.rmtree(partial_folder(folder), ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def settle(folder: Path) -> None:
    """What was staged for `folder` becomes it."""
    durable.settle(partial_folder(folder), folder)


def _write(episodes: EpisodeSource, partial: Path) -> None:
    writer, whole, count = _Writer(partial), False, 0
    try:
        for episode in episodes:
            episode.check()
            writer.add(episode)
            count += 1
        if count == 0:
            raise DatasetError("episodes: are none; a dataset of at least one would do")
        whole = True
    finally:
        writer.close(whole, episodes.discrete)


def read_captions(folder: Path) -> list[tuple[int, str]]:
    """The captions kept with the trajectories in `folder`: rows of the observations, and texts; none if there are."""
    path = folder / CAPTIONS
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8") as lines:
            return [(int(row), str(text)) for row, text in map(parse_json, lines)]
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); delete {folder} to read the dataset anew") from error
