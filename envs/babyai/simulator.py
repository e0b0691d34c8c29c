"""Many BabyAI layouts stepped together in numpy: minigrid's own dynamics of moving, turning and toggling."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

LEFT, RIGHT, FORWARD, TOGGLE = range(4)
ACTIONS: Final = ("left", "right", "forward", "toggle")
MINIGRID_ACTIONS: Final = (0, 1, 2, 5)
"""What left, right, forward and toggle are to minigrid."""
DIRECTIONS: Final = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # [4, 2], right, down, left, up

# minigrid's numbers for types and for the states of doors, here so that minigrid need not be imported for them.
UNSEEN, EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL, LAVA, AGENT = range(11)
OPEN, CLOSED, LOCKED = range(3)
EMPTY_CELL: Final = (EMPTY, 0, 0)
WALL_CELL: Final = (WALL, 5, 0)
STANDABLE: Final = np.isin(np.arange(11), (EMPTY, FLOOR, GOAL, LAVA))  # types that one can stand on; a door if open


def free_cells(grids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Cells that one can come to stand on, bool [...] of grids [..., 3]: empty, or a door that is not locked."""
    kind, state = grids[..., 0], grids[..., 2]
    return np.asarray(STANDABLE[kind] | ((kind == DOOR) & (state != LOCKED)))


class GridBatch:
    """N agents, each in a grid of its own.

    grids: uint8 [N, W, H, 3], (type, colour, state) of each cell as minigrid encodes it; copied. A grid smaller than
    the canvas lies at its top left, with walls around it. poses: int [N, 3], (x, y, direction).
    sizes: int [N, 2], each grid's own (width, height); the canvas's if left out.
    Raises ValueError where shapes disagree, or an agent stands outside of its grid.
    """

    def __init__(
        self, grids: NDArray[np.uint8], poses: NDArray[np.integer], sizes: NDArray[np.integer] | None = None
    ) -> None:
        if grids.ndim != 4 or grids.shape[3] != 3 or poses.shape != (len(grids), 3):
            raise ValueError(f"grids, poses: expected [N, W, H, 3] and [N, 3], got {grids.shape} and {poses.shape}")
        count, width, height, _ = grids.shape
        self.grids = np.array(grids, dtype=np.uint8, order="C")  # [N, W, H, 3]
        self.poses = np.array(poses, dtype=np.int64)  # [N, 3]
        self.sizes = np.broadcast_to((width, height), (count, 2)) if sizes is None else np.asarray(sizes)  # [N, 2]
        if ((self.poses[:, :2] < 1) | (self.poses[:, :2] >= self.sizes - 1)).any():
            raise ValueError("poses: expected all inside their grids' outer walls, got one outside")
        self._cells = self.grids.reshape(-1, 3)  # [N W H, 3], a view
        self._first = np.arange(count) * (width * height)  # [N], each grid's first cell
        self._strides = np.array([height, 1])
        self._ahead = DIRECTIONS @ self._strides  # [4], from a cell to the next in each direction

    def front(self) -> NDArray[np.int64]:
        """Index [N] of the cell in front of each agent, into the grids' cells one after the other."""
        here = self._first + self.poses[:, :2] @ self._strides  # [N]
        return np.asarray(here + self._ahead[self.poses[:, 2]])

    def goals(self) -> NDArray[np.int64]:
        """What each pose achieves, [N, 7]: (x, y, direction, width, height, faced type, faced colour)."""
        return np.concatenate([self.poses, self.sizes, self._cells[self.front(), :2]], axis=1)

    def step(self, actions: NDArray[np.integer]) -> NDArray[np.bool_]:
        """One action each, [N] of left, right, forward, toggle; returns [N], whether anything changed."""
        front = self.front()  # [N]
        kind, state = self._cells[front, 0], self._cells[front, 2]  # [N] each
        turn = (actions == RIGHT).astype(np.int64) - (actions == LEFT)  # [N]
        self.poses[:, 2] = (self.poses[:, 2] + turn) % 4
        moves = (actions == FORWARD) & (STANDABLE[kind] | ((kind == DOOR) & (state == OPEN)))  # [N]
        self.poses[:, :2] += DIRECTIONS[self.poses[:, 2]] * moves[:, None]
        toggles = actions == TOGGLE  # [N]
        swings = toggles & (kind == DOOR) & (state <= CLOSED)  # a locked door needs a key, and nobody has one
        self._cells[front[swings], 2] = CLOSED - state[swings]
        opens = toggles & (kind == BOX)  # a box that is opened vanishes: those of these levels hold nothing
        self._cells[front[opens]] = EMPTY_CELL
        return np.asarray((turn != 0) | moves | swings | opens)
