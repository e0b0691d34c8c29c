"""Words for colours and things beyond BabyAI's own: a lexicon for training, and words that are kept for testing.

DEVELOPMENT_WORDS and TEST_WORDS are both held out: no training caption has one. Only the development words may be
looked at while the agent is designed; TEST_WORDS, chosen before any model had seen them, are for final figures alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.phrasing import COLOURS, TYPES, correct_articles

# "crimson", "emerald", "sphere" and "crate" were tried on prototypes, so they could be no test any more.
DEVELOPMENT_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "red": ("crimson", "carmine", "garnet"),
    "green": ("emerald", "mint", "fern"),
    "blue": ("azure", "cerulean", "ultramarine"),
    "purple": ("lilac", "amethyst", "grape"),
    "yellow": ("canary", "banana", "daffodil"),
    "grey": ("pewter", "graphite", "smoky"),
    "ball": ("sphere", "marble"),
    "box": ("crate", "carton"),
    "key": ("passkey",),
    "door": ("gate", "entrance"),
}
TEST_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "red": ("scarlet", "ruby", "cherry"),
    "green": ("jade", "lime", "moss"),
    "blue": ("navy", "sapphire", "cobalt"),
    "purple": ("violet", "lavender", "plum"),
    "yellow": ("golden", "lemon", "mustard"),
    "grey": ("slate", "ashen", "charcoal"),
    "ball": ("orb", "globe"),
    "box": ("chest", "container"),
    "key": ("latchkey",),
    "door": ("doorway", "portal"),
}
HELD_OUT_WORDS: Final = frozenset(
    word for words in (DEVELOPMENT_WORDS, TEST_WORDS) for several in words.values() for word in several
)

# The other colour terms of English by which names are compared: what is nearest to one of these is none of BabyAI's.
_RIVALS: Final = (
    "pink", "orange", "brown", "black", "white", "beige", "tan", "teal", "turquoise", "aqua", "cyan", "magenta",
    "peach", "cream",
)  # fmt: skip
_TERMS: Final = (*COLOURS, *_RIVALS)
_MARGIN: Final = 0.15  # below it people disagree: tomato, maroon, burgundy, chartreuse, stone
_NEAREST: Final = 3
_GREY_CHROMA: Final = 5.0
_GREY_LIGHTNESS: Final = (15.0, 92.0)
# Rude and joking names, misspellings and names of no plain colour; words whose colour people dispute.
_REJECTED: Final = frozenset((
    "baby", "barbie", "barf", "barney", "bile", "bland", "booger", "boring", "bruise", "burple", "blurple", "camo",
    "diarrhea", "dirt", "dirty", "drab", "dull", "flat", "gross", "hot", "icky", "kermit", "macaroni", "mud", "muddy",
    "murky", "nasty", "piss", "poison", "poo", "poop", "puke", "radioactive", "shit", "sick", "sickly", "slime", "snot",
    "swamp", "toxic", "ugly", "urple", "vomit", "washed", "weird", "algae", "azul", "fluro", "forrest", "gainsboro",
    "kelley", "lavendar", "liliac", "manilla", "ocre", "olivedrab", "perrywinkle", "tealish", "terracota", "vermillion",
    "alice", "easter", "hospital", "indian", "nice", "off", "rebecca", "tiffany", "windows", "true", "amber", "auburn",
    "chartreuse", "coral", "indigo", "iris", "periwinkle", "russet", "squash", "watermelon",
))  # fmt: skip
# Words that name a colour only beside its own name ("royal blue").
_NOT_ALONE: Final = frozenset((
    "apple", "dark", "desert", "dusk", "dust", "ice", "light", "marine", "midnight", "pale", "royal", "tea", "twilight",
    "velvet",
))  # fmt: skip
_STEMS: Final = re.compile(r"red|green|blu|purpl|yellow|gr[ae]y|pink|orang|brown|white")
_CSS_PARTS: Final = re.compile(r"(dark|light|medium|deep|pale|dim)?(.*?)(red|green|blue|purple|yellow|grey)?")


def cielab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB (L, a, b) [N, 3] of sRGB (IEC 61966-2-1) colours [N, 3] in [0, 1], as of 1976 (CIE 15), white D65."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)  # [N, 3]
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)  # [N, 3], white is (1, 1, 1)
    bent = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)  # [N, 3]
    x, y, z = bent.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@cache
def _named_colours() -> Mapping[str, NDArray[np.float64]]:
    """CIELAB [3] of CSS's names and of the XKCD survey's, in words; of both, the survey's: it asked people."""
    from matplotlib.colors import CSS4_COLORS, XKCD_COLORS, to_rgb

    names: dict[str, tuple[float, float, float]] = {}
    for name, value in CSS4_COLORS.items():
        parts = _CSS_PARTS.fullmatch(name.replace("gray", "grey"))
        assert parts is not None
        names[" ".join(part for part in parts.groups() if part)] = to_rgb(value)
    names |= {name.removeprefix("xkcd:"): to_rgb(value) for name, value in XKCD_COLORS.items()}
    lab = cielab(np.array(list(names.values())))  # [N, 3]
    return dict(zip(names, lab, strict=True))


def _own_term(name: str) -> str | None:
    """The one colour term that a name ends in ("brick red": red), or None."""
    *before, last = name.split()
    return last if last in _TERMS and not any(word in _TERMS or _STEMS.search(word) for word in before) else None


@cache
def _examples() -> tuple[tuple[str, ...], NDArray[np.bool_], NDArray[np.float64]]:
    """E names that end in a colour term, in which term each does [T, E], and their CIELAB [E, 3]."""
    own = {name: term for name in _named_colours() if (term := _own_term(name)) is not None}
    points = np.stack([_named_colours()[name] for name in own])  # [E, 3]
    return tuple(own), np.array(_TERMS)[:, None] == np.array(list(own.values())), points


def nearest_colour(name: str) -> tuple[str, float]:
    """The colour term nearest to a CSS or XKCD name, and how clearly: 0 for a tie with the runner-up, at most 1.

    The distance to a term is the mean distance to the nearest three names that end in it ("dark red", "brick red"),
    the name itself left out; hue alone does not tell blue from purple. What has next to no chroma is grey, unless
    almost black or white. KeyError for what is no such name.
    """
    lab = _named_colours()[name]
    if np.hypot(lab[1], lab[2]) < _GREY_CHROMA and _GREY_LIGHTNESS[0] < lab[0] < _GREY_LIGHTNESS[1]:
        return "grey", 1.0
    names, ends_in, points = _examples()
    away = np.where(np.array(names) == name, np.nan, np.linalg.norm(points - lab, axis=1))  # [E]
    # nan sorts last and is not counted: a term of one or two names is measured by those.
    distance = np.nanmean(np.sort(np.where(ends_in, away, np.nan), axis=1)[:, :_NEAREST], axis=1)  # [T]
    first, second = np.argsort(distance)[:2]
    return _TERMS[first], float((distance[second] - distance[first]) / (distance[second] + distance[first]))


def is_held_out(name: str) -> bool:
    """Whether a name has a held-out word in it, or a near form of one ("gold" for "golden", "spearmint" for "mint")."""
    joined = name.replace(" ", "")
    stems = [word for word in name.split() if len(word) > 3 and word not in TYPES]
    return any(held in joined or any(held.startswith(stem) for stem in stems) for held in HELD_OUT_WORDS)


def _usable(name: str) -> bool:
    """Whether a name is one or two plain words, none of them rejected, held out or of BabyAI's other vocabulary."""
    words = name.split()
    plain = len(words) <= 2 and name.replace(" ", "").isalpha() and name not in _TERMS
    barred = _REJECTED & {*words} or {*TYPES} & {*words} or name in _NOT_ALONE
    return plain and not barred and not is_held_out(name)


@cache
def lexicon() -> Mapping[str, tuple[str, ...]]:
    """For each of the six colours, its further words: those most worth learning and least in doubt first.

    Words that do not name their colour ("brick") come before those that do ("brick red"); then CSS names before the
    survey's; then the clearest first. A name of two ("dark brick") must end in a colour's own name or an accepted word.
    """
    from matplotlib.colors import CSS4_COLORS

    found: dict[str, list[tuple[bool, bool, float, str]]] = {colour: [] for colour in COLOURS}
    single: dict[str, str] = {}
    names = sorted((name for name in _named_colours() if _usable(name)), key=lambda name: (" " in name, name))
    for name in names:
        colour, margin = nearest_colour(name)
        own, last = _own_term(name), name.split()[-1]
        if own is None and (_STEMS.search(name) or margin < _MARGIN or (" " in name and single.get(last) != colour)):
            continue
        if colour not in found or (own is not None and own != colour):
            continue
        if " " not in name:
            single[name] = colour
        found[colour].append((own is not None, name.replace(" ", "") not in CSS4_COLORS, -margin, name))
    words = {colour: tuple(name for *_, name in sorted(several)) for colour, several in found.items()}
    return words | {"grey": ("gray", *words["grey"])}


def reword(mission: str, words: Mapping[str, str]) -> str:
    """A mission in other words: "go to a red ball" with {"red": "azure"} is "go to an azure ball".

    words: what to say for whole words, letter case as given; all are replaced at once.
    """
    if not words:
        return mission
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b")
    return correct_articles(pattern.sub(lambda match: words[match[0]], mission))
