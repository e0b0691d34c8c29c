"""How far the bridge's estimates can be trusted: effective sample sizes and standard errors."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from goalbridge.agents.bridge_factors import BridgeFactors, check_bridge, goals_in_memory
from goalbridge.agents.log_factors import LogMatmulExpInfo, log_sum_of_factors
from goalbridge.agents.model import Critic


@dataclass(frozen=True)
class BridgeDiagnostics:
    """How far Lemma 1's estimate can be trusted, per pair [N, K].

    effective_sample_size: (sum w)^2 / sum w^2 of the summands w, in [1, M]; near 1, one goal decides.
    standard_error: of the score, in nats (delta method, goals as independent draws); infinite at M = 1. It misses
        what no goal drawn has shown: do not trust it where the effective sample size is below about 10.
    arithmetic: shares of pairs that needed float64 and the term-by-term sum.
    """

    effective_sample_size: Tensor
    standard_error: Tensor
    arithmetic: LogMatmulExpInfo


@torch.no_grad()
def bridge_diagnostics(
    a: Tensor,
    c: Tensor,
    bridge_ab: Tensor,
    bridge_bc: Tensor,
    critic_ab: Critic,
    critic_bc: Critic,
    log_weights: Tensor | None = None,
) -> BridgeDiagnostics:
    """Diagnostics of ``bridge_scores`` with the same arguments, streamed as it is. Raises ValueError likewise."""
    check_bridge(a, c, bridge_ab, bridge_bc, log_weights)
    terms = len(bridge_ab)
    arguments = (a, c, goals_in_memory(bridge_ab, bridge_bc, log_weights), terms, critic_ab, critic_bc)
    log_sum, _, arithmetic = log_sum_of_factors(BridgeFactors(*arguments))
    log_square_sum = log_sum_of_factors(BridgeFactors(*arguments, power=2.0))[0]
    size = (2 * log_sum.double() - log_square_sum.double()).exp().clamp(1.0, terms)
    # Var(mean w) / mean(w)^2 = (M sum w^2 / (sum w)^2 - 1) / (M - 1).
    error = ((terms / size - 1) / (terms - 1)).sqrt() if terms > 1 else torch.full_like(size, math.inf)
    return BridgeDiagnostics(size.to(log_sum.dtype), error.to(log_sum.dtype), arithmetic)


def effective_sample(log_terms: Tensor) -> tuple[Tensor, Tensor]:
    """Effective sample size and standard error, as in `BridgeDiagnostics`, of log summands [..., M]: [...] each.

    -inf pads: it stands for no goal.
    """
    terms = log_terms.isneginf().logical_not().sum(dim=-1).double()  # [...]
    size = (2 * log_terms.double().logsumexp(-1) - (2 * log_terms.double()).logsumexp(-1)).exp().clamp(min=1.0)
    size = torch.minimum(size, terms)
    error = ((terms / size - 1) / (terms - 1)).sqrt()
    error = error.masked_fill(terms <= 1, math.inf)
    return size.to(log_terms.dtype), error.to(log_terms.dtype)
