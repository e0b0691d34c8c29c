"""How often an episode turned round, as somebody else would add a metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.worlds import Episodes, World


def turns(world: World, episodes: Episodes, understanding: Any) -> NDArray[np.float64]:
    """[E]."""
    moves = [np.sign(np.diff(path[:, 0])) for path in episodes.goals]
    return np.array([np.count_nonzero(np.diff(one[one != 0])) for one in moves], dtype=np.float64)
