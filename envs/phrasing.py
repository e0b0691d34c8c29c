"""Wordings of a maze's commands, and the one place where training's and held-out ones part."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from goalbridge.configs.splits import SPLITS, Split

TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "train": (
        "go to {place}", "head for {place}", "make your way to {place}", "walk to {place}", "get to {place}",
        "proceed to {place}", "travel to {place}", "reach {place}", "run to {place} now", "please go to {place}",
        "could you head over to {place}", "come to {place}, please", "visit {place}", "look for {place}",
        "stand in {place}", "aim for {place}", "we are off to {place}", "let us go to {place}",
        "would you go to {place}?", "end up in {place}", "stop in {place}", "wait for me in {place}",
        "keep going until {place}",
        "{place}",  # as parts of a compound are said: "row 3 or column 5"
    ),
    "validation": (  # what thresholds are chosen on
        "move to {place}", "set off for {place}", "can you get over to {place}?", "you should be in {place}",
        "steer towards {place}", "we need someone at {place}",
    ),
    "held_out": (
        "navigate to {place}", "please move over to {place}", "find your way to {place}", "take me to {place}",
        "your target is {place}", "I want you in {place}",
    ),
}  # fmt: skip
# No ordinals ("the third row"): counting starts at 0, so nobody could tell which row they mean.
_LINE_NAMES: Final = ("{axis} {number}", "{axis} number {number}", "the {axis} numbered {number}")
_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS: Final = (
    "-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip


class Wordings:
    """Labels and their wordings in every split; a subclass gives `labels` and `_phrase`."""

    labels: tuple[str, ...]

    def __init__(self) -> None:
        self._kept: dict[tuple[int, Split], tuple[str, ...]] = {}

    def _phrase(self, label_id: int, split: Split) -> tuple[str, ...]:
        raise NotImplementedError

    def phrasings(self, label_id: int, split: Split) -> tuple[str, ...]:
        """All wordings of a label in a split, distinct, in a fixed order; ValueError for an unknown split."""
        key = (label_id, split)
        if key not in self._kept:
            self._kept[key] = self._phrase(label_id, check_split(split))
        return self._kept[key]

    def all_texts(self, split: Split) -> tuple[str, ...]:
        """The wordings of every label in a split, label by label."""
        return tuple(text for label_id in range(len(self.labels)) for text in self.phrasings(label_id, split))

    def validation_texts(self, split: Split) -> tuple[str, ...]:
        """Texts to choose thresholds on for those who train on `split`; labels have no others."""
        return self.all_texts("label" if split == "label" else "validation")

    def label_id(self, text: str) -> int | None:
        """The id of the label that a text of any split words, or None; letter case and white space do not matter."""
        return self._label_of_text.get(" ".join(text.lower().split()))

    @cached_property
    def _label_of_text(self) -> dict[str, int]:
        return {
            text.lower(): label_id
            for label_id in range(len(self.labels))
            for split in SPLITS
            for text in self.phrasings(label_id, split)
        }


def check_split(split: Split) -> Split:
    """The split itself; ValueError for an unknown one."""
    if split not in SPLITS:
        raise ValueError(f"phrasings: expected one of {', '.join(SPLITS)}, got {split!r}")
    return split


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
    return tuple(form.format(axis=axis, number=n) for form in _LINE_NAMES for n in (str(number), number_words(number)))


def wordings(names: Sequence[str], split: Split) -> tuple[str, ...]:
    """All wordings of a place in a split, distinct, in a fixed order; ValueError for an unknown split.

    In training, names and templates take turns: half the texts, and they say as much.
    """
    if check_split(split) == "label":
        return (names[0],)
    return tuple(
        template.format(place=name)
        for i, template in enumerate(TEMPLATES[split])
        for j, name in enumerate(names)
        if split != "train" or len(names) < 4 or (i + j) % 2 == 0 or template == "{place}"
    )
