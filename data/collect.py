"""Captions of goals, without actions; and the streams of random numbers that a run draws from."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.splits import Split
from goalbridge.data.captions import CaptionPairs

# Independent streams of random numbers from one seed: a change in one draw leaves the others as they were.
TRAJECTORIES, CAPTIONS, LABELLED_GOALS, BRIDGE_GOALS, ACTIONS, BATCHES, LAYOUTS, VALIDATION, PLAY = range(9)


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
    rng = stream(seed, CAPTIONS, *turn)
    phrasings = [captions.phrasings(label, split) for label in range(len(captions.labels))]
    first = np.concatenate([[0], np.cumsum([len(texts) for texts in phrasings])])  # [labels + 1]
    true_labels = captions.true_labels(goals)  # [N, T]
    sayable = (true_labels >= 0).any(axis=1)  # [N]
    goals, true_labels = goals[sayable], true_labels[sayable]
    label = true_labels[np.arange(len(goals)), captions.choose(true_labels, rng)]  # [N]
    text = first[label] + rng.integers(first[label + 1] - first[label])  # [N]
    states, actions = (None, None) if led_by is None else (part[sayable] for part in led_by)
    texts = [text for texts in phrasings for text in texts]
    return CaptionPairs(goals, texts, text, label, true_labels, states, actions)
