"""log(exp(L) @ exp(R)) for any spread of magnitudes, and its gradient, in bounded memory: Lemma 1 on dense factors.

Notation: N rows, M terms (bridge goals), K columns; pair = one (row, column) of the result. How the sum is made safe
against underflow stands in ``agents.log_factors``.
"""

import math
from typing import Any

import torch
from torch import Tensor

from goalbridge.agents.log_factors import RANGES, chunks, compacted, log_sum_of_factors, pair_blocks, shifted_pivot


def log_matmul_exp(log_left: Tensor, log_right: Tensor) -> Tensor:
    """log(exp(L) @ exp(R)): log_left [N, M], log_right [M, K] -> [N, K], without ever building [N, M, K].

    Equal to a float64 logsumexp within 1e-4 * max(1, |result|) for any spread of magnitudes. -inf entries are absent
    terms: a result without terms is -inf, and gradients are 0 there. NaN propagates to the pairs whose row or
    column holds it; +inf gives +inf, or NaN where it meets -inf. float16 and bfloat16 are computed in float32 and give
    float32, mixed dtypes the wider one. Differentiable once, in bounded memory too.

    Raises ValueError if a shape does not fit, M = 0, or a dtype is not floating.
    """
    for name, value, shape in (("log_left", log_left, "[N, M]"), ("log_right", log_right, "[M, K]")):
        if value.ndim != 2:
            raise ValueError(f"{name}: expected shape {shape}, got {tuple(value.shape)}")
        if not value.is_floating_point():
            raise ValueError(f"{name}: expected a floating dtype, got {value.dtype}")
    if log_left.shape[1] != log_right.shape[0]:
        raise ValueError(f"log_right: expected log_left's {log_left.shape[1]} terms, got {log_right.shape[0]}")
    if log_left.shape[1] == 0:
        raise ValueError("log_left: expected M of at least 1, got M = 0 terms to sum over")
    dtype = torch.promote_types(torch.promote_types(log_left.dtype, log_right.dtype), torch.float32)
    result: Tensor = _LogMatmulExp.apply(log_left.to(dtype), log_right.to(dtype))  # type: ignore[no-untyped-call]
    return result


class _DenseFactors:
    """Factors that exist as tensors, log_left [N, M] and log_right [M, K]; or some rows and columns of them.

    Those are gathered and widened chunk by chunk.
    """

    def __init__(self, log_left: Tensor, log_right: Tensor, selected: tuple[Tensor, Tensor] | None = None) -> None:
        self.log_left, self.log_right, self.selected = log_left, log_right, selected
        self.terms, self.device = log_left.shape[1], log_left.device
        self.dtype = log_left.dtype if selected is None else torch.float64
        self.rows, self.columns = (len(log_left), log_right.shape[1]) if selected is None else map(len, selected)

    def chunk(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        left, right = self.log_left[:, start:stop], self.log_right[start:stop]
        if self.selected is None:
            return left, right
        return left.index_select(0, self.selected[0]).double(), right.index_select(1, self.selected[1]).double()

    def select(self, rows: Tensor, columns: Tensor) -> "_DenseFactors":
        return _DenseFactors(self.log_left, self.log_right, (rows, columns))


class _LogMatmulExp(torch.autograd.Function):
    """Gradient: dL[n, m] = sum_k g[n, k] exp(L[n, m] + R[m, k] - O[n, k]), a matrix product as well."""

    @staticmethod
    def forward(ctx: Any, log_left: Tensor, log_right: Tensor) -> Tensor:
        result, tops = log_sum_of_factors(_DenseFactors(log_left, log_right))
        ctx.save_for_backward(log_left, log_right, result, *tops)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        log_left, log_right, result, row_top, column_top = ctx.saved_tensors
        grad_left, grad_right = torch.zeros_like(log_left), torch.zeros_like(log_right)
        # Pairs without any term have no gradient, whatever arrives.
        weight = gradient.masked_fill(result == -math.inf, 0.0)
        tops = (row_top, column_top)
        deep = _add_gradient(log_left, log_right, result, weight, tops, grad_left, grad_right)
        if deep.any():
            pairs = deep.nonzero()
            rows, columns, local = compacted(pairs)
            # Only the deep pairs, in float64; the others have had their share.
            part = torch.where(deep, weight, 0.0)[rows][:, columns].double()
            left, right = log_left[rows].double(), log_right[:, columns].double()
            out = result[rows][:, columns].double()
            left_part, right_part = torch.zeros_like(left), torch.zeros_like(right)
            wide_tops = (row_top[rows].double(), column_top[:, columns].double())
            deeper = _add_gradient(left, right, out, part, wide_tops, left_part, right_part)
            local = local[deeper[local.unbind(1)]]
            _add_gradient_term_by_term(left, right, out, part, local, left_part, right_part)
            grad_left.index_add_(0, rows, left_part.to(grad_left.dtype))
            grad_right.index_add_(1, columns, right_part.to(grad_right.dtype))
        return grad_left, grad_right


def _add_gradient(
    log_left: Tensor,
    log_right: Tensor,
    result: Tensor,
    weight: Tensor,
    tops: tuple[Tensor, Tensor],
    grad_left: Tensor,
    grad_right: Tensor,
) -> Tensor:
    """Adds the gradients [N, M] and [M, K] of sum(weight * result); returns which pairs [N, K] lie too deep for it."""
    limits = RANGES[log_left.dtype]
    row_top, column_top = (torch.where(top.isfinite(), top, 0.0) for top in tops)
    row_pivot, column_pivot = (
        shifted_pivot(row_top, limits.gradient_shift),
        shifted_pivot(column_top, limits.gradient_shift),
    )
    depth = row_top.double() + column_top.double() - result.double()  # [N, K]
    deep = (depth > limits.gradient_depth) & (weight != 0)
    # Normalised, so that neither tiny nor huge gradients leave the range.
    size = weight.abs().amax().clamp(min=torch.finfo(weight.dtype).tiny)
    log_factor = row_pivot.double() + column_pivot.double() - result.double()
    factor = (weight / size) * log_factor.to(weight.dtype).exp()
    factor.masked_fill_(deep | (weight == 0), 0.0)
    smallest = math.exp(limits.floor) * (1 + 1e-3)
    for start, stop in chunks(log_left.shape[1] if weight.numel() else 0, sum(weight.shape)):
        # What was raised to the floor has no gradient: [N, m], [m, K].
        left = (log_left[:, start:stop] - row_pivot).clamp_(min=limits.floor).exp_()
        right = (log_right[start:stop] - column_pivot).clamp_(min=limits.floor).exp_()
        torch.threshold_(left, smallest, 0.0)
        torch.threshold_(right, smallest, 0.0)
        grad_left[:, start:stop] += (factor @ right.T).mul_(left).mul_(size)
        grad_right[start:stop] += (left.T @ factor).mul_(right).mul_(size)
    return deep


def _add_gradient_term_by_term(
    log_left: Tensor,
    log_right: Tensor,
    result: Tensor,
    weight: Tensor,
    pairs: Tensor,
    grad_left: Tensor,
    grad_right: Tensor,
) -> None:
    """Adds the gradients of given pairs [P, 2] to [N, M] and [M, K]."""
    for start, stop in chunks(log_left.shape[1], sum(weight.shape)):
        right = log_right[start:stop].T.contiguous()  # [K, m]
        for row, column, _ in pair_blocks(pairs, stop - start):
            terms = log_left[row, start:stop].add_(right[column]).sub_(result[row, column].unsqueeze(-1))  # [P, m]
            terms.clamp_(min=RANGES[torch.float64].floor).exp_().mul_(weight[row, column].unsqueeze(-1))
            grad_left[:, start:stop].index_add_(0, row, terms)
            grad_right[start:stop].index_add_(1, column, terms.T)
