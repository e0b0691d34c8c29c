"""Minari datasets (0.5) as episodes: found by id or folder, compared with a world's spaces, read one at a time."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from goalbridge.configs.texts import read_json_object
from goalbridge.data.episodes import Episode
from goalbridge.data.space_spec import DatasetReader, SpaceSpec
from goalbridge.data.trajectories import DatasetError, unexpected

CAPTION: Final = "caption"  # among an episode's infos: what is true of each state, "" where nobody said anything
_INSTRUCTIONS: Final = ("instruction", "mission")  # observed texts that say what an episode was for
_READING: Final = (OSError, KeyError, ValueError, TypeError, IndexError, AssertionError)  # of damaged files

RowsOf = Callable[[Any], NDArray[Any]]


def find_dataset(dataset: str) -> Path:
    """The folder of a dataset's data: `dataset` is a folder, or an id among the local Minari datasets.

    Those lie in MINARI_DATASETS_PATH, or in Minari's own folder. DatasetError, with the nearest id, where it is not.
    """
    import minari
    from minari.storage import get_dataset_path

    for folder in (Path(dataset) / "data", Path(dataset)):
        if (folder / "metadata.json").is_file():
            return folder
    known_by_id = Path(get_dataset_path(dataset)) / "data"
    if (known_by_id / "metadata.json").is_file():
        return known_by_id
    if Path(dataset).is_dir():
        raise unexpected(f"dataset={dataset}", "a folder with data/metadata.json", "one without", "a Minari dataset's")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Minari tells of whatever else lies there
        known = list(minari.list_local_datasets())
    near = difflib.get_close_matches(dataset, known, n=1, cutoff=0.0)
    there = f"a folder, or one of the {len(known)} datasets in {get_dataset_path()}"
    raise unexpected(f"dataset={dataset}", there, "neither", near[0] if near else "minari download")


class MinariEpisodes:
    """The episodes of a Minari dataset, read from the disk one after the other.

    Of Dict observations, "observation" is observed and "achieved_goal", if there is one, is the goal; otherwise what is
    observed is. Boxes of any shape become rows; Discrete numbers become vectors with a single one. Infos named
    "caption" are captions; an instruction or mission that is observed is one of the last state of an episode that
    terminated. A world that reads observations in its own way says so: see `SpaceSpec.reader`.

    Args:
        dataset: id or folder.
        spaces: of the world that the data is for, whose captions then stand for those of the data; None: whatever it
            is.

    Raises:
        DatasetError: there is no such dataset, it cannot be read, or its spaces are not the world's. While it is read,
            also where an episode is damaged, lacks a field, or leaves the world's bounds.
    """

    def __init__(self, dataset: str, spaces: SpaceSpec | None = None) -> None:
        import minari  # only those who ask for it wait for it

        self._dataset, self._spaces = dataset, spaces
        folder = find_dataset(dataset)
        try:
            found = minari.MinariDataset(folder)
        except Exception as error:  # damaged files and unknown environments raise a dozen kinds
            reason = f"{type(error).__name__}: {error}"
            raise DatasetError(f"dataset={dataset}: {folder} is no whole Minari dataset ({reason})") from error
        self._storage, self._count = found.storage, int(found.total_episodes)
        self.discrete = isinstance(found.action_space, Discrete)
        observed = found.observation_space
        self._reader: DatasetReader | None = None
        self._achieve: RowsOf | None = None
        self._see: RowsOf
        self._act: RowsOf
        if spaces is not None and spaces.reader is not None:
            self._reader = spaces.reader(dataset, observed, found.action_space)
            self._see, self._act = self._reader.observations, self._reader.actions
            sizes = len(spaces.observation_low), len(spaces.observation_low), spaces.action_dim
        else:
            self._act, actions = self._rows_of(found.action_space, "actions")
            self._see, observations = self._rows_of(observed, "observations", "observation")
            goals = observations
            if isinstance(observed, Dict) and "achieved_goal" in observed.spaces:
                self._achieve, goals = self._rows_of(observed, "goals", "achieved_goal")
            sizes = observations, goals, actions
        if spaces is not None:
            spaces.check_spaces(dataset, *sizes, self.discrete)

    def _rows_of(self, space: gymnasium.Space[Any], what: str, field: str = "") -> tuple[RowsOf, int]:
        """How to make rows of a space's values, or where it is a Dict of those of its `field`; how long they are."""
        if field and isinstance(space, Dict) and field in space.spaces:
            rows, size = self._rows_of(space[field], what)
            return lambda values: rows(_field(values, field)), size
        if isinstance(space, Discrete):
            count, start = int(space.n), int(space.start)
            return lambda values: _single_ones(values, count, start), count
        if isinstance(space, Box):
            return _flat, int(np.prod(space.shape))
        has = f"a Dict of {', '.join(space.spaces)}" if isinstance(space, Dict) else f"a {type(space).__name__} space"
        allowed = "Box or Discrete" + (f", or a Dict with {field!r}" if field else "")
        raise unexpected(f"dataset={self._dataset}: {what}", allowed, has, "another dataset")

    def __iter__(self) -> Iterator[Episode]:
        stored = iter(self._storage.get_episodes(range(self._count)))
        extras = iter(self._storage.get_episode_metadata(range(self._count)))
        for number in range(self._count):
            name = f"dataset={self._dataset}: episode {number}"
            try:
                episode = self._read(name, next(stored), next(extras))
            except DatasetError as error:
                message = str(error)
                raise DatasetError(message if message.startswith("dataset=") else f"{name}: {message}") from error
            except _READING as error:
                raise DatasetError(f"{name}: cannot be read ({type(error).__name__}: {error})") from error
            if self._spaces is not None:
                episode.check()
                self._spaces.check_episode(episode)
            yield episode

    def _read(self, name: str, stored: Mapping[str, Any], extra: Mapping[str, Any]) -> Episode:
        seen = stored["observations"]
        goals = None if self._achieve is None else self._achieve(seen)
        layout = (extra.get("options") or {}).get("layout")
        if self._reader is not None and layout is None:
            layout = self._reader.layout(seen)
        actions = self._act(stored["actions"])
        # Where there is a world, its own captions say what is true, in more words than one.
        captions = _captions(stored, len(actions)) if self._spaces is None else {}
        return Episode(name, self._see(seen), actions, goals, captions, None if layout is None else int(layout))


def _field(values: Any, name: str) -> Any:
    if not isinstance(values, Mapping) or name not in values:
        raise unexpected("observations", name, "none", "leaving the episode out")
    return values[name]


def _flat(values: Any) -> NDArray[Any]:
    rows = np.asarray(values)
    return rows.reshape(len(rows), -1) if rows.size else rows.reshape(len(rows), 1)


def _single_ones(values: Any, count: int, start: int) -> NDArray[np.float32]:
    """Vectors [T, count] with a single one for numbers [T]."""
    numbers = np.asarray(values).reshape(-1).astype(np.int64) - start
    wrong = (numbers < 0) | (numbers >= count)  # [T]
    if wrong.any():
        step, last = int(wrong.argmax()), start + count - 1
        raise unexpected(f"step {step}", f"a number from {start} to {last}", numbers[step] + start, "mending the data")
    return np.eye(count, dtype=np.float32)[numbers]


def _captions(stored: Mapping[str, Any], steps: int) -> dict[int, list[str]]:
    """Texts by step: the infos' captions, and at the end of an episode that terminated what it was for."""
    captions: dict[int, list[str]] = {}
    written = (stored["infos"] or {}).get(CAPTION)
    if written is not None:
        for step, text in enumerate(np.asarray(written).reshape(-1)[: steps + 1].tolist()):
            said = text.decode("utf-8") if isinstance(text, bytes) else text
            if said:
                captions[step] = [said]
    seen = stored["observations"]
    if isinstance(seen, Mapping) and steps and bool(np.asarray(stored["terminations"])[-1]):
        for name in _INSTRUCTIONS:
            if name in seen:
                captions.setdefault(steps, []).append(str(seen[name][-1]))
    return captions


def is_minari(dataset: str) -> bool:
    """Whether `dataset` looks like a Minari dataset: an id of one that is there, or its folder."""
    if Path(dataset).is_file():
        return False
    try:
        metadata = read_json_object(find_dataset(dataset) / "metadata.json")
    except (DatasetError, OSError, ValueError):
        return False
    return "total_episodes" in metadata
