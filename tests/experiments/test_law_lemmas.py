"""Closed forms: Lemmas 2 and 3, the exact densities, and the smoothed bridge, against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from goalbridge.agents.bridge import bridge_scores
from goalbridge.agents.model import Critic
from goalbridge.experiments.law.exact import bayes_scores, exact_embeddings, lemma_scores
from goalbridge.experiments.law.importance import ImportanceBridge
from goalbridge.experiments.law.lemmas import gaussian_gain, gaussian_scores, log_sphere_integral, sphere_scores
from goalbridge.experiments.law.quadratic import QuadraticBridge
from goalbridge.experiments.law.smoothing import SmoothedBridge
from goalbridge.experiments.law.world import LinearWorld


def drawn(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def critic(kind: str, scale: float) -> Critic:
    return Critic(kind, initial_log_scale=math.log(scale)).requires_grad_(False)


def test_the_sphere_integral_on_the_ordinary_sphere_is_sinh() -> None:
    length = np.array([0.0, 1e-6, 1e-3, 0.1, 1.0, 5.0, 300.0])
    expected = np.concatenate([[0.0], np.log(-np.expm1(-2 * length[1:]) / (2 * length[1:])) + length[1:]])
    np.testing.assert_allclose(log_sphere_integral(length, 3), expected, atol=1e-7)
    with pytest.raises(ValueError, match="length=-1"):
        log_sphere_integral([-1.0], 3)


def test_lemma_2_depends_on_the_angle_alone_and_is_the_bridge() -> None:
    goals = torch.nn.functional.normalize(drawn(200_000, 6), dim=1)
    a, c = (torch.nn.functional.normalize(drawn(5, 6, seed=s), dim=1) for s in (1, 2))
    bridged = bridge_scores(a, c, goals, goals, critic("cosine", 2.0), critic("cosine", 1.5))
    scores = sphere_scores(a.numpy(), c.numpy(), 2.0, 1.5)
    np.testing.assert_allclose(scores, bridged.numpy(), atol=0.03)
    order = np.argsort((a @ c.T).numpy().ravel())
    assert (np.diff(scores.ravel()[order]) > 0).all()  # Direct ranks pairs as Lemma 1 does
    turned = torch.linalg.qr(drawn(6, 6, seed=3))[0].numpy()
    np.testing.assert_allclose(sphere_scores(a.numpy() @ turned, c.numpy() @ turned, 2.0, 1.5), scores, atol=1e-12)


def test_lemma_3_is_a_squared_distance_again_and_is_the_bridge() -> None:
    goals = 1.3 * drawn(200_000, 4)
    a, c = drawn(5, 4, seed=1), drawn(6, 4, seed=2)
    bridged = bridge_scores(a, c, goals, goals, critic("neg_squared_l2", 0.4), critic("neg_squared_l2", 0.3))
    scores = gaussian_scores(a.numpy(), c.numpy(), 0.4, 0.3, 1.3**2)
    np.testing.assert_allclose(scores, bridged.numpy(), atol=0.03)
    gain = gaussian_gain(0.4, 1.3**2)
    distance = torch.cdist(gain * a, c).square().numpy()
    ratios = (scores - scores[:, :1])[:, 1:] / (distance - distance[:, :1])[:, 1:]
    np.testing.assert_allclose(ratios, ratios[0, 0], rtol=1e-9)  # one scale for all pairs: ranked alike


def test_exact_densities_are_those_of_the_joint_gaussian() -> None:
    world = LinearWorld(seed=0, bypass=0.3)
    held_out = world.draw(4)
    seen = world.draw(50_000)
    joint, pairs = torch.cat((seen.a, seen.c), dim=1), torch.cat((held_out.a, held_out.c), dim=1)
    samples = ((joint, pairs), (seen.a, held_out.a), (seen.c, held_out.c))
    both, of_a, of_c = (multivariate_normal(s.mean(0), s.T.cov()).logpdf(x) for s, x in samples)
    expected = torch.as_tensor(both - of_a - of_c)
    torch.testing.assert_close(bayes_scores(world, held_out.a, held_out.c).diagonal(), expected, atol=0.4, rtol=0.03)


def test_without_bypass_lemma_1_is_bayes_optimal_and_with_all_of_it_says_nothing() -> None:
    world = LinearWorld(seed=1)
    held_out = world.draw(8)
    torch.testing.assert_close(lemma_scores(world, held_out.a, held_out.c), bayes_scores(world, held_out.a, held_out.c))
    world = LinearWorld(seed=1, bypass=1.0)
    held_out = world.draw(8)
    torch.testing.assert_close(
        lemma_scores(world, held_out.a, held_out.c), torch.zeros(8, 8, dtype=torch.float64), atol=1e-8, rtol=0
    )
    with pytest.raises(ValueError, match=r"bypass=1\.5"):
        LinearWorld(seed=1, bypass=1.5)


def test_the_gaussian_bridge_of_exact_densities_is_exact() -> None:
    world = LinearWorld(seed=2)
    held_out, bridge = world.draw(20), world.draw_b(20_000)
    exact = exact_embeddings(world, held_out.a, held_out.c, bridge)
    smoothed = SmoothedBridge(exact.bridge_ab, exact.bridge_bc, exact.critic_ab, exact.critic_bc, 1.0)
    errors = smoothed.scores(exact.a, exact.c) + exact.offsets - lemma_scores(world, held_out.a, held_out.c)
    assert errors.diagonal().abs().max() < 0.5  # scores of true pairs are near 20 nats


def test_the_quadratic_bridge_of_exact_densities_is_exact_with_few_goals() -> None:
    world = LinearWorld(seed=2)
    held_out, bridge = world.draw(20), world.draw_b(2000)
    exact = exact_embeddings(world, held_out.a, held_out.c, bridge)
    fitted = QuadraticBridge(bridge, exact.bridge_ab, exact.bridge_bc, exact.critic_ab, exact.critic_bc)
    errors = fitted.scores(exact.a, exact.c) + exact.offsets - lemma_scores(world, held_out.a, held_out.c)
    plain = bridge_scores(exact.a, exact.c, exact.bridge_ab, exact.bridge_bc, exact.critic_ab, exact.critic_bc)
    missed = plain + exact.offsets - lemma_scores(world, held_out.a, held_out.c)
    assert errors.diagonal().abs().max() < 2.0
    assert errors.diagonal().abs().mean() < 0.1 * missed.diagonal().abs().mean()


def test_a_fit_that_bends_up_too_far_stays_finite() -> None:
    goals = drawn(500, 2)
    distances = critic("neg_squared_l2", 1.0)
    # Logits that rise with the square of the goal: the integral itself is infinite.
    upwards = torch.cat((goals.square().sum(1, keepdim=True), torch.ones(500, 1, dtype=torch.float64)), dim=1)
    one = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    scores = QuadraticBridge(goals, upwards, upwards, critic("dot", 1.0), critic("dot", 1.0)).scores(one, one)
    assert scores.isfinite().all()
    with pytest.raises(ValueError, match=r"\(6, 6, 6\) rows; need as many, at least 7"):
        QuadraticBridge(goals[:6], goals[:6], goals[:6], distances, distances)


@pytest.mark.parametrize("kind", ["neg_squared_l2", "dot", "cosine"])
def test_without_smoothing_the_bridge_is_plain_monte_carlo(kind: str) -> None:
    a, c, bridge_ab, bridge_bc = drawn(4, 3), drawn(5, 6, seed=1), drawn(50, 3, seed=2) + 1, drawn(50, 6, seed=3)
    critics = critic(kind, 0.7), critic(kind, 1.2)
    torch.testing.assert_close(
        SmoothedBridge(bridge_ab, bridge_bc, *critics, 0.0).scores(a, c),
        bridge_scores(a, c, bridge_ab, bridge_bc, *critics),
    )


@pytest.mark.parametrize("kind", ["neg_squared_l2", "dot"])
@pytest.mark.parametrize("smoothing", [0.4, 1.0])
def test_smoothing_integrates_a_gaussian_around_every_goal(kind: str, smoothing: float) -> None:
    a, c = drawn(3, 2), drawn(4, 2, seed=1)
    bridge_ab = drawn(6, 2, seed=2, scale=0.7) + 0.5
    bridge_bc = bridge_ab @ drawn(2, 2, seed=3) + drawn(6, 2, seed=4, scale=0.2)
    critics = critic(kind, 0.5), critic(kind, 0.8)
    joint = torch.cat((bridge_ab, bridge_bc), dim=1)
    root = torch.linalg.cholesky(smoothing**2 * joint.T.cov())
    centres = joint.mean(0) + math.sqrt(1 - smoothing**2) * (joint - joint.mean(0))
    cloud = (centres[:, None] + drawn(6, 100_000, 4, seed=5) @ root.T).flatten(0, 1)  # [6 * 100 000, 4]
    brute = bridge_scores(a, c, cloud[:, :2].contiguous(), cloud[:, 2:].contiguous(), *critics)
    torch.testing.assert_close(
        SmoothedBridge(bridge_ab, bridge_bc, *critics, smoothing).scores(a, c), brute, atol=0.03, rtol=0
    )


def test_bad_bridges_are_named() -> None:
    goals = drawn(5, 3)
    with pytest.raises(ValueError, match=r"smoothing=1\.5"):
        SmoothedBridge(goals, goals, critic("dot", 1.0), critic("dot", 1.0), 1.5)
    with pytest.raises(ValueError, match="no common closed form"):
        SmoothedBridge(goals, goals, critic("dot", 1.0), critic("neg_squared_l2", 1.0), 0.5)
    with pytest.raises(ValueError, match=r"\(5, 3\) and \(4, 3\)"):
        SmoothedBridge(goals, goals[:4], critic("dot", 1.0), critic("dot", 1.0), 0.5)


def importance_of(world: LinearWorld, a: torch.Tensor, c: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """Scores of exact densities by few goals for each pair, less the exact value: [N, K]."""
    exact = exact_embeddings(world, a, c, goals)
    bridge = ImportanceBridge(
        goals,
        lambda b: exact_embeddings(world, a, c, b.flatten(0, -2)).bridge_ab.reshape(*b.shape[:-1], -1),
        lambda b: exact_embeddings(world, a, c, b.flatten(0, -2)).bridge_bc.reshape(*b.shape[:-1], -1),
        exact.critic_ab,
        exact.critic_bc,
        draws=128,
    )
    return bridge.scores(exact.a, exact.c) + exact.offsets - lemma_scores(world, a, c)


def test_importance_sampling_of_exact_densities_is_exact_for_pairs_right_and_wrong() -> None:
    world = LinearWorld(seed=2)
    held_out = world.draw(6)
    errors = importance_of(world, held_out.a, held_out.c, world.draw_b(100_000))
    scores = lemma_scores(world, held_out.a, held_out.c)
    assert errors.diagonal().abs().mean() < 0.4  # scores of true pairs are near 20 nats
    assert (errors.abs() < 1 + 0.1 * scores.abs()).all()  # those of others are down to minus some hundreds


@pytest.mark.parametrize("kind", ["neg_squared_l2", "dot", "cosine"])
def test_importance_sampling_agrees_with_many_goals(kind: str) -> None:
    goals = drawn(200_000, 2) + 1
    turn = drawn(2, 3, seed=1)
    a, c = (goals[:4] + 0.3) @ turn, goals[:5]
    critics = critic(kind, 0.8), critic(kind, 0.5)
    expected = bridge_scores(a, c, goals @ turn, goals, *critics)
    bridge = ImportanceBridge(goals, lambda b: b @ turn, lambda b: b, *critics, draws=2000)
    torch.testing.assert_close(bridge.scores(a, c), expected, atol=0.1, rtol=0)
    with pytest.raises(ValueError, match="2 goals, draws=64; need more than 2"):
        ImportanceBridge(goals[:2], lambda b: b, lambda b: b, *critics)
