"""Commands: the cells in which they hold, and what is asked from where."""

import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from goalbridge.envs.commands import Command, CommandError, MazeCommands, distinct_regions
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.phrasing import number_words

FORK = MazeCommands(LAYOUTS["fork"])
WALLS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(lambda w: not w.all())


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
