"""What `reset` of a batch may be told of seeds and of which environments are meant, the same in every world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_mask(mask: Any, num_envs: int, begun: bool) -> NDArray[np.bool_]:
    """Which environments options["reset_mask"] asks to reset, bool [B], a copy; all where there is no mask.

    begun: whether all were reset before, as they must be first. Raises ValueError for what is no such mask.
    """
    if mask is None:
        return np.ones(num_envs, dtype=np.bool_)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,):
        raise ValueError(f"reset_mask: a bool array of shape ({num_envs},) would do")
    if not mask.any():
        raise ValueError("reset_mask: marks no environment; one with at least one True would do")
    if not begun and not mask.all():
        raise ValueError("reset_mask: marks only some environments at the first reset; all would do")
    return mask.copy()


def read_seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """A seed for each environment: seed s gives environment i s + i. ValueError where there are not B of them."""
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int | np.integer):
        return [int(seed) + row for row in range(num_envs)]
    if len(seed) != num_envs:
        raise ValueError(f"seed: {len(seed)} seeds for {num_envs} environments; one each would do")
    return list(seed)
