"""A level that goes on whatever its own mission says: for instructions in somebody's own words."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from goalbridge.envs.babyai.vector import BabyAIVectorEnv
from goalbridge.envs.vector import Flags


class UnjudgedEnv(BabyAIVectorEnv):
    """One environment of a level as a batch of one; only the level's limit of steps ends an episode."""

    def __init__(self, level: str, view: str) -> None:
        super().__init__(1, level, view, autoreset_mode=AutoresetMode.DISABLED)

    def _advance(self, actions: NDArray[Any], active: Flags) -> tuple[NDArray[np.float64], Flags, Flags]:
        rewards, terminated, truncated = super()._advance(actions, active)
        return np.zeros_like(rewards), np.zeros_like(terminated), truncated
