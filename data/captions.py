"""Captioned goals: the (goal, text) pairs from which the agent learns language, without actions; how they are drawn.

The streams of random numbers that a run draws from are here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.splits import Split
from goalbridge.data.trajectories import DatasetError

# Independent streams of random numbers from one seed: a change in one draw leaves the others as they were.
TRAJECTORIES, CAPTIONS, LABELLED_GOALS, BRIDGE_GOALS, ACTIONS, BATCHES, LAYOUTS, VALIDATION, PLAY = range(9)
_TABLE = 1 << 28  # entries, a byte each, of the largest table of what is true of which goals


def stream(seed: int, *key: int) -> np.random.Generator:
    """The generator of one purpose (and step): the same for the same seed and key, independent of all others."""
    return np.random.default_rng([seed, *key])


class Captions(Protocol):
    """What is true of goals, and in which words it is said."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What can be said, apart from its wording."""

    def true_labels(self, goals: NDArray[Any]) -> NDArray[np.int64]:
        """All that is true of each goal [N, G], [N, T]; -1 pads."""

    def choose(self, true_labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Which of what is true of each goal [N, T] its caption says, [N]."""

    def phrasings(self, label: int, split: Split) -> tuple[str, ...]:
        """The wordings of a label."""

    def all_texts(self, split: Split) -> tuple[str, ...]:
        """The wordings of all labels, one label after the other."""

    def validation_texts(self, split: Split) -> tuple[str, ...]:
        """Texts that who learns from those of `split` should understand and is not shown; none where none are known."""


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


class CaptionDrawer:
    """Draws a caption for each goal: a thing that is true of it, in a wording of `split`, both at random.

    texts: all wordings, one label after the other.
    """

    def __init__(self, captions: Captions, split: Split, rng: np.random.Generator) -> None:
        wordings = [captions.phrasings(label, split) for label in range(len(captions.labels))]
        self._captions, self._rng = captions, rng
        self.texts = [text for texts in wordings for text in texts]
        self._first = np.concatenate([[0], np.cumsum([len(texts) for texts in wordings])])  # [labels + 1]

    def draw(
        self, goals: NDArray[Any]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Of which goals [N, G] anything can be said, [N]; of those K: true labels [K, T], label and text, [K] each."""
        true_labels = self._captions.true_labels(np.asarray(goals))  # [N, T]
        sayable = np.asarray((true_labels >= 0).any(axis=1))  # [N]
        true_labels = true_labels[sayable]
        if not len(true_labels):
            return sayable, true_labels, np.zeros(0, np.int64), np.zeros(0, np.int64)
        label = true_labels[np.arange(len(true_labels)), self._captions.choose(true_labels, self._rng)]  # [K]
        text: NDArray[np.int64] = self._first[label] + self._rng.integers(self._first[label + 1] - self._first[label])
        return sayable, true_labels, label, text


def caption_goals(
    captions: Captions,
    goals: NDArray[Any],
    split: Split,
    seed: int,
    led_by: tuple[NDArray[Any], NDArray[np.float32]] | None = None,
    turn: tuple[int, ...] = (),
) -> CaptionPairs:
    """One caption for each goal [N, G]: a thing that is true of it, in a wording of `split`, both at random.

    Goals of which nothing can be said are left out; DatasetError where that is all of them. led_by: states [N, S] and
    actions [N, D] that led to the goals, which only the end-to-end rival is shown. turn: tells apart the draws of one
    run that captions goals more than once.
    """
    drawer = CaptionDrawer(captions, split, stream(seed, CAPTIONS, *turn))
    sayable, true_labels, label, text = drawer.draw(goals)
    states, actions = (None, None) if led_by is None else (part[sayable] for part in led_by)
    return CaptionPairs(goals[sayable], drawer.texts, text, label, true_labels, states, actions)
