"""Captioned goals: the (goal, text) pairs from which the agent learns language. No action is ever among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.data.trajectories import DatasetError

_TABLE = 1 << 28  # entries, a byte each, of the largest table of what is true of which goals


@dataclass(frozen=True)
class CaptionBatch:
    """Positives of the goal/language pair: goals [B, G], their captions' indices [B].

    duplicates: [B, B] bool, entry (i, j) true where caption j is true of goal i as well (the diagonal included).
    states, actions: see `CaptionPairs`.
    """

    goals: NDArray[Any]
    texts: NDArray[np.int64]
    duplicates: NDArray[np.bool_]
    states: NDArray[Any] | None = None
    actions: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class CaptionPairs:
    """N captioned goals.

    goals: [N, G]. texts: the distinct captions. text: [N], index of each goal's caption in `texts`.
    label: [N], what the caption says, apart from its wording. true_labels: [N, T], all that is true of the goal
    (-1 pads); label[n] is among true_labels[n]. states [N, S], actions [N, D]: what led to each goal, for the
    end-to-end rival alone; otherwise None, and no action ever meets a text. Raises DatasetError where sizes disagree.
    """

    goals: NDArray[Any]
    texts: Sequence[str]
    text: NDArray[np.int64]
    label: NDArray[np.int64]
    true_labels: NDArray[np.int64]
    states: NDArray[Any] | None = None
    actions: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        count = len(self.goals)
        if count == 0:
            raise DatasetError("captions: needs at least one captioned goal")
        for name in ("text", "label", "true_labels"):
            if len(getattr(self, name)) != count:
                raise DatasetError(f"captions: {len(getattr(self, name))} entries of {name} for {count} goals")
        if self.true_labels.ndim != 2:
            raise DatasetError(f"captions: true_labels has shape {self.true_labels.shape}, needs [N, T]")
        if self.text.min() < 0 or self.text.max() >= len(self.texts) or self.label.min() < 0:
            raise DatasetError(f"captions: an entry of text or label is below 0, or beyond the {len(self.texts)} texts")
        if not (self.true_labels == self.label[:, None]).any(axis=1).all():
            raise DatasetError("captions: a caption is not among what is true of its goal")

    @cached_property
    def _are_few(self) -> bool:
        """Whether a table of what is true of which goal is small; free texts may be as many as there are goals."""
        return int(self.label.max() + 1) * len(self.goals) <= _TABLE

    def _truths(self, pair: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the captions [B] are true of which of the goals [B], [B goal, B caption]."""
        if not self._are_few:
            return np.asarray((self.true_labels[pair][:, None] == label[None, :, None]).any(axis=2))
        kinds, truth = self._kinds
        return np.asarray(truth[kinds[pair]][:, label])

    @cached_property
    def _kinds(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The kind of each goal [N], and which labels are true of each kind [K, L]: many goals are of one kind."""
        codes = np.random.default_rng(0).integers(2**63, size=self.true_labels.shape[1])  # [T]
        with np.errstate(over="ignore"):  # sums modulo 2**64 tell rows apart, and sort in a tenth of the time
            code = (self.true_labels * codes).sum(axis=1)  # [N]
        _, first, kinds = np.unique(code, return_index=True, return_inverse=True)  # [K], [N]
        rows = self.true_labels[first]  # [K, T]
        if not np.array_equal(rows[kinds.reshape(-1)], self.true_labels):
            rows, kinds = np.unique(self.true_labels, axis=0, return_inverse=True)
        truth = np.zeros((len(rows), int(max(self.true_labels.max(), self.label.max())) + 2), dtype=np.bool_)
        truth[np.arange(len(rows))[:, None], rows] = True  # padding, -1, falls on the last one, which is no label
        return kinds.reshape(-1), truth

    def joined(self, other: CaptionPairs) -> CaptionPairs:
        """These and the other goals, captioned with the same texts, without what led to them."""
        width = max(self.true_labels.shape[1], other.true_labels.shape[1])
        padded = [
            np.pad(part.true_labels, ((0, 0), (0, width - part.true_labels.shape[1])), constant_values=-1)
            for part in (self, other)
        ]
        return CaptionPairs(
            np.concatenate([self.goals, other.goals]),
            self.texts,
            np.concatenate([self.text, other.text]),
            np.concatenate([self.label, other.label]),
            np.concatenate(padded),
        )

    def sample(self, rng: np.random.Generator, batch_size: int) -> CaptionBatch:
        """Captioned goals drawn uniformly with replacement. Same rng state, same batch."""
        pair = rng.integers(len(self.goals), size=batch_size)  # [B]
        label = self.label[pair]  # [B]
        duplicates = self._truths(pair, label)  # [B goal, B caption]
        states = None if self.states is None else self.states[pair]
        actions = None if self.actions is None else self.actions[pair]
        return CaptionBatch(self.goals[pair], self.text[pair], duplicates, states, actions)
