"""Every wording of a command in the point mazes, and the one place where training and held-out wordings part."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from goalbridge.configs.splits import SPLITS, Split

# The last one is how parts of a compound are said: "row 3 or column 5".
TRAIN_TEMPLATES: Final[tuple[str, ...]] = (
    "go to {place}", "head for {place}", "make your way to {place}", "walk to {place}", "get to {place}",
    "proceed to {place}", "travel to {place}", "reach {place}", "run to {place} now", "please go to {place}",
    "could you head over to {place}", "come to {place}, please", "visit {place}", "look for {place}",
    "stand in {place}", "aim for {place}", "we are off to {place}", "let us go to {place}", "would you go to {place}?",
    "end up in {place}", "stop in {place}", "wait for me in {place}", "keep going until {place}", "{place}",
)  # fmt: skip
VALIDATION_TEMPLATES: Final[tuple[str, ...]] = (
    "move to {place}", "set off for {place}", "can you get over to {place}?", "you should be in {place}",
    "steer towards {place}", "we need someone at {place}",
)  # fmt: skip
HELD_OUT_TEMPLATES: Final[tuple[str, ...]] = (
    "navigate to {place}", "please move over to {place}", "find your way to {place}", "take me to {place}",
    "your target is {place}", "I want you in {place}",
)  # fmt: skip
TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "train": TRAIN_TEMPLATES,
    "validation": VALIDATION_TEMPLATES,  # what thresholds are chosen on
    "held_out": HELD_OUT_TEMPLATES,
}
# Ordinals ("the third row") are left out: counting starts at 0, so nobody could tell which row they mean.
LINE_NAMES: Final[tuple[str, ...]] = ("{axis} {number}", "{axis} number {number}", "the {axis} numbered {number}")

_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS: Final = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def number_words(number: int) -> str:
    """English words for 0 to 9999, as "twenty-one" or "one hundred five"; ValueError outside."""
    if not 0 <= number <= 9999:
        raise ValueError(f"number: expected 0 to 9999, got {number}")
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
    size, unit = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, size)
    return f"{_ONES[head]} {unit}" + (f" {number_words(rest)}" if rest else "")


def line_names(axis: str, number: int) -> tuple[str, ...]:
    """The names of a row or column, counted from 0: "row 3", "row three", "row number 3" ..."""
    return tuple(form.format(axis=axis, number=n) for form in LINE_NAMES for n in (str(number), number_words(number)))


def wordings(names: Sequence[str], split: Split) -> tuple[str, ...]:
    """All wordings of a place in a split, distinct, in a fixed order.

    Names and templates take turns in training, or there would be twice as many texts that say no more; the plainest are
    always there: "go to row 3", "row 3". Raises ValueError for an unknown split.
    """
    if split == "label":
        return (names[0],)
    if split not in TEMPLATES:
        raise ValueError(f"phrasings: expected one of {', '.join(SPLITS)}, got {split!r}")
    turns = [
        (i, name)
        for i in range(len(TEMPLATES[split]))
        for j, name in enumerate(names)
        if split != "train" or len(names) < 4 or (i + j) % 2 == 0 or TEMPLATES[split][i] == "{place}"
    ]
    return tuple(TEMPLATES[split][i].format(place=name) for i, name in turns)


def phrase(axis: str, number: int, split: Split) -> tuple[str, ...]:
    """All wordings of "go to `axis` `number`", counted from 0, in a split: see `wordings`."""
    return wordings(line_names(axis, number), split)


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
