"""Layouts: the five of the protocol, what users bring, and one clear line for what cannot be a maze."""

from pathlib import Path

import numpy as np
import pytest

from goalbridge.envs.layouts import LAYOUTS, Layout, LayoutError, resolve_layout


def test_known_layouts_are_those_of_the_protocol() -> None:
    fork = np.zeros((15, 15), dtype=bool)
    fork[1::2, :10] = True
    island = np.zeros((11, 11), dtype=bool)
    island[3:8, 5:7] = True
    slit = np.zeros((11, 11), dtype=bool)
    slit[:, 5] = True
    slit[5, 5] = False
    blocker = np.zeros((11, 11), dtype=bool)
    blocker[3, :10] = True
    expected = {"fork": fork, "island": island, "blank": np.zeros((10, 10)), "slit": slit, "blocker": blocker}
    assert set(LAYOUTS) == set(expected)
    for name, walls in expected.items():
        np.testing.assert_array_equal(LAYOUTS[name].walls, walls)


def test_a_layout_knows_its_cells_and_parts() -> None:
    layout = Layout.from_text(".#.\n.##\n...\n", "parts")
    assert (layout.walls.shape[0], layout.walls.shape[1]) == (3, 3)
    assert layout.free_cells.tolist() == [[0, 0], [0, 2], [1, 0], [2, 0], [2, 1], [2, 2]]
    assert layout.cell_index.tolist() == [[0, -1, 1], [2, -1, -1], [3, 4, 5]]
    assert layout.component[0, 2] != layout.component[0, 0] == layout.component[2, 2]
    assert layout.component[0, 1] == -1
    with pytest.raises(ValueError, match="read-only"):
        layout.walls[0, 0] = True


def test_names_paths_arrays_and_layouts_all_resolve(tmp_path: Path) -> None:
    layout = LAYOUTS["slit"]
    path = tmp_path / "mine.txt"
    path.write_text(layout.to_text().replace("\n", "\r\n"))
    assert resolve_layout("slit") is layout
    assert resolve_layout(layout) is layout
    for source in (path, str(path), layout.walls, layout.walls.astype(float), layout.walls.astype(int).tolist()):
        np.testing.assert_array_equal(resolve_layout(source).walls, layout.walls)
    assert resolve_layout(path).name == "mine"


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
    with pytest.raises(LayoutError, match=says) as caught:
        Layout.from_text(text, "mine")
    assert "\n" not in str(caught.value)
    assert "'mine'" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("forc", "did you mean 'fork'"),
        ("no/such/maze.txt", "a text file or a 0/1 array, got .*; try one of fork"),
        (Path("no/such/maze.txt"), "got No such file"),
        ([0, 1], "1 dimensions"),
        ([[0, 2]], r"expected 0 \(free\) and 1"),
        ([[0, 1], [0]], "rows of equal length"),
        ([["a", "b"]], r"expected 0 \(free\) and 1"),
        (np.zeros((0, 3)), "0 x 3"),
        (np.ones((2, 2)), "a free cell"),
    ],
)
def test_sources_that_are_no_maze(source: object, says: str) -> None:
    with pytest.raises(LayoutError, match=says) as caught:
        resolve_layout(source)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(LayoutError, match="UTF-8 text"):
        resolve_layout(path)
