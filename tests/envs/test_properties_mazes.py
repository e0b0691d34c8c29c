"""Any maze: it survives being written down, and a command holds where its words say."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from goalbridge.configs.splits import SPLITS
from goalbridge.envs.commands import MazeCommands
from goalbridge.envs.layouts import Layout

WALLS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(lambda w: not w.all())
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ORDINALS = ["zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(WALLS, st.sampled_from(["\n", "\r\n"]), st.text(" \t", max_size=2), st.booleans())
def test_a_layout_is_what_its_text_says(
    walls: np.ndarray[tuple[int, int], np.dtype[np.bool_]], newline: str, trailing: str, ends: bool
) -> None:
    layout = Layout("drawn", walls)
    text = (trailing + newline).join(layout.to_text().split("\n")[:-1]) + newline * ends
    again = Layout.from_text(text, "read")
    np.testing.assert_array_equal(again.walls, walls)
    assert again.to_text() == layout.to_text()
    np.testing.assert_array_equal(Layout.from_array(walls.astype(int)).walls, walls)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(WALLS)
def test_cells_indices_and_components_fit_together(walls: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> None:
    layout = Layout("drawn", walls)
    assert [layout.cell_index[tuple(cell)] for cell in layout.free_cells] == list(range(int((~walls).sum())))
    assert (layout.cell_index[walls] == -1).all()
    assert (layout.component[walls] == -1).all()
    for axis in (0, 1):
        pairs = [np.delete(layout.component, index, axis=axis) for index in (-1, 0)]  # each cell and the next one
        both_free = (pairs[0] >= 0) & (pairs[1] >= 0)
        assert (pairs[0] == pairs[1])[both_free].all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(WALLS, st.data())
def test_a_command_holds_where_its_words_say(
    walls: np.ndarray[tuple[int, int], np.dtype[np.bool_]], data: st.DataObject
) -> None:
    commands = MazeCommands(Layout("drawn", walls))
    label = data.draw(st.integers(0, len(commands.labels) - 1))
    text = data.draw(st.sampled_from(commands.phrasings(label, data.draw(st.sampled_from(SPLITS)))))
    (number,) = {int(word) for word in re.findall(r"\d+", text)} or {
        NUMBERS.index(word) if word in NUMBERS else ORDINALS.index(word)
        for word in re.findall(r"[a-z]+", text.lower())
        if word in NUMBERS or word in ORDINALS
    }
    kind, meant = commands.labels[label].split()
    assert number == int(meant)
    command = commands.parse(f"  {text.upper()} ")
    assert command is not None
    rows, columns = np.indices(walls.shape)
    np.testing.assert_array_equal(command.region, ((rows if kind == "row" else columns) == number) & ~walls)
    assert command.region.any()
    position = data.draw(st.sampled_from(commands.layout.free_cells.tolist()))
    assert bool(command.holds(np.array(position) + 0.5)) == (label in commands.true_labels([np.array(position) + 0.5]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(WALLS, st.data())
def test_what_is_asked_can_be_done_and_is_not_yet(
    walls: np.ndarray[tuple[int, int], np.dtype[np.bool_]], data: st.DataObject
) -> None:
    commands = MazeCommands(Layout("drawn", walls))
    starts = np.flatnonzero(commands.askable > 0)
    assume(len(starts) > 0)
    start = data.draw(st.sampled_from(starts.tolist()))
    (label,) = commands.ask(np.array([start]), np.array([data.draw(st.floats(0, 1, exclude_max=True))]))
    cell = commands.layout.free_cells[start]
    region = commands.region(int(label))
    assert not region[tuple(cell)]
    assert commands.reachable(region)[commands.layout.component[tuple(cell)]]
