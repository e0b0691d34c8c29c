"""Commands: wordings in disjoint splits, the cells in which they hold, and what is asked from where."""

import re
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from goalbridge.configs.splits import SPLITS
from goalbridge.envs.commands import Command, CommandError, MazeCommands, distinct_regions
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.phrasing import TEMPLATES, number_words

FORK = MazeCommands(LAYOUTS["fork"])
WALLS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(lambda w: not w.all())
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def test_labels_are_rows_then_columns_with_a_free_cell() -> None:
    assert FORK.labels == tuple(f"row {i}" for i in range(15)) + tuple(f"column {i}" for i in range(15))
    walled = MazeCommands(Layout.from_text("#..\n###\n#..", "walled"))
    assert walled.labels == ("row 0", "row 2", "column 1", "column 2")
    assert np.flatnonzero(FORK.region(1)[1]).tolist() == [10, 11, 12, 13, 14]


def test_splits_share_no_text_and_no_template() -> None:
    texts = {split: FORK.all_texts(split) for split in SPLITS}
    for split in SPLITS[:3]:
        every = 30 * len(TEMPLATES[split]) * 6
        assert len(texts[split]) == len(set(texts[split]))
        assert len(texts[split]) == every or (split == "train" and every / 2 <= len(texts[split]) < 0.6 * every)
    train, validation, held_out, _ = ({text.lower() for text in texts[split]} for split in SPLITS)
    assert not train & validation
    assert not held_out & (train | validation)
    assert texts["label"] == FORK.labels
    # No held-out template is a training or validation one with words put around it, but for the bare place.
    train_forms, validation_forms, held_out_forms = TEMPLATES.values()
    for others, forms in ((train_forms, validation_forms), (train_forms + validation_forms, held_out_forms)):
        heads = [head for form in others if (head := form.partition("{")[0].strip())]
        assert not [other for other in forms for head in heads if head in other]
    assert {"go to row 3", "head for row number three", "row 3", "row three"} < set(FORK.phrasings(3, "train"))
    with pytest.raises(ValueError, match=r"phrasings: expected .* got 'test'"):
        FORK.phrasings(0, "test")  # type: ignore[arg-type]


def test_every_wording_parses_to_its_command() -> None:
    for split in SPLITS:
        for label_id in (0, 14, 29):
            for text in FORK.phrasings(label_id, split):
                command = FORK.parse(text)
                assert command is not None
                assert (command.label, command.text) == (FORK.labels[label_id], text)
                assert FORK.label_of(command) == label_id
    shouted = FORK.parse("  GO to\n Row  3 ")
    assert shouted is not None
    assert (shouted.label, shouted.category, shouted.text) == ("row 3", "row", "GO to Row 3")
    for nonsense in ("", "row", "go to row 15", "go to row -1", "fly to row 3"):
        assert FORK.parse(nonsense) is None


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
def test_what_is_asked_is_reachable_and_not_yet_true(walls: NDArray[np.bool_]) -> None:
    layout = Layout("drawn", walls)
    commands = MazeCommands(layout)
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


@settings(max_examples=40, deadline=None, derandomize=True)
@given(WALLS, st.data())
def test_a_command_holds_where_its_words_say(walls: NDArray[np.bool_], data: st.DataObject) -> None:
    commands = MazeCommands(Layout("drawn", walls))
    label = data.draw(st.integers(0, len(commands.labels) - 1))
    text = data.draw(st.sampled_from(commands.phrasings(label, data.draw(st.sampled_from(SPLITS)))))
    (number,) = {int(word) for word in re.findall(r"\d+", text)} or {
        NUMBERS.index(word) for word in re.findall(r"[a-z]+", text.lower()) if word in NUMBERS
    }
    kind, meant = commands.labels[label].split()
    assert number == int(meant)
    command = commands.parse(f"  {text.upper()} ")
    assert command is not None
    rows, columns = np.indices(walls.shape)
    np.testing.assert_array_equal(command.region, ((rows if kind == "row" else columns) == number) & ~walls)
    assert command.region.any()
    positions = commands.layout.free_cells + 0.5
    np.testing.assert_array_equal(command.holds(positions), (commands.true_labels(positions) == label).any(axis=1))


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
