"""What an agent knows of a level: the whole grid, or a map of all that its 7x7 view has shown in the episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.simulator import DIRECTIONS, EMPTY_CELL, TOGGLE

VIEW: Final = 7
STEPS: Final = tuple((int(dx), int(dy)) for dx, dy in DIRECTIONS)


def _offsets() -> NDArray[np.int64]:
    """Int [4, 7, 7, 2]: where each cell of the view lies from the agent, for each direction that it may face."""
    across, down = np.meshgrid(np.arange(VIEW), np.arange(VIEW), indexing="ij")  # [7, 7] each
    right, ahead = across - VIEW // 2, VIEW - 1 - down  # [7, 7]: the agent stands at (3, 6) and looks up the view
    forward = DIRECTIONS[:, None, None]  # [4, 1, 1, 2]
    sideways = np.roll(DIRECTIONS, -1, axis=0)[:, None, None]  # [4, 1, 1, 2]: to the agent's right
    offsets: NDArray[np.int64] = ahead[..., None] * forward + right[..., None] * sideways
    return offsets


_OFFSETS: Final = _offsets()


class FullView:
    """The whole grid as minigrid's `Grid.encode()` gives it, encoded once an episode.

    Of the four actions only toggle changes the grid, and only in front of the agent. If somebody else has moved the
    environment since the last step, all is encoded anew. env: minigrid's own.
    """

    needs_image: ClassVar[bool] = False

    def __init__(self, env: Any) -> None:
        self._env = env
        self._steps = 0
        self.grid: NDArray[np.uint8] = np.zeros((env.width, env.height, 3), dtype=np.uint8)  # [W, H, 3]

    def begin(self, seen: Mapping[str, Any]) -> None:
        """Encode the grid of a new episode."""
        self._steps = self._env.step_count
        cells = [EMPTY_CELL if cell is None else cell.encode() for cell in self._env.grid.grid]
        by_rows = np.array(cells, dtype=np.uint8).reshape(self._env.height, self._env.width, 3)
        self.grid[:] = by_rows.transpose(1, 0, 2)

    def update(self, action: int, seen: Mapping[str, Any]) -> None:
        """Follow one step of one of the four actions."""
        self._steps += 1
        if self._env.step_count != self._steps:
            self.begin(seen)
        elif action == TOGGLE:
            x, y = self._env.agent_pos
            dx, dy = STEPS[self._env.agent_dir]
            cell = self._env.grid.get(x + dx, y + dy)
            self.grid[x + dx, y + dy] = EMPTY_CELL if cell is None else cell.encode()


class PartialView:
    """A map of the level built only from minigrid's own 7x7 images, visibility included; see `FullView`.

    Cells never in view are (0, 0, 0), the others are as they were when last seen. To place what it sees the agent must
    know its true position and direction, as minigrid's own bot does. Its own cell, in which minigrid shows what it
    carries, keeps what was seen there before it was entered (an open door, the goal square), or is empty.
    """

    needs_image: ClassVar[bool] = True

    def __init__(self, env: Any) -> None:
        self._env = env
        self.grid: NDArray[np.uint8] = np.zeros((env.width, env.height, 3), dtype=np.uint8)  # [W, H, 3]

    def begin(self, seen: Mapping[str, Any]) -> None:
        """Forget the last episode and take in minigrid's first observation of a new one."""
        self.grid[:] = 0
        self.update(0, seen)

    def update(self, action: int, seen: Mapping[str, Any]) -> None:
        """Take in the observation that a step led to, whatever the action was."""
        image, (x, y) = seen["image"], self._env.agent_pos  # [7, 7, 3]
        cells = _OFFSETS[self._env.agent_dir] + (x, y)  # [7, 7, 2]
        known = (image[..., 0] != 0) & ((cells >= 0) & (cells < self.grid.shape[:2])).all(axis=-1)  # [7, 7]
        known[VIEW // 2, VIEW - 1] = False  # the agent's own cell
        self.grid[tuple(cells[known].T)] = image[known]
        if not self.grid[x, y, 0]:
            self.grid[x, y] = EMPTY_CELL
