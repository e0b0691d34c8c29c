"""What words name in a maze, against plain set algebra on cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goalbridge.configs.splits import SPLITS
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.places import MazePlaces
from goalbridge.envs.suite import MazeCompounds
from goalbridge.worlds.maze.words import NamedRegions

FORK = LAYOUTS["fork"]
Cells = set[tuple[int, int]]


@pytest.fixture(scope="module")
def named() -> NamedRegions:
    return NamedRegions(FORK)


def cells(region: Any) -> Cells:
    return {(int(row), int(column)) for row, column in np.argwhere(region)}


def where(condition: Callable[[int, int], bool], layout: Layout = FORK) -> Cells:
    return {(r, c) for r, c in layout.free_cells.tolist() if condition(r, c)}


MEANINGS: list[tuple[str, Callable[[int, int], bool]]] = [
    ("row 3", lambda r, c: r == 3),
    ("go to row three", lambda r, c: r == 3),
    ("  Navigate to COLUMN number 5.", lambda r, c: c == 5),
    ("row 3 or column 5", lambda r, c: r == 3 or c == 5),
    ("go to either row 3, or column 5!", lambda r, c: r == 3 or c == 5),
    ("come to row 3 or column 5, please", lambda r, c: r == 3 or c == 5),
    ("the top half but not row 0", lambda r, c: 2 * r + 1 < 15 and r != 0),
    ("I want you in the top half and the left half", lambda r, c: 2 * r + 1 < 15 and 2 * c + 1 < 15),
    ("take me to both row 2 and column 4", lambda r, c: (r, c) == (2, 4)),
    ("reach the cell at row 0, column 5 or the cell at row 14, column 1", lambda r, c: (r, c) in {(0, 5), (14, 1)}),
    ("column 11 or column 12, but not row 0", lambda r, c: c in (11, 12) and r != 0),
    ("column 11 or column 12 but not row 0", lambda r, c: c == 11 or (c == 12 and r != 0)),
    ("top left corner or the spot where row two meets column nine", lambda r, c: (r < 2 and c < 2) or (r, c) == (2, 9)),
    ("row 1 and row 5", lambda r, c: False),
    ("somewhere on the left except row 4", lambda r, c: (c + 0.5) / 15 < 1 / 3 and r != 4),
]


@pytest.mark.parametrize(("text", "holds"), MEANINGS, ids=[text for text, _ in MEANINGS])
def test_what_words_name(named: NamedRegions, text: str, holds: Callable[[int, int], bool]) -> None:
    region = named(text)
    assert region is not None
    assert cells(region) == where(holds)


@pytest.mark.parametrize(
    "text",
    [
        "make me a sandwich",
        "row 99",
        "row 3 or the kitchen",
        "not far from the fridge but not row 3",
        "Norway",
        "or",
        "-",
    ],
)
def test_what_names_no_place(named: NamedRegions, text: str) -> None:
    assert named(text) is None


@pytest.mark.parametrize("split", SPLITS)
def test_every_wording_names_its_place(named: NamedRegions, split: Any) -> None:
    places = MazePlaces(FORK)
    for label_id, place in enumerate(places.places):
        for text in places.phrasings(label_id, split):
            np.testing.assert_array_equal(named(text), place.region, text)


def test_compounds_are_what_the_suite_says(named: NamedRegions) -> None:
    for compound in MazeCompounds(FORK).every[::20]:
        for text in (compound.label, f"please go to {compound.label}", f"your target is {compound.label}"):
            np.testing.assert_array_equal(named(text), compound.region, text)
