"""Layouts, what cannot be one, and motion: the closed-form cast against a fine march, never a position in a wall."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy.stats import norm

from goalbridge.envs.layouts import LAYOUTS, Layout, LayoutError, resolve_layout
from goalbridge.envs.motion import STEP_SIZE, WALL_MARGIN, execution_kernel, into_cell, move, rotate, unit_directions

Point = tuple[float, float]

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
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LayoutError, match="UTF-8 text"):
        resolve_layout(path)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "'mine'.*empty"),
        ("\n\n", "'mine'.*empty"),
        ("..\n...", "'mine'.*2 cells in row 1, as in row 0, got 3"),
        ("..\n.x", "'mine'.*at row 1, column 1, got 'x'"),
        ("##\n##", "'mine'.*a free cell"),
        ("\n".join(["." * 3] * 1025), "'mine'.*1025 x 3"),
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
def test_sources_that_are_no_maze(source: Any, says: str) -> None:
    with pytest.raises(LayoutError, match=says) as caught:
        Layout.from_text(source, "mine") if "'mine'" in says else resolve_layout(source)
    assert "\n" not in str(caught.value)


def random_layout(rng: np.random.Generator, height: int = 8, width: int = 9, walls: float = 0.35) -> Layout:
    grid = rng.random((height, width)) < walls
    grid[rng.integers(height), rng.integers(width)] = False
    return Layout.from_array(grid)


def march(layout: Layout, position: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The last free point of 2000 small steps along each unit direction."""
    reached, going = position.copy(), np.ones(len(position), dtype=bool)
    for index in range(1, 2001):
        point = position + direction * (STEP_SIZE * index / 2000)
        cell = np.floor(point).astype(int) + 1
        going &= ~layout.padded_walls[cell[:, 0], cell[:, 1]]
        reached[going] = point[going]
    return reached


def test_the_cast_agrees_with_a_fine_march() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        layout = random_layout(rng)
        corner = layout.free_cells[rng.integers(len(layout.free_cells), size=400)]
        position = into_cell(corner + rng.random((400, 2)), corner)
        direction = rotate(np.array([1.0, 0.0]), rng.uniform(0, 2 * np.pi, 400))
        apart = np.abs(move(layout, position, direction) - march(layout, position, direction)).max(axis=1)
        # A march may step over a corner that the ray only clips; the cast may not. That is as rare as its step is fine.
        assert np.mean(apart > 2 * WALL_MARGIN + STEP_SIZE / 2000) <= 0.005


OFFSETS = st.tuples(*[st.sampled_from([0.0, 1e-9, WALL_MARGIN, 0.25, 0.5, 0.75, 1.0])] * 2)
ANGLES = st.one_of(st.floats(0, 7), st.integers(0, 7).map(lambda k: k * np.pi / 4))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    offsets=st.lists(OFFSETS, min_size=8, max_size=8),
    angles=st.lists(ANGLES, min_size=8, max_size=8),
)
def test_positions_stay_in_the_cells_that_float32_says(seed: int, offsets: list[Point], angles: list[float]) -> None:
    rng = np.random.default_rng(seed)
    layout = random_layout(rng, int(rng.integers(1, 12)), int(rng.integers(1, 12)), rng.random())
    corner = layout.free_cells[rng.integers(len(layout.free_cells), size=8)]
    position = into_cell(corner + np.array(offsets), corner)
    for angle in angles:
        direction = np.stack([np.cos(np.full(8, angle)), np.sin(np.full(8, angle))], axis=1)
        moved = move(layout, position, rotate(direction, rng.normal(size=8)) if rng.random() < 0.5 else direction)
        assert (np.abs(moved - position) <= STEP_SIZE + WALL_MARGIN + 1e-12).all()
        position = moved
        cell = np.floor(position).astype(int)
        assert (layout.cell_index[cell[:, 0], cell[:, 1]] >= 0).all()
        np.testing.assert_array_equal(np.floor(position.astype(np.float32)), cell)


def test_float32_keeps_the_cell_in_the_largest_maze() -> None:
    corner = np.array([[1023, 1023], [0, 1023], [512, 511]])
    for offset in (0.0, 1.0):
        np.testing.assert_array_equal(np.floor(into_cell(corner + offset, corner).astype(np.float32)), corner)


@pytest.mark.parametrize(
    ("text", "start", "direction", "end"),
    [
        ("...", (0.5, 0.5), (0, 1), (0.5, 1.0 + WALL_MARGIN)),  # ends on a face: in the cell that begins there
        ("...", (0.5, 0.7), (0, 9), (0.5, 1.2)),  # only the angle counts
        ("...", (0.5, 0.7), (0, 0), (0.5, 0.7)),  # no direction, no move
        (".#.", (0.5, 0.7), (0, 1), (0.5, 1.0 - WALL_MARGIN)),  # stops before a wall
        (".#.", (0.5, 0.7), (1, 1), (0.8, 1.0 - WALL_MARGIN)),  # where it meets the wall, without sliding
        ("...", (0.3, 0.5), (-1, 0), (WALL_MARGIN, 0.5)),  # outside is wall
        (".#\n..", (0.9, 0.9), (1, 1), (1 - WALL_MARGIN, 1 - WALL_MARGIN)),  # a corner beside a wall blocks
        ("..\n.#", (0.9, 0.9), (1, 1), (1 - WALL_MARGIN, 1 - WALL_MARGIN)),  # so does the corner of a wall
        ("..\n..", (0.9, 0.9), (1, 1), (0.9 + 0.5**1.5, 0.9 + 0.5**1.5)),  # a free corner does not
        (".#\n..", (0.8, 0.9), (1, 1), (0.9, 1 - WALL_MARGIN)),  # column face first: the wall beside
        (".#\n..", (0.9, 0.8), (1, 1), (0.9 + 0.5**1.5, 0.8 + 0.5**1.5)),  # row face first: around the corner
        ("..\n.#", (0.9, 0.8), (1, 1), (1.1, 1 - WALL_MARGIN)),  # stops at the second face
    ],
)
def test_single_moves(text: str, start: Point, direction: Point, end: Point) -> None:
    moved = move(Layout.from_text(text, "tiny"), np.array([start]), np.array([direction], dtype=float))
    np.testing.assert_allclose(moved, [end], atol=1e-12)


def test_directions_are_evenly_spaced_unit_vectors() -> None:
    directions = unit_directions(8)
    assert directions.dtype == np.float32
    np.testing.assert_allclose(directions[:3], [[1, 0], [0.5**0.5, 0.5**0.5], [0, 1]], atol=1e-7)
    np.testing.assert_allclose(rotate(np.array([1.0, 0.0]), np.array(np.pi / 2)), [0.0, 1.0], atol=1e-15)
    with pytest.raises(ValueError, match="directions: expected 1 or more, got 0"):
        unit_directions(0)


@pytest.mark.parametrize("count", [1, 3, 8, 32])
@pytest.mark.parametrize("noise", [0.0, 1.0, 20.0, 90.0, 720.0])
def test_kernel_rows_are_distributions(count: int, noise: float) -> None:
    kernel = execution_kernel(count, noise)
    np.testing.assert_allclose(kernel.sum(axis=1), 1.0)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-15)
    assert (kernel >= 0.0).all()


def test_kernel_matches_closed_form_and_samples() -> None:
    kernel = execution_kernel(8, 20.0)
    assert kernel[3, 3] == pytest.approx(2 * norm.cdf(22.5 / 20.0) - 1.0, abs=1e-9)
    angle = np.random.default_rng(0).normal(0.0, 20.0, 200_000)
    bins = np.bincount(np.round(angle / 45.0).astype(int) % 8, minlength=8) / len(angle)
    np.testing.assert_allclose(kernel[0], bins, atol=5e-3)
