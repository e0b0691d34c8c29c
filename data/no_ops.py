"""Steps that did not move: all that they teach is that a wall is there, and they make far goals look farther."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

STILL: Final = 0.3  # of a step's length: who moved less did not move
_QUANTILE: Final = 0.9  # of the moves: how long a step is where nothing is in the way


def distances(observations: NDArray[Any]) -> NDArray[np.float64]:
    """How far each step led, [E, T], from observations [E, T + 1, S]."""
    moves = np.diff(observations.astype(np.float64), axis=1)  # [E, T, S]
    return np.asarray(np.sqrt((moves**2).sum(axis=-1)))


def step_length(distance: NDArray[np.float64]) -> float:
    """How far a step leads where nothing is in the way, from those of some play; 0 where nothing moved."""
    moved = distance[distance > 0]
    return float(np.quantile(moved, _QUANTILE)) if len(moved) else 0.0


def drop_no_ops(
    observations: NDArray[Any], actions: NDArray[np.float32], moved: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.int64]]:
    """Segments of which at least one step moved, with those that did in front: what follows is to be ignored.

    observations [E, T + 1, S], actions [E, T, D], moved [E, T]; gives [R, T + 1, S], [R, T, D] and lengths [R].
    """
    rows = np.flatnonzero(moved.any(axis=1))  # [R]
    order = np.argsort(~moved[rows], axis=1, kind="stable")  # [R, T]
    after = np.concatenate([np.zeros((len(rows), 1), np.int64), order + 1], axis=1)  # [R, T + 1]
    return observations[rows[:, None], after], actions[rows[:, None], order], moved[rows].sum(axis=1)
