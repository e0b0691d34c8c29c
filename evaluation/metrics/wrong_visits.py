"""How many places the agent tried that it took to be meant and that were not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalbridge.evaluation.metrics import UnderstandingRecord, register
from goalbridge.worlds import Episodes, World


@register("wrong_visits")
def wrong_visits(
    world: World, episodes: Episodes, understanding: UnderstandingRecord | None
) -> NDArray[np.float64] | None:
    """[E], different places each; where the episode began does not count. None as of `mass`."""
    if understanding is None or not np.isfinite(understanding.mass).any():
        return None
    counts = []
    for path, mistaken in zip(episodes.goals, understanding.mistaken, strict=True):
        places = world.places(path)  # [T + 1]
        counts.append(len(mistaken & set(places[1:].tolist()) - {int(places[0])}))
    return np.array(counts, dtype=np.float64)
