"""What the learner knows of a world: its spaces and the actions worth weighing. Nothing else crosses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WorldSpec:
    """A world as its spaces tell it.

    env_id: Gymnasium id. fingerprint: tells two layouts of one id apart.
    observation_low, observation_high: bounds of each observed coordinate; goal_low, goal_high: of each goal's.
    action_dim: length of an action vector. kind: how observations are read: "box" (vectors of coordinates), "number"
    (for which vectors with a single one stand), "image" (of the shape (H, W, C), kept flat) or "grid" (a grid and a
    pose, of which `encoders.grid` makes situations; goals are situations too).
    discrete: actions are numbers below action_dim, for which vectors with a single one stand.
    goal_kind, goal_shape: how goals are read, if not as observations are. goals_apart: goals are no states, even if
    their bounds are those of states.
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
    shape: tuple[int, ...] = ()
    goal_kind: str = ""
    goal_shape: tuple[int, ...] = ()
    goals_apart: bool = False

    @property
    def dtype(self) -> type[np.generic]:
        """Of the rows that observations are kept in."""
        return np.uint8 if self.kind in ("image", "grid") else np.float32

    @property
    def has_coordinates(self) -> bool:
        """Whether states that are near each other are so in their numbers: pictures, or codes, just differ."""
        return self.kind == "box"

    @property
    def goals_are_observed(self) -> bool:
        """Whether goals are read off each observation, for every episode has a layout of its own."""
        return self.kind == "grid"

    @property
    def goals_are_states(self) -> bool:
        """Whether a goal can be stood in, and where an agent stands be compared with goals."""
        return not self.goals_apart and self.observation_low == self.goal_low


def as_rows(values: Any, kind: str, size: int) -> NDArray[Any]:
    """Observations of B moments as they are kept: rows [B, size]; numbers [B] become rows with a single one.

    kind: see `WorldSpec`. What does not fit stays as it is; ValueError for a number that is none of 0 ... size - 1.
    """
    array = np.asarray(values)
    if kind == "number" and array.ndim == 1:
        if array.dtype.kind not in "iu" or (array < 0).any() or (array >= size).any():
            raise ValueError(f"expected whole numbers from 0 to {size - 1}, got {array.tolist()}")
        return np.asarray(np.eye(size, dtype=np.float32)[array])
    return array.reshape(len(array), -1) if array.ndim > 2 else array


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
            raise ValueError(f"execution: expected shape {(size, size)}, got {self.execution.shape}")
        if (self.execution < 0).any() or not np.allclose(self.execution.sum(axis=1), 1):
            raise ValueError("execution: expected rows of probabilities that sum to one")
