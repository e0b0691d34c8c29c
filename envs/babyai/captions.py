"""Captions of BabyAI goals: what is true of a pose, from what it faces and where it stands, never from a mission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import Split
from goalbridge.envs.babyai.lexicon import is_held_out, lexicon
from goalbridge.envs.babyai.phrasing import COLOURS, FIRST_TYPE, QUADRANTS, SIDES, TYPES, Kind, phrase, say, templates
from goalbridge.envs.phrasing import Wordings

# Where the labels of each kind start: 24 coloured things, 4 types, 6 colours, 4 sides, 4 quadrants.
_OF_TYPE: Final = len(COLOURS) * len(TYPES)
_OF_COLOUR: Final = _OF_TYPE + len(TYPES)
_SIDE: Final = _OF_COLOUR + len(COLOURS)
_QUADRANT: Final = _SIDE + len(SIDES)

_SHARE: Final = 4  # templates for each word of the lexicon: a third of them

Said = tuple[Kind, tuple[str, ...], tuple[str, ...]]  # the kind of a label, its names, and rarer ones


class GridCaptions(Wordings):
    """The 42 labels of BabyAI goals and their wordings.

    What a goal faces gives "red ball", "ball" and "red", if it is a door, key, ball or box; where it stands gives "left
    side", "top side" and "top left", unless on the exact middle line. Only training hears what the arguments add.

    lexicon_size: further words for each colour ("the brick ball" for "red ball"), the first of `lexicon()`.
    nouns: further names for a type ("ball": ("toy",)).
    Raises ValueError for a negative size, and nouns of an unknown type, held out, or of two types.
    """

    def __init__(self, lexicon_size: int = 0, nouns: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__()
        if lexicon_size < 0:
            raise ValueError(f"lexicon_size: expected 0 or more, got {lexicon_size}")
        words = lexicon() if lexicon_size else dict.fromkeys(COLOURS, ())
        self.lexicon: Final[Mapping[str, tuple[str, ...]]] = {one: words[one][:lexicon_size] for one in COLOURS}
        self.nouns: Final[Mapping[str, tuple[str, ...]]] = _checked_nouns(nouns or {})
        self._said: Final[tuple[Said, ...]] = (
            *(self._coloured(colour, kind) for colour in COLOURS for kind in TYPES),
            *(("thing", self.nouns[kind], ()) for kind in TYPES),
            *(("colour", (colour,), self.lexicon[colour]) for colour in COLOURS),
            *(("side", (side,), ()) for side in SIDES),
            *(("quadrant", (quadrant,), ()) for quadrant in QUADRANTS),
        )
        self.labels = tuple(say(templates(kind, "label")[0], names[0]) for kind, names, _ in self._said)

    def choose(self, true_labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Int [N]: which of the true labels [N, 6] of each goal to say; each is as likely."""
        return np.asarray(rng.integers((true_labels >= 0).sum(axis=1)))  # padding comes last

    def true_labels(self, goals: ArrayLike) -> NDArray[np.int64]:
        """Int [N, 6]: ids of all labels that are true of goals [N, >= 7], in rising order, then -1.

        Goals are (x, y, direction, width, height, faced type, faced colour), further columns ignored. Raises ValueError
        for another shape.
        """
        goal = np.asarray(goals)
        if goal.ndim != 2 or goal.shape[1] < 7:
            raise ValueError(f"goals: expected shape [N, >= 7], got {goal.shape}")
        x, y, _, width, height, faced, colour = goal[:, :7].astype(np.int64).T  # [N] each
        kind = faced - FIRST_TYPE  # [N]
        horizontal, vertical = np.sign(2 * x - width + 1), np.sign(2 * y - height + 1)  # [N], 0 on the middle line
        is_thing = (kind >= 0) & (kind < len(TYPES))  # [N]
        across, down = horizontal > 0, vertical > 0  # [N]
        candidates = (
            (is_thing, colour * len(TYPES) + kind),
            (is_thing, _OF_TYPE + kind),
            (is_thing, _OF_COLOUR + colour),
            (horizontal != 0, _SIDE + across),
            (vertical != 0, _SIDE + 2 + down),
            (horizontal * vertical != 0, _QUADRANT + 2 * down + across),
        )
        labels = np.stack([np.where(holds, label, -1) for holds, label in candidates], axis=1)  # [N, 6]
        order = np.argsort(labels < 0, axis=1, kind="stable")  # [N, 6], the true ones first
        return np.asarray(np.take_along_axis(labels, order, axis=1), dtype=np.int64)

    def _phrase(self, label_id: int, split: Split) -> tuple[str, ...]:
        kind, names, extra = self._said[label_id]
        if split == "train":
            return phrase(kind, names, extra, turn=label_id, share=_SHARE)
        return tuple(say(template, names[0]) for template in templates(kind, split))

    def _coloured(self, colour: str, kind: str) -> Said:
        """What a coloured thing is called: with its colour's own name, then with words of the lexicon."""
        nouns = self.nouns[kind]  # in turn beside those words: all pairs would be too many texts
        further = tuple(f"{word} {nouns[place % len(nouns)]}" for place, word in enumerate(self.lexicon[colour]))
        return "thing", tuple(f"{colour} {noun}" for noun in nouns), further


def _checked_nouns(nouns: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The names of each type, its own first, each once; ValueError as `GridCaptions` says."""
    for kind, names in nouns.items():
        if kind not in TYPES:
            raise ValueError(f"nouns: expected types {', '.join(TYPES)}, got {kind!r}")
        if held_out := [name for name in names if is_held_out(name)]:
            raise ValueError(f"nouns: expected none that is held out for testing, got {held_out[0]!r} of {kind!r}")
    complete = {kind: tuple(dict.fromkeys((kind, *nouns.get(kind, ())))) for kind in TYPES}
    owner: dict[str, str] = {}
    for kind, several in complete.items():
        for name in several:
            if owner.setdefault(name, kind) != kind:
                raise ValueError(f"nouns: expected each for one type, got {name!r} for {owner[name]!r} and {kind!r}")
    return complete
