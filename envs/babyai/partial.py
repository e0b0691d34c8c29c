"""What an agent with a 7x7 view knows of a level: a map of all that it has seen in the episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.simulator import DIRECTIONS

VIEW: Final = 7
_EMPTY: Final = (1, 0, 0)


def _offsets() -> NDArray[np.int64]:
    """Int [4, 7, 7, 2]: where each cell of the view lies from the agent, for each direction that it may face."""
    across, down = np.meshgrid(np.arange(VIEW), np.arange(VIEW), indexing="ij")  # [7, 7] each
    right, ahead = across - VIEW // 2, VIEW - 1 - down  # [7, 7]: the agent stands at (3, 6) and looks up the view
    forward = DIRECTIONS[:, None, None]  # [4, 1, 1, 2]
    sideways = np.roll(DIRECTIONS, -1, axis=0)[:, None, None]  # [4, 1, 1, 2]: to the agent's right
    offsets: NDArray[np.int64] = ahead[..., None] * forward + right[..., None] * sideways
    return offsets


_OFFSETS: Final[NDArray[np.int64]] = _offsets()


class PartialView:
    """A map of the level built only from minigrid's own 7x7 images, visibility included.

    It begins anew with each episode; cells never in view are (0, 0, 0), the others are as they were when last seen.
    To place what it sees the agent must know its true position and direction: it has a compass and a position sensor,
    as minigrid's own bot does. Its own cell, in which minigrid shows what it carries, keeps what was seen there
    before it was entered (an open door, the goal square), or is empty.

    Args:
        env: minigrid's own environment.
    """

    needs_image: ClassVar[bool] = True

    def __init__(self, env: Any) -> None:
        self._env = env
        self.grid: NDArray[np.uint8] = np.zeros((env.width, env.height, 3), dtype=np.uint8)  # [W, H, 3]

    def begin(self, seen: Mapping[str, Any]) -> None:
        """Forget the last episode and take in minigrid's first observation of a new one."""
        self.grid[:] = 0
        self._take_in(seen["image"])

    def update(self, action: int, seen: Mapping[str, Any]) -> None:
        """Take in the observation that a step led to, whatever the action was."""
        self._take_in(seen["image"])

    def _take_in(self, image: NDArray[np.uint8]) -> None:  # [7, 7, 3]
        x, y = self._env.agent_pos
        cells = _OFFSETS[self._env.agent_dir] + (x, y)  # [7, 7, 2]
        known = (image[..., 0] != 0) & ((cells >= 0) & (cells < self.grid.shape[:2])).all(axis=-1)  # [7, 7]
        known[VIEW // 2, VIEW - 1] = False  # the agent's own cell
        self.grid[tuple(cells[known].T)] = image[known]
        if not self.grid[x, y, 0]:
            self.grid[x, y] = _EMPTY
