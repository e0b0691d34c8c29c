"""A run's trajectories as a Minari dataset (0.5, HDF5): whole, or not there at all."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Space
from numpy.typing import NDArray

from goalbridge.configs.durable import make_folder, settle
from goalbridge.configs.splits import Split
from goalbridge.data.captions import CAPTIONS, CaptionDrawer, Captions, stream
from goalbridge.data.minari_import import CAPTION
from goalbridge.data.space_spec import SpaceSpec
from goalbridge.data.trajectories import DatasetError, TrajectoryBuffer, unexpected

ID_FORM: Final = "a name and a version, such as mine/fork-v0, of letters, digits, '-' and '_'"
_ID: Final = re.compile(r"(?:[-\w]+/)*[-\w]+-v\d+", re.ASCII)
_BLOCK: Final = 256  # episodes whose captions are looked up together

_SAYS: Final = (
    "infos/caption: a text that is true of each state, empty where nothing can be said; it commanded nothing."
)


def export(
    buffer: TrajectoryBuffer,
    spaces: SpaceSpec,
    dataset: str,
    captions: Captions | None = None,
    split: Split = "train",
    seed: int = 0,
    algorithm: str = "",
) -> Path:
    """Writes trajectories of the world that `spaces` describe as the Minari dataset `dataset`; returns its folder.

    captions: of the goals, drawn with `seed` in the wordings of `split`; None: there are none. algorithm: what acted.
    It is written into a hidden folder beside and moved at the end, so that a kill, or a full disk, leaves nothing that
    loads. DatasetError for an id that Minari does not take or that is there already, and where it cannot be written.
    """
    import minari
    from minari.dataset.minari_storage import MinariStorage
    from minari.storage import get_dataset_path

    if not _ID.fullmatch(dataset):
        raise unexpected("dataset", "an id of a Minari dataset", dataset, ID_FORM)
    try:
        folder = Path(get_dataset_path(dataset)).absolute()
        if folder.exists():
            raise unexpected(f"dataset={dataset}", "an id that is not taken", f"one that is in {folder}", "another id")
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
        make_folder(partial)
    except OSError as error:
        raise DatasetError(f"dataset={dataset}: cannot be written ({error.strerror or error})") from error
    try:
        see, act = _spaces(buffer, spaces)
        storage = MinariStorage.new(partial / "data", see, act, data_format="hdf5", jpeg_encoding=False)
        drawer = None if captions is None else CaptionDrawer(captions, split, stream(seed, CAPTIONS))
        storage.update_episodes(minari_episodes(buffer, spaces, drawer))
        what = f"Trajectories of {spaces.world}, for no task: all rewards are 0. {spaces.form}"
        description = what if captions is None else f"{what} {_SAYS}"
        metadata = {"description": description, "algorithm_name": algorithm or "unknown"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Without its id Minari loads no dataset: it is written last.
            storage.update_metadata(metadata)
            storage.update_metadata({"dataset_id": dataset, "minari_version": minari.__version__})
        settle(partial, folder)
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error}); free some space in {folder.parent}"
        raise DatasetError(f"dataset={dataset}: {reason}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _spaces(buffer: TrajectoryBuffer, spaces: SpaceSpec) -> tuple[Space[Any], Space[Any]]:
    def box(rows: NDArray[Any], low: tuple[float, ...], high: tuple[float, ...]) -> Box:
        dtype = rows.dtype.type
        return Box(np.array(low, dtype=dtype), np.array(high, dtype=dtype), dtype=dtype)

    observation = box(buffer.observations, spaces.observation_low, spaces.observation_high)
    see: Space[Any] = observation
    if spaces.reader is None:
        goal = box(buffer.goals, spaces.goal_low, spaces.goal_high)
        see = Dict({"observation": observation, "achieved_goal": goal})
    if spaces.discrete:
        return see, Discrete(spaces.action_dim)
    most = max(1.0, float(np.abs(buffer.actions).max()))
    return see, Box(-most, most, (spaces.action_dim,), np.float32)


def minari_episodes(buffer: TrajectoryBuffer, spaces: SpaceSpec, drawer: CaptionDrawer | None) -> Iterator[Any]:
    """Minari's buffers of episodes, one at a time."""
    from minari.data_collector import EpisodeBuffer

    lengths = np.asarray(buffer.lengths)
    row = action = 0
    for start in range(0, len(lengths), _BLOCK):
        block = lengths[start : start + _BLOCK]
        texts = _texts(drawer, buffer.goals[row : row + int(block.sum()) + len(block)]) if drawer else None
        before = row
        for number, length in enumerate(block.tolist(), start=start):
            seen = np.array(buffer.observations[row : row + length + 1])  # [T + 1, S]
            achieved = np.array(buffer.goals[row : row + length + 1])  # [T + 1, G]
            done = np.array(buffer.actions[action : action + length])  # [T, D]
            infos = None if texts is None else {CAPTION: texts[row - before : row - before + length + 1]}
            last = np.arange(length) == length - 1  # [T]
            yield EpisodeBuffer(
                options=None if buffer.groups is None else {"layout": int(buffer.groups[number])},
                observations=seen if spaces.reader else {"observation": seen, "achieved_goal": achieved},
                actions=done.argmax(axis=1) if spaces.discrete else done,
                rewards=np.zeros(length),
                terminations=np.zeros(length, dtype=np.bool_),
                truncations=last,
                infos=infos,
            )
            row, action = row + length + 1, action + length


def _texts(drawer: CaptionDrawer, goals: NDArray[Any]) -> list[str]:
    """Texts of goals [N, G]; "" where nothing can be said."""
    sayable, _, _, text = drawer.draw(goals)
    texts = np.full(len(goals), "", dtype=object)
    texts[sayable] = np.array(drawer.texts, dtype=object)[text]
    listed: list[str] = texts.tolist()
    return listed
