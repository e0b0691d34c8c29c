"""Several environments of one BabyAI level, stepped in turn, without one observation each in between."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from goalbridge.envs.babyai import levels
from goalbridge.envs.babyai.navigation import Navigation, observation_space
from goalbridge.envs.babyai.simulator import ACTIONS
from goalbridge.envs.spaces import Observation, check_options
from goalbridge.envs.vector import BatchedEnv, Flags, Seeds


class BabyAIVectorEnv(BatchedEnv):
    """Environments of one level: see `BatchedEnv`, and `envs.babyai.navigation.Navigation` for each of them.

    `envs[i].unwrapped` is minigrid's own environment. With autoreset DISABLED, unlike in the point mazes, an episode
    that has ended waits while the others go on: its observation, flags and "is_success" stay, with reward 0 and
    whatever the action, until "reset_mask" begins it anew.
    """

    def __init__(
        self,
        num_envs: int,
        level: str,
        view: str = "full",
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        self.level: Final = levels.level(level)
        super().__init__(num_envs, observation_space(self.level), Discrete(len(ACTIONS)), render_mode, autoreset_mode)
        levels.check_minigrid_version()
        self.envs: Final = tuple(Navigation(level, view, render_mode) for _ in range(num_envs))

    @property
    def missions(self) -> tuple[str, ...]:
        """The missions of the present episodes, B of them."""
        return tuple(env.mission for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()

    def _begin(self, rows: NDArray[np.int64], seeds: Seeds | None = None, options: Observation | None = None) -> Flags:
        check_options(options)
        for row in rows.tolist():
            self.envs[row].begin(seeds[row] if seeds else None)
        return np.zeros(self.num_envs, dtype=np.bool_)

    def _read_actions(self, actions: NDArray[Any]) -> NDArray[Any]:
        chosen = np.asarray(actions)
        if chosen.shape != (self.num_envs,) or not np.issubdtype(chosen.dtype, np.integer):
            raise ValueError(f"actions: expected integers ({self.num_envs},), got {chosen.dtype} of {chosen.shape}")
        if chosen.min() < 0 or chosen.max() >= len(ACTIONS):
            raise ValueError(f"actions: expected 0 (left) to 3 (toggle), got {chosen.min()} to {chosen.max()}")
        return chosen

    def _advance(self, actions: NDArray[Any], active: Flags) -> tuple[NDArray[np.float64], Flags, Flags]:
        turns = zip(self.envs, actions.tolist(), active.tolist(), strict=True)
        outcomes = [env.advance(action) if acts else (0.0, False, False) for env, action, acts in turns]
        rewards, terminated, truncated = np.array(outcomes).T
        return rewards, terminated > 0, truncated > 0

    def _observe(self) -> Observation:
        goals = np.array([env.goal() for env in self.envs], dtype=np.int64)  # [B, 7]
        grids = np.stack([env.grid for env in self.envs])  # [B, W, H, 3]
        return {
            "observation": {"grid": grids, "pose": goals[:, :3].copy()},
            "achieved_goal": goals,
            "instruction": self.missions,
        }

    def _picture(self, row: int) -> NDArray[np.uint8]:
        return np.asarray(self.envs[row].render(), dtype=np.uint8)
