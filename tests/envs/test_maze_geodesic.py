"""Path lengths: closed forms, a search on a fine grid, and what must not leak."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import coo_array, csgraph

from goalbridge.envs.commands import MazeCommands
from goalbridge.envs.geodesic import geodesic_shortest, grid_shortest
from goalbridge.envs.layouts import LAYOUTS, Layout, LayoutError

Point = tuple[float, float]
PINCHED = Layout.from_text("..#\n.#.\n#..", "pinched")
THICK = Layout.from_text("....\n####\n####\n....", "thick")
PLUG = Layout.from_text("...\n.#.\n...", "plug")
PARTS = Layout.from_text("..#.", "parts")
TO_THE_TOP = np.hypot(0.5, 9.5) + 11.0  # to the corner (12, 10), then up along the ends of the walls to (1, 10)


def one(layout: Layout, start: Point, row: int, column: int | None = None) -> float:
    """The path from a start to a cell, or to a whole row."""
    region = np.zeros_like(layout.walls)
    region[row, slice(None) if column is None else column] = True
    return float(geodesic_shortest(layout, np.array([start]), region[None], np.zeros(1, dtype=np.int64))[0])


@pytest.mark.parametrize(
    ("layout", "start", "target", "length"),
    [
        ("blank", (4.25, 3.0), (7,), 2.75),
        ("blank", (4.25, 3.0), (0, 0), np.hypot(3.25, 2.0)),
        ("blank", (4.25, 3.0), (4,), 0.0),
        ("blocker", (5.5, 2.5), (0,), np.hypot(1.5, 7.5) + 1.0 + 2.0),  # to the wall's two corners, then straight up
        ("slit", (5.5, 0.5), (5, 10), 9.5),  # through the slit, straight if the line passes
        ("slit", (2.5, 2.5), (0, 10), np.hypot(2.5, 2.5) + 1.0 + np.hypot(4.0, 4.0)),  # or by its corners
        ("fork", (12.5, 0.5), (0,), TO_THE_TOP),
        ("fork", (12.5, 0.5), (0, 0), TO_THE_TOP + 9.0),  # and along the wall's face
        (PINCHED, (0.5, 0.5), (2, 2), np.inf),
        (PINCHED, (1 - 1e-9, 1 - 1e-9), (2, 2), np.inf),
        *((THICK, (0.5, column), (3,), np.inf) for column in (0.5, 1.0, 2.0)),  # along the seams between wall cells
        (PLUG, (0.5, 1.5), (2, 1), np.hypot(0.5, 0.5) + 1.0),
        (PARTS, (0.5, 0.5), (0, 0), 0.0),
        (PARTS, (0.5, 0.5), (0, 3), np.inf),
        (PARTS, (0.5, 0.5), (0, 2), np.inf),  # a region of walls alone
    ],
)
def test_closed_forms(layout: str | Layout, start: Point, target: tuple[int, ...], length: float) -> None:
    maze = LAYOUTS[layout] if isinstance(layout, str) else layout
    assert one(maze, start, *target) == pytest.approx(length, abs=1e-6)


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
    rng, fine = np.random.default_rng(0), 6
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


def test_geodesics_are_at_most_the_paths_over_cell_centres() -> None:
    layout, commands = LAYOUTS["fork"], MazeCommands(LAYOUTS["fork"])
    regions = np.stack([commands.region(label) for label in range(len(commands.labels))])
    starts = np.tile(layout.free_cells + 0.5, (3, 1))
    which = np.random.default_rng(0).integers(len(regions), size=len(starts))
    exact = geodesic_shortest(layout, starts, regions, which)
    steps = grid_shortest(layout, starts, regions, which)
    assert (exact <= np.maximum(steps - 0.5, 0.0) + 1e-6).all()
    assert (exact >= steps / np.sqrt(2) - 1.0).all()
    beyond = np.array([[[False, True, False, False]], [[False, False, False, True]]])
    assert grid_shortest(PARTS, np.full((2, 2), 0.5), beyond, np.array([0, 1])).tolist() == [1.0, np.inf]


def test_too_many_corners_are_refused() -> None:
    walls = np.zeros((90, 90))
    walls[1::3, 1::3] = 1
    with pytest.raises(LayoutError, match=r"wall corners .*got 3600"):
        one(Layout.from_array(walls, "pegs"), (0.5, 0.5), 2, 2)
