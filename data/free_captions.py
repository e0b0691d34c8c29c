"""Captions in anyone's own words: texts that were given to goals one by one, and no grammar behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.splits import Split
from goalbridge.data.trajectories import DatasetError


class FreeCaptions:
    """The `data.captions.Captions` of goals whose texts are known as lists.

    Each distinct text is a label and its own only wording, in every split; who says the same says it in the same words.

    Args:
        goals: [C, G] goals that somebody spoke of; equal rows are one goal, of which all that is said anywhere is true.
        texts: C lists, all texts that are true of each goal; a list may be empty.

    Raises:
        DatasetError: sizes disagree, a text is empty or no text, or there is none at all.
    """

    def __init__(self, goals: NDArray[Any], texts: Sequence[Sequence[str]]) -> None:
        if goals.ndim != 2 or len(goals) != len(texts):
            raise DatasetError(f"captions: {len(texts)} lists of texts for goals of shape {goals.shape}; one for each")
        number: dict[str, int] = {}
        said: dict[bytes, dict[int, None]] = {}  # a goal's labels in the order of their first mention
        for row, (goal, own) in enumerate(zip(_keys(goals), texts, strict=True)):
            for text in own:
                if not isinstance(text, str) or not text.strip():
                    raise DatasetError(f"captions: goal {row} has the caption {text!r}; a text of some words would do")
                said.setdefault(goal, {})[number.setdefault(text, len(number))] = None
        if not number:
            raise DatasetError("captions: there are none; at least one goal with a text would do")
        self.labels: Final = tuple(number)
        self._most = max(map(len, said.values()))  # T
        self._of_goal: Final = {
            goal: np.pad(np.array(list(own), dtype=np.int64), (0, self._most - len(own)), constant_values=-1)
            for goal, own in said.items()
        }

    def true_labels(self, goals: NDArray[Any]) -> NDArray[np.int64]:
        """Int [N, T]: ids of all texts that are true of goals [N, G]; -1 pads, and stands alone where none is known."""
        unknown = np.full(self._most, -1, dtype=np.int64)
        return np.array([self._of_goal.get(goal, unknown) for goal in _keys(goals)]).reshape(len(goals), self._most)

    def choose(self, true_labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Int [N]: which of the true labels [N, T] of each goal to say; each is as likely."""
        return np.asarray(rng.integers((true_labels >= 0).sum(axis=1)))  # padding comes last

    def phrasings(self, label: int, split: Split) -> tuple[str, ...]:
        """The text itself, in every split: nobody told which texts say the same in other words."""
        return (self.labels[label],)

    def all_texts(self, split: Split) -> tuple[str, ...]:
        """All distinct texts, in every split."""
        return self.labels

    def validation_texts(self, split: Split) -> tuple[str, ...]:
        """None: nobody knows of others."""
        return ()


def _keys(goals: NDArray[Any]) -> list[bytes]:
    """A digest of each row of [N, G]; rows of equal numbers have equal ones, be their type as it may."""
    numbers = (np.asarray(row, dtype=np.float64) + 0.0 for row in goals)  # -0.0 becomes 0.0
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in numbers]
