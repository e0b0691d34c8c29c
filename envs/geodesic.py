"""Shortest path lengths from a point to a region, as SPL needs them: over cells, and through the free space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csgraph

from goalbridge.envs.expert import ShortestPaths
from goalbridge.envs.layouts import Layout, LayoutError

MAX_CORNERS: Final = 1000
"""Wall corners that the visibility graph is built for at most: all pairs are looked at, which then takes a minute."""

_SHRINK: Final = 1e-9  # walls give way by this much, so that paths may touch their faces and corners
_PINCH: Final = 1e-7  # half the side of the stopper where two walls touch at a corner
_TESTS_AT_ONCE: Final = 2_000_000  # (segment, rectangle) pairs held in memory

_PROBES: Final = 24  # points along a segment that are looked up in the grid before any rectangle is tested
_INSIDE: Final = 1e-6  # a probe this deep in a wall cell proves the segment blocked

Rectangles = NDArray[np.float64]  # [R, 4]: lowest row, lowest column, highest row, highest column


@dataclass(frozen=True, eq=False)
class _Obstacles:
    """What blocks a segment: the grid's walls [H, W], and the same as shrunk rectangles [R, 4] for the exact test."""

    walls: NDArray[np.bool_]
    rectangles: Rectangles


def grid_shortest(
    layout: Layout, positions: NDArray[np.floating], regions: NDArray[np.bool_], which: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Moves over 4-connected cells from each position to its nearest satisfying cell, as `spl_grid` takes them.

    positions: [B, 2] (row, column), in free cells. regions: bool [K, H, W], the distinct commanded regions.
    which: int [B], the region of each position. Returns float64 [B]; inf where there is no path.
    """
    paths = ShortestPaths(layout)
    distance = np.stack([paths.cell_distance(region) for region in regions])  # [K, H, W]
    row, column = np.floor(positions).astype(np.int64).T
    return np.asarray(distance[which, row, column])


def geodesic_shortest(
    layout: Layout, positions: NDArray[np.floating], regions: NDArray[np.bool_], which: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Length of the shortest path among the walls from each position to its region: straight lines at any angle.

    Such a path bends only at corners of walls and enters the region at the point nearest to its last bend (the region
    taken as rectangles, each convex and free), so the visibility graph of the corners holds it exactly. Walls that
    touch at a corner do not let it through. Arguments are as in `grid_shortest`; float64 [B], in cells, inf where the
    region cannot be reached. LayoutError for more than `MAX_CORNERS` wall corners.
    """
    corners = _corners(layout)  # [C, 2]
    obstacles = _Obstacles(layout.walls, _blocking_rectangles(layout.walls))
    starts = np.asarray(positions, dtype=np.float64)
    between = csgraph.dijkstra(_visible_distance(corners, corners, obstacles), directed=False)  # [C, C]
    to_corner = _visible_distance(starts, corners, obstacles)  # [B, C]
    shortest = np.full(len(starts), np.inf)
    for index, region in enumerate(regions):
        rows = np.flatnonzero(which == index)
        targets = _rectangles(region & ~layout.walls)  # [T, 4]
        from_corner = _nearest_visible(corners, targets, obstacles)  # [C], straight
        from_corner = (between + from_corner).min(axis=1, initial=np.inf)  # [C]
        around = (to_corner[rows] + from_corner).min(axis=1, initial=np.inf)
        shortest[rows] = np.minimum(_nearest_visible(starts[rows], targets, obstacles), around)
    return shortest


def _corners(layout: Layout) -> NDArray[np.float64]:
    """Float64 [C, 2]: grid points at which exactly one of the four cells is wall; only there can a path bend."""
    walls = layout.padded_walls.astype(np.int64)
    around = walls[:-1, :-1] + walls[1:, :-1] + walls[:-1, 1:] + walls[1:, 1:]  # [H + 1, W + 1]
    corners = np.argwhere(around == 1).astype(np.float64)
    if len(corners) > MAX_CORNERS:
        raise LayoutError(
            f"layout {layout.name!r}: expected up to {MAX_CORNERS} wall corners for exact shortest paths, "
            f"got {len(corners)}"
        )
    return corners


def _blocking_rectangles(walls: NDArray[np.bool_]) -> Rectangles:
    """Float64 [R, 4]: rectangles that together block what the walls block.

    Each is shrunk, which opens slits between neighbours; so runs along the rows and along the columns both are there
    and cover each other's slits, and points where two walls touch at a corner get a stopper.
    """
    along_rows, along_columns = _runs(walls), _runs(walls.T)[:, [1, 0, 3, 2]]
    runs = np.unique(np.concatenate([along_rows, along_columns]), axis=0)  # [R', 4]
    runs[:, :2] += _SHRINK
    runs[:, 2:] -= _SHRINK
    diagonal = walls[:-1, :-1] & walls[1:, 1:] & ~walls[:-1, 1:] & ~walls[1:, :-1]  # [H - 1, W - 1]
    antidiagonal = ~walls[:-1, :-1] & ~walls[1:, 1:] & walls[:-1, 1:] & walls[1:, :-1]
    pinches = np.argwhere(diagonal | antidiagonal) + 1.0  # [P, 2]
    return np.concatenate([runs, np.concatenate([pinches - _PINCH, pinches + _PINCH], axis=1)])


def _runs(mask: NDArray[np.bool_]) -> Rectangles:
    """Float64 [R, 4]: the maximal runs of True along each row of a mask [H, W], as rectangles one cell high."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)  # [H, W + 1]
    row, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    return np.stack([row, start, row + 1, stop], axis=1).astype(np.float64)


def _rectangles(mask: NDArray[np.bool_]) -> Rectangles:
    """Float64 [T, 4]: rectangles that cover a mask [H, W] exactly: its row runs, equal ones below each other joined."""
    merged: dict[tuple[float, float, float], list[float]] = {}  # by columns and the row where the rectangle ends
    for low_row, low_column, high_row, high_column in _runs(mask).tolist():
        rectangle = merged.pop((low_column, high_column, low_row), [low_row, low_column, low_row, high_column])
        rectangle[2] = high_row
        merged[low_column, high_column, high_row] = rectangle
    return np.array(list(merged.values())).reshape(-1, 4)


def _nearest_visible(points: NDArray[np.float64], targets: Rectangles, obstacles: _Obstacles) -> NDArray[np.float64]:
    """Float64 [P]: straight distance to the nearest target whose closest point is visible; inf if none is."""
    closest = np.clip(points[:, None], targets[None, :, :2], targets[None, :, 2:])  # [P, T, 2]
    origin = np.broadcast_to(points[:, None], closest.shape)
    distance = np.sqrt(((closest - origin) ** 2).sum(axis=-1))  # [P, T]
    distance[~_visible(origin.reshape(-1, 2), closest.reshape(-1, 2), obstacles).reshape(distance.shape)] = np.inf
    return np.asarray(distance.min(axis=1, initial=np.inf))


def _visible_distance(
    points: NDArray[np.float64], others: NDArray[np.float64], obstacles: _Obstacles
) -> NDArray[np.float64]:
    """Float64 [P, Q]: straight distances between points [P, 2] and [Q, 2]; inf where they do not see each other."""
    first = np.repeat(points, len(others), axis=0)  # [P Q, 2]
    second = np.tile(others, (len(points), 1))  # [P Q, 2]
    distance = np.sqrt(((second - first) ** 2).sum(axis=1))
    distance[~_visible(first, second, obstacles)] = np.inf
    return np.asarray(distance.reshape(len(points), len(others)))


def _visible(first: NDArray[np.float64], second: NDArray[np.float64], obstacles: _Obstacles) -> NDArray[np.bool_]:
    """Bool [S]: which segments from `first` [S, 2] to `second` [S, 2] meet no obstacle.

    Probes sort out nearly all that are blocked, so that the exact test is left with few.
    """
    visible = np.ones(len(first), dtype=np.bool_)
    for share in (np.arange(_PROBES) + 0.5) / _PROBES:
        rows = np.flatnonzero(visible)
        visible[rows] = ~_inside_wall(first[rows] + share * (second[rows] - first[rows]), obstacles.walls)
    rows = np.flatnonzero(visible)
    if len(obstacles.rectangles):
        size = max(1, _TESTS_AT_ONCE // len(obstacles.rectangles))
        for begin in range(0, len(rows), size):
            chunk = rows[begin : begin + size]
            visible[chunk] = ~_crosses_any(first[chunk], second[chunk], obstacles.rectangles)
    return visible


def _inside_wall(points: NDArray[np.float64], walls: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bool [S]: which points [S, 2] of the grid, borders included, lie well inside a wall cell."""
    cell = np.minimum(points.astype(np.int64), np.array(walls.shape) - 1)  # [S, 2]
    offset = points - cell
    inside = ((offset > _INSIDE) & (offset < 1.0 - _INSIDE)).all(axis=1)
    return np.asarray(walls[cell[:, 0], cell[:, 1]] & inside)


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
