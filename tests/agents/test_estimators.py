"""Estimators against their formulas, by loops in float64 over the agent's own networks; also where goals were tried."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents import Agent, Policy
from goalbridge.agents.expressions import AllOf, AnyOf, Instruction, Not
from goalbridge.agents.old_estimators import ESTIMATORS, Moment
from goalbridge.agents.proposals import propose, space_filling_order
from goalbridge.agents.shortest_paths import HOP, NEIGHBOURS
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.registries import estimators
from goalbridge.configs.schema import CRITICS

Floats = NDArray[np.float64]
TEXTS = ["row 3", "column 1", "row 3", "row 7"]
B, M = len(TEXTS), 24
STATES = np.random.default_rng(1).uniform(1, 14, size=(B, 2)).astype(np.float32)
TRIED = {0: [0, 5, 7], 1: [], 2: [3], 3: list(range(1, M))}  # of each row, goals that count as tried
DISTANCE = {
    "neg_squared_l2": lambda x, y: -np.square(x - y).sum(-1),
    "neg_l2": lambda x, y: -np.linalg.norm(x - y, axis=-1),
}


@dataclass
class Exact:
    """All logits in float64: ab [B, A, M], bc [B, M], ac [B, A] and, with goals as states, hops [M, A, M]."""

    ab: Floats
    bc: Floats
    ac: Floats
    hops: Floats


@torch.no_grad()
def exact(agent: Agent, texts: list[str] = TEXTS) -> Exact:
    double = copy.deepcopy(agent, memo={id(agent.text): agent.text}).double()
    kind = agent.config.critic

    def similarity(critic: Any, x: Tensor, y: Tensor) -> Floats:
        a, b = x.numpy(), y.numpy()
        if kind in DISTANCE:
            values = DISTANCE[kind](a, b)
        else:
            values = (a * b).sum(-1)
            if kind == "cosine":
                values = values / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        return np.asarray(math.exp(float(critic.log_scale)) * values)

    actions = double.candidate_actions
    a = double.encode_state_actions(torch.as_tensor(STATES).double().unsqueeze(1), actions)  # [B, A, d]
    b = double.encode_goals(double.bridge_goals)  # [M, d]
    c = double.encode_language(torch.as_tensor(agent.text.encode(texts)).double())  # [B, d]
    onward = double.encode_state_actions(double.bridge_goals.unsqueeze(1), actions)  # [M, A, d]
    bc = similarity(double.critic_bc, b, c.unsqueeze(1))  # [B, M]
    return Exact(
        similarity(double.critic_ab, a.unsqueeze(2), b),
        bc - np.log(np.exp(bc).mean(axis=1, keepdims=True)),
        similarity(double.critic_ab, a, c.unsqueeze(1)),
        similarity(double.critic_ab, onward.unsqueeze(2), b),
    )


def scores_with(policy: Policy, tried: dict[int, list[int]] | None = None, texts: list[str] = TEXTS) -> Tensor:
    """[B, A]: one estimator's scores where some goals of each row were tried."""
    rows = policy._heard.rows(texts)
    log_bc = policy._heard.logits[rows]
    for row, goals in (tried or {}).items():
        log_bc[row, goals] = -torch.inf
    agent = policy.agent
    with torch.no_grad():
        encoded = agent.encode_state_actions(torch.as_tensor(STATES).unsqueeze(1), policy.actions.unsqueeze(0))
        moment = Moment(encoded, rows, log_bc, texts, range(len(texts)))
        return ESTIMATORS[policy.name](policy._estimators, moment)


def kept(row: int, tried: dict[int, list[int]]) -> list[int]:
    return [g for g in range(M) if g not in tried.get(row, [])]


def log_sum(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def formula(policy: Policy, values: Exact, tried: dict[int, list[int]]) -> Floats:
    """[B, A]: the definition, one row and one action at a time."""
    config, name = policy.agent.policy_config, policy.name
    scores = np.empty((B, len(policy.actions)))
    for row in range(B):
        goals, bc = kept(row, tried), values.bc[row]
        for action in range(len(policy.actions)):
            ab = values.ab[row, action]
            if name in ("logsumexp", "tempered"):
                over = config.language_temperature if name == "tempered" else 1.0
                scores[row, action] = log_sum([ab[g] + bc[g] / over for g in goals])
            elif name == "max":
                scores[row, action] = max(ab[g] + bc[g] for g in goals)
            elif name == "likeliest":
                scores[row, action] = ab[max(goals, key=lambda g: bc[g])]
            elif name == "sample":
                scores[row, action] = ab[policy._estimators.drawn[row][1]]
            elif name == "direct":
                scores[row, action] = values.ac[row, action]
            else:
                order = torch.as_tensor(space_filling_order(policy.goals.numpy()))
                drawn, weights = propose(torch.as_tensor(bc), order, config.proposals, 0.5)
                pairs = [(int(g), float(w)) for g, w in zip(drawn, weights, strict=True) if int(g) in goals]
                terms = [ab[g] + bc[g] + w for g, w in pairs] or [ab[g] + bc[g] for g in goals]
                scores[row, action] = log_sum(terms)
    return scores


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("tried", [{}, TRIED], ids=["fresh", "tried"])
@pytest.mark.parametrize("name", [name for name in estimators.names() if "planned" not in name and name != "shortest"])
def test_scores_are_the_formula_over_what_was_not_tried(
    make_agent: Callable[..., Agent], fake_text: Any, name: str, tried: dict[int, list[int]], critic: str
) -> None:
    agent = make_agent(fake_text, critic=critic, bridge_goals=M)
    agent.policy_config = replace(agent.policy_config, proposals=16, language_temperature=0.4)
    policy = agent.policy(name, seed=3)
    found = scores_with(policy, tried)
    expected = formula(policy, exact(agent), tried)
    np.testing.assert_allclose(found.double().numpy(), expected, rtol=2e-4, atol=3e-4)
    assert expected.std(axis=1).min() > 1e-3  # actions differ, so the comparison says something


def test_every_policy_is_an_estimator() -> None:
    assert set(ESTIMATORS) == set(estimators.names())


def sharp(agent: Agent) -> Agent:
    """The agent, with more definite opinions of what texts mean."""
    with torch.no_grad():
        agent.critic_bc.log_scale.add_(3.0)
    return agent


def test_estimators_differ(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = sharp(make_agent(fake_text, bridge_goals=M))
    agent.policy_config = replace(agent.policy_config, proposals=5)
    found = {name: scores_with(agent.policy(name)) for name in estimators.names()}
    for one in estimators.names():
        for other in estimators.names():
            gap = (found[one] - found[other]).nan_to_num(posinf=1e3, neginf=-1e3)
            gap = gap - gap.mean(dim=1, keepdim=True)
            assert one == other or gap.abs().max() > 1e-2, (one, other)


def test_resampling_approaches_the_whole_sum(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    """Up to a constant of the row, and the nearer the more goals are drawn."""
    agent = make_agent(fake_text, bridge_goals=400)
    whole = scores_with(agent.policy("logsumexp"))
    errors = []
    for count in (8, 64, 4096):
        agent.policy_config = replace(agent.policy_config, proposals=count)
        gap = scores_with(agent.policy("resampled")) - whole - math.log(count / 400)
        errors.append(float(gap.abs().max()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.4
    assert errors[2] < 0.02


def test_resampling_looks_at_the_whole_bridge_where_all_its_draws_were_tried(
    make_agent: Callable[..., Agent], fake_text: Any
) -> None:
    agent = make_agent(fake_text, bridge_goals=M)
    agent.policy_config = replace(agent.policy_config, proposals=3)
    policy, whole = agent.policy("resampled"), agent.policy("logsumexp")
    drawn = [policy._estimators._proposals(int(row))[0].tolist() for row in policy._heard.rows(TEXTS)]
    tried = {0: sorted(set(drawn[0])), 1: drawn[1][:1], 3: sorted(set(drawn[3]))}
    found, expected = scores_with(policy, tried), scores_with(whole, tried)
    torch.testing.assert_close(found[[0, 3]], expected[[0, 3]], rtol=1e-4, atol=1e-4)
    assert found.isfinite().all()
    np.testing.assert_allclose(found.numpy(), formula(policy, exact(agent), tried), rtol=2e-4, atol=3e-4)


@pytest.mark.parametrize("name", ["sample", "planned_sample"])
def test_a_drawn_goal_is_kept_until_it_was_tried(make_agent: Callable[..., Agent], fake_text: Any, name: str) -> None:
    policy = make_agent(fake_text, bridge_goals=M).policy(name, seed=0)

    def drawn() -> list[int]:
        return [policy._estimators.drawn[row][1] for row in range(B)]

    scores_with(policy)
    first = drawn()
    scores_with(policy, {row: [g for g in range(M) if g != first[row]][:5] for row in range(B)})
    assert drawn() == first  # what was tried is something else
    scores_with(policy, {1: [first[1]]})
    second = drawn()
    assert second[1] != first[1]
    assert [second[row] for row in (0, 2, 3)] == [first[row] for row in (0, 2, 3)]
    only = {row: [g for g in range(M) if g != 9] for row in range(B)}
    scores_with(policy, only)
    assert drawn() == [9] * B


def brute_values(hops: Floats, aims: Floats, share: float, discount: float) -> Floats:
    """V [M] by dense value iteration over hops [M, A, M]."""
    chances = np.zeros_like(hops)
    for m in range(M):
        for a in range(hops.shape[1]):
            near = [g for g in range(M) if hops[m, a, g] >= hops[m, a].max() + math.log(share) and g != m]
            total = sum(math.exp(hops[m, a, g] - hops[m, a].max()) for g in near)
            for g in near:
                chances[m, a, g] = math.exp(hops[m, a, g] - hops[m, a].max()) / total
    values = aims.copy()
    for _ in range(400):
        values = np.maximum(aims, discount * (chances @ values).max(axis=1))
    return values


@pytest.mark.parametrize("tried", [{}, {0: [0, 5, 7], 2: [3]}], ids=["fresh", "tried"])
@pytest.mark.parametrize("name", ["planned", "planned_sample"])
def test_plans_are_values_handed_on_over_the_bridge(
    make_agent: Callable[..., Agent], fake_text: Any, name: str, tried: dict[int, list[int]]
) -> None:
    agent = make_agent(fake_text, bridge_goals=M)
    policy = agent.policy(name, seed=1)
    found, values, config = scores_with(policy, tried), exact(agent), agent.policy_config
    for row in range(B):
        if name == "planned":
            aims = np.exp(values.bc[row] - values.bc[row].max())
            aims[aims < 0.05] = 0.0
        else:
            aims = np.eye(M)[policy._estimators.drawn[row][1]]
        worth = brute_values(values.hops, aims, config.hop_share, config.hop_discount)
        worth[tried.get(row, [])] = 0.0
        expected = np.empty(len(policy.actions))
        for action in range(len(expected)):
            ab = values.ab[row, action]
            near = [g for g in range(M) if ab[g] >= ab.max() + math.log(config.hop_share)]
            total = sum(math.exp(ab[g] - ab.max()) for g in near)
            q = sum(math.exp(ab[g] - ab.max()) / total * worth[g] for g in near)
            expected[action] = math.log(q) if q > 0 else -math.inf
        if np.isneginf(expected).all():  # nothing nearby is worth anything
            whole = [[ab[g] + values.bc[row, g] for g in kept(row, tried)] for ab in values.ab[row]]
            expected = np.array([log_sum(terms) for terms in whole])
        np.testing.assert_allclose(found[row].numpy(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("tried", [{}, {0: [0, 5, 7], 2: [3]}], ids=["fresh", "tried"])
def test_shortest_paths_are_those_of_all_pairs(
    make_agent: Callable[..., Agent], fake_text: Any, tried: dict[int, list[int]]
) -> None:
    agent = make_agent(fake_text, bridge_goals=M)
    found, values = scores_with(agent.policy("shortest"), tried), exact(agent)
    best = values.hops.max(axis=1)  # [M, M]
    nearest = best.max(axis=0)
    costs = np.full((M, M), np.inf)
    for m in range(M):
        near = sorted((g for g in range(M) if g != m), key=lambda g: nearest[g] - best[m, g])[:NEIGHBOURS]
        costs[m, near] = nearest[near] - best[m, near] + HOP
    np.fill_diagonal(costs, 0.0)
    for via in range(M):  # Floyd and Warshall
        costs = np.minimum(costs, costs[:, via, None] + costs[None, via])
    for row in range(B):
        aims = np.exp(values.bc[row] - values.bc[row].max())
        away = np.array(
            [min(costs[m, g] - HOP * math.log(aims[g]) for g in range(M) if aims[g] >= 0.05) for m in range(M)]
        )
        away[tried.get(row, [])] = np.inf
        for action in range(found.shape[1]):
            terms = [-(max(0.0, nearest[m] - values.ab[row, action, m]) + HOP + away[m]) / HOP for m in range(M)]
            assert float(found[row, action]) == pytest.approx(log_sum(terms), rel=2e-3, abs=2e-3)


def test_plans_need_goals_that_are_states(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent(bridge_goals=M)
    agent.world = replace(agent.world, goal_low=(-1.0, -1.0))
    for name in ("planned", "shortest"):
        policy = agent.policy(name)
        with pytest.raises(ConfigError, match=rf"policy\.name={name}: needs goals that are states"):
            policy.scores(STATES, TEXTS)
    assert policy._tried is None  # where goals are no states, nothing can be told from where an episode is
    assert agent.policy("logsumexp").act(STATES, TEXTS).shape == (B, 2)


@pytest.mark.parametrize("name", ["logsumexp", "max", "tempered", "resampled", "likeliest", "planned"])
def test_words_and_compositions_score_alike(make_agent: Callable[..., Agent], fake_text: Any, name: str) -> None:
    agent = sharp(make_agent(fake_text, bridge_goals=M))
    said = ["row 3 or column 1", "row 3 and column 1", "row 3 but not column 1", "row 3 or column 1, but not row 7"]
    meant: list[Instruction] = [
        AnyOf("row 3", "column 1"),
        AllOf("row 3", "column 1"),
        AllOf("row 3", Not("column 1")),
        AllOf(AnyOf("row 3", "column 1"), Not("row 7")),
    ]
    in_words = agent.policy(name).scores(STATES, said)
    torch.testing.assert_close(in_words, agent.policy(name).scores(STATES, meant))
    agent.policy_config = replace(agent.policy_config, parse_compositions=False)
    assert (agent.policy(name).scores(STATES, said) - in_words).abs().max() > 1e-2


def test_compositions_are_composed_of_what_their_parts_say(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    """LogSumExp of "A and B" and of "A or B", from the parts' own logits."""
    agent = make_agent(fake_text, bridge_goals=M)
    values = exact(agent)
    ab, parts = values.ab, values.bc[:2]  # of "row 3" and "column 1", [2, M], logs of ratios of mean one
    ratios = np.exp(parts)
    usual = (ratios * parts).mean(axis=1)  # [2]
    both = ratios.prod(axis=0) / ratios.prod(axis=0).mean()
    either = (np.exp(-usual)[:, None] * ratios).sum(axis=0) / np.exp(-usual).sum()
    policy = agent.policy("logsumexp", average_noise=False)
    for meant, ratio in ((AllOf("row 3", "column 1"), both), (AnyOf("row 3", "column 1"), either)):
        expected = np.log((np.exp(ab) * ratio).sum(axis=-1))
        np.testing.assert_allclose(policy.scores(STATES, [meant] * B).numpy(), expected, rtol=1e-4, atol=3e-4)


def test_direct_reads_a_composition_as_it_is_said(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text, bridge_goals=M)
    policy = agent.policy("direct", average_noise=False)
    texts = ["row 3 or column 1", "any of (row 3; column 1)"]
    found = policy.scores(STATES[:2], [texts[0], AnyOf("row 3", "column 1")])
    np.testing.assert_allclose(found.numpy(), exact(agent, [*texts, *texts]).ac[:2], rtol=2e-4, atol=3e-4)
