"""Every wording of a BabyAI goal, and the one place where training and held-out wordings part.

No training wording starts as minigrid's own missions do ("go to"): those are held out, so that a level's mission is a
sentence never seen in training.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Final, Literal

from goalbridge.configs.splits import SPLITS, Split
from goalbridge.envs.babyai.four_rooms import EVALUATION_TEMPLATES, ROOMS

SIDES: Final = ("left", "right", "top", "bottom")
QUADRANTS: Final = ROOMS

Kind = Literal["thing", "colour", "side", "quadrant"]

# "the" and "a" in turn, so that a few neighbours in this list are always balanced.
TRAIN_TEMPLATES: Final = (
    "walk to the {what}", "find a {what}", "head for the {what}", "reach a {what}", "look for the {what}",
    "get to a {what}", "you want the {what}", "stand in front of a {what}", "face the {what}", "move up to a {what}",
    "the {what}", "a {what}",
)  # fmt: skip
HELD_OUT_TEMPLATES: Final = (
    "go to the {what}", "go to a {what}", "navigate to the {what}", "your target is a {what}",
    "make your way to the {what}", "approach a {what}", "take me to the {what}", "could you track down a {what}",
)  # fmt: skip
VALIDATION_TEMPLATES: Final = ("head towards the {what}", "seek out a {what}", "can you get over to the {what}?")

_TRAIN_PLACES: Final = (
    "walk to the {place}", "head for the {place}", "get to the {place}", "you want the {place}",
    "move over to the {place}", "come over to the {place}", "enter the {place}", "walk into the {place}",
    "step over to the {place}", "be in the {place}", "the {place} is your goal", "I would like you in the {place}",
    "you should end up in the {place}", "get inside the {place}, please", "the {place}",
)  # fmt: skip
_VALIDATION_PLACES: Final = ("head towards the {place}", "set off for the {place}", "can you get over to the {place}?")
_HELD_OUT_PLACES: Final = (
    "go to the {place}", "navigate to the {place}", "your target is the {place}", "make your way to the {place}",
    "take me to the {place}",
)  # fmt: skip
_SIDE_NOUNS: Final = ("{what} side", "{what} half", "{what} half of the map")
_QUADRANT_NOUNS: Final = (
    "{what} room", "{what} corner", "{what} quarter", "{what} part of the map", "room in the {what}",
    "room that lies {what}", "room to the {what}", "room over on the {what} side", "room on the {what}",
    "room by the {what} edge", "area towards the {what}",
)  # fmt: skip


def _about(templates: tuple[str, ...], nouns: tuple[str, ...]) -> tuple[str, ...]:
    """Place templates, each with every noun."""
    return tuple(template.format(place=noun) for template in templates for noun in nouns)


def _of_colour(templates: tuple[str, ...], nouns: tuple[str, ...]) -> tuple[str, ...]:
    """Thing templates for what has only a colour; the nouns take turns two by two, so each meets "the" and "a"."""
    return tuple(
        template.replace("{what}", "{what} " + nouns[place // 2 % len(nouns)])
        for place, template in enumerate(templates)
    )


_TEMPLATES: Final[dict[Kind, dict[Split, tuple[str, ...]]]] = {
    "thing": {
        "train": TRAIN_TEMPLATES,
        "validation": VALIDATION_TEMPLATES,
        "held_out": HELD_OUT_TEMPLATES,
        "label": ("{what}",),
    },
    "colour": {
        "train": (
            *_of_colour(TRAIN_TEMPLATES, ("thing", "object")),
            *(f"{verb} something {{what}}" for verb in ("find", "walk to", "look for", "reach", "face")),
            "something {what}",
        ),
        "validation": _of_colour(VALIDATION_TEMPLATES, ("object",)),
        "held_out": (
            *_of_colour(HELD_OUT_TEMPLATES, ("object",)),
            *(f"{verb} something {{what}}" for verb in ("go to", "navigate to", "approach")),
        ),
        "label": ("{what}",),
    },
    "side": {
        "train": (*_about(_TRAIN_PLACES, _SIDE_NOUNS), "be {on} the {what}", "stay {on} the {what} side"),
        "validation": _about(_VALIDATION_PLACES, _SIDE_NOUNS),
        "held_out": (
            *_about(_HELD_OUT_PLACES, _SIDE_NOUNS),
            *("somewhere {on} the {what}", "go somewhere {on} the {what}"),
        ),
        "label": ("{what} side",),
    },
    "quadrant": {
        "train": (*_about(_TRAIN_PLACES, _QUADRANT_NOUNS), "be in the {what}"),
        "validation": _about(_VALIDATION_PLACES, _QUADRANT_NOUNS),
        "held_out": (
            *_about(_HELD_OUT_PLACES, _QUADRANT_NOUNS),
            *(room.replace("{room}", "{what}") for room in EVALUATION_TEMPLATES[1:]),  # the first is among the above
            *("somewhere in the {what}", "go somewhere in the {what}"),
        ),
        "label": ("{what}",),
    },
}


def templates(kind: Kind, split: Split) -> tuple[str, ...]:
    """The templates of a kind of label in a split, for `say`; ValueError for an unknown split."""
    if split not in SPLITS:
        raise ValueError(f"phrasings: expected one of {', '.join(SPLITS)}, got {split!r}")
    return _TEMPLATES[kind][split]


def say(template: str, what: str) -> str:
    """A template about a thing ("red ball"), a colour, a side ("left") or a quadrant ("top left")."""
    return correct_articles(template.format(what=what, on="at" if what in ("top", "bottom") else "on"))


def phrase(kind: Kind, names: tuple[str, ...], extra: tuple[str, ...], turn: int, share: int) -> tuple[str, ...]:
    """All training wordings of one label, distinct if the names are.

    names: what it is called in every template. extra: what it is also called, each in `share` templates only, which
    bounds the number of texts. turn: at which share of the templates the first of these starts.
    """
    forms = templates(kind, "train")
    few = chain.from_iterable(
        (say(forms[((turn + place) * share + step) % len(forms)], name) for step in range(share))
        for place, name in enumerate(extra)
    )
    return (*(say(form, name) for name in names for form in forms), *few)


_OTHER_MISSION: Final = re.compile(r"\b(pick up|put|open|unlock|drop|move (?=the|an?\b))", re.IGNORECASE)


def other_action(text: str) -> str | None:
    """What a mission of levels other than these asks for ("pick up", "open", ...); None where it is to go somewhere."""
    found = _OTHER_MISSION.search(text)
    return None if found is None else found[1].strip().lower()


_ARTICLE: Final = re.compile(r"\b([Aa])n?(?= ([A-Za-z]))(?= ((?i:eu|uni|use|one))?)")


def correct_articles(text: str) -> str:
    """The text with every "a" and "an" as the next word's sound wants it ("a azure key": "an azure key")."""

    def article(match: re.Match[str]) -> str:
        first, consonant_sound = match[2].lower(), match[3]
        return match[1] + ("n" if first in "aeiou" and not consonant_sound else "")

    return _ARTICLE.sub(article, text)
