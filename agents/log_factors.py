"""Streams log(exp(L) @ exp(R)) over factors that need not exist as a whole: the numerics under Lemma 1.

Notation: N rows, M terms (bridge goals), K columns; pair = one (row, column) of the result.

The sum runs over M in cache-sized chunks as a plain matrix product of exp(L - p) and exp(R - q), where the pivots p [N]
and q [K] are the largest entries seen so far. A pair whose best term is far from both pivots underflows, so every pair
carries a certificate: the sum must exceed what underflow can have taken or added by a factor 1 / _TOLERANCE. Pairs
that fail are redone in float64 (range ~10 times as wide), and what fails there is summed term by term.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

_TOLERANCE = 1e-5  # relative error of a certified sum that underflow may cause, so absolute error of its log
_SLACK = 4.0  # pivots may trail the true maxima by this much, so that they seldom move
_CHUNK_ELEMENTS = 1 << 17  # of one chunk's exponentials: with its source it stays in a core's L2 cache
_SHORTEST_CHUNK = 128
# Below the depth at which BLAS splits a product, so that one anchor (see ExponentRange) serves all of it.
_LONGEST_CHUNK = 383
_PAIR_ELEMENTS = 1 << 18  # [pairs, terms] block of the term-by-term sum
_LOWEST_PIVOT = -1e30  # finite stand-in for the maximum of a row of -inf


@dataclass(frozen=True)
class ExponentRange:
    """What exp may be given in one dtype: below ``floor`` it gives denormals (and is slow), above ``ceiling`` infinity.

    ``anchor`` is the exponent of either factor of a term that is negligible, yet far from denormal: sums of far terms
    that start on it are no denormals, with which a matrix product is ~60 times slower.
    """

    floor: float
    ceiling: float
    anchor: float
    # For gradients: shift of the exponents, and how far below p + q a result may lie.
    gradient_shift: float
    gradient_depth: float

    def shift(self, terms: int) -> float:
        """Largest shift s such that ``terms`` products of exp(s + slack) squared stay finite."""
        return (self.ceiling - math.log(terms) - 1.0) / 2 - _SLACK

    def log_smallest_certified(self, terms: int) -> float:
        """Log of the smallest shifted sum that is certified.

        Raising an exponent to the floor changes a term by at most exp(floor) * exp(shift + slack), on either side.
        """
        return self.floor + self.shift(terms) + _SLACK + math.log(2 * terms) - math.log(_TOLERANCE)


RANGES = {
    torch.float32: ExponentRange(floor=-87.0, ceiling=88.0, anchor=-37.0, gradient_shift=25.0, gradient_depth=90.0),
    torch.float64: ExponentRange(
        floor=-700.0, ceiling=709.0, anchor=-300.0, gradient_shift=200.0, gradient_depth=850.0
    ),
}


class LogFactors(Protocol):
    """The two factors L [N, M] and R [M, K] of a sum, handed out in chunks of M, so neither need exist as a whole."""

    rows: int
    terms: int
    columns: int
    dtype: torch.dtype
    device: torch.device

    def chunk(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """L[:, start:stop] [N, m] and R[start:stop] [m, K], valid until the next call."""
        ...

    def select(self, rows: Tensor, columns: Tensor) -> "LogFactors":
        """The same factors in float64, of the given rows and columns (index tensors) only."""
        ...


def log_sum_of_factors(factors: LogFactors) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """log(exp(L) @ exp(R)) of streamed factors: result [N, K], maxima of L's rows and R's columns ([N, 1], [1, K]).

    Call without gradient.
    """
    result, tops, uncertain = _streamed(factors)
    if uncertain.any():
        pairs = uncertain.nonzero()  # [P, 2]
        if factors.dtype != torch.float64:
            rows, columns, local = compacted(pairs)
            wide, _, wide_uncertain = _streamed(factors.select(rows, columns))
            result[pairs.unbind(1)] = wide[local.unbind(1)]
            pairs = pairs[wide_uncertain[local.unbind(1)]]
        if len(pairs):
            result[pairs.unbind(1)] = _term_by_term(factors, pairs)
    return result.to(factors.dtype), tops


def chunks(terms: int, width: int) -> Iterator[tuple[int, int]]:
    """(start, stop) over ``terms``, so that chunks of ``width`` x m elements stay in cache."""
    length = min(_LONGEST_CHUNK, max(_SHORTEST_CHUNK, _CHUNK_ELEMENTS // max(1, width)))
    for start in range(0, terms, length):
        yield start, min(start + length, terms)


def _streamed(factors: LogFactors) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """The sum by matrix products: result [N, K] in float64, maxima ([N, 1], [1, K]), pairs not certified [N, K]."""
    limits = RANGES[factors.dtype]
    shift = limits.shift(factors.terms)
    options: dict[str, Any] = {"dtype": factors.dtype, "device": factors.device}
    row_top = torch.full((factors.rows, 1), -math.inf, **options)
    column_top = torch.full((1, factors.columns), -math.inf, **options)
    row_pivot, column_pivot = torch.full_like(row_top, _LOWEST_PIVOT), torch.full_like(column_top, _LOWEST_PIVOT)
    total = torch.zeros(factors.rows, factors.columns, **options)
    exponents = torch.empty(0, **options)
    for start, stop in chunks(factors.terms if total.numel() else 0, factors.rows + factors.columns):
        left, right = factors.chunk(start, stop)  # [N, m], [m, K]
        length = stop - start + 1
        if exponents.numel() != length * (factors.rows + factors.columns):  # first and last chunk only
            # One buffer for both sides, so that one call treats both; each product is led by an anchor term.
            exponents = torch.empty(length * (factors.rows + factors.columns), **options)
            left_side = exponents[: length * factors.rows].view(factors.rows, length)  # [N, 1 + m]
            right_side = exponents[length * factors.rows :].view(length, factors.columns)  # [1 + m, K]
        row_pivot, top = _subtract_pivot(left, row_pivot, shift, total, 1, left_side[:, 1:])
        row_top = torch.maximum(row_top, top)
        column_pivot, top = _subtract_pivot(right, column_pivot, shift, total, 0, right_side[1:])
        column_top = torch.maximum(column_top, top)
        left_side[:, 0] = limits.anchor
        right_side[0] = limits.anchor
        # Exponents below the floor are raised to it rather than dropped: exp is many times slower below.
        exponents.clamp_(min=limits.floor).exp_()
        total.addmm_(left_side, right_side)
    # In float64: large pivots of opposite sign cancel.
    result = total.double().log().add_(row_pivot.double() + column_pivot.double())
    # NaN and infinite sums compare false: the term-by-term sum decides what they are.
    uncertain = ~((total >= math.exp(limits.log_smallest_certified(factors.terms))) & (total < math.inf))
    # A row or column without any term needs no second look, unless it meets one that is no number.
    nothing = ((row_top == -math.inf) & (column_top < math.inf)) | ((column_top == -math.inf) & (row_top < math.inf))
    return result.masked_fill_(nothing, -math.inf), (row_top, column_top), uncertain & ~nothing


def shifted_pivot(top: Tensor, shift: float) -> Tensor:
    """Pivot that moves the maximum ``top`` to ``shift``; to 0 where adding the shift would be lost in rounding."""
    return torch.where(top.abs() < 1 / torch.finfo(top.dtype).eps, top - shift, top)


def _subtract_pivot(
    values: Tensor, pivot: Tensor, shift: float, total: Tensor, axis: int, out: Tensor
) -> tuple[Tensor, Tensor]:
    """Writes values - pivot to ``out``; the pivot, raised where outgrown (and ``total`` rescaled), and maxima."""
    torch.sub(values, pivot, out=out)
    top = out.amax(axis, keepdim=True)
    outgrown = top > shift + _SLACK
    if bool(outgrown.any()):
        top = values.amax(axis, keepdim=True)
        # A pivot of +inf would turn all other differences into -inf; those pairs are summed term by term.
        raised = torch.where(outgrown & top.isfinite(), shifted_pivot(top, shift), pivot)
        # In two halves, so that the factor itself does not underflow before the sum does.
        half = ((pivot - raised) / 2).exp_()
        total.mul_(half).mul_(half)
        torch.sub(values, raised, out=out)
        return raised, top
    return pivot, top + pivot


def compacted(pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct rows and columns among pairs [P, 2], and the pairs in terms of these [P, 2]."""
    rows, row_of = torch.unique(pairs[:, 0], return_inverse=True)
    columns, column_of = torch.unique(pairs[:, 1], return_inverse=True)
    return rows, columns, torch.stack((row_of, column_of), 1)


def pair_blocks(pairs: Tensor, terms: int) -> Iterator[tuple[Tensor, Tensor, slice]]:
    """(rows [P], columns [P], their slice of ``pairs``) in blocks of bounded P x ``terms``."""
    length = max(1, _PAIR_ELEMENTS // terms)
    for start in range(0, len(pairs), length):
        block = slice(start, start + length)
        yield pairs[block, 0], pairs[block, 1], block


def _term_by_term(factors: LogFactors, pairs: Tensor) -> Tensor:
    """The log sum of given pairs [P, 2] without products of exponentials, in float64: [P]."""
    rows, columns, local = compacted(pairs)
    selection = factors.select(rows, columns)
    result = torch.full((len(pairs),), -math.inf, dtype=torch.float64, device=pairs.device)
    for start, stop in chunks(factors.terms, len(rows) + len(columns)):
        left, right = selection.chunk(start, stop)
        right = right.T.contiguous()  # [K, m]
        for row, column, block in pair_blocks(local, stop - start):
            terms = left[row].add_(right[column])  # [P, m]
            result[block] = torch.logaddexp(result[block], log_sum_exp_(terms))
    return result


def log_sum_exp_(terms: Tensor) -> Tensor:
    """logsumexp over the last axis, [..., m] -> [...], overwriting ``terms``: no copy, no slow exp of far terms."""
    top = terms.amax(-1, keepdim=True)
    numbers = torch.finfo(terms.dtype)
    # Infinite maxima are subtracted as the largest number; adding the maximum itself restores them.
    terms.sub_(top.clamp(numbers.min, numbers.max)).clamp_(min=RANGES[terms.dtype].floor).exp_()
    return terms.sum(-1).log_().add_(top.squeeze(-1))
