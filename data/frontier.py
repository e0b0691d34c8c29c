"""Goals that an agent commands itself: what it has reached, and rather what it has seldom reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CELLS: Final = 16  # along each coordinate of the goals' bounds, in which visits are counted


class Frontier:
    """Draws of goals from visited ones [V, G], those in rarely visited cells as often as those in crowded ones.

    A cell of the goals' bounds [low, high] is drawn with a chance of one over its visits, then a goal in it: counts say
    where the frontier is (as in "go, then explore", Ecoffet et al., 2021). The grid is coarse, and knows no world.
    """

    def __init__(self, visited: NDArray[Any], low: Sequence[float], high: Sequence[float]) -> None:
        self._visited = visited
        extent = np.asarray(high, dtype=np.float64) - np.asarray(low)  # [G]
        share = (visited - np.asarray(low, dtype=np.float64)) / np.where(extent > 0, extent, 1.0)  # [V, G]
        cell = np.clip((share * CELLS).astype(np.int64), 0, CELLS - 1)  # [V, G]
        _, which, visits = np.unique(cell, axis=0, return_inverse=True, return_counts=True)  # [V], [cells]
        self._summed = np.cumsum(1.0 / visits[which.reshape(-1)].astype(np.float64) ** 2)  # [V]

    def sample_rare(self, rng: np.random.Generator, count: int) -> NDArray[Any]:
        """`count` goals on the frontier, [count, G]."""
        drawn = rng.random(count) * self._summed[-1]
        which = np.searchsorted(self._summed, drawn, side="right").clip(max=len(self._visited) - 1)  # [count]
        return np.asarray(self._visited[which])

    def sample_any(self, rng: np.random.Generator, count: int) -> NDArray[Any]:
        """`count` goals, each visit as likely as any other, [count, G]."""
        return np.asarray(self._visited[rng.integers(len(self._visited), size=count)])
