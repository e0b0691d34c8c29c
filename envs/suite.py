"""Suites of ambiguous commands: many right answers, of many kinds, drawn from a seed.

exact, line, region, vague      the maze's places, in training's phrasings
held_out_phrasing               the same places, in phrasings that no training meets
compound, held_out_compound     "row 3 or column 5", "the top half but not row 0", "row 3 and the left half"; agents
                                may be trained on the compounds of `MazeCompounds.known`, never on the held-out ones
contradictory                   "row 1 and row 5": nothing satisfies it
unknown                         "make me a sandwich": nobody could say what would
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.splits import Split
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import Layout
from goalbridge.envs.phrasing import TEMPLATES
from goalbridge.envs.places import CATEGORIES, MazePlaces, Place

T = TypeVar("T")

COMPOUND: Final = "compound"
SATISFIABLE: Final = (*CATEGORIES, "held_out_phrasing", COMPOUND, "held_out_compound")
UNSATISFIABLE: Final = ("contradictory", "unknown")
SUITE: Final = (*SATISFIABLE, *UNSATISFIABLE)
KNOWN_COMPOUNDS: Final = 200  # of each layout; all others are held out

UNKNOWN: Final = (
    "make me a sandwich", "who wrote this book", "turn down the music", "my shoes are wet", "please water the plants",
    "tell me a joke about lawyers", "the dog ate my homework", "add three eggs and stir", "when does the library close",
    "paint the fence blue", "play chess with me", "write an essay on the French Revolution", "where are my keys",
    "book a table for two", "count the stars", "feed the cat before you leave", "what is the capital of Peru",
    "fold the laundry", "be kind to strangers", "unlock the blue door with the key", "go to bed", "take a deep breath",
    "the train was late again", "send her an email", "boil some water", "explain general relativity",
    "you should see a doctor", "repair the broken chair", "the price of bread has doubled", "wake me at seven",
    "take me to your leader", "find a good dentist", "she plays the violin", "charge the battery", "draw a horse",
    "I would like a cup of tea", "sell all my shares", "how do I get a visa", "the moon is full tonight", "stop it",
    "reach out to your friends", "go to sleep now", "put the milk in the fridge", "solve this equation for x",
    "why is the sky blue", "run a marathon", "check the oil level", "they won four games to one", "close your eyes",
    "head of state visits Norway",
)  # fmt: skip


class MazeCompounds:
    """The compounds of a layout: two of its lines, regions and vague places, joined by "or", "but not" or "and".

    Left out are those that nothing satisfies, that say no more than one of their parts, or that hold everywhere.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout: Final = layout

    @cached_property
    def every(self) -> tuple[Place, ...]:
        """All compounds, in an order that is shuffled once and for all."""
        free, found = ~self.layout.walls, list[Place]()
        for first, second in combinations(MazePlaces(self.layout, ("line", "region", "vague")).places, 2):
            for a, b in ((first, second), (second, first)):
                either, both, only = a.region | b.region, a.region & b.region, a.region & ~b.region
                if a is first and not any((either == whole).all() for whole in (free, a.region, b.region)):
                    found.append(_compound(a, "or", b, either))
                if a is first and both.any() and not (both == a.region).all() and not (both == b.region).all():
                    found.append(_compound(a, "and", b, both))
                if both.any() and only.any():
                    found.append(_compound(a, "but not", b, only))
        return tuple(found[i] for i in np.random.default_rng(0).permutation(len(found)))

    @property
    def known(self) -> tuple[Place, ...]:
        """Those that captions may speak of."""
        return self.every[: min(KNOWN_COMPOUNDS, len(self.every) // 2)]

    @property
    def held_out(self) -> tuple[Place, ...]:
        """Those that no caption ever speaks of."""
        return self.every[len(self.known) :]


def _compound(a: Place, joined: str, b: Place, region: NDArray[np.bool_]) -> Place:
    text = f"{a.names[0]} {joined} {b.names[0]}"
    return Place(COMPOUND, text, (text,), region)


def draw_suite(layout: Layout, per_category: int, seed: int) -> tuple[Command, ...]:
    """`per_category` commands of each category of `SUITE`, category by category; the same for the same seed.

    Places of a category are all asked as often (to within one), in random wordings. What a maze lacks (one of a single
    cell has no compounds) is not asked.
    """
    rng = np.random.default_rng(seed)
    places, compounds, commands = MazePlaces(layout), MazeCompounds(layout), list[Command]()
    shares = np.diff([per_category * i // len(CATEGORIES) for i in range(len(CATEGORIES) + 1)]).tolist()
    asked: list[tuple[str, str, Split, int]] = [(kind, kind, "train", per_category) for kind in CATEGORIES]
    asked += [(kind, "held_out_phrasing", "held_out", n) for kind, n in zip(CATEGORIES, shares, strict=True)]
    for kind, category, split, count in asked:
        labels = [label_id for label_id, place in enumerate(places.places) if place.category == kind]
        for label_id in _in_turn(labels, count, rng):
            texts, place = places.phrasings(label_id, split), places.places[label_id]
            commands.append(Command(texts[rng.integers(len(texts))], place.label, category, place.region))
    for category, some in (
        (COMPOUND, compounds.known),
        ("held_out_compound", compounds.held_out),
        ("contradictory", _contradictions(places)),
    ):
        said = _in_turn(some, per_category, rng)
        for place, turn in zip(said, rng.integers(len(TEMPLATES["train"]), size=len(said)), strict=True):
            text = TEMPLATES["train"][turn].format(place=place.names[0])
            commands.append(Command(text, place.label, category, place.region))
    strange = [UNKNOWN[i] for i in rng.permutation(np.arange(per_category) % len(UNKNOWN))]
    return (*commands, *(Command(text, text, "unknown", np.zeros_like(layout.walls)) for text in strange))


def _in_turn(items: Sequence[T], count: int, rng: np.random.Generator) -> list[T]:
    """`count` of the items in random order, each as often as the others, to within one; none of none."""
    if not items:
        return []
    rounds = [rng.permutation(len(items)) for _ in range(-(-count // len(items)))]
    return [items[i] for i in np.concatenate(rounds)[:count]]


def _contradictions(places: MazePlaces) -> list[Place]:
    """Two lines of one axis at once, or a line with a half that it is not in."""
    lines = [place for place in places.places if place.category == "line"]
    halves = [place for place in places.places if place.label.endswith("half")]
    pairs = [(a, b) for a, b in combinations(lines, 2) if a.label.split()[0] == b.label.split()[0]]
    pairs += [(line, half) for line in lines for half in halves if not (line.region & half.region).any()]
    return [_compound(a, "and", b, np.zeros_like(a.region)) for a, b in pairs]
