"""The bridge against brute force and closed forms."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from goalbridge.agents.bridge import (
    bridge_diagnostics,
    bridge_max_scores,
    bridge_scores,
    bridge_scores_per_row,
    direct_scores,
)
from goalbridge.agents.model import Critic
from goalbridge.configs.schema import CRITICS

N, K, M, D, E = 7, 5, 900, 6, 9  # state-actions, instructions, goals, dimensions of A-B and of B-C


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def embeddings(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """a [N, D], c [K, E], bridge_ab [M, D], bridge_bc [M, E]."""
    generator = torch.Generator().manual_seed(0)
    a, c, ab, bc = (torch.randn(*s, generator=generator, dtype=dtype) for s in ((N, D), (K, E), (M, D), (M, E)))
    return a, c, ab, bc


def critics(kind: str, log_scale: float = 0.5) -> tuple[Critic, Critic]:
    return Critic(kind, initial_log_scale=log_scale), Critic(kind, initial_log_scale=log_scale + 0.3)


def summands(a: Tensor, c: Tensor, ab: Tensor, bc: Tensor, critic_ab: Critic, critic_bc: Critic) -> Tensor:
    """f_AB(a_n, g_m) + f_BC(g_m, c_k) in float64: [N, M, K]."""
    left = critic_ab.paired(a.double().unsqueeze(1), ab.double())
    right = critic_bc.paired(bc.double().unsqueeze(1), c.double())
    return left.unsqueeze(2) + right


@torch.no_grad()
@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("log_scale", [0.5, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_equal_brute_force(kind: str, log_scale: float, weighted: bool) -> None:
    inputs, pair = embeddings(), critics(kind, log_scale)
    log_weights = torch.randn(M) if weighted else None
    terms = summands(*inputs, *pair)
    if log_weights is not None:
        log_weights[::5] = -math.inf
        terms = terms + log_weights.double().view(1, M, 1)
    atol = 2e-3 if log_scale > 1 else 1e-4  # logits of some 1000 in float32
    expected = torch.logsumexp(terms, 1) - math.log(M)
    torch.testing.assert_close(bridge_scores(*inputs, *pair, log_weights).double(), expected, rtol=1e-4, atol=atol)
    best = bridge_max_scores(*inputs, *pair, log_weights)
    torch.testing.assert_close(best.double(), terms.amax(1), rtol=1e-4, atol=atol)
    for shared in (True, False):
        log_bc = pair[1](inputs[3], inputs[1]).T  # [K, M]
        if log_weights is not None:
            log_bc = log_bc + log_weights
        goals = inputs[2] if shared else inputs[2].expand(K, M, D)
        for best_goal, reference in ((False, expected + math.log(M)), (True, terms.amax(1))):
            per_row = bridge_scores_per_row(inputs[0].expand(K, N, D), log_bc, goals, pair[0], best_goal=best_goal)
            torch.testing.assert_close(per_row.T.double(), reference, rtol=1e-4, atol=atol)


def test_scores_with_gradient_equal_those_without(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, pair = embeddings(torch.float64), critics("neg_squared_l2")
    log_weights = torch.randn(M, dtype=torch.float64)
    leaves = [x.requires_grad_() for x in (*inputs, log_weights, *pair[0].parameters(), *pair[1].parameters())]
    expected = torch.logsumexp(summands(*inputs, *pair) + log_weights.view(1, M, 1), 1) - math.log(M)
    reference = torch.autograd.grad(expected.square().sum(), leaves)
    for elements in (1 << 24, 1 << 10):  # all at once, and in recomputed chunks
        monkeypatch.setattr("goalbridge.agents.bridge._GRADIENT_CHUNK_ELEMENTS", elements)
        scores = bridge_scores(*inputs, *pair, log_weights)
        torch.testing.assert_close(scores, expected)
        torch.testing.assert_close(torch.autograd.grad(scores.square().sum(), leaves), reference)


@pytest.mark.parametrize("best_goal", [False, True])
def test_per_row_gradient(best_goal: bool) -> None:
    a = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    log_bc = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    goals = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    critic = Critic("neg_l2").double()

    def scores(a: Tensor, log_bc: Tensor, goals: Tensor) -> Tensor:
        return bridge_scores_per_row(a, log_bc, goals, critic, best_goal=best_goal)

    assert torch.autograd.gradcheck(scores, (a, log_bc, goals))
    with torch.no_grad():
        streamed = scores(a, log_bc, goals)
    torch.testing.assert_close(streamed, scores(a, log_bc, goals))


@torch.no_grad()
@pytest.mark.parametrize("kind", CRITICS)
def test_estimates_use_the_trained_temperature(kind: str) -> None:
    """The trap: scoring with another temperature than the critic was trained with."""
    inputs, (critic_ab, critic_bc) = embeddings(), critics(kind, 0.0)
    before = bridge_scores(*inputs, critic_ab, critic_bc)
    critic_ab.log_scale.add_(math.log(2.0))
    critic_bc.log_scale.sub_(math.log(4.0))
    after = bridge_scores(*inputs, critic_ab, critic_bc)
    fresh = bridge_scores(*inputs, Critic(kind, initial_log_scale=math.log(2.0)), critic_bc)
    assert not torch.allclose(before, after, atol=1e-2)
    torch.testing.assert_close(after, fresh)
    terms = summands(*inputs, critic_ab, critic_bc)
    torch.testing.assert_close(after.double(), torch.logsumexp(terms, 1) - math.log(M), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_direct_is_logsumexp_on_the_sphere_up_to_a_constant() -> None:
    """Lemma 2: goals uniform on the circle, equal temperatures. The sum is log I0(s |a + c|), rising in a . c."""
    scale = 2.0
    angles = torch.linspace(0, 2 * math.pi, 20_001, dtype=torch.float64)[:-1]
    goals = torch.stack((angles.cos(), angles.sin()), 1)
    critic = Critic("cosine", initial_log_scale=math.log(scale)).double()
    a, c = goals[:: len(goals) // 50], goals[:: len(goals) // 7]
    scores, direct = bridge_scores(a, c, goals, goals, critic, critic), direct_scores(a, c, critic)
    closed_form = torch.special.i0(scale * (2 + 2 * direct / scale).clamp(min=0).sqrt()).log()
    torch.testing.assert_close(scores, closed_form)
    order = direct.flatten().argsort()
    assert bool((scores.flatten()[order].diff() > -1e-9).all())


@torch.no_grad()
def test_direct_is_logsumexp_for_isotropic_gaussian_goals() -> None:
    """Lemma 3: with a wide isotropic marginal, the sum is -|a - c|^2 / 2 (half the temperature) up to a constant."""
    generator = torch.Generator().manual_seed(0)
    width, count = 30.0, 400_000
    goals = (torch.rand(count, 2, generator=generator, dtype=torch.float64) - 0.5) * width
    a, c = (torch.randn(6, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    critic = Critic("neg_squared_l2", initial_log_scale=0.0).double()
    scores, direct = bridge_scores(a, c, goals, goals, critic, critic), direct_scores(a, c, critic)
    difference = scores - direct / 2
    constant = torch.full_like(difference, math.log(math.pi / 2 / width**2))
    torch.testing.assert_close(difference, constant, rtol=0, atol=0.2)


@torch.no_grad()
def test_lemma_1_converges_to_the_exact_ratio_with_its_stated_error() -> None:
    """A - B - C jointly Gaussian: g ~ N(0, 1), a and c = g + noise of variance v; log p(c | a) / p(c) is known."""
    variance, repeats = 0.5, 200
    generator = torch.Generator().manual_seed(0)
    a, c = (torch.randn(4, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    critic = Critic("neg_squared_l2", initial_log_scale=-math.log(2 * variance)).double()

    def log_density(x: Tensor, mean: Tensor | float, variance: float) -> Tensor:
        return -((x - mean) ** 2) / (2 * variance) - 0.5 * math.log(2 * math.pi * variance)

    posterior = log_density(c.T, a / (1 + variance), variance / (1 + variance) + variance)  # p(c | a), [4, 4]
    exact = posterior - log_density(c.T, 0.0, 1 + variance)
    # The critics lack the Gaussian's constant, and the marginals that a ratio divides by.
    marginals = log_density(a, 0.0, 1 + variance) + log_density(c.T, 0.0, 1 + variance)
    constant = -math.log(2 * math.pi * variance) - marginals
    for count, error_bound in ((300, 0.3), (30_000, 0.03)):
        deviations = []
        for _ in range(repeats if count == 300 else 3):
            goals = torch.randn(count, 1, generator=generator, dtype=torch.float64)
            estimate = bridge_scores(a, c, goals, goals, critic, critic) + constant
            error = bridge_diagnostics(a, c, goals, goals, critic, critic).standard_error
            assert (estimate - exact).square().mean().sqrt() < error_bound
            deviations.append((estimate - exact) / error)
        if count == 300:
            covered = (torch.stack(deviations).abs() < 1.96).double().mean().item()
            assert 0.92 < covered < 0.97  # 95 %


@torch.no_grad()
def test_diagnostics_equal_brute_force() -> None:
    inputs, pair = embeddings(), critics("neg_squared_l2")
    found = bridge_diagnostics(*inputs, *pair)
    weights = summands(*inputs, *pair).softmax(1)  # [N, M, K]
    size = 1 / weights.square().sum(1)
    error = (weights * M).std(1) / math.sqrt(M)
    torch.testing.assert_close(found.effective_sample_size.double(), size, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.standard_error.double(), error, rtol=1e-3, atol=1e-3)
    one = bridge_diagnostics(inputs[0], inputs[1], inputs[2][:1], inputs[3][:1], *pair)
    assert bool((one.effective_sample_size == 1).all())
    assert bool((one.standard_error == math.inf).all())


def test_bad_input_is_named() -> None:
    a, c, ab, bc = embeddings()
    pair, rows = critics("dot"), a.unsqueeze(0)
    for arguments, match in (
        ((a[0], c, ab, bc), r"a: expected shape \[count, d\], got \(6,\)"),
        ((a.long(), c, ab, bc), "a: expected a floating dtype"),
        ((a, c, ab[:0], bc[:0]), "got 0 and 0"),
        ((a, c, ab, bc[:-1]), "got 900 and 899"),
        ((a, c, ab, ab), "bridge_bc: expected c's dimension, 9, got 6"),
    ):
        with pytest.raises(ValueError, match=match):
            bridge_scores(*arguments, *pair)
    with pytest.raises(ValueError, match=r"log_weights: expected shape \(900,\), got \(3,\)"):
        bridge_scores(a, c, ab, bc, *pair, torch.zeros(3))
    for per_row, match in (
        ((a, torch.zeros(1, M), ab), r"a: expected shape \[B, A, d\]"),
        ((rows, torch.zeros(2, M), ab), r"log_bc: expected shape \[B, M\]"),
        ((rows, torch.zeros(1, M), bc), r"bridge_ab: expected shape \(900, 6\) or \(1, 900, 6\)"),
    ):
        with pytest.raises(ValueError, match=match):
            bridge_scores_per_row(*per_row, pair[0])


@pytest.mark.slow
@pytest.mark.parametrize("function", ["log_matmul_exp", "bridge_scores"])
def test_extra_memory_at_full_size(function: str) -> None:
    """N = 256, K = 64, M = 100 000: [N, M, K] would take 6.5 GB, [N, M] 102 MB."""
    # From a process in the root of the checkout: the benchmarks are not installed with the package.
    code = f"from benchmarks.bridge import extra_memory; print(extra_memory({function!r}))"
    root = Path(__file__).parents[2]
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root)
    assert float(output.stdout) < 100.0


@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0, 300.0])
def test_per_row_scores_hold_where_the_common_pivot_fails(kind: str, spread: float) -> None:
    """At spread 30 and more, distances reach thousands and products hundreds: sums under- or overflow at first."""
    generator = torch.Generator().manual_seed(0)
    a = spread * torch.randn(20, 5, 8, generator=generator)
    log_bc, goals = 5 * torch.randn(20, 300, generator=generator), torch.randn(300, 8, generator=generator)
    log_bc[:3, ::2], log_bc[3], log_bc[4, 1:] = -torch.inf, -torch.inf, -torch.inf
    critic = Critic(kind, embedding_dim=8, initial_log_scale=0.0).requires_grad_(False)
    found = bridge_scores_per_row(a, log_bc, goals, critic)
    logits = critic.paired(a.double().unsqueeze(2), goals.double())  # [20, 5, 300]
    wanted = torch.logsumexp(logits + log_bc.double().unsqueeze(1), dim=-1)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-3)
