"""Lemma 1 in closed form where goals have near-Gaussian coordinates and logits are near quadratic in them.

A critic that has learned a log-ratio of Gaussians is a quadratic function of the goal, however its embeddings lie (a
dot product's lie on a paraboloid). Its value at the bridge goals is fitted by one quadratic for each a and each c; the
integral of exp(quadratic) under a Gaussian is known. No goal need be near what a and c mean: the fit extrapolates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from goalbridge.agents.model import Critic

_LARGEST = 0.9  # of a curvature, where 1 would make the integral infinite: fits of bounded critics may err above
_PAIRS = 1 << 14  # pairs whose matrices exist at once


class QuadraticBridge:
    """Bridge goals, prepared once, for any a and c.

    goals: near-Gaussian coordinates [M, k] of the bridge goals, such as the goals themselves; bridge_ab [M, d] and
    bridge_bc [M, d'] their representations. Raises ValueError unless all have M rows and M exceeds (k + 1) (k + 2) / 2,
    the number of coefficients.
    """

    def __init__(
        self, goals: Tensor, bridge_ab: Tensor, bridge_bc: Tensor, critic_ab: Critic, critic_bc: Critic
    ) -> None:
        dimension = goals.shape[1]
        needed = (dimension + 1) * (dimension + 2) // 2 + 1
        counts = (len(goals), len(bridge_ab), len(bridge_bc))
        if len(set(counts)) != 1 or counts[0] < needed:
            raise ValueError(f"goals, bridge_ab, bridge_bc have {counts} rows; need as many, at least {needed}")
        self.critic_ab, self.critic_bc, self.bridge_ab, self.bridge_bc = critic_ab, critic_bc, bridge_ab, bridge_bc
        centred = goals.double() - goals.double().mean(0)
        root = torch.linalg.cholesky(centred.T @ centred / len(goals))
        self.white = torch.linalg.solve_triangular(root, centred.T, upper=False).T  # [M, k], mean 0, covariance I
        self.upper = torch.triu_indices(dimension, dimension)
        products = self.white[:, self.upper[0]] * self.white[:, self.upper[1]]  # [M, k (k + 1) / 2]
        features = torch.cat((torch.ones_like(products[:, :1]), self.white, products), dim=1)  # [M, F]
        self.fit = torch.linalg.pinv(features)  # [F, M]

    @torch.no_grad()
    def scores(self, a: Tensor, c: Tensor) -> Tensor:
        """log E_g exp(f_AB(a, g) + f_BC(g, c)) of the fitted quadratics: a [N, d], c [K, d'] -> [N, K], a's dtype."""
        of_a = self._quadratics(self.critic_ab(a, self.bridge_ab).T)
        of_c = self._quadratics(self.critic_bc(self.bridge_bc, c))
        pairs = torch.cartesian_prod(torch.arange(len(a)), torch.arange(len(c)))  # [N * K, 2]
        parts = [
            _log_integral(*(left[block[:, 0]] + right[block[:, 1]] for left, right in zip(of_a, of_c, strict=True)))
            for block in torch.split(pairs, _PAIRS)
        ]
        return torch.cat(parts).view(len(a), len(c)).to(a.dtype)

    def _quadratics(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [M, n] -> constants [n], slopes [n, k] and curvatures [n, k, k] of their fits."""
        found = (self.fit @ logits.double()).T  # [n, F]
        dimension = self.white.shape[1]
        curvature = torch.zeros(len(found), dimension, dimension, dtype=found.dtype)
        curvature[:, self.upper[0], self.upper[1]] = found[:, 1 + dimension :]
        return found[:, 0], found[:, 1 : 1 + dimension], curvature + curvature.transpose(1, 2)


def _log_integral(constant: Tensor, slope: Tensor, curvature: Tensor) -> Tensor:
    """log E exp(constant + slope' u + u' curvature u / 2), u standard normal: [P], [P, k], [P, k, k] -> [P]."""
    identity = torch.eye(slope.shape[1], dtype=slope.dtype)
    root, failed = torch.linalg.cholesky_ex(identity - curvature)
    # Near 1 as well as above it, the integral hangs on what the fit says of infinity.
    unsure = (failed > 0) | (root.diagonal(dim1=1, dim2=2).amin(1) < (1 - _LARGEST) ** 0.5)
    if unsure.any():
        sizes, axes = torch.linalg.eigh(curvature[unsure])
        bounded = (axes * sizes.clamp(max=_LARGEST).unsqueeze(1)) @ axes.transpose(1, 2)
        root[unsure] = torch.linalg.cholesky(identity - bounded)
    pulled = torch.linalg.solve_triangular(root, slope.unsqueeze(2), upper=False).squeeze(2)  # [P, k]
    integral: Tensor = constant + pulled.square().sum(1) / 2 - root.diagonal(dim1=1, dim2=2).log().sum(1)
    return integral
