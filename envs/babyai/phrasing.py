"""Every wording of a BabyAI goal, and the one place where training and held-out wordings part.

No training wording starts as minigrid's own missions do ("go to"): those are held out, so that a level's mission is a
sentence never seen in training.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from goalbridge.configs.splits import Split
from goalbridge.envs.babyai.four_rooms import EVALUATION_TEMPLATES, ROOMS
from goalbridge.envs.phrasing import check_split

# In minigrid's order: a colour's id is its place here, a type's id is its place here after FIRST_TYPE.
COLOURS: Final = ("red", "green", "blue", "purple", "yellow", "grey")
TYPES: Final = ("door", "key", "ball", "box")
FIRST_TYPE: Final = 4
SIDES: Final = ("left", "right", "top", "bottom")
QUADRANTS: Final = ROOMS

Kind = Literal["thing", "colour", "side", "quadrant"]
_Texts = tuple[str, ...]

_THINGS: Final[dict[str, _Texts]] = {  # "the" and "a" in turn, so that a few neighbours are always balanced
    "train": (
        "walk to the {what}", "find a {what}", "head for the {what}", "reach a {what}", "look for the {what}",
        "get to a {what}", "you want the {what}", "stand in front of a {what}", "face the {what}",
        "move up to a {what}", "the {what}", "a {what}",
    ),
    "validation": ("head towards the {what}", "seek out a {what}", "can you get over to the {what}?"),
    "held_out": (
        "go to the {what}", "go to a {what}", "navigate to the {what}", "your target is a {what}",
        "make your way to the {what}", "approach a {what}", "take me to the {what}", "could you track down a {what}",
    ),
}  # fmt: skip
_PLACES: Final[dict[str, _Texts]] = {
    "train": (
        "walk to the {place}", "head for the {place}", "get to the {place}", "you want the {place}",
        "move over to the {place}", "come over to the {place}", "enter the {place}", "walk into the {place}",
        "step over to the {place}", "be in the {place}", "the {place} is your goal", "I would like you in the {place}",
        "you should end up in the {place}", "get inside the {place}, please", "the {place}",
    ),
    "validation": ("head towards the {place}", "set off for the {place}", "can you get over to the {place}?"),
    "held_out": (
        "go to the {place}", "navigate to the {place}", "your target is the {place}", "make your way to the {place}",
        "take me to the {place}",
    ),
}  # fmt: skip
_NOUNS: Final[dict[str, _Texts]] = {
    "side": ("{what} side", "{what} half", "{what} half of the map"),
    "quadrant": (
        "{what} room", "{what} corner", "{what} quarter", "{what} part of the map", "room in the {what}",
        "room that lies {what}", "room to the {what}", "room over on the {what} side", "room on the {what}",
        "room by the {what} edge", "area towards the {what}",
    ),
}  # fmt: skip
_ROOM_COMMANDS: Final = tuple(template.replace("{room}", "{what}") for template in EVALUATION_TEMPLATES)
_FURTHER: Final[dict[tuple[str, str], _Texts]] = {
    ("colour", "train"): (
        *(f"{verb} something {{what}}" for verb in ("find", "walk to", "look for", "reach", "face")),
        "something {what}",
    ),
    ("colour", "held_out"): tuple(f"{verb} something {{what}}" for verb in ("go to", "navigate to", "approach")),
    ("side", "train"): ("be {on} the {what}", "stay {on} the {what} side"),
    ("side", "held_out"): ("somewhere {on} the {what}", "go somewhere {on} the {what}"),
    ("quadrant", "train"): ("be in the {what}",),
    ("quadrant", "held_out"): (
        *(room for room in _ROOM_COMMANDS if room != "go to the {what} room"),  # that one is among the others
        "somewhere in the {what}", "go somewhere in the {what}",
    ),
}  # fmt: skip


def templates(kind: Kind, split: Split) -> tuple[str, ...]:
    """The templates of a kind of label in a split, for `say`; ValueError for an unknown split."""
    if check_split(split) == "label":
        return ("{what} side",) if kind == "side" else ("{what}",)
    if kind == "thing":
        return _THINGS[split]
    if kind == "colour":  # the nouns take turns two by two, so each meets "the" and "a"
        nouns = ("thing", "object") if split == "train" else ("object",)
        forms = [
            form.replace("{what}", "{what} " + nouns[place // 2 % len(nouns)])
            for place, form in enumerate(_THINGS[split])
        ]
    else:
        forms = [form.format(place=noun) for form in _PLACES[split] for noun in _NOUNS[kind]]
    return (*forms, *_FURTHER.get((kind, split), ()))


def say(template: str, what: str) -> str:
    """A template about a thing ("red ball"), a colour, a side ("left") or a quadrant ("top left")."""
    return correct_articles(template.format(what=what, on="at" if what in ("top", "bottom") else "on"))


def phrase(kind: Kind, names: tuple[str, ...], extra: tuple[str, ...], turn: int, share: int) -> tuple[str, ...]:
    """All training wordings of one label, distinct if the names are.

    names: what it is called in every template. extra: what it is also called, each in `share` templates only, which
    bounds the number of texts. turn: at which share of the templates the first extra name starts; the next name takes
    the next share.
    """
    forms = templates(kind, "train")
    few = (
        say(forms[((turn + place) * share + step) % len(forms)], name)
        for place, name in enumerate(extra)
        for step in range(share)
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
