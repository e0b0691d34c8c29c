"""The point maze as a single Gymnasium environment."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import Split
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import Layout
from goalbridge.envs.options import read_start
from goalbridge.envs.point_maze import MazeBatch, MazeSurface, PointMaze
from goalbridge.envs.rendering import draw
from goalbridge.envs.spaces import INSTRUCTION_SPACE, Direction

Observation = dict[str, Any]

_ROW: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
_ACTIVE: NDArray[np.bool_] = np.ones(1, dtype=np.bool_)


def observation_space(layout: Layout) -> Dict:
    """The position twice, as `observation` and `achieved_goal` (row, column), and the `instruction`."""
    high = np.array(layout.walls.shape, dtype=np.float32)
    return Dict(
        {
            "observation": Box(np.zeros(2, dtype=np.float32), high),
            "achieved_goal": Box(np.zeros(2, dtype=np.float32), high),
            "instruction": deepcopy(INSTRUCTION_SPACE),
        }
    )


def check_render_mode(render_mode: str | None) -> str | None:
    """The render mode itself; ValueError unless it is None or "rgb_array"."""
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode: {render_mode!r} is not drawn here; 'rgb_array' or None would do")
    return render_mode


class PointMazeEnv(MazeSurface, gymnasium.Env[Observation, NDArray[np.float32]]):
    """A point in a maze that is told where to go (Che & Eysenbach, ICLR 2025, Sec. 6.3).

    An action is a direction (d_row, d_col); only its angle counts, to which Gaussian noise is added. A step moves 0.5
    cells, or to the wall on the way. The reward is 1 and the episode ends in the first step after which the command
    holds; `info["is_success"]` says so. Starts are uniform over the free area, commands uniform over those that can
    be reached from the start and do not hold there, wordings uniform over their split.

    `reset` takes options "position" (row, column) and "instruction" (a text or a Command) that fix either.

    Args:
        layout: a known name ("fork", "island", "blank", "slit", "blocker"), the path of a text file of '#' and '.',
            a 0/1 array, or a Layout.
        render_mode: None or "rgb_array".
        action_noise_degrees: standard deviation of the noise on the executed angle.
        phrasings: the split of wordings, "train", "held_out" or "label".

    Raises:
        LayoutError: the layout is unusable.
        ValueError: any other argument is out of range.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}  # type: ignore[misc]

    def __init__(
        self,
        layout: str | Path | Layout | ArrayLike,
        render_mode: str | None = None,
        action_noise_degrees: float = 20.0,
        phrasings: Split = "train",
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        self.world = PointMaze(layout, action_noise_degrees, phrasings)
        self.observation_space = observation_space(self.world.layout)
        self.action_space = Direction()  # type: ignore[assignment]
        self._batch = MazeBatch(self.world, 1, keep_paths=render_mode is not None)

    @property
    def command(self) -> Command:
        """The command of the present episode."""
        return self._batch.command(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; options may fix "position" and "instruction". Raises ValueError on bad options."""
        starts = [read_start(self.world, options)] if options else None
        super().reset(seed=seed)
        self._batch.generators = [self.np_random]
        self._batch.reset(_ROW, starts)
        return self._observe(), {"is_success": bool(self._batch.holds()[0])}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move once; reward 1.0 and terminated when the command holds. ValueError unless the action is 2 numbers."""
        direction = np.asarray(action, dtype=np.float64)
        if direction.shape != (2,) or not np.isfinite(direction).all():
            raise ValueError(f"action: {direction.tolist()} is no direction; two finite numbers would do")
        if not self._batch.generators:
            raise gymnasium.error.ResetNeeded("step: no episode has begun; reset() first would do")
        holds = bool(self._batch.step(direction[None], _ACTIVE)[0])
        return self._observe(), float(holds), holds, False, {"is_success": holds}

    def render(self) -> NDArray[np.uint8] | None:
        """Uint8 [h, w, 3]: the maze, the commanded region, the path so far and the instruction; None without a mode."""
        if self._batch.paths is None or not self._batch.generators:
            return None
        command = self.command
        path = np.array(self._batch.paths[0])  # [T + 1, 2]
        return draw(self.layout, path[-1], path, command.region, title=command.text)

    def _observe(self) -> Observation:
        position = self._batch.position[0]
        return {
            "observation": position.astype(np.float32),
            "achieved_goal": position.astype(np.float32),
            "instruction": self._batch.texts[0],
        }
