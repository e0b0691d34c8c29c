"""Geometric futures: how far ahead in its trajectory a goal lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def geometric_offsets(rng: np.random.Generator, remaining: NDArray[np.int64], discount: float) -> NDArray[np.int64]:
    """Offsets [B], Geometric(1 - discount), for transitions with `remaining` steps [B] to their trajectory's end.

    At least 1; the distribution is cut at the end and renormalised (inverse transform), so that every draw is a true
    future.
    """
    uniform = rng.random(len(remaining))  # [B]
    offset = np.ceil(np.log1p(-uniform * (1 - discount**remaining)) / np.log(discount))  # [B]
    return np.asarray(np.clip(offset, 1, remaining).astype(np.int64))
