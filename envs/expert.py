"""Shortest paths over the cells of a maze, an expert that follows them, and the data that it leaves behind."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from goalbridge.envs.layouts import Layout, LayoutError
from goalbridge.envs.motion import draw_positions, move, rotate, unit_vectors

STEP_CAP: Final = 4
"""An expert trajectory is cut at this many times the steps of its shortest path without noise."""

_NEIGHBOURS: Final = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])  # [4, 2] (row, column)
_DISTANCES_AT_ONCE: Final = 30_000_000  # goals x cells held in memory while collecting: 120 MB of float32

Trajectories = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""N trajectories laid end to end: observations [sum(n + 1), 2], actions [sum(n), 2], and the n of each, int [N].

Trajectory i has n_i actions and n_i + 1 observations: action t leads from its observation t to observation t + 1.
"""


class ShortestPaths:
    """Shortest 4-connected paths over the free cells of a layout; distances to a set of cells are kept."""

    def __init__(self, layout: Layout) -> None:
        self.layout: Final = layout
        row, column = (layout.free_cells[:, None] + _NEIGHBOURS + 1).transpose(2, 0, 1)  # [F, 4] into the padded grid
        padded_index = np.pad(layout.cell_index, 1, constant_values=-1)
        self.neighbours: Final[NDArray[np.int64]] = padded_index[row, column]
        """Int [F, 4]: indices of the cells below, right, above and left of each free cell; -1 where there is a wall."""
        cells, sides = np.nonzero(self.neighbours >= 0)
        edges = (np.ones(len(cells)), (cells, self.neighbours[cells, sides]))
        self._graph = csr_array(edges, shape=(len(layout.free_cells),) * 2)
        self._kept: dict[bytes, NDArray[np.float64]] = {}

    def cell_distance(self, goal: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Float64 [H, W]: moves to the nearest free cell of a mask [H, W]; inf in walls and where none is reached."""
        key = np.packbits(goal).tobytes()
        if key not in self._kept:
            grid = np.full(self.layout.walls.shape, np.inf)
            goals = self.layout.cell_index[goal & ~self.layout.walls]
            if len(goals):
                grid[~self.layout.walls] = dijkstra(self._graph, indices=goals, unweighted=True, min_only=True)
            grid.setflags(write=False)
            self._kept[key] = grid
        return self._kept[key]

    def distances_to(self, goals: NDArray[np.int64]) -> NDArray[np.float32]:
        """Float32 [G, F]: moves between free cells by index; inf where there is no path. Not kept."""
        return np.asarray(dijkstra(self._graph, indices=goals, unweighted=True), dtype=np.float32)


def grid_shortest(
    layout: Layout, positions: NDArray[np.floating], regions: NDArray[np.bool_], which: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Moves over 4-connected cells from each position's cell to its region, float64 [B]; inf where there is no way.

    positions: [B, 2] (row, column), in free cells. regions: bool [K, H, W], distinct. which: int [B], each one's.
    """
    paths = ShortestPaths(layout)
    row, column = np.floor(positions).astype(np.int64).T
    return np.asarray(np.stack([paths.cell_distance(region) for region in regions])[which, row, column])


def expert_directions(
    paths: ShortestPaths, positions: NDArray[np.floating], regions: NDArray[np.bool_], which: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Towards the centre of the next cell on a shortest path to the region: unit vectors, float64 [B, 2].

    Zero where the region is reached already or cannot be. Arguments as of `grid_shortest`.
    """
    distance = np.stack([paths.cell_distance(region) for region in regions])  # [K, H, W]
    distance = np.pad(distance, ((0, 0), (1, 1), (1, 1)), constant_values=np.inf)
    cell = np.floor(positions).astype(np.int64)  # [B, 2]
    near = cell[:, None] + _NEIGHBOURS + 1  # [B, 4, 2] into the padded grid
    ahead = distance[which[:, None], near[..., 0], near[..., 1]]  # [B, 4]
    here = distance[which, cell[:, 0] + 1, cell[:, 1] + 1]  # [B]
    following = cell + _NEIGHBOURS[ahead.argmin(axis=1)]  # [B, 2]
    return np.where((ahead.min(axis=1) < here)[:, None], _towards_centre(positions, following), 0.0)


def collect_expert(layout: Layout, trajectories: int, seed: int, noise_degrees: float = 10.0) -> Trajectories:
    """Trajectories of the noisy expert between random cells (Che & Eysenbach, ICLR 2025, App. D).

    Start and goal cell are uniform over pairs of different free cells with a path between them, given the start; the
    start position is uniform inside its cell. Each step heads for the centre of the next cell of a shortest path,
    ties broken at random, with Gaussian noise on the angle; the noisy unit vector is the action recorded. A
    trajectory ends in the goal cell, or after `STEP_CAP` times the steps that the path takes without noise.

    Raises LayoutError where no two free cells touch, ValueError for less than 1 trajectory or negative noise.
    """
    if trajectories < 1:
        raise ValueError(f"trajectories: expected 1 or more, got {trajectories}")
    if not 0.0 <= noise_degrees < np.inf:
        raise ValueError(f"noise_degrees: expected 0 or more, got {noise_degrees}")
    rng = np.random.default_rng(seed)
    paths, noise = ShortestPaths(layout), float(np.deg2rad(noise_degrees))
    start, goal = _draw_pairs(layout, trajectories, rng)  # [N] each
    position = draw_positions(layout.free_cells[start], rng)  # [N, 2]
    log: list[_Step] = [(np.arange(trajectories), np.empty((trajectories, 2), np.float32), position.astype(np.float32))]
    # Only so many goals' distances are held at a time; within a group all its trajectories are stepped together.
    cells = len(layout.free_cells)
    groups = 1 if cells**2 <= _DISTANCES_AT_ONCE else 1 + trajectories * cells // _DISTANCES_AT_ONCE
    for rows in np.array_split(np.argsort(goal, kind="stable"), groups):
        log += _run_expert(paths, rows, start[rows], goal[rows], position[rows], noise, rng)
    which, actions, observations = (np.concatenate(parts) for parts in zip(*log, strict=True))
    order = np.argsort(which, kind="stable")
    return observations[order], actions[order[order >= trajectories]], np.bincount(which) - 1


def collect_random(layout: Layout, trajectories: int, length: int, seed: int) -> Trajectories:
    """Random walks: starts uniform over the free area, then `length` uniformly random directions each.

    Raises ValueError for less than 1 of either.
    """
    for name, value in (("trajectories", trajectories), ("length", length)):
        if value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")
    rng = np.random.default_rng(seed)
    position = draw_positions(layout.free_cells[rng.integers(len(layout.free_cells), size=trajectories)], rng)
    observations = np.empty((trajectories, length + 1, 2), dtype=np.float32)
    actions = np.empty((trajectories, length, 2), dtype=np.float32)
    observations[:, 0] = position
    for step in range(length):
        action = unit_vectors(rng.uniform(0.0, 2.0 * np.pi, trajectories))  # [N, 2]
        position = move(layout, position, action)
        observations[:, step + 1], actions[:, step] = position, action
    return observations.reshape(-1, 2), actions.reshape(-1, 2), np.full(trajectories, length)


_Step = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
"""Which trajectories [A], their actions [A, 2], and what they led to [A, 2]; the first action of each is none."""


def _run_expert(
    paths: ShortestPaths,
    rows: NDArray[np.int64],  # [A] which trajectories these are
    cell: NDArray[np.int64],  # [A] where they start, by index
    goal: NDArray[np.int64],  # [A]
    position: NDArray[np.float64],  # [A, 2]
    noise: float,  # radians
    rng: np.random.Generator,
) -> list[_Step]:
    """Step the trajectories `rows` until each is in its goal cell or at its cap."""
    goals, goal_row = np.unique(goal, return_inverse=True)
    # A last column of inf stands for walls, which -1 in `neighbours` points at.
    distance = np.pad(paths.distances_to(goals), ((0, 0), (0, 1)), constant_values=np.inf)  # [G, F + 1]
    cap = 2 * STEP_CAP * distance[goal_row, cell]  # [A]; a cell is two steps wide
    log = list[_Step]()
    while len(rows):
        near = paths.neighbours[cell]  # [A, 4]
        closer = distance[goal_row[:, None], near] < distance[goal_row, cell][:, None]  # [A, 4]
        following = near[np.arange(len(rows)), (closer * rng.random(closer.shape)).argmax(axis=1)]
        heading = _towards_centre(position, paths.layout.free_cells[following])
        action = rotate(heading, noise * rng.standard_normal(len(rows)))
        position = move(paths.layout, position, action)
        log.append((rows, action.astype(np.float32), position.astype(np.float32)))
        cell = paths.layout.cell_index[tuple(position.astype(np.int64).T)]
        going = (cell != goals[goal_row]) & (len(log) < cap)
        rows, cell, goal_row, position, cap = rows[going], cell[going], goal_row[going], position[going], cap[going]
    return log


def _draw_pairs(layout: Layout, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start [N] and another cell of its component [N], by index, both uniform over what there is."""
    component = layout.component[tuple(layout.free_cells.T)]  # [F]
    size = np.bincount(component)  # [C]
    starts = np.flatnonzero(size[component] > 1)
    if not len(starts):
        raise LayoutError(f"layout {layout.name!r}: expected two free cells that touch, got none")
    by_component = np.argsort(component, kind="stable")  # [F]
    first = np.cumsum(size) - size  # [C] where each component begins in it
    rank = np.argsort(by_component) - first[component]  # [F] within the component
    start = rng.choice(starts, size=count)
    other = rng.integers(size[component[start]] - 1)  # [N]
    other += other >= rank[start]
    return start, by_component[first[component[start]] + other]


def _towards_centre(position: NDArray[np.floating], cell: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unit vectors [B, 2] from positions [B, 2] to the centres of other cells [B, 2]."""
    offset = cell + 0.5 - position
    return np.asarray(offset / np.sqrt((offset**2).sum(axis=1, keepdims=True)))
