"""What the learner knows of a world: its spaces and the actions worth weighing. Nothing else crosses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WorldSpec:
    """A world as its spaces tell it.

    env_id: Gymnasium id. fingerprint: tells two layouts of one id apart.
    observation_low, observation_high: bounds of each observed coordinate; goal_low, goal_high: of each goal's.
    action_dim: length of an action vector. kind: how observations and goals are read: "box" (vectors of coordinates) or
    "grid" (a grid and a pose, of which `encoders.grid` makes situations; goals are situations too).
    discrete: actions are numbers below action_dim, for which vectors with a single one stand.
    """

    env_id: str
    fingerprint: str
    observation_low: tuple[float, ...]
    observation_high: tuple[float, ...]
    goal_low: tuple[float, ...]
    goal_high: tuple[float, ...]
    action_dim: int
    kind: str = "box"
    discrete: bool = False


@dataclass(frozen=True, eq=False)
class CandidateActions:
    """The actions that a policy weighs, and what the actuator makes of each.

    actions: [A, D]. execution: [A, A], row i the probabilities of what is executed when i is chosen; each row sums
    to one (ValueError otherwise); the identity where the actuator obeys.
    """

    actions: NDArray[np.float32]
    execution: NDArray[np.float64]

    def __post_init__(self) -> None:
        size = len(self.actions)
        if self.execution.shape != (size, size):
            raise ValueError(f"execution: has shape {self.execution.shape}, but {size} actions need {(size, size)}")
        if (self.execution < 0).any() or not np.allclose(self.execution.sum(axis=1), 1):
            raise ValueError("execution: each row must hold probabilities that sum to one")
