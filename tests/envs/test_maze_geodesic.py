"""Path lengths: closed forms, a search on a fine grid, and what must not leak."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import coo_array, csgraph

from goalbridge.envs.expert import grid_shortest
from goalbridge.envs.layouts import LAYOUTS, Layout, LayoutError
from goalbridge.envs.optimal import geodesic_shortest
from goalbridge.envs.places import MazePlaces


def one(layout: Layout, start: tuple[float, float], *cells: tuple[int, int]) -> float:
    region = np.zeros_like(layout.walls)
    for cell in cells:
        region[cell] = True
    return float(geodesic_shortest(layout, np.array([start]), region[None], np.zeros(1, dtype=np.int64))[0])


def row(layout: Layout, index: int) -> list[tuple[int, int]]:
    return [(index, column) for column in range(layout.walls.shape[1])]


def test_closed_forms() -> None:
    blank, blocker, slit = LAYOUTS["blank"], LAYOUTS["blocker"], LAYOUTS["slit"]
    assert one(blank, (4.25, 3.0), *row(blank, 7)) == pytest.approx(2.75)
    assert one(blank, (4.25, 3.0), (0, 0)) == pytest.approx(np.hypot(3.25, 2.0))
    assert one(blank, (4.25, 3.0), *row(blank, 4)) == 0.0
    # Around the end of the wall: to its two corners, then straight up.
    assert one(blocker, (5.5, 2.5), *row(blocker, 0)) == pytest.approx(np.hypot(1.5, 7.5) + 1.0 + 2.0, abs=1e-6)
    # Through the slit, whose corners are at (5, 5) and (5, 6), or straight if the line passes.
    assert one(slit, (5.5, 0.5), (5, 10)) == pytest.approx(9.5)
    assert one(slit, (2.5, 2.5), (0, 10)) == pytest.approx(np.hypot(2.5, 2.5) + 1.0 + np.hypot(4.0, 4.0), abs=1e-6)
    fork = LAYOUTS["fork"]
    to_the_top = np.hypot(0.5, 9.5) + 11.0  # to the corner (12, 10), then up along the ends of the walls to (1, 10)
    assert one(fork, (12.5, 0.5), *row(fork, 0)) == pytest.approx(to_the_top, abs=1e-6)
    assert one(fork, (12.5, 0.5), (0, 0)) == pytest.approx(to_the_top + 9.0, abs=1e-6)  # and along the wall's face


def test_walls_do_not_leak_and_what_is_beyond_is_unreachable() -> None:
    pinched = Layout.from_text("..#\n.#.\n#..", "pinched")
    assert one(pinched, (0.5, 0.5), (2, 2)) == np.inf
    assert one(pinched, (1 - 1e-9, 1 - 1e-9), (2, 2)) == np.inf
    thick = Layout.from_text("....\n####\n####\n....", "thick")
    for column in (0.5, 1.0, 2.0):  # 1.0 and 2.0 run along the seams between wall cells
        assert one(thick, (0.5, column), *row(thick, 3)) == np.inf
    plug = Layout.from_text("...\n.#.\n...", "plug")
    assert one(plug, (0.5, 1.5), (2, 1)) == pytest.approx(np.hypot(0.5, 0.5) + 1.0, abs=1e-6)
    parts = Layout.from_text("..#.", "parts")
    assert one(parts, (0.5, 0.5), (0, 0)) == 0.0
    assert one(parts, (0.5, 0.5), (0, 3)) == np.inf
    assert one(parts, (0.5, 0.5), (0, 2)) == np.inf  # a region of walls alone
    regions = np.zeros((2, 1, 4), dtype=bool)
    regions[0, 0, 1], regions[1, 0, 3] = True, True
    steps = grid_shortest(parts, np.array([[0.5, 0.5], [0.5, 0.5]]), regions, np.array([0, 1]))
    assert steps.tolist() == [1.0, np.inf]


def fine_grid(layout: Layout, starts: NDArray[np.float64], region: NDArray[np.bool_], fine: int) -> NDArray[np.float64]:
    """Shortest 8-connected paths between points `fine` to a cell: at most 8.24 % over the geodesic, never below it."""
    free = ~layout.walls.repeat(fine, axis=0).repeat(fine, axis=1)
    index = np.where(free, np.cumsum(free).reshape(free.shape) - 1, -1)
    heads, tails, lengths = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows, columns = np.nonzero(free[: free.shape[0] - down or None])
        across = columns + right
        inside = (across >= 0) & (across < free.shape[1])
        rows, columns, across = rows[inside], columns[inside], across[inside]
        open_ = free[rows + down, across] & free[rows + down, columns] & free[rows, across]
        heads.append(index[rows, columns][open_])
        tails.append(index[rows + down, across][open_])
        lengths.append(np.full(open_.sum(), np.hypot(down, right) / fine))
    edges = (np.concatenate(lengths), (np.concatenate(heads), np.concatenate(tails)))
    graph = coo_array(edges, shape=(free.sum(), free.sum())).tocsr()
    goals = index[region.repeat(fine, axis=0).repeat(fine, axis=1) & free]
    distance = csgraph.dijkstra(graph, directed=False, indices=goals, min_only=True)
    cell = np.floor(starts * fine).astype(int)
    return np.asarray(distance[index[cell[:, 0], cell[:, 1]]])


def test_geodesics_lie_between_the_bounds_of_a_fine_grid() -> None:
    rng = np.random.default_rng(0)
    fine = 6
    for trial in range(12):
        walls = rng.random((9, 8)) < (0.15, 0.3, 0.45)[trial % 3]
        walls[0, 0] = False
        layout = Layout.from_array(walls)
        cells = layout.free_cells[rng.integers(len(layout.free_cells), size=40)]
        # Starts on the grid's points, so that only the end of the path can differ, by less than a grid step.
        starts = cells + (rng.integers(fine, size=(40, 2)) + 0.5) / fine
        region = (rng.random(walls.shape) < 0.06) & ~walls
        exact = geodesic_shortest(layout, starts, region[None], np.zeros(40, dtype=np.int64))
        bound = fine_grid(layout, starts, region, fine)
        np.testing.assert_array_equal(np.isinf(exact), np.isinf(bound))
        reached = np.isfinite(exact)
        assert (exact[reached] <= bound[reached] + 1e-6).all()
        # Points keep half a grid step off the walls, which costs at every bend.
        assert (bound[reached] <= 1.0824 * exact[reached] + 4.0 / fine).all()


def test_geodesics_are_at_most_the_paths_over_cell_centres_up_to_a_number_of_corners() -> None:
    layout = LAYOUTS["fork"]
    regions = MazePlaces(layout, ("line",)).regions
    starts = np.tile(layout.free_cells + 0.5, (3, 1))
    which = np.random.default_rng(0).integers(len(regions), size=len(starts))
    exact = geodesic_shortest(layout, starts, regions, which)
    steps = grid_shortest(layout, starts, regions, which)
    assert (exact <= np.maximum(steps - 0.5, 0.0) + 1e-6).all()
    assert (exact >= steps / np.sqrt(2) - 1.0).all()
    walls = np.zeros((90, 90))
    walls[1::3, 1::3] = 1
    with pytest.raises(LayoutError, match=r"wall corners .* got 3600"):
        one(Layout.from_array(walls, "pegs"), (0.5, 0.5), (2, 2))
