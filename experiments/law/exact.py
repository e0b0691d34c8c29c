"""Exact densities of the linear world, as scores and as embeddings that the agent's critics and bridge take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from goalbridge.agents.model import Critic
from goalbridge.experiments.law.world import NOISE, LinearWorld, Side


def bayes_scores(world: LinearWorld, a: Tensor, c: Tensor) -> Tensor:
    """log p(c | a) / p(c), the best that there is: a [N, 32], c [K, 32] -> [N, K]."""
    hidden = world.c_side.bypass @ world.covariance @ world.a_side.bypass.T
    return _log_ratio(world, a, c, _through_b(world) + hidden)


def lemma_scores(world: LinearWorld, a: Tensor, c: Tensor) -> Tensor:
    """Lemma 1 without sampling: log E_b p(a | b) p(c | b) / p(a) p(c), [N, K].

    It is the Gaussian with the true marginals in which A and C depend on each other through B alone; with ``bypass`` 0
    that is the truth itself.
    """
    return _log_ratio(world, a, c, _through_b(world))


@dataclass(frozen=True)
class ExactEmbeddings:
    """Embeddings whose critics are the exact log-ratios, up to ``offsets`` [N, K] that `bridge_scores` is to be given.

    log p(x | b) / p(x) is minus half a squared distance of whitened vectors, plus a term of x alone.
    """

    a: Tensor
    bridge_ab: Tensor
    bridge_bc: Tensor
    c: Tensor
    critic_ab: Critic
    critic_bc: Critic
    offsets: Tensor


def exact_embeddings(world: LinearWorld, a: Tensor, c: Tensor, bridge: Tensor) -> ExactEmbeddings:
    """a [N, 32], c [K, 32], bridge [M, 16] of B -> embeddings of the exact critics, in 32 dimensions."""
    left, bridge_ab, a_offset = _embedded(world, world.a_side, a, bridge)
    right, bridge_bc, c_offset = _embedded(world, world.c_side, c, bridge)
    critic = Critic("neg_squared_l2", initial_log_scale=-math.log(2.0)).requires_grad_(False)
    return ExactEmbeddings(left, bridge_ab, bridge_bc, right, critic, critic, a_offset[:, None] + c_offset)


def _embedded(world: LinearWorld, side: Side, x: Tensor, bridge: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x and the bridge whitened by the noise of x given B; log p(x | b) / p(x) less minus half their distance, [N]."""
    noise = _noise(world, side)
    root = torch.linalg.cholesky(noise)
    centred = x - side.bypass @ world.mean
    whitened = torch.linalg.solve_triangular(root, centred.T, upper=False).T
    goals = torch.linalg.solve_triangular(root, side.signal @ bridge.T, upper=False).T  # [M, 32]
    offset = _log_normaliser(root) - _marginal(world, side, x)  # [N]
    return whitened, goals, offset


def _marginal(world: LinearWorld, side: Side, x: Tensor) -> Tensor:
    """log p(x), [N]."""
    root = torch.linalg.cholesky(_covariance(world, side))
    centred = x - (side.signal + side.bypass) @ world.mean
    whitened = torch.linalg.solve_triangular(root, centred.T, upper=False)  # [32, N]
    density: Tensor = _log_normaliser(root) - whitened.square().sum(0) / 2
    return density


def _log_normaliser(root: Tensor) -> Tensor:
    """The log density of a Gaussian at its mean, from the Cholesky factor of its covariance."""
    return -root.diagonal().log().sum() - len(root) / 2 * math.log(2 * math.pi)


def _noise(world: LinearWorld, side: Side) -> Tensor:
    """Covariance of x given B, [32, 32]."""
    noise = NOISE**2 * torch.eye(len(side.signal), dtype=side.signal.dtype)
    return noise + side.bypass @ world.covariance @ side.bypass.T


def _covariance(world: LinearWorld, side: Side) -> Tensor:
    return _noise(world, side) + side.signal @ world.covariance @ side.signal.T


def _through_b(world: LinearWorld) -> Tensor:
    """What of the covariance of C with A goes through B, [32, 32]."""
    return world.c_side.signal @ world.covariance @ world.a_side.signal.T


def _log_ratio(world: LinearWorld, a: Tensor, c: Tensor, cross: Tensor) -> Tensor:
    """log p(c | a) / p(c), [N, K], of a Gaussian with the true marginals and the given covariance of C with A."""
    covariance_a, covariance_c = _covariance(world, world.a_side), _covariance(world, world.c_side)
    gain = torch.linalg.solve(covariance_a, cross.T).T  # [32, 32]
    given = covariance_c - gain @ cross.T
    mean_a = (world.a_side.signal + world.a_side.bypass) @ world.mean
    mean_c = (world.c_side.signal + world.c_side.bypass) @ world.mean
    root = torch.linalg.cholesky((given + given.T) / 2)
    expected = torch.linalg.solve_triangular(root, gain @ (a - mean_a).T, upper=False).T  # [N, 32]
    seen = torch.linalg.solve_triangular(root, (c - mean_c).T, upper=False).T  # [K, 32]
    halves = torch.cdist(expected, seen, compute_mode="donot_use_mm_for_euclid_dist").square() / 2  # [N, K]
    scores: Tensor = _log_normaliser(root) - halves - _marginal(world, world.c_side, c)
    return scores
