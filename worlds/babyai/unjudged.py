"""A level that goes on whatever its own mission says: for instructions in somebody's own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from goalbridge.envs.babyai.navigation import Navigation


class UnjudgedEnv(VectorEnv[Any, Any, Any]):
    """One environment of a level as a batch of one; only the level's limit of steps ends an episode."""

    def __init__(self, level: str, view: str) -> None:
        self.envs = (Navigation(level, view),)
        self.num_envs, self.render_mode = 1, None
        self.single_action_space = self.envs[0].action_space
        self.single_observation_space = self.envs[0].observation_space
        self.action_space = batch_space(self.single_action_space, 1)
        self.observation_space = batch_space(self.single_observation_space, 1)

    @property
    def missions(self) -> tuple[str, ...]:
        """The level's own."""
        return (self.envs[0].mission,)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode; seed: one, or a list of one."""
        first = seed if seed is None or isinstance(seed, int) else seed[0]
        self.envs[0].begin(first, options)
        return self._seen(), {}

    def step(
        self, actions: NDArray[np.integer]
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Takes minigrid's step, actions [1]; nothing is a success."""
        _, _, truncated = self.envs[0].advance(int(actions[0]))
        never = np.zeros(1, dtype=np.bool_)
        return self._seen(), np.zeros(1), never, np.array([truncated]), {"is_success": never.copy()}

    def _seen(self) -> dict[str, Any]:
        seen = self.envs[0].observe()
        observation = {name: value[None] for name, value in seen["observation"].items()}
        return {
            "observation": observation,
            "achieved_goal": seen["achieved_goal"][None],
            "instruction": (seen["instruction"],),
        }
