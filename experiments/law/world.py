"""Three modalities that are linear in a hidden Gaussian, so that every density of theirs is known.

Source: Che & Eysenbach, ICLR 2025, Sec. 6.1 and App. C. How the maps are drawn is not told there; here they are scaled
such that the exact references come near the published ones (README.md of this folder).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

B_DIM, X_DIM = 16, 32  # of B, and of A and C
NOISE = 2.0
MAP_SCALE = 1.7  # standard deviation of the maps' entries: the one number that was calibrated
WIDE = torch.float64


@dataclass(frozen=True)
class Triplets:
    """Draws of A [n, 32], B [n, 16] and C [n, 32] that belong together, float64."""

    a: Tensor
    b: Tensor
    c: Tensor


@dataclass(frozen=True)
class Side:
    """A or C given B: x = signal B + bypass U + 2 eps, with U hidden, drawn as B is, and shared by both sides."""

    signal: Tensor  # [32, 16]
    bypass: Tensor  # [32, 16]


class LinearWorld:
    """B ~ N(mean, covariance) in 16 dimensions, A and C linear in B with noise in 32.

    mean is standard normal, covariance W W^T / 16 with standard normal W, maps normal with deviation ``MAP_SCALE``.
    bypass: the share rho in [0, 1] of the variance of the signal that A and C have from U instead of B, through maps of
    its own: A and C are then no longer independent given B. Raises ValueError if outside.
    """

    def __init__(self, seed: int, bypass: float = 0.0) -> None:
        if not 0.0 <= bypass <= 1.0:
            raise ValueError(f"bypass={bypass} is no share; 0 to 1 would do")
        self._generator = torch.Generator().manual_seed(seed)
        self.mean = self._normal(B_DIM)  # [16]
        factor = self._normal(B_DIM, B_DIM)
        self.covariance = factor @ factor.T / B_DIM  # [16, 16]
        maps = MAP_SCALE * self._normal(4, X_DIM, B_DIM)
        kept, passed = (1.0 - bypass) ** 0.5, bypass**0.5
        self.a_side, self.c_side = Side(kept * maps[0], passed * maps[2]), Side(kept * maps[1], passed * maps[3])
        self._root = torch.linalg.cholesky(self.covariance)

    def draw(self, count: int) -> Triplets:
        """`count` further draws; each call gives new ones."""
        b, hidden = self.draw_b(count), self.draw_b(count)
        return Triplets(self._seen(self.a_side, b, hidden), b, self._seen(self.c_side, b, hidden))

    def draw_b(self, count: int) -> Tensor:
        """Further draws of B alone, [count, 16]: a bridge."""
        drawn: Tensor = self.mean + self._normal(count, B_DIM) @ self._root.T
        return drawn

    def _seen(self, side: Side, b: Tensor, hidden: Tensor) -> Tensor:
        seen: Tensor = b @ side.signal.T + hidden @ side.bypass.T + NOISE * self._normal(len(b), X_DIM)
        return seen

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._generator, dtype=WIDE)
