"""Commands: wordings in two disjoint splits, and the cells in which they hold."""

import string

import numpy as np
import pytest

from goalbridge.configs.splits import SPLITS
from goalbridge.envs.commands import Command, CommandError, MazeCommands, distinct_regions
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.phrasing import TEMPLATES, number_words


@pytest.fixture(scope="module")
def fork() -> MazeCommands:
    return MazeCommands(LAYOUTS["fork"])


def test_labels_are_rows_then_columns_with_a_free_cell(fork: MazeCommands) -> None:
    assert fork.labels == tuple(f"row {i}" for i in range(15)) + tuple(f"column {i}" for i in range(15))
    walled = MazeCommands(Layout.from_text("#..\n###\n#..", "walled"))
    assert walled.labels == ("row 0", "row 2", "column 1", "column 2")


def test_regions_are_free_cells_of_their_row_or_column(fork: MazeCommands) -> None:
    assert fork.regions.shape == (30, 15, 15)
    assert not (fork.regions & LAYOUTS["fork"].walls).any()
    assert np.flatnonzero(fork.regions[1].any(axis=1)).tolist() == [1]
    assert np.flatnonzero(fork.regions[1][1]).tolist() == [10, 11, 12, 13, 14]
    assert fork.regions[15 + 12].sum() == 15


def test_true_labels_are_the_commands_that_hold(fork: MazeCommands) -> None:
    cells = LAYOUTS["fork"].free_cells
    positions = cells + np.random.default_rng(0).random(cells.shape)
    labels = fork.true_labels(positions)
    for label_id in range(30):
        holds = fork.command(label_id).holds(positions)
        np.testing.assert_array_equal(holds, (labels == label_id).any(axis=1))


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
        (TEMPLATES["train"], TEMPLATES["validation"]),
        (TEMPLATES["train"] + TEMPLATES["validation"], TEMPLATES["held_out"]),
    ):
        heads = [head for template in others if (head := template.partition("{")[0].strip())]
        assert not [other for other in templates for head in heads if head in other]


def test_promised_wordings_are_for_training(fork: MazeCommands) -> None:
    assert {"go to row 3", "head for row number three", "row 3", "row three"} < set(fork.phrasings(3, "train"))
    assert "go to column 3" in fork.phrasings(18, "train")
    with pytest.raises(ValueError, match=r"phrasings: expected .* got 'test'"):
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
    for nonsense in ("", "row", "go to row 15", "go to row -1", "fly to row 3"):
        assert fork.parse(nonsense) is None


def test_number_words() -> None:
    words = {0: "zero", 13: "thirteen", 20: "twenty", 21: "twenty-one", 100: "one hundred", 105: "one hundred five"}
    words |= {999: "nine hundred ninety-nine", 1000: "one thousand", 1023: "one thousand twenty-three"}
    assert {number: number_words(number) for number in words} == words
    assert len({number_words(number) for number in range(1024)}) == 1024
    assert set("".join(map(number_words, range(1024)))) <= set(string.ascii_lowercase + "- ")
    with pytest.raises(ValueError, match=r"number: .* got -1"):
        number_words(-1)


def test_what_is_asked_is_reachable_and_not_yet_true() -> None:
    layout = Layout.from_text("..#.\n..##\n###.\n#.#.\n#.#.", "parts")
    commands = MazeCommands(layout)
    for index, (row, column) in enumerate(layout.free_cells):
        expected = {
            label
            for label, region in enumerate(commands.regions)
            if commands.reachable(region)[layout.component[row, column]] and not region[row, column]
        }
        assert commands.askable[index] == len(expected)
        shares = (np.arange(len(expected)) + 0.5) / max(1, len(expected))
        asked = commands.ask(np.full(len(expected), index), shares)
        assert set(asked.tolist()) == expected
        assert len(asked) == len(expected)


def test_commands_are_checked_where_built(fork: MazeCommands) -> None:
    region = fork.region(0)
    for text in ("", "x" * 257, "row\n3", "Zeile fünf"):
        with pytest.raises(CommandError, match="printable ASCII") as caught:
            Command(text, "row 0", "row", region)
        assert "\n" not in str(caught.value)
    with pytest.raises(CommandError, match="got shape"):
        Command("go", "nowhere", "none", np.zeros(3, dtype=bool))


def test_distinct_regions(fork: MazeCommands) -> None:
    commands = [fork.command(4), fork.command(2, "go to row 2"), fork.command(4, "go to row 4")]
    regions, which = distinct_regions(commands)
    assert which.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(regions, fork.regions[[4, 2]])
