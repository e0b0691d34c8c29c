"""Estimators that bridge two critics: what an instruction says about an action, through goals.

Lemmas of "The 'Law' of the Unconscious Contrastive Learner" (Che & Eysenbach, ICLR 2025).
Notation: a state-actions A [N, d], c instructions C [K, d'], bridge goals B as [M, d] for the critic A-B and [M, d']
for the critic B-C (two towers, or one given twice); f_AB(a, g) and f_BC(g, c) are the critics' logits, in nats.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from goalbridge.agents.bridge_factors import BridgeFactors, check_bridge
from goalbridge.agents.log_factors import chunks, log_sum_exp_, log_sum_of_factors
from goalbridge.agents.log_matmul_exp import log_matmul_exp
from goalbridge.agents.model import Critic

__all__ = [
    "BridgeDiagnostics",
    "bridge_diagnostics",
    "bridge_max_scores",
    "bridge_scores",
    "bridge_scores_per_row",
    "direct_scores",
    "effective_sample",
    "log_matmul_exp",
]

_GRADIENT_CHUNK_ELEMENTS = 1 << 24  # logits of one recomputed chunk when gradients are wanted: 64 MB in float32
# Sums of float32 exponentials within which neither flushed terms (below) nor the end of the range (above) matter.
_SAFE_SUMS = (1e-25, 1e30)
_ROW_BLOCK_ELEMENTS = 1 << 18  # logits of one tile of the per-row form: 1 MB in float32, about a core's L2
_TILE_GOALS = 1024  # of one tile: with fewer, more rows share a matrix product, which is then faster
_LOG2_E = math.log2(math.e)


def direct_scores(a: Tensor, c: Tensor, critic: Critic) -> Tensor:
    """Compares state-actions with instructions as if trained together: a [N, d], c [K, d] -> [N, K].

    Right, up to a constant of c and the temperature, only where the marginal of B's representation is uniform on the
    sphere (``cosine``, Lemma 2) or an isotropic Gaussian (``neg_squared_l2``, Lemma 3), and one tower made B for both
    critics. Otherwise it is a baseline.
    """
    return critic(a, c)  # type: ignore[no-any-return]


def bridge_scores(
    a: Tensor,
    c: Tensor,
    bridge_ab: Tensor,
    bridge_bc: Tensor,
    critic_ab: Critic,
    critic_bc: Critic,
    log_weights: Tensor | None = None,
) -> Tensor:
    """Lemma 1, LogSumExp: a [N, d], c [K, d'], bridge_ab [M, d], bridge_bc [M, d'] -> [N, K].

    score[n, k] = logsumexp_m( f_AB(a_n, g_m) + f_BC(g_m, c_k) + log_weights_m ) - log M, an estimate of
    log p(c_k | a_n) / p(c_k) if the goals are draws from p(g). ``log_weights`` [M] are log importance weights
    log p(g_m) - log q(g_m) of goals drawn from q; they are not normalised here. None: all 0. Argument order is
    critic_ab(a, bridge_ab) and critic_bc(bridge_bc, c), each with its own trained temperature.

    Streams over M, without [N, M] or [N, M, K]; with gradient, chunks are recomputed in the backward pass.
    Raises ValueError if a shape does not fit or M = 0.
    """
    check_bridge(a, c, bridge_ab, bridge_bc, log_weights)
    terms = len(bridge_ab)
    inputs = (a, c, bridge_ab, bridge_bc, log_weights, *critic_ab.parameters(), *critic_bc.parameters())
    if not torch.is_grad_enabled() or not any(x is not None and x.requires_grad for x in inputs):
        factors = _in_memory(a, c, bridge_ab, bridge_bc, critic_ab, critic_bc, log_weights)
        return log_sum_of_factors(factors)[0] - math.log(terms)

    def chunk_scores(start: int, stop: int) -> Tensor:
        log_right = critic_bc(bridge_bc[start:stop], c)  # [m, K]
        if log_weights is not None:
            log_right = log_right + log_weights[start:stop].unsqueeze(-1)
        return log_matmul_exp(critic_ab(a, bridge_ab[start:stop]), log_right)

    length = max(1, _GRADIENT_CHUNK_ELEMENTS // (len(a) + len(c)))
    if length >= terms:
        return chunk_scores(0, terms) - math.log(terms)
    parts = [
        checkpoint(chunk_scores, start, min(start + length, terms), use_reentrant=False)
        for start in range(0, terms, length)
    ]
    return torch.logsumexp(torch.stack(parts), dim=0) - math.log(terms)


def _in_memory(
    a: Tensor,
    c: Tensor,
    bridge_ab: Tensor,
    bridge_bc: Tensor,
    critic_ab: Critic,
    critic_bc: Critic,
    log_weights: Tensor | None,
    power: float = 1.0,
) -> BridgeFactors:
    def goals(start: int, stop: int) -> tuple[Tensor, Tensor, Tensor | None]:
        return bridge_ab[start:stop], bridge_bc[start:stop], None if log_weights is None else log_weights[start:stop]

    return BridgeFactors(a, c, goals, len(bridge_ab), critic_ab, critic_bc, power)


@torch.no_grad()
def bridge_max_scores(
    a: Tensor,
    c: Tensor,
    bridge_ab: Tensor,
    bridge_bc: Tensor,
    critic_ab: Critic,
    critic_bc: Critic,
    log_weights: Tensor | None = None,
) -> Tensor:
    """The single best bridge goal instead of their sum: max_m of the summands of ``bridge_scores``, [N, K].

    No gradient; a [N, d], c [K, d'], bridge_ab [M, d], bridge_bc [M, d'], log_weights [M]. Raises ValueError likewise.
    """
    check_bridge(a, c, bridge_ab, bridge_bc, log_weights)
    factors = _in_memory(a, c, bridge_ab, bridge_bc, critic_ab, critic_bc, log_weights)
    best = torch.full((len(a), len(c)), -math.inf, dtype=factors.dtype, device=a.device)
    for start, stop in chunks(factors.terms, factors.rows + factors.columns):
        left, right = factors.chunk(start, stop)  # [N, m], [m, K]
        sums = torch.empty_like(left)
        for k in range(factors.columns):
            torch.add(left, right[:, k], out=sums)
            best[:, k] = torch.maximum(best[:, k], sums.amax(1))
    return best


def bridge_scores_per_row(
    a: Tensor,
    log_bc: Tensor,
    bridge_ab: Tensor,
    critic_ab: Critic,
    *,
    best_goal: bool = False,
) -> Tensor:
    """LogSumExp where every row has an instruction of its own: a [B, A, d], log_bc [B, M] -> [B, A].

    score[b, i] = logsumexp_m( f_AB(a_bi, g_m) + log_bc[b, m] ), what a policy needs, with B episodes and A candidate
    actions; max_m instead if ``best_goal``. ``log_bc`` is f_BC(g_m, c_b) or the log of p(g_m | c_b): they differ by a
    constant of b, and so does a further - log M. -inf in ``log_bc`` drops a goal. ``bridge_ab`` is [M, d], shared, or
    [B, M, d], one set an episode.

    Differentiable; without gradient it streams over B in cache-sized blocks.
    Raises ValueError if a shape does not fit or M = 0.
    """
    _check_per_row(a, log_bc, bridge_ab)
    dtype = torch.promote_types(torch.promote_types(a.dtype, log_bc.dtype), torch.float32)
    left = critic_ab.left_vectors(a.to(dtype))  # [B, A, d']
    right = critic_ab.right_vectors(bridge_ab.to(dtype)).transpose(-1, -2)  # [d', M] or [B, d', M]
    if torch.is_grad_enabled() and (left.requires_grad or right.requires_grad or log_bc.requires_grad):
        logits = critic_ab.logits_from_products(left @ right) + log_bc.unsqueeze(1)  # [B, A, M]
        return logits.amax(-1) if best_goal else torch.logsumexp(logits, dim=-1)
    right = right.contiguous() if right.ndim == 2 else right
    zero = log_bc.new_zeros(len(a), 1, dtype=dtype)  # [B, 1]
    if best_goal:
        return _reduced_per_row(left, right, log_bc, zero, critic_ab, _amax, torch.maximum)
    if dtype != torch.float32:
        return _reduced_per_row(left, right, log_bc, zero, critic_ab, log_sum_exp_, torch.logaddexp)
    # One pivot an instruction, its best goal, instead of one a row: distances are never positive, so that nothing
    # overflows, and only rows far from all goals (or of another critic) need a pivot of their own.
    top = log_bc.amax(-1, keepdim=True).to(dtype).clamp(min=torch.finfo(dtype).min)  # [B, 1]
    sums = _reduced_per_row(left, right, log_bc, top, critic_ab, _sum_of_exp_, torch.add)  # [B, A]
    result = sums.log().add_(top)
    again = ~((sums > _SAFE_SUMS[0]) & (sums < _SAFE_SUMS[1])).all(-1)  # [B]
    if again.any():
        right = right if right.ndim == 2 else right[again]
        result[again] = _reduced_per_row(
            left[again], right, log_bc[again], zero[again], critic_ab, log_sum_exp_, torch.logaddexp
        )
    return result


def _amax(logits: Tensor) -> Tensor:
    return logits.amax(-1)


def _sum_of_exp_(logits: Tensor) -> Tensor:
    return logits.mul_(_LOG2_E).exp2_().sum(-1)  # several times as fast as the power of e


def _reduced_per_row(
    left: Tensor,
    right: Tensor,
    log_bc: Tensor,
    pivot: Tensor,
    critic: Critic,
    reduce: Callable[[Tensor], Tensor],
    join: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """What ``reduce`` makes of the last axis of f_AB + log_bc - pivot, which it may overwrite: [B, A].

    left [B, A, d'], right [d', M] or [B, d', M], log_bc [B, M], pivot [B, 1]. In tiles of episodes
    and goals, whose results ``join`` makes into one.
    """
    (batch, actions, _), terms = left.shape, log_bc.shape[1]
    result = torch.empty(batch, actions, dtype=left.dtype, device=left.device)
    width = min(terms, _TILE_GOALS)
    length = max(1, _ROW_BLOCK_ELEMENTS // max(1, actions * width))
    buffer = torch.empty(min(length, batch) * actions * width, dtype=left.dtype, device=left.device)
    for start in range(0, batch, length):
        rows = slice(start, start + length)
        block = left[rows]  # [b, A, d']
        for first in range(0, terms, width):
            goals = slice(first, min(first + width, terms))
            shape = (len(block), actions, goals.stop - first)  # [b, A, m]
            logits = buffer[: math.prod(shape)].view(shape)
            if right.ndim == 2:
                torch.mm(block.flatten(0, 1), right[:, goals], out=logits.flatten(0, 1))
            else:
                torch.bmm(block, right[rows, :, goals], out=logits)
            language = log_bc[rows, goals] - pivot[rows]  # [b, m]
            part = reduce(critic.logits_from_products(logits).add_(language.unsqueeze(1)))  # [b, A]
            result[rows] = join(result[rows], part) if first else part
    return result


class BridgeDiagnostics(NamedTuple):
    """How far Lemma 1's estimate can be trusted, per score.

    effective_sample_size: (sum w)^2 / sum w^2 of the summands w, in [1, M]; near 1, one goal decides.
    standard_error: of the score, in nats (delta method, goals as independent draws); infinite at M = 1. It misses
        what no goal drawn has shown: do not trust it where the effective sample size is below about 10.
    """

    effective_sample_size: Tensor
    standard_error: Tensor


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
    """Diagnostics of ``bridge_scores`` with the same arguments, [N, K] each, streamed and with its errors."""
    check_bridge(a, c, bridge_ab, bridge_bc, log_weights)
    arguments = (a, c, bridge_ab, bridge_bc, critic_ab, critic_bc, log_weights)
    log_sum, log_square_sum = (log_sum_of_factors(_in_memory(*arguments, power))[0] for power in (1.0, 2.0))
    return _diagnostics(log_sum, log_square_sum, torch.full_like(log_sum, len(bridge_ab), dtype=torch.float64))


def effective_sample(log_terms: Tensor) -> BridgeDiagnostics:
    """Diagnostics of the score that sums the log summands [..., M]: [...] each. -inf pads: it stands for no goal."""
    terms = log_terms.isneginf().logical_not().sum(dim=-1).double()  # [...]
    wide = log_terms.double()
    size, error = _diagnostics(wide.logsumexp(-1), (2 * wide).logsumexp(-1), terms)
    return BridgeDiagnostics(size.to(log_terms.dtype), error.to(log_terms.dtype))


def _diagnostics(log_sum: Tensor, log_square_sum: Tensor, terms: Tensor) -> BridgeDiagnostics:
    size = torch.minimum((2 * log_sum.double() - log_square_sum.double()).exp().clamp(min=1.0), terms)
    # Var(mean w) / mean(w)^2 = (M sum w^2 / (sum w)^2 - 1) / (M - 1).
    error = ((terms / size - 1) / (terms - 1)).sqrt().masked_fill(terms <= 1, math.inf)
    return BridgeDiagnostics(size.to(log_sum.dtype), error.to(log_sum.dtype))


def _check_per_row(a: Tensor, log_bc: Tensor, bridge_ab: Tensor) -> None:
    if a.ndim != 3:
        raise ValueError(f"a: expected shape [B, A, d], got {tuple(a.shape)}")
    if log_bc.ndim != 2 or len(log_bc) != len(a) or log_bc.shape[1] == 0:
        raise ValueError(f"log_bc: expected shape [B, M] with B = {len(a)}, M of at least 1, got {tuple(log_bc.shape)}")
    shapes = ((log_bc.shape[1], a.shape[2]), (len(a), log_bc.shape[1], a.shape[2]))
    if tuple(bridge_ab.shape) not in shapes:
        raise ValueError(f"bridge_ab: expected shape {shapes[0]} or {shapes[1]}, got {tuple(bridge_ab.shape)}")
