"""Layouts: the five of the protocol, what users bring, and one clear line for what cannot be a maze."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from goalbridge.envs.layouts import LAYOUTS, Layout, LayoutError, resolve_layout

WALLS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(lambda w: not w.all())


def test_known_layouts_are_those_of_the_protocol() -> None:
    fork, island, slit, blocker = (np.zeros((15, 15), dtype=bool), *np.zeros((3, 11, 11), dtype=bool))
    fork[1::2, :10] = True
    island[3:8, 5:7] = True
    slit[:5, 5] = slit[6:, 5] = True
    blocker[3, :10] = True
    expected = {"fork": fork, "island": island, "blank": np.zeros((10, 10)), "slit": slit, "blocker": blocker}
    assert set(LAYOUTS) == set(expected)
    for name, walls in expected.items():
        np.testing.assert_array_equal(LAYOUTS[name].walls, walls)
    with pytest.raises(ValueError, match="read-only"):
        LAYOUTS["fork"].walls[0, 0] = True


def test_a_layout_knows_its_cells_and_parts() -> None:
    layout = Layout.from_text(".#.\n.##\n...\n", "parts")
    assert (layout.height, layout.width) == (3, 3)
    assert layout.free_cells.tolist() == [[0, 0], [0, 2], [1, 0], [2, 0], [2, 1], [2, 2]]
    assert layout.cell_index.tolist() == [[0, -1, 1], [2, -1, -1], [3, 4, 5]]
    assert layout.component.tolist() == [[0, -1, 1], [0, -1, -1], [0, 0, 0]]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(WALLS, st.sampled_from(["\n", "\r\n"]), st.text(" \t", max_size=2), st.booleans())
def test_any_layout_is_what_its_text_says(walls: NDArray[np.bool_], newline: str, trailing: str, ends: bool) -> None:
    layout = Layout("drawn", walls)
    text = (trailing + newline).join(layout.to_text().split("\n")[:-1]) + newline * ends
    again = Layout.from_text(text, "read")
    np.testing.assert_array_equal(again.walls, walls)
    assert again.to_text() == layout.to_text()
    assert [layout.cell_index[tuple(cell)] for cell in layout.free_cells] == list(range(int((~walls).sum())))
    assert (layout.cell_index[walls] == -1).all()
    assert (layout.component[walls] == -1).all()
    for axis in (0, 1):
        here, beside = (np.delete(layout.component, index, axis=axis) for index in (-1, 0))
        assert (here == beside)[(here >= 0) & (beside >= 0)].all()


def test_names_paths_arrays_and_layouts_all_resolve(tmp_path: Path) -> None:
    layout, path = LAYOUTS["slit"], tmp_path / "mine.txt"
    path.write_text(layout.to_text().replace("\n", "\r\n"))
    assert resolve_layout("slit") is resolve_layout(layout) is layout
    for source in (path, str(path), layout.walls, layout.walls.astype(float), layout.walls.astype(int).tolist()):
        np.testing.assert_array_equal(resolve_layout(source).walls, layout.walls)
    assert resolve_layout(path).name == "mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "got empty text"),
        (b"\n\n", "got empty text"),
        (b"..\n...", "2 cells in row 1, got 3"),
        (b"..\n.x", "row 1, column 1, got 'x'"),
        (b"##\n##", "at least one free cell"),
        (b"...\n" * 1025, "1025 x 3"),
        (b"\xff\xfe\x00\x80", "expected UTF-8"),
    ],
)
def test_files_that_hold_no_maze_are_refused_in_one_line(text: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(text)
    with pytest.raises(LayoutError, match=f"^layout .*mine.*: .*{says}") as caught:
        resolve_layout(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("forc", "did you mean 'fork'"),
        ("no/such/maze.txt", "a text file or a 0/1 array"),
        (Path("no/such/maze.txt"), "expected a text file"),
        ([0, 1], "got 1"),
        ([[0, 2]], "got other values"),
        ([[0, 1], [0]], "rows of one length"),
        ([["a", "b"]], "got other values"),
        (np.zeros((0, 3)), "0 x 3"),
        (np.ones((2, 2)), "at least one free cell"),
    ],
)
def test_what_is_no_maze_is_refused_in_one_line(source: object, says: str) -> None:
    with pytest.raises(LayoutError, match=says) as caught:
        resolve_layout(source)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
