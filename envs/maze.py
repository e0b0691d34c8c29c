"""The point maze as a single Gymnasium environment: a batch of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import Split
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import Layout
from goalbridge.envs.point_maze import MazeSurface, check_names
from goalbridge.envs.spaces import Observation
from goalbridge.envs.vector import PointMazeVectorEnv

_ROW: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
_ACTIVE: NDArray[np.bool_] = np.ones(1, dtype=np.bool_)


class PointMazeEnv(MazeSurface, gymnasium.Env[Observation, NDArray[np.float32]]):
    """A point in a maze that is told where to go (Che & Eysenbach, ICLR 2025, Sec. 6.3).

    An action is a direction (d_row, d_col); only its angle counts, to which Gaussian noise is added. A step moves 0.5
    cells, or to the wall on the way. The reward is 1 and the episode ends in the first step after which the command
    holds; `info["is_success"]` says so. Starts are uniform over the free area, commands uniform over those that can
    be reached from the start and do not hold there, wordings uniform over their split.

    `reset` takes options "position" (row, column) and "instruction" (a text or a Command) that fix either.

    layout, action_noise_degrees, phrasings: see `PointMaze`. render_mode: None or "rgb_array".
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}  # type: ignore[misc]

    def __init__(
        self,
        layout: str | Path | Layout | ArrayLike,
        render_mode: str | None = None,
        action_noise_degrees: float = 20.0,
        phrasings: Split = "train",
    ) -> None:
        self._row = PointMazeVectorEnv(1, layout, render_mode, action_noise_degrees, phrasings)
        self.render_mode = render_mode
        self.world = self._row.world
        self.observation_space = self._row.single_observation_space
        self.action_space = self._row.single_action_space

    @property
    def command(self) -> Command:
        """The command of the present episode."""
        return self._row.current_commands[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; options may fix "position" and "instruction". ValueError on bad options."""
        options = options or {}
        check_names(options, ("position", "instruction"))
        fixed = self.world.read_starts(options, _ROW, 1)
        super().reset(seed=seed)
        self._row.generators = [self.np_random]
        self._row.begin(_ROW, fixed=fixed)
        self._row.begun = True
        return self._row.observe_one(0), {"is_success": bool(self._row.holds()[0])}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move once; reward 1.0 and terminated when the command holds. ValueError unless the action is 2 numbers."""
        direction = self._row.read_actions(np.asarray(action)[None])
        self._row.check_begun()
        holds = bool(self._row.advance(direction, _ACTIVE)[1][0])
        return self._row.observe_one(0), float(holds), holds, False, {"is_success": holds}

    def render(self) -> NDArray[np.uint8] | None:
        """Uint8 [h, w, 3]: the maze, the commanded region, the path so far and the instruction; None without a mode."""
        frames = self._row.render()
        return None if frames is None else frames[0]
