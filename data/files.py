"""Trajectories and captions that somebody has as arrays or JSON lines, as episodes.

Arrays, one .npz file or a folder of .npy files:
    observations [sum(T + 1), S], actions [sum(T), D] or whole numbers [sum(T)], lengths [N], the T of each trajectory;
    captions [C] of texts and caption_rows [C], the row of the observations that each speaks of; and, if what counts
    as a goal is not the observation itself, goals [sum(T + 1), G].
JSON lines, a .jsonl file or a folder of them, one trajectory a line:
    {"observations": [[..], ..], "actions": [[..], ..] or [0, 2, ..], "captions": {"4": "text"} or
    [{"step": 4, "text": "text"}, ..], "goals": [[..], ..]}
    A text may be a list of texts; captions and goals may be left out.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.texts import encoding_of, parse_json
from goalbridge.data.episodes import Episode
from goalbridge.data.trajectories import DatasetError

_NEEDED: Final = ("observations", "actions", "lengths", "captions", "caption_rows")
_OPTIONAL: Final = ("goals",)
_MOST_ACTIONS: Final = 1000  # different ones; whole numbers above that are hardly choices
FORMS: Final = "an .npz file, a folder of .npy files, .jsonl files, or a Minari dataset with captions"


class FileEpisodes:
    """The episodes of `dataset`, a file or folder; whole numbers as actions become vectors with a single one.

    discrete: whether actions are such numbers. Raises DatasetError, here or while read, which names file, trajectory
    and field where one is missing, ragged or no number.
    """

    def __init__(self, dataset: str) -> None:
        path = Path(dataset)
        if not path.exists():
            raise DatasetError(f"dataset={dataset}: there is no such file or folder; {FORMS}, would do")
        self._dataset = dataset
        self._lines: list[Path] = []
        self._arrays: dict[str, NDArray[Any]] = {}
        if path.is_dir():
            self._lines = sorted(path.glob("*.jsonl"))
        elif path.suffix in (".jsonl", ".ndjson"):
            self._lines = [path]
        if not self._lines:
            self._arrays = _read_arrays(path)
            _check_arrays(dataset, self._arrays)
        self.actions = self._numbers_of_actions()
        self.discrete = self.actions > 0

    def _numbers_of_actions(self) -> int:
        """How many actions there are to choose from, where they are whole numbers; else 0."""
        if self._arrays:
            return _choices(self._dataset, self._arrays["actions"])
        most = 0
        for name, line in self._trajectories():
            actions = _array(name, "actions", line)
            if actions.ndim != 1 or actions.dtype.kind not in "iu":
                return 0
            most = max(most, _choices(name, actions))
        return most

    def __iter__(self) -> Iterator[Episode]:
        yield from self._from_arrays() if self._arrays else self._from_lines()

    def _trajectories(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path in self._lines:
            try:
                with path.open(encoding=encoding_of(path)) as lines:
                    for number, text in enumerate(lines, start=1):
                        if text.strip():
                            name = f"{path}: line {number}"
                            yield name, _parse(name, text)
            except (OSError, UnicodeError) as error:
                raise DatasetError(f"dataset={path}: cannot be read ({error}); try saving it as UTF-8") from error

    def _from_lines(self) -> Iterator[Episode]:
        for name, line in self._trajectories():
            goals = _array(name, "goals", line) if "goals" in line else None
            yield Episode(
                name,
                _array(name, "observations", line),
                self._vectors(name, _array(name, "actions", line)),
                goals,
                _captions(name, line.get("captions", {})),
            )

    def _from_arrays(self) -> Iterator[Episode]:
        arrays = self._arrays
        lengths = arrays["lengths"].astype(np.int64)
        rows, order = arrays["caption_rows"].astype(np.int64), np.argsort(arrays["caption_rows"], kind="stable")
        texts = arrays["captions"]
        first = np.concatenate([[0], np.cumsum(lengths + 1)])  # [N + 1]
        bounds = np.searchsorted(rows[order], first)  # [N + 1]
        done = 0
        for number, length in enumerate(lengths.tolist()):
            name = f"dataset={self._dataset}: trajectory {number}"
            span = slice(int(first[number]), int(first[number + 1]))
            captions: dict[int, list[str]] = {}
            for which in order[bounds[number] : bounds[number + 1]].tolist():
                captions.setdefault(int(rows[which]) - span.start, []).append(str(texts[which]))
            actions = self._vectors(name, arrays["actions"][done : done + length])
            goals = arrays["goals"][span] if "goals" in arrays else None
            yield Episode(name, arrays["observations"][span], actions, goals, captions)
            done += length

    def _vectors(self, name: str, actions: NDArray[Any]) -> NDArray[Any]:
        if not self.discrete:
            return actions
        if actions.ndim != 1:
            raise DatasetError(f"{name}: actions: are rows, but numbers before; one kind would do")
        return np.eye(self.actions, dtype=np.float32)[actions.astype(np.int64)]


def _choices(name: str, actions: NDArray[Any]) -> int:
    if actions.ndim != 1 or actions.dtype.kind not in "iu" or len(actions) == 0:
        return 0
    if actions.min() < 0 or actions.max() >= _MOST_ACTIONS:
        raise DatasetError(
            f"{name}: actions: are whole numbers from {actions.min()} to {actions.max()}; 0 to at most "
            f"{_MOST_ACTIONS - 1}, or rows of numbers, would do"
        )
    return int(actions.max()) + 1


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file or of a folder of .npy files, the latter memory-mapped."""
    try:
        if path.is_dir():
            there = [name for name in (*_NEEDED, *_OPTIONAL) if (path / f"{name}.npy").is_file()]
            if not there:
                raise DatasetError(f"dataset={path}: the folder holds no dataset; {FORMS}, would do")
            return {name: np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in there}
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise DatasetError(f"dataset={path}: holds a single array; {FORMS}, would do")
        with found as arrays:
            return {name: arrays[name] for name in (*_NEEDED, *_OPTIONAL) if name in arrays}
    except DatasetError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"dataset={path}: cannot be read ({' '.join(str(error).split())}); {FORMS}, would do"
        ) from error


def _check_arrays(dataset: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name in _NEEDED:
        if name not in arrays:
            raise DatasetError(f"dataset={dataset}: {name}: is missing; {', '.join(_NEEDED)} are needed")
    lengths = arrays["lengths"]
    if lengths.ndim != 1 or lengths.size == 0 or lengths.dtype.kind not in "iu":
        raise DatasetError(
            f"dataset={dataset}: lengths: have shape {lengths.shape}; a whole number a trajectory would do"
        )
    if lengths.min() < 1:
        raise DatasetError(
            f"dataset={dataset}: trajectory {int((lengths < 1).argmax())}: lengths: is {int(lengths.min())}; "
            "at least one action would do"
        )
    states = int(lengths.sum()) + len(lengths)
    for name, rows in (("observations", states), ("actions", states - len(lengths)), ("goals", states)):
        if name in arrays and (arrays[name].ndim == 0 or len(arrays[name]) != rows):
            raise DatasetError(
                f"dataset={dataset}: {name}: have shape {arrays[name].shape}, but lengths ask for {rows} rows"
            )
    texts, rows_of = arrays["captions"], arrays["caption_rows"]
    if texts.ndim != 1 or texts.dtype.kind != "U":
        raise DatasetError(f"dataset={dataset}: captions: are {texts.dtype} of shape {texts.shape}; texts [C] would do")
    if rows_of.shape != texts.shape or rows_of.dtype.kind not in "iu":
        raise DatasetError(
            f"dataset={dataset}: caption_rows: are {rows_of.dtype} of shape {rows_of.shape}; whole numbers, one for "
            f"each of the {len(texts)} captions, would do"
        )
    if len(rows_of) and not 0 <= rows_of.min() <= rows_of.max() < states:
        wrong = int(((rows_of < 0) | (rows_of >= states)).argmax())
        raise DatasetError(
            f"dataset={dataset}: caption_rows: entry {wrong} is {rows_of[wrong]}; rows are 0 to {states - 1}"
        )


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise DatasetError(f"{name}: is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{name}: is a {type(value).__name__}; an object with observations and actions would do")
    return value


def _array(name: str, what: str, line: Mapping[str, Any]) -> NDArray[Any]:
    if what not in line:
        raise DatasetError(f"{name}: {what}: is missing; observations and actions are needed")
    try:
        array = np.array(line[what])
    except ValueError:
        raise DatasetError(
            f"{name}: {what}: has rows of different lengths; equally many numbers a row would do"
        ) from None
    if array.dtype.kind not in "fiub":
        raise DatasetError(f"{name}: {what}: holds what is no number; rows of numbers would do")
    return array.astype(np.float32) if array.ndim > 1 or array.dtype.kind == "f" else array


def _captions(name: str, given: Any) -> dict[int, list[str]]:
    if isinstance(given, Mapping):
        said = list(given.items())
    elif isinstance(given, Sequence) and not isinstance(given, str):
        said = [(one.get("step"), one.get("text")) if isinstance(one, Mapping) else (None, one) for one in given]
    else:
        said = [(None, given)]
    captions: dict[int, list[str]] = {}
    for step, text in said:
        try:
            number = int(step)
        except (TypeError, ValueError):
            raise DatasetError(
                f'{name}: captions: step {step!r} is no number; {{"4": "text"}} or '
                '[{"step": 4, "text": "text"}] would do'
            ) from None
        captions.setdefault(number, []).extend([text] if isinstance(text, str) or not isinstance(text, list) else text)
    return captions
