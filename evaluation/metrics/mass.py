"""Probability, at the start, of the goals that were meant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalbridge.evaluation.metrics import UnderstandingRecord, register
from goalbridge.worlds import Episodes, World


@register("mass")
def mass(world: World, episodes: Episodes, understanding: UnderstandingRecord | None) -> NDArray[np.float64] | None:
    """[E] in [0, 1]; None for who has no posterior over goals, or where nobody knows what was meant."""
    if understanding is None or not np.isfinite(understanding.mass).any():
        return None
    return np.array(understanding.mass, dtype=np.float64)
