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

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.texts import encoding_of, parse_json
from goalbridge.data.episodes import Episode
from goalbridge.data.trajectories import UNREADABLE, DatasetError, unexpected

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
            raise unexpected(f"dataset={dataset}", "a file or folder", "none", FORMS)
        is_lines = path.suffix in (".jsonl", ".ndjson")
        self._dataset = dataset
        self._lines = sorted(path.glob("*.jsonl")) if path.is_dir() else [path] if is_lines else []
        self._arrays = {} if self._lines else _read_arrays(path)
        self.actions = self._numbers_of_actions()
        self.discrete = self.actions > 0

    def _numbers_of_actions(self) -> int:
        """How many actions there are to choose from, where they are whole numbers; else 0."""
        if self._arrays:
            return _choices(f"dataset={self._dataset}", self._arrays["actions"])
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
            actions = self._vectors(name, _array(name, "actions", line))
            captions = _captions(f"{name}: captions", line.get("captions", {}))
            yield Episode(name, _array(name, "observations", line), actions, goals, captions)

    def _from_arrays(self) -> Iterator[Episode]:
        arrays = self._arrays
        lengths, order = arrays["lengths"].astype(np.int64), np.argsort(arrays["caption_rows"], kind="stable")
        rows, texts = arrays["caption_rows"][order].astype(np.int64), arrays["captions"][order]
        first = np.concatenate([[0], np.cumsum(lengths + 1)])  # [N + 1]
        bounds = np.searchsorted(rows, first)  # [N + 1]
        for number, length in enumerate(lengths.tolist()):
            name, begin = f"dataset={self._dataset}: trajectory {number}", int(first[number])
            states, said = slice(begin, begin + length + 1), slice(bounds[number], bounds[number + 1])
            captions: dict[int, list[str]] = {}
            for row, text in zip(rows[said].tolist(), texts[said].tolist(), strict=True):
                captions.setdefault(row - begin, []).append(text)
            done = begin - number  # each earlier trajectory holds one more observation than actions
            actions = self._vectors(name, arrays["actions"][done : done + length])
            goals = arrays["goals"][states] if "goals" in arrays else None
            yield Episode(name, arrays["observations"][states], actions, goals, captions)

    def _vectors(self, name: str, actions: NDArray[Any]) -> NDArray[Any]:
        if not self.discrete:
            return actions
        if actions.ndim != 1:
            raise unexpected(f"{name}: actions", "numbers, as before", "rows", "one kind in all trajectories")
        return np.eye(self.actions, dtype=np.float32)[actions.astype(np.int64)]


def _choices(name: str, actions: NDArray[Any]) -> int:
    if actions.ndim != 1 or actions.dtype.kind not in "iu" or len(actions) == 0:
        return 0
    if actions.min() < 0 or actions.max() >= _MOST_ACTIONS:
        allowed, given = f"whole numbers from 0 to at most {_MOST_ACTIONS - 1}", f"{actions.min()} to {actions.max()}"
        raise unexpected(f"{name}: actions", allowed, given, "rows of numbers where they are no choices")
    return int(actions.max()) + 1


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file or of a folder of .npy files, the latter memory-mapped."""
    names = (*_NEEDED, *_OPTIONAL)
    try:
        if path.is_dir():
            there = [name for name in names if (path / f"{name}.npy").is_file()]
            arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in there}
        else:
            loaded = np.load(path, allow_pickle=False)
            found = loaded if isinstance(loaded, np.lib.npyio.NpzFile) else {}  # a .npy file is a single array
            arrays = {name: found[name] for name in names if name in found}
    except UNREADABLE as error:
        raise DatasetError(f"dataset={path}: cannot be read ({' '.join(str(error).split())}); try {FORMS}") from error
    if not arrays:
        raise unexpected(f"dataset={path}", f"arrays named {', '.join(_NEEDED)}", "none of them", FORMS)
    _check_arrays(f"dataset={path}", arrays)
    return arrays


def _check_arrays(dataset: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name in _NEEDED:
        if name not in arrays:
            raise unexpected(f"{dataset}: {name}", "an array", "none", f"{', '.join(_NEEDED)}")
    lengths, texts, rows_of = arrays["lengths"], arrays["captions"], arrays["caption_rows"]
    if lengths.ndim != 1 or lengths.size == 0 or lengths.dtype.kind not in "iu":
        raise unexpected(f"{dataset}: lengths", "a whole number a trajectory", f"shape {lengths.shape}", "[N] integers")
    if lengths.min() < 1:
        short = f"{dataset}: trajectory {int((lengths < 1).argmax())}: lengths"
        raise unexpected(short, "at least one action", int(lengths.min()), "leaving the trajectory out")
    states = int(lengths.sum()) + len(lengths)
    for name, rows in (("observations", states), ("actions", states - len(lengths)), ("goals", states)):
        if name in arrays and (arrays[name].ndim == 0 or len(arrays[name]) != rows):
            asked, shape = f"{rows} rows, as lengths ask for", f"shape {arrays[name].shape}"
            raise unexpected(f"{dataset}: {name}", asked, shape, "one more state than actions")
    if texts.ndim != 1 or texts.dtype.kind != "U":
        given = f"{texts.dtype} of shape {texts.shape}"
        raise unexpected(f"{dataset}: captions", "texts [C]", given, "an array of str")
    if rows_of.shape != texts.shape or rows_of.dtype.kind not in "iu":
        whole, given = f"{len(texts)} whole numbers, one a caption", f"{rows_of.dtype} of shape {rows_of.shape}"
        raise unexpected(f"{dataset}: caption_rows", whole, given, "rows of the observations")
    wrong = (rows_of < 0) | (rows_of >= states)
    if wrong.any():
        entry = int(wrong.argmax())
        where = f"{dataset}: caption_rows: entry {entry}"
        raise unexpected(where, f"a row from 0 to {states - 1}", rows_of[entry], "rows of the observations")


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise DatasetError(f"{name}: expected JSON, got what cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise unexpected(name, "an object", type(value).__name__, 'one with "observations" and "actions"')
    return value


def _array(name: str, what: str, line: Mapping[str, Any]) -> NDArray[Any]:
    where, form = f"{name}: {what}", "rows of equally many numbers"
    if what not in line:
        raise unexpected(where, form, "none", "observations and actions in each line")
    try:
        array = np.array(line[what])
    except ValueError:
        raise unexpected(where, form, "rows of different lengths", "one length for all") from None
    if array.dtype.kind not in "fiub":
        raise unexpected(where, form, "what is no number", "numbers alone")
    return array.astype(np.float32) if array.ndim > 1 or array.dtype.kind == "f" else array


def _captions(where: str, given: Any) -> dict[int, list[str]]:
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
            forms = '{"4": "text"} or [{"step": 4, "text": "text"}]'
            raise unexpected(where, "the step of each", f"step {step!r}", forms) from None
        captions.setdefault(number, []).extend(text if isinstance(text, list) else [text])
    return captions
