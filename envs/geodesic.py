"""Lengths of the shortest paths through a maze's free space, as SPL needs them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.layouts import Layout, LayoutError

MAX_CORNERS: Final = 1000
"""Wall corners that the visibility graph is built for at most: all pairs are looked at, which then takes a minute."""

_SHRINK: Final = 1e-9  # walls give way by this much, so that paths may touch their faces and corners
_PINCH: Final = 1e-7  # half the side of the stopper where two walls touch at a corner
_TESTS_AT_ONCE: Final = 2_000_000  # (segment, rectangle) pairs held in memory
_PROBES: Final = 24  # points along a segment that are looked up in the grid before any rectangle is tested
_INSIDE: Final = 1e-6  # a probe this deep in a wall cell proves the segment blocked

Rectangles = NDArray[np.float64]  # [R, 4]: lowest row, lowest column, highest row, highest column
Obstacles = tuple[NDArray[np.bool_], Rectangles]  # walls [H, W], and the same as shrunk rectangles for the exact test


def geodesic_shortest(
    layout: Layout, positions: NDArray[np.floating], regions: NDArray[np.bool_], which: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Length in cells of the shortest any-angle path from each position to its region, float64 [B].

    0 inside the region, inf where it cannot be reached. Such a path bends only at corners of walls and enters the
    region (taken as free rectangles) at the point nearest to its last bend, so the visibility graph of the corners
    holds it exactly. Walls that touch at a corner do not let it through. Arguments as of `expert.grid_shortest`.
    Raises LayoutError for more than `MAX_CORNERS` wall corners.
    """
    from scipy.sparse.csgraph import dijkstra

    corners = _corners(layout)  # [C, 2]
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


def _corners(layout: Layout) -> NDArray[np.float64]:
    """Float64 [C, 2]: grid points at which exactly one of the four cells is wall; only there can a path bend."""
    walls = layout.padded_walls.astype(np.int64)
    around = walls[:-1, :-1] + walls[1:, :-1] + walls[:-1, 1:] + walls[1:, 1:]  # [H + 1, W + 1]
    corners = np.argwhere(around == 1).astype(np.float64)
    if len(corners) > MAX_CORNERS:
        message = f"expected at most {MAX_CORNERS} wall corners for exact shortest paths, got {len(corners)}"
        raise LayoutError(f"layout {layout.name!r}: {message}")
    return corners


def _blocking_rectangles(walls: NDArray[np.bool_]) -> Rectangles:
    """Float64 [R, 4]: rectangles that together block what the walls block.

    Each is shrunk, which opens slits between neighbours; so runs along the rows and along the columns both are there
    and cover each other's slits, and points where two walls touch at a corner get a stopper.
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
