"""Spaces of the worlds: directions of movement and instructions in words."""

from __future__ import annotations

import string
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Box, Text
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

Observation = dict[str, Any]

INSTRUCTION_SPACE: Final = Text(256, charset=string.ascii_letters + string.digits + string.punctuation + " ")
"""Printable ASCII of up to 256 characters; deep-copy it before seeding or sampling."""


class Direction(Box):
    """Vectors (d_row, d_col) with components in [-1, 1], of shape (2,) or (B, 2), whose samples are unit vectors.

    Only the direction of an action matters to a maze, so sampling the square would favour its diagonals.
    """

    def __init__(self, shape: Sequence[int] = (2,), seed: int | np.random.Generator | None = None) -> None:
        super().__init__(-1.0, 1.0, tuple(shape), np.float32, seed)

    def sample(self, mask: None = None, probability: None = None) -> NDArray[Any]:
        """Float32 unit vectors of the space's shape, uniform; takes no mask and no probability."""
        if mask is not None or probability is not None:
            raise ValueError("direction: expected neither mask nor probability, got one")
        angle = self.np_random.uniform(0.0, 2.0 * np.pi, self.shape[:-1])  # [] or [B]
        return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


@batch_space.register(Direction)
def _batch_direction(space: Direction, n: int = 1) -> Direction:
    return Direction((n, *space.shape), seed=deepcopy(space.np_random))
