"""Places of mazes: their regions by plain loops over cells, their wordings, and how often captions speak of each."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from goalbridge.configs.splits import SPLITS, Split
from goalbridge.data.captions import caption_goals
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.phrasing import TEMPLATES
from goalbridge.envs.places import CATEGORIES, MazePlaces, Place
from goalbridge.envs.spaces import INSTRUCTION_SPACE

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
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6), st.integers(1, 5))
def test_regions_of_any_layout(rows: list[list[bool]], width: int) -> None:
    walls = np.array(rows)[:, :width]
    walls[0, 0] = False
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


def test_every_text_is_of_one_split_and_leads_back_to_its_place(places: MazePlaces) -> None:
    texts = {split: [text.lower() for text in places.all_texts(split)] for split in SPLITS}
    for split, said in texts.items():
        assert len(set(said)) == len(said), split
        again = iter(said)
        for label, place in enumerate(places.places):
            for text in places.phrasings(label, split):
                assert text.lower() == next(again)
                assert INSTRUCTION_SPACE.contains(text)
                assert places.find(text) is place
                assert places.find(f"  {text.upper()} ".replace(" ", "\n ")) is place
    assert not set(texts["train"]) & set(texts["validation"])
    assert not set(texts["held_out"]) & (set(texts["train"]) | set(texts["validation"]))
    assert tuple(texts["label"]) == places.labels


def test_what_names_no_place_is_not_found(fork: MazePlaces) -> None:
    for text in ("", "row", "row 15", "go to row 3, column 0", "row 3 or column 5", "the middle", "make me a sandwich"):
        assert fork.find(text) is None
    with pytest.raises(ValueError, match=r"phrasings: .*'test'"):
        fork.phrasings(0, "test")  # type: ignore[arg-type]


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


def test_captions_speak_of_each_category_as_often(fork: MazePlaces) -> None:
    """20 000 captions: chances of each by a loop over cells; and categories, where all are true, a quarter each."""
    layout, count = fork.layout, 20_000
    cells = layout.free_cells[np.random.default_rng(0).integers(len(layout.free_cells), size=count)]
    pairs = caption_goals(fork, (cells + 0.5).astype(np.float32), "train", 0)
    category = [fork.places[label].category for label in pairs.label]
    weight = dict(zip(fork.labels, fork.weights, strict=True))
    expected, full = Counter[str](), Counter[str]()
    for said, (row, column) in zip(category, cells.tolist(), strict=True):
        true = truths(row, column, *layout.walls.shape)
        total = sum(weight[label] for label in true)
        for label, kind in true.items():
            expected[kind] += weight[label] / total
        if len(set(true.values())) == len(CATEGORIES):
            full[said] += 1
    found = Counter(category)
    assert stats.chisquare([found[c] for c in CATEGORIES], [expected[c] for c in CATEGORIES]).pvalue > 1e-3
    assert full.total() > count / 2
    assert all(abs(full[c] / full.total() - 0.25) < 0.04 for c in CATEGORIES), full


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
