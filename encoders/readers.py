"""How an observation is read: what the state is, and in grids which goals it allows and where it is yet unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import UserError
from goalbridge.encoders.grid import AHEAD, COLOURS, SITUATION, TYPES, possible_situations, situations

_UNSEEN, _WALL, _DOOR, _BOX = 0, 2, 4, 7
_LOCKED = 2
_STANDABLE: Final = (1, 3, 4, 8)  # empty, floor, door, goal
_FORM: Final = "{'grid': [B, W, H, 3], 'pose': [B, 3]}"


class ObservationError(UserError):
    """An observation that the agent cannot read; its message is one line."""


class GridView:
    """One agent's grid [W, H, 3] and pose [3], as its observation shows them."""

    def __init__(self, grid: NDArray[np.uint8], pose: NDArray[np.int64]) -> None:
        self.grid, self.pose = grid, pose
        plain = grid.copy()
        plain[..., 2] = plain[..., 2] == _LOCKED
        self.layout = plain.tobytes()  # what plans depend on: a door that swings leaves it as it was

    def goals(self, everywhere: bool = False) -> NDArray[np.uint8]:
        """Every goal [M, S] that the grid allows; `everywhere`: all poses in it, be their cells free or not."""
        return possible_situations(self.grid, everywhere)

    def frontier(self, goals: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which goals [M, S] look at what has not been seen: an unknown cell, or whatever a door hides that opens."""
        beyond = goals[:, :2].astype(np.int64) + AHEAD[goals[:, 2]] * 2  # [M, 2]
        inside = ((beyond >= 0) & (beyond < self.grid.shape[:2])).all(axis=1)  # [M]
        x, y = np.where(inside[:, None], beyond, 0).T
        opens = (goals[:, 5] == _DOOR) & (goals[:, 7] != _LOCKED)  # [M]
        hidden = inside & (self.grid[x, y, 0] == _UNSEEN) & opens
        return np.asarray((goals[:, 5] == _UNSEEN) | hidden)

    def alike(self, goals: NDArray[np.uint8], state: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which goals [M, S] mean what the state [S] means: facing its like, or standing where it stands, facing none.

        An episode that goes on after a state has told that neither it nor these are what was asked for.
        """
        if _DOOR <= state[5] <= _BOX:
            return np.asarray((goals[:, 5:7] == state[5:7]).all(axis=1))
        is_thing = (goals[:, 5] >= _DOOR) & (goals[:, 5] <= _BOX)  # [M]
        return np.asarray((goals[:, :2] == state[:2]).all(axis=1) & ~is_thing)

    def goes_on_from(self, earlier: GridView) -> bool:
        """Whether this may be a later moment of the same episode: what was known still holds, but for one cell."""
        if earlier.grid.shape != self.grid.shape or np.abs(earlier.pose[:2] - self.pose[:2]).sum() > 1:
            return False
        changed = (earlier.grid != self.grid).any(axis=-1) & (earlier.grid[..., 0] != _UNSEEN)  # [W, H]
        return int(changed.sum()) <= 1


def read_grids(observation: Any, most: tuple[int, int]) -> list[GridView]:
    """Views of B agents from {"grid": [B, W, H, 3], "pose": [B, 3]}.

    most: the largest width and height that the agent was trained on. Raises ObservationError for another form, where a
    grid is larger, and for what no grid world holds: an unknown type or colour, a pose in the outer wall or beyond, no
    cell to stand in.
    """
    if not isinstance(observation, Mapping) or not {"grid", "pose"} <= set(observation):
        has = sorted(observation) if isinstance(observation, Mapping) else type(observation).__name__
        raise ObservationError(f"observation: expected {_FORM}, got {has}; try what the world's environments give")
    grids, poses = np.asarray(observation["grid"], np.uint8), np.asarray(observation["pose"], np.int64)
    if grids.ndim != 4 or grids.shape[3] != 3 or poses.shape != (len(grids), 3):
        raise ObservationError(
            f"observation: expected {_FORM}, got grid {grids.shape} and pose {poses.shape}; try a row for each agent"
        )
    width, height = grids.shape[1:3]
    if width > most[0] or height > most[1]:
        raise ObservationError(
            f"observation: expected grids of at most {most[0]} x {most[1]}, as those trained on, got {width} x "
            f"{height}; try an agent that was trained on larger ones"
        )
    kind, colour = (int(grids[..., i].max(initial=0)) for i in range(2))
    if kind >= TYPES or colour >= COLOURS:
        raise ObservationError(
            f"observation: expected types below {TYPES} and colours below {COLOURS}, got up to {kind} and {colour}; "
            "try minigrid's encoding"
        )
    beyond = (poses < (1, 1, 0)) | (poses >= (width - 1, height - 1, len(AHEAD)))  # [B, 3]
    if beyond.any():
        raise ObservationError(
            f"observation: expected (x, y, direction) within the outer walls of {width} x {height} cells, got pose "
            f"{tuple(poses[beyond.any(axis=1)][0].tolist())}; try a direction from 0 to 3"
        )
    closed = ~np.isin(grids[..., 0], _STANDABLE).any(axis=(1, 2))  # [B]
    if closed.any():
        raise ObservationError(
            f"observation: expected a cell to stand in, got none in grid {int(closed.argmax())}; try an empty cell"
        )
    return [GridView(grid, pose) for grid, pose in zip(grids, poses, strict=True)]


def states_of(views: list[GridView]) -> NDArray[np.uint8]:
    """Situations [B, S] of the views, all of one grid size."""
    return situations(np.stack([view.grid for view in views]), np.stack([view.pose for view in views]))


def imaginable(width: int, height: int) -> NDArray[np.uint8]:
    """Situations [K, S] of all that a goal may mean in a grid of that size: each thing faced, each place stood in.

    What fits an instruction best among these tells whether what has been seen so far fits it.
    """
    middle = (width // 2, height // 2)
    things = [(*middle, 0, width, height, kind, colour) for kind in range(_DOOR, _BOX + 1) for colour in range(COLOURS)]
    places = [(x, y, 0, width, height, _WALL, 0) for x in range(1, width - 1) for y in range(1, height - 1)]
    rows = np.array(things + places, dtype=np.uint8)  # [K, 7]
    return np.pad(rows, ((0, 0), (0, SITUATION - rows.shape[1])))
