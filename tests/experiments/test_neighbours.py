"""Neighbours and a random remainder against the sum over all goals."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from goalbridge.agents.model import Critic
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.schema import CRITICS
from goalbridge.experiments.scaling.neighbours import Neighbours, Proposals, between, proposed_scores

M, D, K, A = 3000, 5, 4, 6


def world(kind: str, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, tuple[Critic, Critic]]:
    """a [K, A, D], c [K, D], goals [M, D] of one tower for both critics, and these."""
    generator = torch.Generator().manual_seed(seed)
    a, c, goals = (torch.randn(*shape, D, generator=generator) for shape in ((K, A), (K,), (M,)))
    scale = 2.0 if kind == "cosine" else 0.15
    return a, c, goals, (Critic(kind, initial_log_scale=math.log(scale)), Critic(kind, initial_log_scale=0.0))


@torch.no_grad()
def estimate(
    a: Tensor, c: Tensor, goals: Tensor, pair: tuple[Critic, Critic], proposals: Proposals
) -> tuple[Tensor, Tensor]:
    chosen = goals[proposals.rows]  # [K, n, D]
    return proposed_scores(a, pair[1](chosen, c.unsqueeze(1)).squeeze(2), chosen, pair[0], proposals, M)


@torch.no_grad()
def exact(a: Tensor, c: Tensor, goals: Tensor, pair: tuple[Critic, Critic]) -> Tensor:
    logits: Tensor = pair[0](a, goals) + pair[1](c, goals).unsqueeze(1)
    return logits.double().logsumexp(-1) - math.log(M)


@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("near", [0, 50])
def test_the_sum_is_unbiased_and_its_error_bar_true(kind: str, near: int) -> None:
    a, c, goals, pair = world(kind)
    neighbours = Neighbours(goals, pair[1], cells=20, probed=4)
    generator = torch.Generator().manual_seed(1)
    draws = [estimate(a, c, goals, pair, neighbours.propose(c, near, 400, generator)) for _ in range(200)]
    scores, errors = (torch.stack(part).double() for part in zip(*draws, strict=True))  # [200, K, A]
    wanted = exact(a, c, goals, pair)
    ratio = (scores - wanted).exp()  # of the sums
    deviation = ratio.std(dim=0)  # [K, A]
    assert bool(((ratio.mean(dim=0) - 1).abs() < 4 * deviation / math.sqrt(200)).all())
    assert float((errors.mean(dim=0) / deviation).median()) == pytest.approx(1.0, abs=0.15)
    covered = ((scores - wanted).abs() < 1.96 * errors).double().mean()
    assert 0.88 < covered < 0.98  # of 95 %
    # The bias of the logarithm is what is said of it.
    assert float((scores - wanted).mean()) == pytest.approx(float(-deviation.square().mean() / 2), abs=0.02)


@pytest.mark.parametrize("kind", CRITICS)
def test_neighbours_are_the_likeliest_goals_where_all_cells_are_searched(kind: str) -> None:
    a, c, goals, pair = world(kind)
    proposals = Neighbours(goals, pair[1], cells=7, probed=7).propose(c, 30, 0)
    with torch.no_grad():
        wanted = pair[1](c, goals).topk(30).indices  # [K, 30]
    assert [set(row) for row in proposals.rows.tolist()] == [set(row) for row in wanted.tolist()]
    everything = Neighbours(goals, pair[1], cells=7, probed=7).propose(c, M, 0)
    scores, errors = estimate(a, c, goals, pair, everything)
    torch.testing.assert_close(scores.double(), exact(a, c, goals, pair), rtol=1e-4, atol=1e-4)
    assert not errors.any()


def test_neighbours_help_where_language_is_sharp() -> None:
    a, c, goals, (critic_ab, _) = world("neg_squared_l2")
    pair = critic_ab, Critic("neg_squared_l2", initial_log_scale=math.log(8.0))
    neighbours = Neighbours(goals, pair[1], cells=20, probed=8)
    proposals = [neighbours.propose(c, near, 200 - near) for near in (0, 100)]
    without, beside = (float(estimate(a, c, goals, pair, proposed)[1].mean()) for proposed in proposals)
    assert beside < 0.3 * without


@torch.no_grad()
def test_neighbours_of_state_and_instruction_are_the_heaviest_summands() -> None:
    a, c, goals, pair = world("neg_squared_l2")
    point, critic = between(a[:, :1], c, *pair)
    proposals = Neighbours(goals, critic, cells=5, probed=5).propose(point, 20, 0)
    logits = (pair[0](a[:, :1], goals) + pair[1](c, goals).unsqueeze(1))[:, 0]  # [K, M]
    assert [set(row) for row in proposals.rows.tolist()] == [set(row) for row in logits.topk(20).indices.tolist()]
    constant = logits - critic(point, goals)
    torch.testing.assert_close(constant, constant[:, :1].expand_as(constant), rtol=1e-3, atol=1e-3)
    with pytest.raises(ConfigError, match="critic_bc: is of kind cosine"):
        between(a, c, pair[0], Critic("cosine"))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 80), st.integers(0, 80), st.integers(1, 12), st.integers(1, 12), st.floats(0.01, 1))
def test_any_setting_counts_each_goal_once_on_average(
    near: int, rest: int, cells: int, probed: int, spread: float
) -> None:
    """With all logits 0, the expected sum is M: neighbours count one, and the draws make up for the others."""
    goals = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    critic = Critic("dot", initial_log_scale=-2.0)
    neighbours = Neighbours(goals, critic, cells=cells, probed=probed, spread=spread)
    if near + rest == 0:
        with pytest.raises(ConfigError, match="near=0, rest=0"):
            neighbours.propose(goals[:1], near, rest)
        return
    proposals = neighbours.propose(goals[:1].expand(400, 3), near, rest, torch.Generator().manual_seed(1))
    assert proposals.rows.shape == proposals.log_weights.shape == (400, near + rest)
    sums = proposals.log_weights.double().exp().sum(dim=1)  # [400]
    counted = int(proposals.log_weights[0, :near].isfinite().sum())
    if not rest:
        assert float(sums[0]) == counted
        return
    assert float(sums.mean()) == pytest.approx(200, abs=5 * float(sums.std()) / 20 + 1e-3)


def test_bad_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    goals, critic = torch.randn(50, 3), Critic()
    for settings_, match in (
        ({"cells": 51}, "cells=51: must be 1 to 50"),
        ({"probed": 0}, "probed=0: must be 1 to inf"),
        ({"spread": 0.0}, r"spread=0.0: must be above 0, at most 1"),
    ):
        with pytest.raises(ConfigError, match=match):
            Neighbours(goals, critic, **settings_)
    with pytest.raises(ValueError, match=r"goals has shape \(0, 3\)"):
        Neighbours(goals[:0], critic)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match="faiss: is not installed"):
        Neighbours(goals, critic)
