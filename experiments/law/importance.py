"""Lemma 1 by importance sampling: for each pair, further goals are drawn where that pair's sum is decided.

Needs near-Gaussian goals, of which the pool tells mean and covariance, and the encoders of B, for goals are drawn anew.
What each a (or c) means is a Gaussian over goals, fitted by adaptive importance sampling: draw, weigh, match mean and
covariance, with weights tempered until enough draws carry them (Cappe et al. 2008, "Adaptive importance sampling in
general mixture classes", with one component). Goals of a pair are drawn from the product of its two Gaussians over the
prior, which is p(g | a, c) where a and c are independent given the goal; their weights make the estimate of
E exp(f_AB + f_BC) unbiased under the Gaussian of goals, whatever the fits are.

Notation of agents.bridge: a [N, d], c [K, d']; k = dimension of goals, R = N or K rows, S = draws.
Goals are handled in whitened coordinates u [..., k], in which they are standard normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from goalbridge.agents.model import Critic

Encode = Callable[[Tensor], Tensor]  # goals [..., k] to representations [..., d]
_ROUNDS, _FIT_DRAWS = 6, 1500  # of the fits
_CARRIED = 0.1  # share of the draws that the tempered weights must amount to
_INFLATION = 1.1  # of fitted covariances: a proposal with lighter tails than its target has no end to its variance
_FLAT = 0.5  # least precision of a proposal; the prior's is 1
_RIDGE = 1e-4  # variance added to fits


@dataclass(frozen=True)
class _Fits:
    """Gaussians N(mean, root root') of u, one a row: mean [R, k], root [R, k, k] lower triangular."""

    mean: Tensor
    root: Tensor

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """u [R, S, k] and their log importance weights [R, S] against the prior."""
        normal = torch.randn(len(self.mean), count, self.mean.shape[1], generator=generator, dtype=self.mean.dtype)
        u = self.mean.unsqueeze(1) + normal @ self.root.transpose(1, 2)
        volume = self.root.diagonal(dim1=1, dim2=2).log().sum(1, keepdim=True)  # [R, 1]
        return u, (normal.square().sum(2) - u.square().sum(2)) / 2 + volume

    def natural(self) -> tuple[Tensor, Tensor]:
        """Precisions [R, k, k], and precisions times means [R, k]."""
        precision = torch.cholesky_inverse(self.root)
        return precision, (precision @ self.mean.unsqueeze(2)).squeeze(2)


class ImportanceBridge:
    """Bridge goals, prepared once, for any a and c.

    goals: near-Gaussian bridge goals [M, k], M above k. encode_ab, encode_bc: the encoders of goals for either critic.
    draws: S, goals drawn for each pair. seed: of all draws. Raises ValueError where there are too few goals or draws.
    """

    def __init__(
        self,
        goals: Tensor,
        encode_ab: Encode,
        encode_bc: Encode,
        critic_ab: Critic,
        critic_bc: Critic,
        draws: int = 64,
        seed: int = 0,
    ) -> None:
        if len(goals) <= goals.shape[1] or draws < 1:
            raise ValueError(f"{len(goals)} goals, draws={draws}; need more than {goals.shape[1]} and at least 1")
        self.encode_ab, self.encode_bc, self.critic_ab, self.critic_bc = encode_ab, encode_bc, critic_ab, critic_bc
        self.draws, self.seed, self.mean = draws, seed, goals.mean(0)
        self.root = torch.linalg.cholesky((goals - self.mean).T.cov(correction=0))  # [k, k]

    @torch.no_grad()
    def scores(self, a: Tensor, c: Tensor) -> Tensor:
        """log E_g exp(f_AB(a, g) + f_BC(g, c)) under the Gaussian of goals: a [N, d], c [K, d'] -> [N, K]."""
        generator = torch.Generator().manual_seed(self.seed)
        of_a = self._fit(lambda goals: self._left(a, self.encode_ab(goals)), len(a), generator).natural()
        of_c = self._fit(lambda goals: self._right(self.encode_bc(goals), c), len(c), generator).natural()
        rows = []
        for one, precision, pull in zip(a, *of_a, strict=True):
            u, log_weights = _product(precision + of_c[0], pull + of_c[1]).draw(self.draws, generator)  # [K, S, k]
            goals = self._goals(u)
            for_a = self.encode_ab(goals)  # [K, S, d]
            for_c = for_a if self.encode_bc is self.encode_ab else self.encode_bc(goals)  # [K, S, d']
            logits = self._left(one.expand(len(c), -1), for_a) + self._right(for_c, c)  # [K, S]
            rows.append(torch.logsumexp(log_weights + logits, dim=1) - math.log(self.draws))
        return torch.stack(rows)

    def _fit(self, logits: Callable[[Tensor], Tensor], rows: int, generator: torch.Generator) -> _Fits:
        """The Gaussians of u nearest to the prior times exp(logits), logits [R, S] being of goals [R, S, k]."""
        identity = torch.eye(len(self.mean), dtype=self.mean.dtype)
        fits = _Fits(self.mean.new_zeros(rows, len(self.mean)), identity.expand(rows, -1, -1))
        for _ in range(_ROUNDS):
            u, log_weights = fits.draw(_FIT_DRAWS, generator)
            share = _tempered(log_weights + logits(self._goals(u))).unsqueeze(2)  # [R, S, 1]
            mean = (share * u).sum(1, keepdim=True)  # [R, 1, k]
            covariance = (share * (u - mean)).transpose(1, 2) @ (u - mean)  # [R, k, k]
            fits = _Fits(mean.squeeze(1), torch.linalg.cholesky(_INFLATION * covariance + _RIDGE * identity))
        return fits

    def _left(self, a: Tensor, goals: Tensor) -> Tensor:
        """f_AB of each row's a [R, d] with its own encoded goals [R, S, d]: [R, S]."""
        return self.critic_ab.paired(a.unsqueeze(1), goals)

    def _right(self, goals: Tensor, c: Tensor) -> Tensor:
        """f_BC of each row's encoded goals [R, S, d'] with its c [R, d']: [R, S]."""
        return self.critic_bc.paired(goals, c.unsqueeze(1))

    def _goals(self, u: Tensor) -> Tensor:
        goals: Tensor = self.mean + u @ self.root.T
        return goals


def _product(precision: Tensor, pull: Tensor) -> _Fits:
    """Products of two Gaussians over the prior, a little widened, from sums of natural parameters [R, k, k], [R, k]."""
    sizes, axes = torch.linalg.eigh(precision - torch.eye(precision.shape[1], dtype=precision.dtype))
    sizes = sizes.clamp(min=_FLAT).unsqueeze(1)  # [R, 1, k]
    covariance = (axes / sizes) @ axes.transpose(1, 2)  # [R, k, k]
    return _Fits((covariance @ pull.unsqueeze(2)).squeeze(2), torch.linalg.cholesky(_INFLATION * covariance))


def _tempered(log_weights: Tensor) -> Tensor:
    """Weights [R, S] of sum 1 from `log_weights` times the largest share of 1 that leaves enough draws to matter."""
    low, high = torch.zeros_like(log_weights[:, :1]), torch.ones_like(log_weights[:, :1])
    share = high
    for _ in range(12):
        weights = torch.softmax(share * log_weights, dim=1)
        enough = 1 / weights.square().sum(1, keepdim=True) >= _CARRIED * log_weights.shape[1]
        low, high = torch.where(enough, share, low), torch.where(enough, high, share)
        share = (low + high) / 2
    return torch.softmax(low * log_weights, dim=1)
