"""Trajectories and captions from files as a `World`: there is no environment, and nothing can be played."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.registries import worlds
from goalbridge.configs.schema import RunConfig
from goalbridge.configs.texts import read_json_object
from goalbridge.data import CaptionPairs, DatasetError, TrajectoryBuffer
from goalbridge.data.captions import VALIDATION, stream
from goalbridge.data.episodes import SUMMARY, EpisodeSource, discard, read_captions, stage
from goalbridge.data.files import FileEpisodes
from goalbridge.data.free_captions import FreeCaptions
from goalbridge.data.minari_import import MinariEpisodes, is_minari
from goalbridge.data.trajectories import FOLDER
from goalbridge.encoders import TextEncoder
from goalbridge.worlds._base import World
from goalbridge.worlds.files.settings import NO_ENV, FilesSettings

COMPARED: Final = 100  # held-out pairs that compete with one another
HELD_OUT: Final = 10  # one of so many captioned goals is kept for measuring
_WEIGHED: Final = 4096  # actions of the data among which those worth weighing are looked for


def open_files(dataset: str) -> EpisodeSource:
    """The episodes of files, or of a Minari dataset with captions; DatasetError where there are none."""
    return MinariEpisodes(dataset) if is_minari(dataset) else FileEpisodes(dataset)


@worlds.register("files")
class FilesWorld(World):
    """What `data.episodes.stage` wrote into `folder`.

    The bounds of its world are those of the data. Its captions are free texts; a tenth of the captioned goals is held
    out, by a digest of the goal, so that it is the same tenth in every run. Raises DatasetError where there are none.
    """

    Settings = FilesSettings
    settings: FilesSettings
    brings_captions = True
    playable = False

    def __init__(self, folder: Path) -> None:
        self.settings = FilesSettings()
        self._buffer = TrajectoryBuffer.open(folder)
        try:
            summary = read_json_object(folder / SUMMARY)
            self._summary, self._discrete = summary, bool(summary["discrete"])
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(
                f"{folder / SUMMARY}: cannot be read ({error}); delete {folder} to begin anew"
            ) from error
        said = read_captions(folder)
        if not said:
            raise DatasetError("captions: expected at least one, got none; try data=minari with an env that has them")
        self._rows = np.array([row for row, _ in said])  # [C]
        self._texts = [text for _, text in said]
        self.captions = FreeCaptions(self._goals, [[text] for text in self._texts])
        self._held_out = np.array([_digest(goal) % HELD_OUT == 0 for goal in self._goals], dtype=np.bool_)  # [C]
        if self._held_out.all():
            self._held_out[:] = False

    @property
    def _goals(self) -> NDArray[Any]:
        """The captioned goals, [C, G]."""
        return np.asarray(self._buffer.goals[self._rows])

    @cached_property
    def spec(self) -> WorldSpec:
        bounds = self._summary["bounds"]
        seen = _bounds(*bounds["observations"])
        goals = seen if self._buffer.goals is self._buffer.observations else _bounds(*bounds["goals"])
        size = self._buffer.actions.shape[1]
        return WorldSpec(NO_ENV, self._summary["digest"], *seen, *goals, size, discrete=self._discrete)

    def candidates(self, count: int) -> CandidateActions:
        """The different actions of the data where there are no more than `count`, else some that are far apart."""
        if self._discrete:
            size = self._buffer.actions.shape[1]
            return CandidateActions(np.eye(size, dtype=np.float32), np.eye(size))
        some = self.action_pool(_WEIGHED, np.random.default_rng(0))
        different = np.unique(some, axis=0)  # [P, D], sorted
        if len(different) > count:
            different = different[_far_apart(different, count)]
        return CandidateActions(different, np.eye(len(different)))

    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return np.asarray(self._buffer.actions[np.sort(rng.integers(self._buffer.transitions, size=count))])

    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        """What the files hold, whatever the seed."""
        return self._buffer

    def check_texts(self, text: TextEncoder) -> None:
        """DatasetError, which names the trajectory, for the first caption that is longer than the encoder reads."""
        found = text.first_too_long(self._texts)
        if found is None:
            return
        which, has, reads = found
        first = np.concatenate([[0], np.cumsum(np.asarray(self._buffer.lengths) + 1)])  # [N + 1]
        number = int(np.searchsorted(first, self._rows[which], side="right")) - 1
        raise DatasetError(
            f"trajectory {number}: captions: at step {self._rows[which] - first[number]} "
            f"{self._texts[which][:40]!r}... has {has} tokens, of which the text encoder reads "
            f"{reads}; try a shorter text"
        )

    def own_pairs(self) -> CaptionPairs:
        """All captions and their goals, but those that are held out."""
        return self._pairs(~self._held_out)

    @torch.no_grad()
    def retrieval(self, agent: Agent) -> dict[str, float]:
        """How well texts and goals find each other, among the same `COMPARED` held-out pairs each time (or all).

        goal_of_text: the share of texts whose best goal is one that they are true of. text_of_goal: of goals whose best
        text is true of them. retrieval/chance: what a random goal would reach. Nothing where no pairs are held out.
        """
        if not self._held_out.any():
            return {}
        pairs = self._pairs(self._held_out)
        chosen = np.sort(stream(0, VALIDATION).permutation(len(pairs.goals))[:COMPARED])  # [n]
        texts = [pairs.texts[text] for text in pairs.text[chosen].tolist()]
        labels = pairs.label[chosen][None, :, None]
        true = (pairs.true_labels[chosen][:, None] == labels).any(axis=2)  # [n goals, n texts]
        goals = agent.encode_meanings(torch.as_tensor(pairs.goals[chosen], device=agent.device))
        likeness = agent.critic_bc(goals, agent.encode_instructions(texts)).cpu().numpy()  # [n goals, n texts]
        rows = np.arange(len(texts))
        return {
            "goal_of_text": float(true[likeness.argmax(axis=0), rows].mean()),
            "text_of_goal": float(true[rows, likeness.argmax(axis=1)].mean()),
            "retrieval/chance": float(true.mean()),
        }

    @classmethod
    def open_training(cls, config: RunConfig, folder: Path) -> FilesWorld:
        """What `folder` holds; else the files, staged for it. Raises DatasetError."""
        if folder.is_dir():
            return cls(folder)
        staged = stage(open_files(config.dataset), folder)
        try:
            return cls(staged)
        except BaseException:
            discard(folder)
            raise

    @classmethod
    def open_trained(cls, config: RunConfig, folder: Path) -> FilesWorld:
        return cls(folder / FOLDER)

    def _pairs(self, which: NDArray[np.bool_]) -> CaptionPairs:
        goals = self._goals[which]
        number = {text: label for label, text in enumerate(self.captions.labels)}
        label = np.array([number[text] for text, chosen in zip(self._texts, which, strict=True) if chosen])
        return CaptionPairs(goals, self.captions.labels, label, label, self.captions.true_labels(goals))


def _digest(goal: NDArray[Any]) -> int:
    row = np.asarray(goal, dtype=np.float64) + 0.0
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest())


def _bounds(low: list[float], high: list[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The bounds; a number that never changes is given some room, for it is divided by."""
    return tuple(low), tuple(top if top > bottom else bottom + 1.0 for bottom, top in zip(low, high, strict=True))


def _far_apart(rows: NDArray[np.float32], count: int) -> list[int]:
    """`count` of the rows [P, D], each the farthest from those before it (Gonzalez, 1985)."""
    chosen = [0]
    nearest = np.linalg.norm(rows - rows[0], axis=1)  # [P]
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(rows - rows[chosen[-1]], axis=1))
    return chosen
