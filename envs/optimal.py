"""The best that can be done in a maze: any-angle shortest paths, and value iteration that knows command and noise."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import dijkstra

from goalbridge.envs.expert import ShortestPaths
from goalbridge.envs.layouts import Layout, LayoutError
from goalbridge.envs.motion import execution_kernel, into_cell, move, unit_directions

MAX_CORNERS: Final = 1000
"""Wall corners that the visibility graph is built for at most: all pairs are looked at, which then takes a minute."""

_SHRINK: Final = 1e-9  # walls give way by this much, so that paths may touch their faces and corners
_PINCH: Final = 1e-7  # half the side of the stopper where two walls touch at a corner
_TESTS_AT_ONCE: Final = 2_000_000  # (segment, rectangle) pairs held in memory
_PROBES: Final = 24  # points along a segment that are looked up in the grid before any rectangle is tested
_INSIDE: Final = 1e-6  # a probe this deep in a wall cell proves the segment blocked

Rectangles = NDArray[np.float64]  # [R, 4]: lowest row, lowest column, highest row, highest column
Obstacles = tuple[NDArray[np.bool_], Rectangles]  # walls [H, W], and the same as shrunk rectangles for the exact test

NODES_PER_SIDE: Final = 5  # value nodes along each side of a cell, the outermost on its faces
MAX_CELLS: Final = 5000  # free cells that the tables are built for at most (25 nodes each)
_ANGLES: Final = 72  # at least so many executed angles stand for the noise
_TOLERANCE: Final = 1e-3  # steps by which values may still change when sweeping ends
_MAX_SWEEPS: Final = 2000
_UNREACHED: Final = 1e9  # far more than any path, yet finite: a weight of zero times infinity would not be zero
_NEGLIGIBLE: Final = 1e-5  # chances below this are dropped


def geodesic_shortest(
    layout: Layout, positions: NDArray[np.floating], regions: NDArray[np.bool_], which: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Length in cells of the shortest any-angle path from each position to its region, float64 [B].

    0 inside the region, inf where it cannot be reached. Such a path bends only at corners of walls and enters the
    region (taken as free rectangles) at the point nearest to its last bend, so the visibility graph of the corners
    holds it exactly. Walls that touch at a corner do not let it through. Arguments as of `expert.grid_shortest`.
    Raises LayoutError for more than `MAX_CORNERS` wall corners.
    """
    walls_around = sliding_window_view(layout.padded_walls, (2, 2)).sum(axis=(2, 3))  # [H + 1, W + 1], of each corner
    corners = np.argwhere(walls_around == 1).astype(np.float64)  # [C, 2]: a path can bend there only
    if len(corners) > MAX_CORNERS:
        message = f"expected at most {MAX_CORNERS} wall corners for exact shortest paths, got {len(corners)}"
        raise LayoutError(f"layout {layout.name!r}: {message}")
    obstacles = layout.walls, _blocking_rectangles(layout.walls)
    starts = np.asarray(positions, dtype=np.float64)
    between = dijkstra(_visible_distance(corners, corners, obstacles), directed=False)  # [C, C]
    to_corner = _visible_distance(starts, corners, obstacles)  # [B, C]
    shortest = np.full(len(starts), np.inf)
    for index, region in enumerate(regions):
        rows = np.flatnonzero(which == index)
        targets = _rectangles(region & ~layout.walls)  # [T, 4]
        straight = _nearest_visible(corners, targets, obstacles)  # [C]
        from_corner = (between + straight).min(axis=1, initial=np.inf)  # [C]
        around = (to_corner[rows] + from_corner).min(axis=1, initial=np.inf)
        shortest[rows] = np.minimum(_nearest_visible(starts[rows], targets, obstacles), around)
    return shortest


def _blocking_rectangles(walls: NDArray[np.bool_]) -> Rectangles:
    """Float64 [R, 4]: shrunk rectangles that together block what the walls block.

    Shrinking opens slits between neighbours; so runs along the rows and along the columns both are there and cover each
    other's slits, and points where two walls touch at a corner get a stopper.
    """
    runs = np.unique(np.concatenate([_runs(walls), _runs(walls.T)[:, [1, 0, 3, 2]]]), axis=0)  # [R', 4]
    runs += np.repeat([_SHRINK, -_SHRINK], 2)
    first, right, below, across = walls[:-1, :-1], walls[:-1, 1:], walls[1:, :-1], walls[1:, 1:]  # [H - 1, W - 1]
    pinches = np.argwhere((first == across) & (right == below) & (first != right)) + 1.0  # [P, 2]
    return np.concatenate([runs, np.concatenate([pinches - _PINCH, pinches + _PINCH], axis=1)])


def _runs(mask: NDArray[np.bool_]) -> Rectangles:
    """Float64 [R, 4]: the maximal runs of True along each row of a mask [H, W], as rectangles one cell high."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)  # [H, W + 1]
    row, start = np.nonzero(edges == 1)
    return np.stack([row, start, row + 1, np.nonzero(edges == -1)[1]], axis=1).astype(np.float64)


def _rectangles(mask: NDArray[np.bool_]) -> Rectangles:
    """Float64 [T, 4]: rectangles that cover a mask [H, W] exactly: its row runs, equal ones below each other joined."""
    merged: dict[tuple[float, float, float], list[float]] = {}  # by columns and the row where the rectangle ends
    for low_row, low_column, high_row, high_column in _runs(mask).tolist():
        rectangle = merged.pop((low_column, high_column, low_row), [low_row, low_column, low_row, high_column])
        rectangle[2] = high_row
        merged[low_column, high_column, high_row] = rectangle
    return np.array(list(merged.values())).reshape(-1, 4)


def _nearest_visible(points: NDArray[np.float64], targets: Rectangles, obstacles: Obstacles) -> NDArray[np.float64]:
    """Float64 [P]: straight distance to the nearest target whose closest point is visible; inf if none is."""
    closest = np.clip(points[:, None], targets[None, :, :2], targets[None, :, 2:])  # [P, T, 2]
    return np.asarray(_visible_distance(points, closest, obstacles).min(axis=1, initial=np.inf))


def _visible_distance(
    points: NDArray[np.float64], others: NDArray[np.float64], obstacles: Obstacles
) -> NDArray[np.float64]:
    """Float64 [P, Q]: straight distances from points [P, 2] to [Q, 2], or each to its own [P, Q, 2]; inf if unseen."""
    second = np.broadcast_to(others, (len(points), *others.shape[-2:]))  # [P, Q, 2]
    first = np.broadcast_to(points[:, None], second.shape)
    distance = np.sqrt(((second - first) ** 2).sum(axis=-1))
    visible = _visible(first.reshape(-1, 2), second.reshape(-1, 2), obstacles)
    return np.where(visible.reshape(distance.shape), distance, np.inf)


def _visible(first: NDArray[np.float64], second: NDArray[np.float64], obstacles: Obstacles) -> NDArray[np.bool_]:
    """Bool [S]: which segments from `first` [S, 2] to `second` [S, 2] meet no obstacle.

    Probes sort out nearly all that are blocked, so that the exact test is left with few.
    """
    walls, rectangles = obstacles
    visible = np.ones(len(first), dtype=np.bool_)
    for share in (np.arange(_PROBES) + 0.5) / _PROBES:
        rows = np.flatnonzero(visible)
        points = first[rows] + share * (second[rows] - first[rows])
        cell = np.minimum(points.astype(np.int64), np.array(walls.shape) - 1)  # [S', 2]
        deep = (np.abs(points - cell - 0.5) < 0.5 - _INSIDE).all(axis=1)
        visible[rows] = ~(walls[cell[:, 0], cell[:, 1]] & deep)
    rows = np.flatnonzero(visible)
    if len(rectangles):
        size = max(1, _TESTS_AT_ONCE // len(rectangles))
        for begin in range(0, len(rows), size):
            chunk = rows[begin : begin + size]
            visible[chunk] = ~_crosses_any(first[chunk], second[chunk], rectangles)
    return visible


def _crosses_any(first: NDArray[np.float64], second: NDArray[np.float64], rectangles: Rectangles) -> NDArray[np.bool_]:
    """Bool [S]: which segments meet the inside of any rectangle [R, 4] (slab test)."""
    origin = first[:, None]  # [S, 1, 2]
    along = second[:, None] - origin
    # Parallel to a slab, a tiny number for zero puts its crossings far outside the segment, or all around it.
    along = np.where(along == 0.0, 1e-300, along)
    to_low = (rectangles[:, :2] - origin) / along  # [S, R, 2] in lengths of the segment
    to_high = (rectangles[:, 2:] - origin) / along
    enter = np.minimum(to_low, to_high).max(axis=-1).clip(min=0.0)  # [S, R]
    leave = np.maximum(to_low, to_high).min(axis=-1).clip(max=1.0)
    return np.asarray((enter < leave).any(axis=1))


class MazeValueIteration:
    """Chooses the direction of least expected steps to the region, under the noise of the executed angle.

    On 5 x 5 nodes in every free cell. A landing point takes its value from the nodes of its own cell alone, by
    bilinear interpolation: values jump at the region's border and at walls, and both are cell faces. Values are kept.
    directions: to choose from, at 2 pi k / directions. Raises LayoutError for more than `MAX_CELLS` free cells.
    """

    def __init__(self, layout: Layout, action_noise_degrees: float, directions: int = 8) -> None:
        if (cells := len(layout.free_cells)) > MAX_CELLS:
            message = f"expected at most {MAX_CELLS} free cells for value iteration, got {cells}"
            raise LayoutError(f"layout {layout.name!r}: {message}")
        self.layout: Final = layout
        self.directions: Final = unit_directions(directions).astype(np.float64)  # [A, 2]
        refinement = -(-_ANGLES // directions)
        self._executed = unit_directions(directions * refinement).astype(np.float64)  # [E, 2]
        kernel = execution_kernel(len(self._executed), action_noise_degrees)[::refinement]  # [A, E]
        kernel[kernel < _NEGLIGIBLE] = 0.0
        self._kernel = kernel / kernel.sum(axis=1, keepdims=True)
        self._paths = ShortestPaths(layout)
        self._transition = self._build_transition()  # [A N, N]
        self._values: dict[bytes, NDArray[np.float64]] = {}  # by region: [N] expected steps

    def act(
        self, positions: NDArray[np.floating], regions: NDArray[np.bool_], which: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The best direction at each position: unit vectors, float32 [B, 2]. Arguments as of `expert.grid_shortest`."""
        values = self.values(regions)  # [K, N]
        angles, count = len(self._executed), len(positions)
        origin = np.repeat(np.asarray(positions, dtype=np.float64), angles, axis=0)  # [B E, 2]
        nodes, weights = self._interpolation(move(self.layout, origin, np.tile(self._executed, (count, 1))))  # [B E, 4]
        landing = (values[np.repeat(which, angles)[:, None], nodes] * weights).sum(axis=1)  # [B E]
        expected = landing.reshape(count, angles) @ self._kernel.T  # [B, A]
        return np.asarray(self.directions[expected.argmin(axis=1)], dtype=np.float32)

    def values(self, regions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Float64 [K, N]: expected steps from every node to each region [K, H, W]; 1e9 where there is no way.

        Nodes go by free cell, then row by row within the cell.
        """
        keys = [np.packbits(region).tobytes() for region in regions]
        missing = {key: region for key, region in zip(keys, regions, strict=True) if key not in self._values}
        if missing:
            solved = self._solve(np.stack(list(missing.values())))  # [N, K']
            self._values.update(zip(missing, solved.T, strict=True))
        return np.stack([self._values[key] for key in keys])

    def _solve(self, regions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Float64 [N, K]: value iteration for all regions at once, started from the moves over cells."""
        free = ~self.layout.walls
        moves = np.stack([self._paths.cell_distance(region)[free] for region in regions], axis=1)  # [F, K]
        moves = np.repeat(moves, NODES_PER_SIDE**2, axis=0)  # [N, K]
        reached, inside = np.isfinite(moves), moves == 0.0
        values = np.where(reached, 2.0 * moves, _UNREACHED)
        for _ in range(_MAX_SWEEPS):
            following = (self._transition @ values).reshape(len(self.directions), *values.shape)  # [A, N, K]
            swept = np.where(inside, 0.0, 1.0 + following.min(axis=0))
            change = np.abs(swept - values)[reached].max(initial=0.0)
            values = np.where(reached, swept, values)
            if change < _TOLERANCE:
                break
        return values

    def _build_transition(self) -> csr_array:
        """[A N, N]: row a N + n holds the chances of ending near each node when direction a is chosen at node n."""
        offsets = np.argwhere(np.ones((NODES_PER_SIDE, NODES_PER_SIDE))) / (NODES_PER_SIDE - 1)  # [25, 2]
        cells = np.repeat(self.layout.free_cells, len(offsets), axis=0)  # [N, 2]
        origin = into_cell(cells + np.tile(offsets, (len(self.layout.free_cells), 1)), cells)  # [N, 2]
        rows, shape = np.repeat(np.arange(len(origin)), 4), (len(origin), len(origin))
        landings = []  # E matrices [N, N], one for each executed angle
        for direction in self._executed:
            nodes, weights = self._interpolation(move(self.layout, origin, np.broadcast_to(direction, origin.shape)))
            landings.append(csr_array((weights.ravel(), (rows, nodes.ravel())), shape=shape))
        blocks = [
            sum((chances[i] * landings[i] for i in np.flatnonzero(chances)), start=csr_array(shape))
            for chances in self._kernel
        ]
        return csr_array(vstack(blocks))

    def _interpolation(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The nodes [P, 4] around free points [P, 2], all of the points' own cells, and their bilinear weights."""
        cell = np.floor(points).astype(np.int64)  # [P, 2]
        scaled = (points - cell) * (NODES_PER_SIDE - 1)
        low = np.minimum(scaled.astype(np.int64), NODES_PER_SIDE - 2)  # [P, 2]
        down, right = (scaled - low).T
        first = self.layout.cell_index[cell[:, 0], cell[:, 1]] * NODES_PER_SIDE**2  # [P] node at the cell's top left
        nodes = (first + low[:, 0] * NODES_PER_SIDE + low[:, 1])[:, None] + [0, 1, NODES_PER_SIDE, NODES_PER_SIDE + 1]
        up, left = 1.0 - down, 1.0 - right
        return nodes, np.stack([up * left, up * right, down * left, down * right], axis=1)
