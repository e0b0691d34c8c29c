"""Several environments of one BabyAI level, stepped in turn, without one observation each in between."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from goalbridge.envs.babyai import levels
from goalbridge.envs.babyai.levels import Level
from goalbridge.envs.babyai.navigation import Navigation, check_options
from goalbridge.envs.babyai.simulator import ACTIONS
from goalbridge.envs.batch import BatchEnv, check_batch
from goalbridge.envs.spaces import Observation


class BabyAIVectorEnv(BatchEnv):
    """`num_envs` environments of one level; see `BatchEnv`, and `Navigation` for each of them, `level` and `view`.

    `envs[i].unwrapped` is minigrid's own environment. With autoreset DISABLED, unlike in the point mazes, an episode
    that has ended waits while the others go on: its observation, flags and "is_success" stay as they were, with reward
    0 and whatever the action, until "reset_mask" begins it anew.
    """

    ended_ones_wait = True

    def __init__(
        self,
        num_envs: int,
        level: str,
        view: str = "full",
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        check_batch(num_envs, render_mode)
        levels.check_minigrid_version()
        self.envs: Final = tuple(Navigation(level, view, render_mode) for _ in range(num_envs))
        self.level: Final[Level] = self.envs[0].level
        spaces = self.envs[0].observation_space, self.envs[0].action_space
        super().__init__(num_envs, *spaces, render_mode, autoreset_mode)
        self._grids = np.zeros((num_envs, *self.envs[0].grid.shape), dtype=np.uint8)  # [B, W, H, 3]

    @property
    def missions(self) -> tuple[str, ...]:
        """The missions of the present episodes, B of them."""
        return tuple(env.mission for env in self.envs)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """B frames, uint8 [h, w, 3] each, as minigrid draws them; None without a render mode."""
        if self.render_mode is None or not self.begun:
            return None
        return tuple(np.asarray(env.render(), dtype=np.uint8) for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()

    def read_options(self, options: dict[str, Any], rows: NDArray[np.int64]) -> None:
        check_options(options)

    def read_actions(self, actions: NDArray[np.integer]) -> NDArray[np.integer]:
        chosen = np.asarray(actions)
        if chosen.shape != (self.num_envs,) or not np.issubdtype(chosen.dtype, np.integer):
            raise ValueError(f"actions: expected integers ({self.num_envs},), got {chosen.dtype} {chosen.shape}")
        if chosen.min() < 0 or chosen.max() >= len(ACTIONS):
            raise ValueError(f"actions: expected 0 (left) to 3 (toggle), got {chosen.min()} to {chosen.max()}")
        return chosen

    def begin(self, rows: NDArray[np.int64], seeds: list[int | None] | None = None, fixed: Any = None) -> None:
        for row in rows.tolist():
            self.envs[row].begin(seeds[row] if seeds else None)
            self._grids[row] = self.envs[row].grid

    def advance(
        self, actions: NDArray[np.integer], active: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), dtype=np.bool_)
        chosen = actions.tolist()
        for row in np.flatnonzero(active).tolist():
            rewards[row], terminated[row], truncated[row] = self.envs[row].advance(chosen[row])
            self._grids[row] = self.envs[row].grid
        return rewards, terminated, truncated

    def holds(self) -> NDArray[np.bool_]:
        return np.zeros(self.num_envs, dtype=np.bool_)

    def observe(self) -> Observation:
        goals = np.array([env.goal() for env in self.envs], dtype=np.int64)  # [B, 7]
        return {
            "observation": {"grid": self._grids.copy(), "pose": goals[:, :3].copy()},
            "achieved_goal": goals,
            "instruction": self.missions,
        }

    def observe_one(self, row: int) -> Observation:
        return self.envs[row].observe()
