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
    expected = {"fork": np.zeros((15, 15)), "blank": np.zeros((10, 10))}
    expected |= {name: np.zeros((11, 11)) for name in ("island", "slit", "blocker")}
    expected["fork"][1::2, :10] = 1
    expected["island"][3:8, 5:7] = 1
    expected["slit"][:, 5] = 1
    expected["slit"][5, 5] = 0
    expected["blocker"][3, :10] = 1
    assert set(LAYOUTS) == set(expected)
    for name, walls in expected.items():
        np.testing.assert_array_equal(LAYOUTS[name].walls, walls)


def test_a_layout_knows_its_cells_and_parts() -> None:
    layout = Layout.from_text(".#.\n.##\n...\n", "parts")
    assert layout.free_cells.tolist() == [[0, 0], [0, 2], [1, 0], [2, 0], [2, 1], [2, 2]]
    assert layout.cell_index.tolist() == [[0, -1, 1], [2, -1, -1], [3, 4, 5]]
    assert layout.component[0, 2] != layout.component[0, 0] == layout.component[2, 2]
    with pytest.raises(ValueError, match="read-only"):
        layout.walls[0, 0] = True


@settings(max_examples=80, deadline=None, derandomize=True)
@given(WALLS, st.sampled_from(["\n", "\r\n"]), st.text(" \t", max_size=2), st.booleans())
def test_a_layout_is_what_its_text_says(walls: NDArray[np.bool_], newline: str, trailing: str, ends: bool) -> None:
    layout = Layout("drawn", walls)
    text = (trailing + newline).join(layout.to_text().split("\n")[:-1]) + newline * ends
    again = Layout.from_text(text, "read")
    np.testing.assert_array_equal(again.walls, walls)
    assert again.to_text() == layout.to_text()
    assert [layout.cell_index[tuple(cell)] for cell in layout.free_cells] == list(range(int((~walls).sum())))
    assert (layout.cell_index[walls] == -1).all()
    assert (layout.component[walls] == -1).all()
    for axis in (0, 1):
        here, following = (np.delete(layout.component, index, axis=axis) for index in (-1, 0))
        assert (here == following)[(here >= 0) & (following >= 0)].all()


def test_names_paths_arrays_and_layouts_all_resolve(tmp_path: Path) -> None:
    layout, path = LAYOUTS["slit"], tmp_path / "mine.txt"
    path.write_text(layout.to_text().replace("\n", "\r\n"))
    assert resolve_layout("slit") is resolve_layout(layout) is layout
    for source in (path, str(path), layout.walls, layout.walls.astype(float), layout.walls.astype(int).tolist()):
        np.testing.assert_array_equal(resolve_layout(source).walls, layout.walls)
    assert resolve_layout(path).name == "mine"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(LayoutError, match="UTF-8 text"):
        resolve_layout(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("..\n...", "2 cells in row 1, as in row 0, got 3"),
        ("..\n.x", "at row 1, column 1, got 'x'"),
        ("##\n##", "a free cell"),
        ("\n".join(["." * 3] * 1025), "1025 x 3"),
    ],
)
def test_text_that_is_no_maze(text: str, says: str) -> None:
    with pytest.raises(LayoutError, match=f"'mine'.*{says}") as caught:
        Layout.from_text(text, "mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("forc", "did you mean 'fork'"),
        ("no/such/maze.txt", r"a text file or a 0/1 array, got .*; try one of fork"),
        (Path("no/such/maze.txt"), "got No such file"),
        ([0, 1], "1 dimensions"),
        ([[0, 2]], r"expected 0 \(free\) and 1"),
        ([["a", "b"]], r"expected 0 \(free\) and 1"),
        ([[0, 1], [0]], "rows of equal length"),
        (np.zeros((0, 3)), "0 x 3"),
        (np.ones((2, 2)), "a free cell"),
    ],
)
def test_sources_that_are_no_maze(source: object, says: str) -> None:
    with pytest.raises(LayoutError, match=says) as caught:
        resolve_layout(source)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
