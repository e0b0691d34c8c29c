"""The best that can be done: value iteration that knows the maze, the command and the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.expert import ShortestPaths
from goalbridge.envs.layouts import Layout, LayoutError
from goalbridge.envs.motion import execution_kernel, into_cell, move, unit_directions

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NODES_PER_SIDE: Final = 5  # value nodes along each side of a cell, the outermost on its faces
MAX_CELLS: Final = 5000  # free cells that the tables are built for at most (25 nodes each)
_ANGLES: Final = 72  # at least so many executed angles stand for the noise
_TOLERANCE: Final = 1e-3  # steps by which values may still change when sweeping ends
_MAX_SWEEPS: Final = 2000
_UNREACHED: Final = 1e9  # far more than any path, yet finite: a weight of zero times infinity would not be zero
_NEGLIGIBLE: Final = 1e-5  # chances below this are dropped


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
        from scipy.sparse import csr_array, vstack

        offset = np.linspace(0.0, 1.0, NODES_PER_SIDE)
        offsets = np.stack(np.meshgrid(offset, offset, indexing="ij"), axis=-1).reshape(-1, 2)  # [25, 2]
        cells = np.repeat(self.layout.free_cells, len(offsets), axis=0)  # [N, 2]
        origin = into_cell(cells + np.tile(offsets, (len(self.layout.free_cells), 1)), cells)  # [N, 2]
        rows, shape = np.repeat(np.arange(len(origin)), 4), (len(origin), len(origin))
        landings = []  # E matrices [N, N], one for each executed angle
        for direction in self._executed:
            nodes, weights = self._interpolation(move(self.layout, origin, np.broadcast_to(direction, origin.shape)))
            landings.append(csr_array((weights.ravel(), (rows, nodes.ravel())), shape=shape))
        blocks = []
        for chances in self._kernel:
            block = csr_array(shape)
            for index in np.flatnonzero(chances):
                block = block + chances[index] * landings[index]
            blocks.append(block)
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
