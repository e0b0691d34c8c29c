"""Fewer goals for the same sum: systematic draws, their weights, and the order that they go along."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.estimators.resampled import propose, space_filling_order

GOALS = 50


def log_ratios(seed: int, scale: float = 2.0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.as_tensor(rng.normal(scale=scale, size=GOALS) + rng.normal(scale=30.0))


def any_order(seed: int) -> Tensor:
    return torch.as_tensor(np.random.default_rng(seed).permutation(GOALS))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.integers(1, 400), st.floats(0, 1, exclude_max=True), st.floats(0.1, 8))
def test_each_goal_is_drawn_as_often_as_its_share_to_within_one(
    seed: int, count: int, share: float, scale: float
) -> None:
    ratio = log_ratios(seed, scale)
    rows, weights = propose(ratio, any_order(seed + 1), count, share)
    assert rows.shape == weights.shape == (count,)
    drawn = np.bincount(rows.numpy(), minlength=GOALS)
    posterior = np.exp(ratio.numpy() - ratio.max().item())
    posterior /= posterior.sum()
    assert np.abs(drawn - count * posterior).max() < 1 + 1e-6


@pytest.mark.parametrize("count", [1, 7, 256])
def test_weights_are_prior_over_posterior_so_that_ratio_and_weight_sum_to_the_same(count: int) -> None:
    ratio = log_ratios(0)
    rows, weights = propose(ratio, any_order(1), count, 0.5)
    posterior = ratio.exp() / ratio.exp().sum()
    torch.testing.assert_close(weights, (1 / GOALS / posterior[rows]).log())
    torch.testing.assert_close(
        ratio[rows] + weights, torch.full((count,), math.log(ratio.exp().mean()), dtype=ratio.dtype)
    )


@pytest.mark.parametrize("count", [1, 7, 40])
def test_the_weighted_sum_is_unbiased(count: int) -> None:
    """Averaged over shares, draws give the full mean of r(g) h(g), whatever h."""
    ratio, order = log_ratios(2), any_order(3)
    ratio = ratio - ratio.max()
    h = torch.as_tensor(np.random.default_rng(4).exponential(size=GOALS))
    full = float((ratio.exp() * h).mean())
    shares, total = 2000, 0.0
    single = []
    for k in range(shares):
        rows, weights = propose(ratio, order, count, (k + 0.5) / shares)
        single.append(float(((ratio[rows] + weights).exp() * h[rows]).mean()))
        total += single[-1] / shares
    assert total == pytest.approx(full, rel=5e-3)
    assert count == 40 or np.std(single) > 0.01 * full  # which no single draw gives


def test_systematic_draws_along_a_short_order_are_better_than_independent_ones() -> None:
    """Of what varies smoothly over space, their error is a fraction of that of draws from the same posterior."""
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(2000, 2))
    ratio = torch.as_tensor(-8 * ((points - 0.4) ** 2).sum(axis=1))
    h = torch.as_tensor(np.exp(-20 * ((points - [0.3, 0.7]) ** 2).sum(axis=1)))
    full, order = float((ratio.exp() * h).mean()), torch.as_tensor(space_filling_order(points))
    posterior = ratio.softmax(0)

    def estimate(rows: Tensor) -> float:
        weights = -(posterior[rows] * len(points)).log()
        return float(((ratio[rows] + weights).exp() * h[rows]).mean())

    systematic = [estimate(propose(ratio, order, 64, share)[0]) for share in rng.random(100)]
    chosen = [torch.as_tensor(rng.choice(2000, size=64, p=posterior.numpy())) for _ in range(100)]
    independent = [estimate(rows) for rows in chosen]
    errors = [float(np.sqrt(np.mean((np.array(found) - full) ** 2))) for found in (systematic, independent)]
    assert errors[0] < 0.4 * errors[1], errors


def test_goals_without_chance_are_never_drawn_and_types_are_kept() -> None:
    ratio = torch.tensor([-300.0, 0.0, -400.0, 0.0, -300.0])
    rows, weights = propose(ratio, torch.tensor([4, 1, 0, 3, 2]), 8, 0.25)
    assert np.bincount(rows.numpy(), minlength=5).tolist() == [0, 4, 0, 4, 0]
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.full((8,), math.log(2 / 5)))
    alone, weight = propose(torch.tensor([3.0]), torch.tensor([0]), 3, 0.9)
    assert alone.tolist() == [0, 0, 0]
    torch.testing.assert_close(weight, torch.zeros(3))


def length(points: NDArray[np.float64], order: NDArray[np.int64]) -> float:
    return float(np.linalg.norm(np.diff(points[order], axis=0), axis=1).sum())


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_order_is_a_short_way_through_all_points(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    points = rng.uniform(0, 15, size=(1000, dimensions))
    order = space_filling_order(points)
    assert sorted(order.tolist()) == list(range(1000))
    at_random = np.mean([length(points, rng.permutation(1000)) for _ in range(5)])
    assert length(points, order) < {1: 0.005, 2: 0.12, 3: 0.3}[dimensions] * at_random


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_order_is_a_permutation_also_of_points_that_coincide(points: list[tuple[int, int]]) -> None:
    order = space_filling_order(np.array(points, dtype=np.float32))
    assert sorted(order.tolist()) == list(range(len(points)))
