"""Shortest paths over the cells of a maze, an expert that follows them, and the data that it leaves behind."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from goalbridge.envs.layouts import Layout, LayoutError
from goalbridge.envs.motion import into_cell, move, rotate

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
        self._graph = sparse.csr_array(edges, shape=(len(layout.free_cells),) * 2)
        self._kept: dict[bytes, NDArray[np.float64]] = {}

    def cell_distance(self, goal: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Float64 [H, W]: moves to the nearest free cell of a mask [H, W]; inf in walls and where none is reached."""
        key = np.packbits(goal).tobytes()
        if key not in self._kept:
            grid = np.full(self.layout.walls.shape, np.inf)
            goals = self.layout.cell_index[goal & ~self.layout.walls]
            if len(goals):
                grid[~self.layout.walls] = csgraph.dijkstra(self._graph, indices=goals, unweighted=True, min_only=True)
            grid.setflags(write=False)
            self._kept[key] = grid
        return self._kept[key]

    def distances_to(self, goals: NDArray[np.int64]) -> NDArray[np.float32]:
        """Float32 [G, F]: moves between free cells by index; inf where there is no path. Not kept."""
        distances = csgraph.dijkstra(self._graph, indices=goals, unweighted=True)
        return np.asarray(distances, dtype=np.float32)


def expert_directions(
    paths: ShortestPaths, positions: NDArray[np.floating], regions: NDArray[np.bool_], which: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Where the expert heads: the centre of the next cell on a shortest path to the nearest satisfying cell.

    positions: [B, 2] in free cells. regions: bool [K, H, W], the distinct regions. which: int [B], that of each
    position. Returns float64 [B, 2] unit vectors; zero where the region is reached already or cannot be.
    """
    distance = np.stack([paths.cell_distance(region) for region in regions])  # [K, H, W]
    distance = np.pad(distance, ((0, 0), (1, 1), (1, 1)), constant_values=np.inf)
    cell = np.floor(positions).astype(np.int64)  # [B, 2]
    near = cell[:, None] + _NEIGHBOURS + 1  # [B, 4, 2] into the padded grid
    ahead = distance[which[:, None], near[..., 0], near[..., 1]]  # [B, 4]
    here = distance[which, cell[:, 0] + 1, cell[:, 1] + 1]  # [B]
    following = cell + _NEIGHBOURS[ahead.argmin(axis=1)]  # [B, 2]
    moves = (ahead.min(axis=1) < here)[:, None]
    return np.where(moves, _towards_centre(positions, following), 0.0)


def collect_expert(layout: Layout, trajectories: int, seed: int, noise_degrees: float = 10.0) -> Trajectories:
    """Trajectories of the noisy expert between random cells (Che & Eysenbach, ICLR 2025, App. D).

    Start and goal cell are uniform over pairs of different free cells with a path between them, given the start; the
    start position is uniform inside its cell. Each step heads for the centre of the next cell of a shortest path,
    ties broken at random, with Gaussian noise on the angle; the noisy unit vector is the action recorded. A
    trajectory ends in the goal cell, or after 4 times the steps that the path takes without noise.
    LayoutError where no free cell has a free neighbour.
    """
    _at_least_one(trajectories=trajectories)
    if not 0.0 <= noise_degrees < np.inf:
        raise ValueError(f"noise_degrees: expected 0 or more, got {noise_degrees}")
    rng = np.random.default_rng(seed)
    paths = ShortestPaths(layout)
    start, goal = _draw_pairs(layout, trajectories, rng)  # [N] each
    position = _inside(layout.free_cells[start], rng)  # [N, 2]
    log = _Log(position)
    # Only so many goals' distances are held at a time; within a group all its trajectories are stepped together.
    cells = len(layout.free_cells)
    groups = 1 if cells**2 <= _DISTANCES_AT_ONCE else 1 + trajectories * cells // _DISTANCES_AT_ONCE
    for rows in np.array_split(np.argsort(goal, kind="stable"), groups):
        _run_expert(paths, rows, start[rows], goal[rows], position[rows], float(np.deg2rad(noise_degrees)), rng, log)
    return log.trajectories()


def collect_random(layout: Layout, trajectories: int, length: int, seed: int) -> Trajectories:
    """Random walks: starts uniform over the free area, then `length` uniformly random directions each."""
    _at_least_one(trajectories=trajectories, length=length)
    rng = np.random.default_rng(seed)
    position = _inside(layout.free_cells[rng.integers(len(layout.free_cells), size=trajectories)], rng)  # [N, 2]
    log = _Log(position)
    rows = np.arange(trajectories)
    for _ in range(length):
        angle = rng.uniform(0.0, 2.0 * np.pi, trajectories)
        action = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # [N, 2]
        position = move(layout, position, action)
        log.add(rows, action, position)
    return log.trajectories()


class _Log:
    """Steps of N trajectories in the order in which they were taken, to be sorted by trajectory at the end."""

    def __init__(self, starts: NDArray[np.float64]) -> None:
        self._count = len(starts)
        self._rows = [np.arange(len(starts))]
        self._observations = [starts.astype(np.float32)]
        self._actions: list[NDArray[np.float32]] = []

    def add(self, rows: NDArray[np.int64], actions: NDArray[np.float64], observations: NDArray[np.float64]) -> None:
        """One step of the trajectories `rows` [A]: their actions [A, 2] and what they led to [A, 2]."""
        self._rows.append(rows)
        self._actions.append(actions.astype(np.float32))
        self._observations.append(observations.astype(np.float32))

    def trajectories(self) -> Trajectories:
        """Everything logged, trajectory after trajectory."""
        rows, action_rows = np.concatenate(self._rows), np.concatenate(self._rows[1:])
        observations = np.concatenate(self._observations)[np.argsort(rows, kind="stable")]
        actions = np.concatenate(self._actions)[np.argsort(action_rows, kind="stable")]
        return observations, actions, np.bincount(action_rows, minlength=self._count)


def _run_expert(
    paths: ShortestPaths,
    rows: NDArray[np.int64],  # [A] which trajectories these are
    start: NDArray[np.int64],  # [A] cells by index
    goal: NDArray[np.int64],  # [A]
    position: NDArray[np.float64],  # [A, 2]
    noise: float,  # radians
    rng: np.random.Generator,
    log: _Log,
) -> None:
    """Step the trajectories `rows` until each is in its goal cell or at its cap."""
    layout = paths.layout
    goals, goal_row = np.unique(goal, return_inverse=True)
    # A last column of inf stands for walls, which -1 in `neighbours` points at.
    distance = np.pad(paths.distances_to(goals), ((0, 0), (0, 1)), constant_values=np.inf)  # [G, F + 1]
    cell = start
    cap = 2 * STEP_CAP * distance[goal_row, start]  # [A]; a cell is two steps wide
    taken = 0
    while len(rows):
        near = paths.neighbours[cell]  # [A, 4]
        closer = distance[goal_row[:, None], near] < distance[goal_row, cell][:, None]  # [A, 4]
        following = near[np.arange(len(rows)), (closer * rng.random(closer.shape)).argmax(axis=1)]
        heading = _towards_centre(position, layout.free_cells[following])
        action = rotate(heading, noise * rng.standard_normal(len(rows)))
        position = move(layout, position, action)
        log.add(rows, action, position)
        taken += 1
        row, column = position.astype(np.int64).T
        cell = layout.cell_index[row, column]
        going = (cell != goals[goal_row]) & (taken < cap)
        rows, cell, goal_row, position, cap = rows[going], cell[going], goal_row[going], position[going], cap[going]


def _draw_pairs(layout: Layout, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start [N] and another cell of its component [N], by index, both uniform over what there is."""
    component = layout.component[tuple(layout.free_cells.T)]  # [F]
    size = np.bincount(component)  # [C]
    starts = np.flatnonzero(size[component] > 1)
    if not len(starts):
        raise LayoutError(f"layout {layout.name!r}: expected free cells that touch, got none")
    by_component = np.argsort(component, kind="stable")  # [F]
    first = np.cumsum(size) - size  # [C] where each component begins in it
    rank = np.empty_like(by_component)
    rank[by_component] = np.arange(len(component)) - first[component[by_component]]  # [F] within the component
    start = rng.choice(starts, size=count)
    other = rng.integers(size[component[start]] - 1)  # [N]
    other += other >= rank[start]
    return start, by_component[first[component[start]] + other]


def _inside(cell: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Uniform positions [B, 2] inside cells [B, 2]."""
    return into_cell(cell + rng.random(cell.shape), cell)


def _towards_centre(position: NDArray[np.floating], cell: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unit vectors [B, 2] from positions [B, 2] to the centres of other cells [B, 2]."""
    offset = cell + 0.5 - position
    return np.asarray(offset / np.sqrt((offset**2).sum(axis=1, keepdims=True)))


def _at_least_one(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")
