"""Commands and places of mazes: where they hold, by plain loops over cells, and how often each is asked or said."""

from __future__ import annotations

import string
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import stats

from goalbridge.configs.splits import Split
from goalbridge.data.captions import caption_goals
from goalbridge.envs.commands import Command, CommandError, MazeCommands, distinct_regions
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.phrasing import TEMPLATES, number_words
from goalbridge.envs.places import CATEGORIES, MazePlaces, Place

FORK = MazeCommands(LAYOUTS["fork"])
WALLS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(lambda w: not w.all())
TEXTS = {
    "walled": "#..\n###\n#..",
    "even": "....\n.##.\n....\n....\n.#..\n....",
    "one": ".",
    "strip": "......#.",
}


@pytest.fixture(scope="module", params=["fork", "island", *TEXTS])
def places(request: pytest.FixtureRequest) -> MazePlaces:
    name = request.param
    return MazePlaces(LAYOUTS[name] if name in LAYOUTS else Layout.from_text(TEXTS[name], name))


@pytest.fixture(scope="module")
def fork() -> MazePlaces:
    return MazePlaces(LAYOUTS["fork"])


def truths(row: int, column: int, height: int, width: int) -> dict[str, str]:
    """Label to category of all that is true of a free cell, in whole numbers."""
    found = {f"row {row}, column {column}": "exact", f"row {row}": "line", f"column {column}": "line"}
    upper, lower = 2 * row + 1 < height, 2 * row + 1 > height
    left, right = 2 * column + 1 < width, 2 * column + 1 > width
    vertical = {"top": (upper, row in (0, 1)), "bottom": (lower, row in (height - 1, height - 2))}
    horizontal = {"left": (left, column in (0, 1)), "right": (right, column in (width - 1, width - 2))}
    region = {f"{name} half": half for name, (half, _) in (vertical | horizontal).items()}
    for v, h in product(vertical, horizontal):
        region[f"{v} {h} quadrant"] = vertical[v][0] and horizontal[h][0]
        region[f"{v} {h} corner"] = vertical[v][1] and horizontal[h][1]
    region["border"] = row in (0, height - 1) or column in (0, width - 1)
    # Twice a cell's middle is 2 r + 1, of 2 H: a third of the maze lies before it if 3 (2 r + 1) > 2 H.
    down, across = abs(2 * row + 1 - height), abs(2 * column + 1 - width)
    vague = {
        "somewhere on the left": 3 * (2 * column + 1) < 2 * width,
        "somewhere on the right": 3 * (2 * column + 1) > 4 * width,
        "somewhere near the top": 3 * (2 * row + 1) < 2 * height,
        "somewhere near the bottom": 3 * (2 * row + 1) > 4 * height,
        "not far from the middle": 2 * down < height and 2 * across < width,
        "far from the middle": 4 * down > 3 * height or 4 * across > 3 * width,
    }
    return found | {
        label: category
        for category, labels in (("region", region), ("vague", vague))
        for label, holds in labels.items()
        if holds
    }


def check_regions(places: MazePlaces) -> None:
    """Against loops over cells: regions, and what is true of a place in each cell."""
    layout, expected = places.layout, dict[tuple[str, str], set[tuple[int, int]]]()
    positions = layout.free_cells + np.random.default_rng(0).random((len(layout.free_cells), 2))
    for (row, column), labels in zip(layout.free_cells.tolist(), places.true_labels(positions).tolist(), strict=True):
        true = truths(row, column, *layout.walls.shape)
        for label, category in true.items():
            expected.setdefault((category, label), set()).add((row, column))
        count = len(true)
        assert labels[count:] == [-1] * (len(labels) - count)  # padding comes last
        assert labels[:count] == sorted(labels[:count])
        assert {places.labels[label] for label in labels[:count]} == set(true)
    found = {(p.category, p.label): set(map(tuple, np.argwhere(p.region).tolist())) for p in places.places}
    assert found == expected
    assert len(found) == len(places.places)
    assert places.labels == tuple(place.label for place in places.places)
    np.testing.assert_array_equal(places.regions, [place.region for place in places.places])
    assert not any(place.region.flags.writeable for place in places.places)


def test_regions_are_what_loops_over_cells_find(places: MazePlaces) -> None:
    check_regions(places)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(WALLS)
def test_regions_of_any_layout(walls: NDArray[np.bool_]) -> None:
    check_regions(MazePlaces(Layout.from_array(walls)))


def test_chosen_categories_alone_are_spoken_of(fork: MazePlaces) -> None:
    for category in CATEGORIES:
        some = MazePlaces(fork.layout, (category,))
        assert some.labels == tuple(place.label for place in fork.places if place.category == category)
    for wrong in (("line", "lines"), ()):
        with pytest.raises(ValueError, match=r"^categories: expected some of exact, line, region, vague, got "):
            MazePlaces(fork.layout, wrong)


def test_further_places_are_spoken_of_unless_they_are_nowhere() -> None:
    nowhere = np.zeros_like(LAYOUTS["fork"].walls)
    corner = nowhere.copy()
    corner[0, :2] = True
    further = [Place("compound", name, (name,), where) for name, where in (("nowhere", nowhere), ("here", corner))]
    places = MazePlaces(LAYOUTS["fork"], ("line",), further)
    assert places.labels[-1] == "here"
    assert "nowhere" not in places.labels
    assert places.find("Go to  Here") is places.places[-1]
    assert len(places.labels) - 1 in places.true_labels([[0.5, 1.5]])


@pytest.mark.parametrize("split", TEMPLATES)
def test_wordings_are_templates_with_every_name(fork: MazePlaces, split: Split) -> None:
    """A cell has 12 wordings of many, but what one leaves out others say."""
    templates, met = TEMPLATES[split], set()
    for label, place in enumerate(fork.places):
        full = {template.format(place=name) for template in templates for name in place.names}
        said = set(fork.phrasings(label, split))
        if place.category == "exact":
            assert 12 <= len(said) <= 13
            assert said < full
            pairs = product(templates, enumerate(place.names))
            met |= {(template, form) for template, (form, name) in pairs if template.format(place=name) in said}
        elif split == "train" and len(place.names) > 3:  # they take turns
            assert len(full) / 2 <= len(said) < 0.6 * len(full)
            assert set(place.names) < said < full
        else:
            assert said == full
        assert split != "train" or place.names[0] in said  # as it is said as a part of a compound
    if split == "train":  # half of them, but each template with half of the forms, and each form likewise
        assert {len({form for other, form in met if other == t}) for t in templates} <= {3, 6}
        assert min(len({t for t, other in met if other == form}) for form in range(6)) >= len(templates) / 2
    else:
        assert met == set(product(templates, range(6)))


def test_a_category_weighs_one_where_it_is_true_on_average(places: MazePlaces) -> None:
    for category in {place.category for place in places.places}:
        kinds = np.array([place.category == category for place in places.places])
        totals = places.weights[kinds] @ places.regions[kinds].reshape(kinds.sum(), -1)
        assert np.mean(totals[totals > 0]) == pytest.approx(1)
        assert len(set(places.weights[kinds])) == 1  # within a category each truth is as likely


def test_chances_among_truths_are_in_proportion_to_the_weights(fork: MazePlaces) -> None:
    true = fork.true_labels([[0.5, 0.5]])[0]
    true = np.concatenate([true[true >= 0], [-1, -1]])
    counts = np.bincount(fork.choose(np.tile(true, (20_000, 1)), np.random.default_rng(1)), minlength=len(true))
    assert counts[-2:].tolist() == [0, 0]  # padding is never said
    weights = fork.weights[true[:-2]]
    assert stats.chisquare(counts[:-2], 20_000 * weights / weights.sum()).pvalue > 1e-3


def test_goals_without_a_true_place_have_no_caption() -> None:
    """The middle of a maze of odd sides is in no half, corner or border."""
    layout = Layout.from_text("\n".join(["." * 15] * 15), "empty")
    goals = np.array([[7.5, 7.5], [7.5, 3.5], [7.5, 7.2]], np.float32)
    pairs = caption_goals(MazePlaces(layout, ("region",)), goals, "label", 0)
    np.testing.assert_array_equal(pairs.goals, goals[[1]])
    assert [pairs.texts[text] for text in pairs.text] == ["left half"]


def test_labels_are_rows_then_columns_with_a_free_cell() -> None:
    assert FORK.labels == tuple(f"row {i}" for i in range(15)) + tuple(f"column {i}" for i in range(15))
    walled = MazeCommands(Layout.from_text("#..\n###\n#..", "walled"))
    assert walled.labels == ("row 0", "row 2", "column 1", "column 2")
    assert np.flatnonzero(FORK.region(1)[1]).tolist() == [10, 11, 12, 13, 14]


def test_texts_parse_to_commands_in_their_own_words() -> None:
    shouted = FORK.parse("  GO to\n Row  3 ")
    assert shouted is not None
    assert (shouted.label, shouted.category, shouted.text) == ("row 3", "row", "GO to Row 3")
    assert FORK.label_of(shouted) == 3
    assert FORK.parse("go to row 15") is None
    assert FORK.label_of(Command("row 3", "row 3", "row", ~FORK.region(3))) is None


def test_number_words() -> None:
    words = {0: "zero", 13: "thirteen", 20: "twenty", 21: "twenty-one", 100: "one hundred", 105: "one hundred five"}
    words |= {999: "nine hundred ninety-nine", 1000: "one thousand", 1023: "one thousand twenty-three"}
    assert {number: number_words(number) for number in words} == words
    assert len({number_words(number) for number in range(1024)}) == 1024
    assert set("".join(map(number_words, range(1024)))) <= set(string.ascii_lowercase + "- ")
    with pytest.raises(ValueError, match=r"number: .* got -1"):
        number_words(-1)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(WALLS)
def test_commands_hold_in_their_lines_and_are_asked_where_reachable_and_not_yet_true(walls: NDArray[np.bool_]) -> None:
    layout, (rows, columns) = Layout("drawn", walls), np.indices(walls.shape)
    commands, positions = MazeCommands(layout), layout.free_cells + 0.5
    for label, name in enumerate(commands.labels):
        axis, number = name.split()
        command = commands.command(label)
        np.testing.assert_array_equal(command.region, ((rows if axis == "row" else columns) == int(number)) & ~walls)
        assert command.region.any()
        np.testing.assert_array_equal(command.holds(positions), (commands.true_labels(positions) == label).any(axis=1))
    for index, (row, column) in enumerate(layout.free_cells):
        expected = {
            label
            for label in range(len(commands.labels))
            if commands.reachable(commands.region(label))[layout.component[row, column]]
            and not commands.region(label)[row, column]
        }
        assert commands.askable[index] == len(expected)
        shares = (np.arange(len(expected)) + 0.5) / max(1, len(expected))
        asked = commands.ask(np.full(len(expected), index), shares).tolist()
        assert sorted(asked) == sorted(expected)


def test_commands_are_checked_where_built_and_regions_told_apart() -> None:
    for text in ("", "x" * 257, "row\n3", "Zeile fünf"):
        with pytest.raises(CommandError, match="printable ASCII") as caught:
            Command(text, "row 0", "row", FORK.region(0))
        assert "\n" not in str(caught.value)
    with pytest.raises(CommandError, match="got shape"):
        Command("go", "nowhere", "none", np.zeros(3, dtype=bool))
    commands = [FORK.command(4), FORK.command(2, "go to row 2"), FORK.command(4, "go to row 4")]
    regions, which = distinct_regions(commands)
    assert which.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(regions, [FORK.region(4), FORK.region(2)])
