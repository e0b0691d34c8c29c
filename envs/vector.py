"""The point maze as a batch: one numpy step for all environments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import Split
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import Layout
from goalbridge.envs.maze import Observation, check_render_mode, observation_space
from goalbridge.envs.options import read_starts
from goalbridge.envs.point_maze import MazeBatch, MazeSurface, PointMaze
from goalbridge.envs.rendering import draw
from goalbridge.envs.resets import read_mask, read_seeds
from goalbridge.envs.spaces import Direction


class PointMazeVectorEnv(MazeSurface, VectorEnv[Observation, NDArray[np.float32], NDArray[Any]]):
    """`num_envs` point mazes of one layout, stepped together; see `envs.maze.PointMazeEnv` for the world.

    Bit for bit what a `gymnasium.vector.SyncVectorEnv` of single environments gives: seed s seeds environment i with
    s + i, and each draws from its own generator. Observations are batched, `instruction` a tuple of strings.

    `reset` takes options "position" [B, 2] (or [2] for all), "instructions" (B texts or Commands; "instruction" for
    one for all), and "reset_mask" bool [B] to reset some environments only.

    Args:
        num_envs: B.
        layout, render_mode, action_noise_degrees, phrasings: as for the single environment.
        max_episode_steps: steps after which an episode is truncated; None or -1 for never.
        autoreset_mode: when a finished environment begins anew: in the next step (default), in the same step, or,
            DISABLED, only when it is told to with "reset_mask".

    Raises:
        LayoutError: the layout is unusable.
        ValueError: any other argument is out of range.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 10,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

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
        if num_envs < 1:
            raise ValueError(f"num_envs: {num_envs} is too few; 1 or more would do")
        if max_episode_steps is not None and max_episode_steps != -1 and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps: {max_episode_steps} is too few; 1 or more, or -1 (no limit) would do")
        self.num_envs = num_envs
        self.render_mode = check_render_mode(render_mode)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}  # type: ignore[misc]
        self.world = PointMaze(layout, action_noise_degrees, phrasings)
        self.single_observation_space = observation_space(self.world.layout)
        self.single_action_space = Direction()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._step_limit = np.inf if max_episode_steps is None or max_episode_steps == -1 else max_episode_steps
        self._batch = MazeBatch(self.world, num_envs, keep_paths=render_mode is not None)
        self._done = np.zeros(num_envs, dtype=np.bool_)

    @property
    def current_commands(self) -> tuple[Command, ...]:
        """The commands of the present episodes, B of them."""
        return tuple(self._batch.command(row) for row in range(self.num_envs))

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes, in all environments or in those of options["reset_mask"]; ValueError on bad options."""
        options = dict(options or {})
        rows = np.flatnonzero(
            read_mask(options.pop("reset_mask", None), self.num_envs, bool(self._batch.generators))
        )  # [R]
        starts = read_starts(self.world, options, rows, self.num_envs) if options else None
        self._seed(rows, seed)
        self._batch.reset(rows, starts)
        self._done[rows] = False
        is_reset = np.zeros(self.num_envs, dtype=np.bool_)
        is_reset[rows] = True
        return self._observe(), {"is_success": self._batch.holds() & is_reset, "_is_success": is_reset}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Move all points once, or begin anew where an episode has ended.

        Args:
            actions: [B, 2] directions; those of environments that begin anew are ignored.

        Returns:
            Observations, rewards float64 [B], terminated [B], truncated [B], infos.

        Raises:
            ValueError: actions of another shape, or not finite.
            gymnasium.error.ResetNeeded: before the first reset, or for finished environments if autoreset is disabled.
        """
        directions = np.asarray(actions)
        if directions.shape != (self.num_envs, 2) or not np.isfinite(directions).all():
            raise ValueError(f"actions: have shape {directions.shape}; ({self.num_envs}, 2), all finite, would do")
        self._check_begun()
        terminated = self._batch.step(directions, ~self._done)
        truncated = self._batch.elapsed >= self._step_limit
        infos: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.NEXT_STEP and self._done.any():
            self._batch.reset(np.flatnonzero(self._done))
            terminated &= ~self._done
            truncated &= ~self._done
        self._done = terminated | truncated
        is_success = terminated.copy()
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._done.any():
            infos = self._final_infos(terminated)
            self._batch.reset(np.flatnonzero(self._done))
            is_success &= ~self._done
            self._done = np.zeros_like(self._done)
        infos["is_success"], infos["_is_success"] = is_success, np.ones(self.num_envs, dtype=np.bool_)
        return self._observe(), terminated.astype(np.float64), terminated, truncated, infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """B frames, uint8 [h, w, 3] each, as the single environment draws them; None without a render mode."""
        if self._batch.paths is None or not self._batch.generators:
            return None
        paths = [np.array(path) for path in self._batch.paths]  # B x [T + 1, 2]
        return tuple(
            draw(self.layout, path[-1], path, command.region, title=command.text)
            for path, command in zip(paths, self.current_commands, strict=True)
        )

    def _seed(self, rows: NDArray[np.int64], seed: int | Sequence[int | None] | None) -> None:
        """Give the rows new generators where there is a seed, and every row one if it has none yet."""
        seeds = read_seeds(seed, self.num_envs)
        if not self._batch.generators:
            self._batch.generators = [np_random(value)[0] for value in seeds]
            return
        for row in rows.tolist():
            if seeds[row] is not None:
                self._batch.generators[row] = np_random(seeds[row])[0]

    def _check_begun(self) -> None:
        if not self._batch.generators:
            raise gymnasium.error.ResetNeeded("step: no episode has begun; reset() first would do")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._done.any():
            rows = np.flatnonzero(self._done).tolist()
            raise gymnasium.error.ResetNeeded(
                f"step: episodes of environments {rows} have ended; reset with options['reset_mask'] would do"
            )

    def _final_infos(self, is_success: NDArray[np.bool_]) -> dict[str, Any]:
        """What ended episodes saw last, as Gymnasium lays it out: `final_obs`, `final_info` and their masks."""
        done = self._done.copy()
        final_obs = np.full(self.num_envs, None, dtype=object)
        for row in np.flatnonzero(done).tolist():
            position = self._batch.position[row]
            final_obs[row] = {
                "observation": position.astype(np.float32),
                "achieved_goal": position.astype(np.float32),
                "instruction": self._batch.texts[row],
            }
        final_info = {"is_success": is_success & done, "_is_success": done.copy()}
        return {"final_obs": final_obs, "_final_obs": done.copy(), "final_info": final_info, "_final_info": done}

    def _observe(self) -> Observation:
        return {
            "observation": self._batch.position.astype(np.float32),
            "achieved_goal": self._batch.position.astype(np.float32),
            "instruction": tuple(self._batch.texts),
        }
