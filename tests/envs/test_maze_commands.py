"""Commands: wordings in two disjoint splits, and the cells in which they hold."""

import re
import string

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from goalbridge.configs.splits import SPLITS
from goalbridge.envs.commands import Command, CommandError, MazeCommands, distinct_regions
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.phrasing import HELD_OUT_TEMPLATES, TEMPLATES, TRAIN_TEMPLATES, VALIDATION_TEMPLATES, number_words

WALLS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(lambda w: not w.all())


@pytest.fixture(scope="module")
def fork() -> MazeCommands:
    return MazeCommands(LAYOUTS["fork"])


def test_labels_are_rows_then_columns_with_a_free_cell(fork: MazeCommands) -> None:
    assert fork.labels == tuple(f"{axis} {i}" for axis in ("row", "column") for i in range(15))
    walled = MazeCommands(Layout.from_text("#..\n###\n#..", "walled"))
    assert walled.labels == ("row 0", "row 2", "column 1", "column 2")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(WALLS, st.data())
def test_a_command_holds_where_its_words_say(walls: NDArray[np.bool_], data: st.DataObject) -> None:
    commands = MazeCommands(Layout("drawn", walls))
    label = data.draw(st.integers(0, len(commands.labels) - 1))
    text = data.draw(st.sampled_from(commands.phrasings(label, data.draw(st.sampled_from(SPLITS)))))
    said = re.findall(r"\w+", text.lower())
    (number,) = {n for n in range(10) for word in (str(n), number_words(n)) if word in said}
    kind, meant = commands.labels[label].split()
    assert number == int(meant)
    command = commands.parse(f"  {text.upper()} ")
    assert command is not None
    index = np.indices(walls.shape)[int(kind == "column")]
    np.testing.assert_array_equal(command.region, (index == number) & ~walls)
    position = np.array(data.draw(st.sampled_from(commands.layout.free_cells.tolist()))) + 0.5
    assert bool(command.holds(position)) == (label in commands.true_labels([position]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(WALLS, st.data())
def test_what_is_asked_can_be_done_and_is_not_yet(walls: NDArray[np.bool_], data: st.DataObject) -> None:
    """Each such command is asked at an equal share."""
    commands = MazeCommands(Layout("drawn", walls))
    assume(commands.askable.any())
    start = data.draw(st.sampled_from(np.flatnonzero(commands.askable).tolist()))
    row, column = commands.layout.free_cells[start]
    expected = {
        label
        for label, region in enumerate(map(commands.region, range(len(commands.labels))))
        if commands.reachable(region)[commands.layout.component[row, column]] and not region[row, column]
    }
    asked = commands.ask(np.full(len(expected), start), (np.arange(len(expected)) + 0.5) / len(expected))
    assert len(asked) == len(expected) == commands.askable[start]
    assert set(asked.tolist()) == expected


def test_splits_share_no_text_and_no_template(fork: MazeCommands) -> None:
    texts = {split: fork.all_texts(split) for split in SPLITS}
    for split in SPLITS[:3]:
        every = 30 * len(TEMPLATES[split]) * 6
        assert len(texts[split]) == len(set(texts[split]))
        assert len(texts[split]) == every or (split == "train" and every / 2 <= len(texts[split]) < 0.6 * every)
    train, validation, held_out, _ = ({text.lower() for text in texts[split]} for split in SPLITS)
    assert not train & validation
    assert not held_out & (train | validation)
    assert texts["label"] == fork.labels
    # No held-out template is a training or validation one with words put around it, but for the bare place.
    for others, templates in (
        (TRAIN_TEMPLATES, VALIDATION_TEMPLATES),
        (TRAIN_TEMPLATES + VALIDATION_TEMPLATES, HELD_OUT_TEMPLATES),
    ):
        heads = [head for template in others if (head := template.partition("{")[0].strip())]
        assert not [other for other in templates for head in heads if head in other]
    assert {"go to row 3", "head for row number three", "row 3", "row three"} < set(fork.phrasings(3, "train"))
    with pytest.raises(ValueError, match=r"phrasings: expected one of .*, got 'test'"):
        fork.phrasings(0, "test")  # type: ignore[arg-type]


def test_every_wording_parses_to_its_command(fork: MazeCommands) -> None:
    for split in SPLITS:
        for label_id in (0, 14, 29):
            for text in fork.phrasings(label_id, split):
                command = fork.parse(text)
                assert command is not None
                assert (command.label, command.text) == (fork.labels[label_id], text)
                assert fork.label_of(command) == label_id
    shouted = fork.parse("  GO to\n Row  3 ")
    assert shouted is not None
    assert (shouted.label, shouted.category, shouted.text) == ("row 3", "row", "GO to Row 3")
    assert all(fork.parse(text) is None for text in ("", "row", "go to row 15", "go to row -1", "fly to row 3"))
    assert fork.label_of(Command("row 3", "row 3", "row", fork.region(4))) is None


def test_number_words() -> None:
    words = {0: "zero", 13: "thirteen", 20: "twenty", 21: "twenty-one", 100: "one hundred", 105: "one hundred five"}
    words |= {999: "nine hundred ninety-nine", 1000: "one thousand", 1023: "one thousand twenty-three"}
    assert {number: number_words(number) for number in words} == words
    assert len({number_words(number) for number in range(1024)}) == 1024
    assert set("".join(map(number_words, range(1024)))) <= set(string.ascii_lowercase + "- ")
    with pytest.raises(ValueError, match=r"number: .*-1"):
        number_words(-1)


def test_commands_are_checked_where_built(fork: MazeCommands) -> None:
    for text in ("", "x" * 257, "row\n3", "Zeile fünf"):
        with pytest.raises(CommandError, match="printable ASCII") as caught:
            Command(text, "row 0", "row", fork.region(0))
        assert "\n" not in str(caught.value)
    with pytest.raises(CommandError, match="got shape"):
        Command("go", "nowhere", "none", np.zeros(3, dtype=bool))


def test_distinct_regions(fork: MazeCommands) -> None:
    commands = [fork.command(4), fork.command(2, "go to row 2"), fork.command(4, "go to row 4")]
    regions, which = distinct_regions(commands)
    assert which.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(regions, [fork.region(4), fork.region(2)])
