"""log_matmul_exp against a float64 logsumexp that builds [N, M, K]."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from goalbridge.agents.log_matmul_exp import log_matmul_exp

INF = math.inf


def brute_force(log_left: Tensor, log_right: Tensor) -> Tensor:
    return torch.logsumexp(log_left.double().unsqueeze(2) + log_right.double().unsqueeze(0), dim=1)


def assert_exact(log_left: Tensor, log_right: Tensor) -> None:
    result, expected = log_matmul_exp(log_left, log_right).double(), brute_force(log_left, log_right)
    finite = expected.isfinite()
    assert torch.equal(result[~finite], expected[~finite])
    error = (result - expected).abs()[finite]
    assert bool((error <= 1e-4 * expected.abs().clamp(min=1.0)[finite]).all()), error.max()


def normal(seed: int, *shape: int, spread: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * spread


@pytest.mark.parametrize("terms", [1, 2, 37, 383, 1500])
@pytest.mark.parametrize("right_spread", [1.0, 30.0, 300.0, 1e4])
@pytest.mark.parametrize("left_spread", [1.0, 100.0, 1e4])
def test_equals_brute_force_for_any_spread(left_spread: float, right_spread: float, terms: int) -> None:
    assert_exact(normal(0, 9, terms, spread=left_spread), normal(1, terms, 7, spread=right_spread))


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(1, 6),
    terms=st.integers(1, 60),
    columns=st.integers(1, 6),
    left_spread=st.floats(0.1, 1e4),
    right_spread=st.floats(0.1, 1e4),
    absent=st.sampled_from([0.0, 0.3, 0.9]),
    offset=st.floats(-1e4, 1e4),
    seed=st.integers(0, 2**31),
)
def test_equals_brute_force_property(
    rows: int,
    terms: int,
    columns: int,
    left_spread: float,
    right_spread: float,
    absent: float,
    offset: float,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = normal(seed, rows, terms, spread=left_spread) + offset
    right = normal(seed + 1, terms, columns, spread=right_spread) - offset
    left[torch.rand(rows, terms, generator=generator) < absent] = -INF
    right[torch.rand(terms, columns, generator=generator) < absent] = -INF
    assert_exact(left, right)


@pytest.mark.parametrize("gap", [50.0, 90.0, 110.0, 200.0, 2000.0, 1e4])
def test_pair_whose_best_term_is_far_from_both_maxima(gap: float) -> None:
    """Plain exp(L - max) @ exp(R - max) gives -inf here."""
    assert_exact(torch.tensor([[0.0, -gap]]), torch.tensor([[-gap], [0.0]]))
    assert_exact(torch.tensor([[0.0, -gap / 2, -gap]]), torch.tensor([[-gap], [-gap / 2], [0.0]]))


@pytest.mark.parametrize("order", ["dominant first", "dominant last"])
def test_dominant_chunk_that_underflows_is_not_dropped(order: str) -> None:
    """Chunk-wise pivots lose the term that matters and return a finite, wrong number."""
    left, right = torch.full((2, 3000), -150.0), torch.full((3000, 2), -150.0)
    far = slice(2500, None) if order == "dominant last" else slice(500)
    left[0, far], right[far, 0] = -100.0, -100.0
    left[0, 1000], right[1001, 0] = 0.0, 0.0
    assert_exact(left, right)


def test_absent_terms() -> None:
    left, right = normal(0, 5, 40), normal(1, 40, 6)
    left[1], right[:, 2] = -INF, -INF  # a row and a column without any term
    left[2, :20], right[20:, 3] = -INF, -INF  # a pair without a common term
    result = log_matmul_exp(left, right)
    assert bool((result[1] == -INF).all())
    assert bool((result[:, 2] == -INF).all())
    assert result[2, 3] == -INF
    assert_exact(left, right)


def test_nan_and_infinity_stay_with_their_pairs() -> None:
    left, right = normal(0, 4, 30), normal(1, 30, 5)
    left[0, 3], right[7, 1], left[2, 5], right[5, 4] = math.nan, math.nan, INF, -INF
    result, expected = log_matmul_exp(left, right), brute_force(left, right)
    assert torch.equal(result.isnan(), expected.isnan())
    assert bool((result[2, [0, 2, 3]] == INF).all())
    number = expected.isfinite()
    torch.testing.assert_close(result[number].double(), expected[number], rtol=1e-4, atol=1e-4)


def test_magnitudes_at_the_edge_of_float32() -> None:
    assert_exact(torch.tensor([[1e30, 1e30], [-3e38, -3e38], [-2e30, -INF]]), torch.tensor([[0.0], [1.0]]))


def test_non_contiguous_and_other_dtypes() -> None:
    left, right = normal(0, 300, 8), normal(1, 6, 300)
    assert_exact(left.T, right.T)
    assert_exact(normal(0, 8, 600, dtype=torch.float64)[:, ::2], normal(1, 300, 5, dtype=torch.float64))
    for half in (torch.float16, torch.bfloat16):
        narrow = left.T.to(half), right.T.to(half)
        assert log_matmul_exp(*narrow).dtype == torch.float32
        assert_exact(*narrow)
    assert log_matmul_exp(left.T.double(), right.T).dtype == torch.float64


def test_no_rows_or_columns_is_an_empty_result() -> None:
    assert log_matmul_exp(torch.empty(0, 3), torch.empty(3, 2)).shape == (0, 2)


@pytest.mark.parametrize(
    ("left", "right", "match"),
    [
        (torch.zeros(2, 0), torch.zeros(0, 2), "M = 0"),
        (torch.zeros(2, 3), torch.zeros(4, 2), "log_right: expected log_left's 3 terms, got 4"),
        (torch.zeros(3), torch.zeros(3, 2), r"log_left: expected shape \[N, M\], got \(3,\)"),
        (torch.zeros(2, 3), torch.zeros(3, 2, dtype=torch.long), "log_right: expected a floating dtype"),
    ],
)
def test_bad_input_is_named(left: Tensor, right: Tensor, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        log_matmul_exp(left, right)


@pytest.mark.parametrize("spread", [1.0, 20.0, 400.0])
def test_gradcheck(spread: float) -> None:
    left = normal(0, 4, 6, spread=spread, dtype=torch.float64).requires_grad_()
    right = normal(1, 6, 3, spread=spread, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(log_matmul_exp, (left, right), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [3.0, 95.0, 150.0, 800.0, 3000.0])
def test_gradient_equals_brute_force_where_the_exact_path_was_used(gap: float, dtype: torch.dtype) -> None:
    """Rows and columns that meet only far from their maxima, beside ordinary ones and absent terms."""
    left, right = normal(0, 5, 700, dtype=dtype), normal(1, 700, 4, dtype=dtype)
    left[0, 350:] -= gap
    right[:350, 0] -= gap
    left[3], left[2, ::3], right[:, 3] = -INF, -INF, -INF
    weight = normal(2, 5, 4, dtype=dtype)
    # By hand in float64, as autograd's logsumexp gives NaN where nothing is summed: [N, M, K].
    terms = left.double().unsqueeze(2) + right.double().unsqueeze(0)
    share = (terms - torch.logsumexp(terms, 1, keepdim=True)).exp().nan_to_num(0.0) * weight.double().unsqueeze(1)
    left.requires_grad_()
    right.requires_grad_()
    found = torch.autograd.grad(log_matmul_exp(left, right), (left, right), weight)
    for gradient, expected in zip(found, (share.sum(2), share.sum(0)), strict=True):
        tolerance = 1e-6 if dtype == torch.float32 else 1e-12
        torch.testing.assert_close(gradient.double(), expected, rtol=1e-3, atol=tolerance)


def test_gradient_of_any_size() -> None:
    left = normal(0, 3, 5).requires_grad_()
    for size in (1e-30, 1e30):
        (gradient,) = torch.autograd.grad(log_matmul_exp(left, normal(1, 5, 2)).sum() * size, left)
        assert gradient.sum().item() == pytest.approx(6 * size, rel=1e-4)  # every pair's weights sum to one
