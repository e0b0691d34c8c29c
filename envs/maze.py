"""The point maze as a Gymnasium environment, single and batched."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import Split
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import Layout
from goalbridge.envs.point_maze import MazeBatch, MazeSurface, PointMaze
from goalbridge.envs.spaces import INSTRUCTION_SPACE, Direction, Observation, check_options, check_render_mode
from goalbridge.envs.vector import BatchedEnv, Flags, Seeds, row_of


def _observation_space(layout: Layout) -> Dict:
    """The position twice, as `observation` and `achieved_goal` (row, column), and the `instruction`."""
    seen, goal = (Box(0.0, np.array(layout.walls.shape, dtype=np.float32)) for _ in range(2))
    return Dict({"observation": seen, "achieved_goal": goal, "instruction": deepcopy(INSTRUCTION_SPACE)})


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
        self.render_mode = check_render_mode(render_mode)
        MazeSurface.__init__(self, PointMaze(layout, action_noise_degrees, phrasings))
        self.observation_space = _observation_space(self.world.layout)
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
        check_options(options, ("position", "instruction"))
        starts = self.world.read_starts(options, np.arange(1), 1) if options else None
        super().reset(seed=seed)
        self._batch.generators[0] = self.np_random
        self._batch.reset(np.arange(1), starts)
        return row_of(self._batch.observe(), 0), {"is_success": bool(self._batch.holds()[0])}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move once; reward 1.0 and terminated when the command holds. ValueError unless the action is 2 numbers."""
        direction = np.asarray(action, dtype=np.float64)
        if direction.shape != (2,) or not np.isfinite(direction).all():
            raise ValueError(f"action: expected two finite numbers, got {direction.tolist()}")
        if not self._batch.generators:
            raise gymnasium.error.ResetNeeded("step: expected a reset() first")
        holds = bool(self._batch.step(direction[None])[0])
        return row_of(self._batch.observe(), 0), float(holds), holds, False, {"is_success": holds}

    def render(self) -> NDArray[np.uint8] | None:
        """Uint8 [h, w, 3]: the maze, the commanded region, the path so far and the instruction; None without a mode."""
        begun = self.render_mode is not None and self._batch.generators
        return self._batch.picture(0) if begun else None


class PointMazeVectorEnv(MazeSurface, BatchedEnv):
    """Point mazes of one layout, in one numpy step for all: see `BatchedEnv`, and `PointMazeEnv` for each of them.

    `reset` takes options "position" [B, 2] (or [2] for all), "instructions" (B texts or Commands; "instruction" for
    one for all), and "reset_mask". With autoreset DISABLED, a step where an episode has ended raises ResetNeeded.
    max_episode_steps: steps after which an episode is truncated; None or -1 for never.
    """

    def __init__(
        self,
        num_envs: int,
        layout: str | Path | Layout | ArrayLike,
        render_mode: str | None = None,
        action_noise_degrees: float = 20.0,
        phrasings: Split = "train",
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        if max_episode_steps is not None and max_episode_steps != -1 and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps: expected 1 or more, or -1 for no limit, got {max_episode_steps}")
        MazeSurface.__init__(self, PointMaze(layout, action_noise_degrees, phrasings))
        BatchedEnv.__init__(self, num_envs, _observation_space(self.layout), Direction(), render_mode, autoreset_mode)
        self._step_limit = np.inf if max_episode_steps is None or max_episode_steps == -1 else max_episode_steps
        self._batch = MazeBatch(self.world, num_envs, keep_paths=render_mode is not None)

    @property
    def current_commands(self) -> tuple[Command, ...]:
        """The commands of the present episodes, B of them."""
        return tuple(self._batch.command(row) for row in range(self.num_envs))

    def _begin(self, rows: NDArray[np.int64], seeds: Seeds | None = None, options: Observation | None = None) -> Flags:
        starts = self.world.read_starts(options, rows, self.num_envs) if options else None
        if seeds is not None:
            self._batch.seed(rows, seeds)
        self._batch.reset(rows, starts)
        return self._batch.holds()

    def _read_actions(self, actions: NDArray[Any]) -> NDArray[Any]:
        directions = np.asarray(actions)
        if directions.shape != (self.num_envs, 2) or not np.isfinite(directions).all():
            raise ValueError(f"actions: expected ({self.num_envs}, 2), all finite, got shape {directions.shape}")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._flags.any():
            rows = np.flatnonzero(self._flags.any(axis=0)).tolist()
            raise gymnasium.error.ResetNeeded(f"step: expected options['reset_mask'] for ended episodes {rows}")
        return directions

    def _advance(self, actions: NDArray[Any], active: Flags) -> tuple[NDArray[np.float64], Flags, Flags]:
        terminated = self._batch.step(actions, active)
        return terminated.astype(np.float64), terminated, self._batch.elapsed >= self._step_limit

    def _observe(self) -> Observation:
        return self._batch.observe()

    def _picture(self, row: int) -> NDArray[np.uint8]:
        return self._batch.picture(row)
