"""Labels and the ways to word them, by split: what the commands of mazes and the captions of goals share."""

from __future__ import annotations

from functools import cached_property

from goalbridge.configs.splits import SPLITS, Split


class Wordings:
    """L `labels` and the texts that word each; those of a label and split are made once, by `word`, and kept."""

    labels: tuple[str, ...]

    def __init__(self) -> None:
        self._phrasings: dict[tuple[int, Split], tuple[str, ...]] = {}

    def word(self, label_id: int, split: Split) -> tuple[str, ...]:
        """All wordings of a label in a split, distinct, in a fixed order; ValueError for an unknown split."""
        raise NotImplementedError

    def phrasings(self, label_id: int, split: Split) -> tuple[str, ...]:
        """As `word`."""
        key = (label_id, split)
        if key not in self._phrasings:
            self._phrasings[key] = self.word(label_id, split)
        return self._phrasings[key]

    def all_texts(self, split: Split) -> tuple[str, ...]:
        """The wordings of every label in a split, label by label."""
        return tuple(text for label_id in range(len(self.labels)) for text in self.phrasings(label_id, split))

    def validation_texts(self, split: Split) -> tuple[str, ...]:
        """Texts that who learns from those of `split` should understand and is not shown; labels have no others."""
        return self.all_texts("label" if split == "label" else "validation")

    def label_id(self, text: str) -> int | None:
        """The id of the label that a text of any split words, or None; case and amount of white space do not matter."""
        return self._label_of_text.get(" ".join(text.lower().split()))

    @cached_property
    def _label_of_text(self) -> dict[str, int]:
        return {
            text.lower(): label_id
            for split in SPLITS
            for label_id in range(len(self.labels))
            for text in self.phrasings(label_id, split)
        }
