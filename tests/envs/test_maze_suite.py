"""Suites of commands: compounds against set algebra on cells, draws reproducible and balanced, nothing leaked."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.phrasing import TEMPLATES
from goalbridge.envs.places import CATEGORIES, MazePlaces
from goalbridge.envs.suite import (
    KNOWN_COMPOUNDS,
    SATISFIABLE,
    SUITE,
    UNKNOWN,
    UNSATISFIABLE,
    MazeCompounds,
    draw_suite,
)

COUNT = 75
Suite = dict[str, tuple[Command, ...]]
SMALL = Layout.from_text("...\n.#.\n..#", "small")


@pytest.fixture(scope="module", params=["fork", "island", "small"])
def layout(request: pytest.FixtureRequest) -> Layout:
    return SMALL if request.param == "small" else LAYOUTS[request.param]


@pytest.fixture(scope="module")
def suite(layout: Layout) -> Suite:
    drawn = draw_suite(layout, COUNT, 0)
    assert [command.category for command in drawn] == [category for category in SUITE for _ in range(COUNT)]
    return {category: tuple(c for c in drawn if c.category == category) for category in SUITE}


def cells_of(region: NDArray[np.bool_]) -> frozenset[tuple[int, ...]]:
    return frozenset(map(tuple, np.argwhere(region).tolist()))


def parts_of(text: str) -> tuple[str, str, str]:
    """What joins a compound's two parts, and the parts."""
    (joint,) = (joint for joint in (" or ", " but not ", " and ") if joint in text)
    first, second = text.split(joint)
    return joint.strip(), first, second


def algebra(places: MazePlaces, text: str) -> tuple[frozenset[tuple[int, ...]], ...]:
    """The cells of a compound, and those of its parts."""
    joint, *parts = parts_of(text)
    a, b = (cells_of(place.region) for place in map(places.find, parts) if place is not None)
    return {"or": a | b, "but not": a - b, "and": a & b}[joint], a, b


def test_compounds_are_all_that_say_something(layout: Layout) -> None:
    """They hold where set algebra says, are neither empty, everywhere nor one of their parts, and none is missing."""
    places, free, every = MazePlaces(layout), cells_of(~layout.walls), MazeCompounds(layout).every
    for compound in every:
        cells, a, b = algebra(places, compound.label)
        assert cells_of(compound.region) == cells
        assert cells not in (a, b, free, frozenset()), compound.label
        assert (compound.category, compound.names) == ("compound", (compound.label,))
        assert not compound.region.flags.writeable
    regions = [cells_of(place.region) for place in MazePlaces(layout, ("line", "region", "vague")).places]
    expected = 0
    for i, a in enumerate(regions):
        for j, b in enumerate(regions):
            if i < j:
                expected += sum(cells not in (a, b, free, frozenset()) for cells in (a | b, a & b))
            if i != j:
                expected += bool(a & b and a - b)
    assert len(every) == len({compound.label for compound in every}) == expected > 0


def test_known_and_held_out_compounds_are_disjoint_and_all(layout: Layout) -> None:
    compounds, again = MazeCompounds(layout), MazeCompounds(Layout.from_array(layout.walls))
    known, held_out = ([place.label for place in part] for part in (compounds.known, compounds.held_out))
    assert known == [place.label for place in again.known]
    assert not {*known} & {*held_out}
    assert {*known, *held_out} == {place.label for place in compounds.every}
    assert len(known) == min(KNOWN_COMPOUNDS, len(compounds.every) // 2)
    # Not the same two parts joined the same way, the other way round, either.
    assert not {f"{b} {joint} {a}" for joint, a, b in map(parts_of, known) if joint != "but not"} & {*held_out}
    for part in (known, held_out):
        assert {parts_of(label)[0] for label in part} == {"or", "and", "but not"}
    said = set(MazePlaces(layout, CATEGORIES, compounds.known).all_texts("train"))
    for label in held_out:
        assert not said & {template.format(place=label) for template in TEMPLATES["train"]}


def test_a_seed_draws_the_same_suite_and_another_one_another(layout: Layout) -> None:
    first, again, other = (draw_suite(layout, 10, seed) for seed in (5, 5, 6))
    assert [(c.text, cells_of(c.region)) for c in first] == [(c.text, cells_of(c.region)) for c in again]
    assert [command.text for command in first] != [command.text for command in other]
    assert SUITE == SATISFIABLE + UNSATISFIABLE


def test_places_are_asked_as_often(layout: Layout, suite: Suite) -> None:
    compounds = MazeCompounds(layout)
    possible = {
        **{kind: set(MazePlaces(layout, (kind,)).labels) for kind in CATEGORIES},
        "compound": {place.label for place in compounds.known},
        "held_out_compound": {place.label for place in compounds.held_out},
        "unknown": set(UNKNOWN),
    }
    for category in (*possible, "contradictory"):
        counts = Counter(command.label for command in suite[category])
        assert max(counts.values()) - min(counts.values()) <= 1
        if category in possible:
            assert set(counts) <= possible[category]
            assert len(counts) == min(COUNT, len(possible[category]))


def test_places_mean_their_regions_in_the_split_of_their_category(layout: Layout, suite: Suite) -> None:
    places, kinds = MazePlaces(layout), Counter[str]()
    train, held_out = set(places.all_texts("train")), set(places.all_texts("held_out"))
    for category in (*CATEGORIES, "held_out_phrasing"):
        for command in suite[category]:
            place = places.find(command.text)
            assert place is not None
            assert place.label == command.label
            np.testing.assert_array_equal(place.region, command.region)
            assert category in (place.category, "held_out_phrasing")
            assert command.text in (held_out if category == "held_out_phrasing" else train)
            kinds[place.category] += category == "held_out_phrasing"
    assert set(kinds) == set(CATEGORIES)
    assert max(kinds.values()) - min(kinds.values()) <= 1


def test_compounds_and_contradictions_are_asked_in_training_templates(layout: Layout, suite: Suite) -> None:
    places = MazePlaces(layout)
    for category in ("compound", "held_out_compound", "contradictory"):
        for command in suite[category]:
            assert command.text in {template.format(place=command.label) for template in TEMPLATES["train"]}
            cells, a, b = algebra(places, command.label)
            assert cells_of(command.region) == cells
            assert bool(cells) == (category != "contradictory")
            assert a
            assert b
    assert len({command.text.replace(command.label, "") for command in suite["compound"]}) > 3


def test_unknown_commands_name_nothing(layout: Layout, suite: Suite) -> None:
    places = MazePlaces(layout)
    for command in suite["unknown"]:
        assert places.find(command.text) is None
        assert not command.region.any()
    assert len(set(UNKNOWN)) == len(UNKNOWN)


def test_what_a_maze_lacks_is_not_asked() -> None:
    """A maze of one cell has no compound that says anything, and no contradiction of its lines."""
    drawn = Counter(command.category for command in draw_suite(Layout.from_text(".", "one"), 4, 0))
    assert drawn["exact"] == drawn["line"] == drawn["unknown"] == 4
    assert "compound" not in drawn
    assert "contradictory" not in drawn
