"""Every estimator against its formula in float64, from the agent's own encoders and temperatures."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from goalbridge.agents import Agent, CandidateActions, Policy
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.schema import CRITICS
from goalbridge.envs.motion import execution_kernel, unit_directions

TEXTS = ["row 3", "column 1", "row 3", "row 7", "column 9"]
B = len(TEXTS)
STATES = np.random.default_rng(1).uniform(1, 9, size=(B, 2)).astype(np.float32)
FORMULAS = ("logsumexp", "max", "direct", "sample")


def similarity(kind: str, log_scale: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The critic's definition, x [..., d] and y [..., d] -> [...]."""
    values: dict[str, Tensor] = {
        "neg_squared_l2": -(x - y).square().sum(-1),
        "neg_l2": -(x - y).square().sum(-1).sqrt(),
        "dot": (x * y).sum(-1),
        "cosine": (x * y).sum(-1) / x.norm(dim=-1) / y.norm(dim=-1),
    }
    return log_scale.exp() * values[kind]


@torch.no_grad()
def expected_scores(agent: Agent, name: str, drawn: list[int] | None = None, noise: bool = False) -> Tensor:
    """[B, A] in float64, by loops over goals that have nothing of the code under test in them but the networks."""
    exact = copy.deepcopy(agent, memo={id(agent.text): agent.text}).double()
    kind = agent.config.critic
    actions = exact.candidate_actions  # [A, D]
    a = exact.encode_state_actions(torch.as_tensor(STATES).double().unsqueeze(1), actions)  # [B, A, d]
    b = exact.encode_goals(exact.bridge_goals)  # [M, d]
    c = exact.encode_language(torch.as_tensor(agent.text.encode(TEXTS)).double())  # [B, d]
    ab = similarity(kind, exact.critic_ab.log_scale, a.unsqueeze(2), b)  # [B, A, M]
    bc = similarity(kind, exact.critic_bc.log_scale, b, c.unsqueeze(1))  # [B, M]
    bc = bc - bc.exp().mean(dim=1, keepdim=True).log()  # log p(g | instruction) / p(g)
    if name == "logsumexp":
        scores = (ab + bc.unsqueeze(1)).exp().sum(-1).log()
    elif name == "max":
        scores = (ab + bc.unsqueeze(1)).max(-1).values
    elif name == "direct":
        scores = similarity(kind, exact.critic_ab.log_scale, a, c.unsqueeze(1))
    else:
        assert drawn is not None
        scores = torch.stack([ab[i, :, drawn[i]] for i in range(B)])
    if noise:
        scores = torch.stack([(exact.execution @ row.exp()).log() for row in scores])
    return scores


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("name", FORMULAS)
def test_scores_equal_the_formula(
    make_agent: Callable[..., Agent], fake_text: Any, name: str, noise: bool, critic: str
) -> None:
    agent = make_agent(fake_text, critic=critic)
    policy = agent.policy(name, average_noise=noise, seed=3)
    scores = policy.scores(STATES, TEXTS)
    drawn = [policy._estimators.drawn[i][1] for i in range(B)] if name == "sample" else None
    expected = expected_scores(agent, name, drawn, noise)
    torch.testing.assert_close(scores.double(), expected, rtol=1e-4, atol=2e-4)
    assert expected.std(dim=1).min() > 1e-3  # actions differ, so the comparison says something


def test_temperatures_are_those_that_were_trained(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    """Each critic's own matters to LogSumExp: neither is left out, and they are not mixed up."""
    agent = make_agent(fake_text)
    before = agent.policy("logsumexp").scores(STATES, TEXTS)
    for critic in (agent.critic_ab, agent.critic_bc):
        with torch.no_grad():
            critic.log_scale.add_(0.7)
        after = agent.policy("logsumexp", average_noise=False).scores(STATES, TEXTS)
        torch.testing.assert_close(after.double(), expected_scores(agent, "logsumexp"), rtol=1e-4, atol=2e-4)
        assert (after - before).abs().max() > 1e-2
        before = after


@pytest.mark.parametrize("name", FORMULAS)
def test_the_best_action_is_taken(make_agent: Callable[..., Agent], name: str) -> None:
    agent = make_agent()
    scores = agent.policy(name, seed=1).scores(STATES, TEXTS)
    actions = agent.policy(name, seed=1).act(STATES, TEXTS)
    assert actions.shape == (B, 2)
    assert actions.dtype == np.float32
    np.testing.assert_array_equal(actions, agent.candidate_actions[scores.argmax(dim=1)].numpy())


@pytest.mark.parametrize("name", FORMULAS)
def test_a_batch_equals_one_at_a_time_and_batches_of_any_history(make_agent: Callable[..., Agent], name: str) -> None:
    agent = make_agent()
    policy = agent.policy(name, seed=2)
    together = policy.scores(STATES, TEXTS)
    for i in range(B):
        alone = policy.scores(STATES[i : i + 1], TEXTS[i : i + 1], [i])  # known texts, and the same episode
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-4)
    order = [3, 0, 4]
    mixed = policy.scores(STATES[order], [TEXTS[i] for i in order], order)
    torch.testing.assert_close(mixed, together[order], rtol=1e-4, atol=1e-4)


def test_noise_averaging_is_the_identity_without_noise(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent()
    obedient = CandidateActions(unit_directions(8), execution_kernel(8, 0.0))
    plain = agent.policy("logsumexp", average_noise=False).scores(STATES, TEXTS)
    averaged = agent.policy("logsumexp", candidates=obedient, average_noise=True).scores(STATES, TEXTS)
    torch.testing.assert_close(averaged, plain)
    noisy = agent.policy("logsumexp").scores(STATES, TEXTS)
    assert (noisy - plain).abs().max() > 1e-3
    assert agent.policy_config.average_noise  # which is what the one without a word has done


def test_other_candidates_are_weighed(make_agent: Callable[..., Agent]) -> None:
    few = CandidateActions(unit_directions(3), execution_kernel(3, 20.0))
    policy = make_agent().policy("direct", candidates=few)
    assert policy.scores(STATES, TEXTS).shape == (B, 3)
    assert {tuple(a) for a in policy.act(STATES, TEXTS)} <= {tuple(a) for a in few.actions}


def test_stored_goals_are_used_unless_others_are_given(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent()
    stored = agent.bridge_goals.numpy()
    policy = agent.policy()
    assert policy.name == agent.policy_config.name
    same = agent.policy(agent.policy_config.name, goals=stored).scores(STATES, TEXTS)
    torch.testing.assert_close(policy.scores(STATES, TEXTS), same)
    shuffled = agent.policy(goals=stored[::-1].copy()).scores(STATES, TEXTS)
    torch.testing.assert_close(shuffled, same, rtol=1e-4, atol=1e-4)
    double = agent.policy(goals=stored.astype(np.float64)).scores(STATES, TEXTS)
    torch.testing.assert_close(double, same)
    other = agent.policy(goals=stored[:3]).scores(STATES, TEXTS)
    assert (other - same).abs().max() > 1e-2


def test_posterior_is_the_softmax_of_the_goal_language_critic(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text)
    posterior = agent.policy().goal_posterior(TEXTS)
    assert posterior.shape == (B, 30)
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-5)
    with torch.no_grad():
        b = agent.encode_goals(agent.bridge_goals).double()
        c = agent.encode_instructions(TEXTS).double()
    logits = similarity("neg_squared_l2", agent.critic_bc.log_scale.detach().double(), b, c.unsqueeze(1))
    np.testing.assert_allclose(posterior, logits.softmax(-1).numpy(), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(posterior[0], posterior[2])  # the same words, the same meaning
    assert np.abs(posterior[0] - posterior[1]).max() > 1e-3


def goals_of(policy: Policy, keys: list[int]) -> list[int]:
    return [policy._estimators.drawn[key][1] for key in keys]


def test_sample_keeps_its_goal_for_the_episode(make_agent: Callable[..., Agent]) -> None:
    policy = make_agent().policy("sample", seed=0)
    keys = [10, 11, 12, 13, 14]
    policy.act(STATES, TEXTS, keys)
    first = goals_of(policy, keys)
    for order in ([4, 2, 0], [1, 3]):  # in other batches, at other places
        policy.act(STATES[order] + 1, [TEXTS[i] for i in order], [keys[i] for i in order])
    assert goals_of(policy, keys) == first
    again = make_agent().policy("sample", seed=0)
    again.act(STATES, TEXTS, keys)
    assert goals_of(again, keys) == first


def test_sample_draws_from_the_posterior(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent(bridge_goals=6)
    policy = agent.policy("sample", seed=4)
    count = 6000
    policy.scores(np.tile(STATES[:1], (count, 1)), ["row 3"] * count)
    drawn = np.bincount(goals_of(policy, list(range(count))), minlength=6)
    posterior = policy.goal_posterior(["row 3"])[0].astype(np.float64)
    assert stats.chisquare(drawn, count * posterior / posterior.sum()).pvalue > 1e-3


def test_sample_draws_anew_for_other_words(make_agent: Callable[..., Agent]) -> None:
    policy = make_agent(bridge_goals=300).policy("sample", seed=0)
    keys = list(range(40))
    states = np.tile(STATES[:1], (40, 1))
    policy.act(states, ["row 3"] * 40, keys)
    first = goals_of(policy, keys)
    policy.act(states, ["row 4"] * 40, keys)
    assert goals_of(policy, keys) != first


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((STATES[:2], TEXTS), r"observation: has shape \(2, 2\), needs \(5, 2\)"),
        ((STATES[0], ["row 3"]), r"observation: has shape \(2,\), needs \(1, 2\)"),
        ((STATES[:, :1], TEXTS), r"observation: has shape \(5, 1\), needs \(5, 2\)"),
        ((np.zeros((5, 3)), TEXTS), r"observation: has shape \(5, 3\), needs \(5, 2\)"),
        ((STATES, "row 3"), "instructions: is one text, 'row 3'; a list"),
        ((STATES, TEXTS, [1, 2]), "episodes: 2 keys for 5 instructions"),
    ],
)
@pytest.mark.parametrize("name", ["logsumexp", "direct", "sample"])
def test_arguments_that_do_not_fit_are_named(
    make_agent: Callable[..., Agent], name: str, arguments: Any, says: str
) -> None:
    policy = make_agent().policy(name)
    for method in (policy.scores, policy.act):
        with pytest.raises(ConfigError, match=says) as caught:
            method(*arguments)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "logsumxp"}, "policy.name=logsumxp: must be one of logsumexp"),
        ({"goals": np.zeros((0, 2))}, r"goals: has shape \(0, 2\), needs \[M, 2\]"),
        ({"goals": np.zeros(2)}, r"goals: has shape \(2,\)"),
        ({"goals": np.zeros((4, 3))}, r"goals: has shape \(4, 3\)"),
        ({"goals": np.full((4, 2), math.nan)}, "goals: hold NaN"),
        ({"candidates": CandidateActions(np.zeros((2, 3), np.float32), np.eye(2))}, r"actions have shape \(2, 3\)"),
    ],
)
def test_policies_that_cannot_be_are_refused(
    make_agent: Callable[..., Agent], arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        make_agent().policy(**arguments)


def test_candidate_actions_are_checked_where_they_are_made() -> None:
    with pytest.raises(ValueError, match=r"execution: has shape \(2, 3\), but 2 actions need \(2, 2\)"):
        CandidateActions(np.zeros((2, 2), np.float32), np.ones((2, 3)) / 3)
    for rows in ([[0.5, 0.4], [0.0, 1.0]], [[1.5, -0.5], [0.0, 1.0]]):
        with pytest.raises(ValueError, match="probabilities that sum to one"):
            CandidateActions(np.zeros((2, 2), np.float32), np.array(rows))


def test_acting_leaves_no_gradients(make_agent: Callable[..., Agent]) -> None:
    policy = make_agent().train().policy()
    assert not policy.scores(STATES, TEXTS).requires_grad
    assert not policy._bridge.requires_grad


@pytest.mark.parametrize("name", ["sample", "logsumexp"])
def test_a_reset_policy_repeats_what_a_new_one_does(make_agent: Callable[..., Agent], name: str) -> None:
    agent = make_agent()
    policy = agent.policy(name, mask_blocked=True, seed=3)
    still = np.full((4, 2), 1.5, np.float32)
    first = [policy.act(still, TEXTS[:1] * 4) for _ in range(4)]
    policy.reset()
    again = [policy.act(still, TEXTS[:1] * 4) for _ in range(4)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1]), "what changed nothing is barred"


def test_planning_hands_values_on_from_goal_to_goal(
    make_agent: Callable[..., Agent], fake_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a corridor of goals one step apart, only the last of which is asked for, "planned" walks there hop by hop."""
    agent = make_agent(fake_text)
    corridor = np.stack([np.full(12, 0.5), np.arange(12) + 0.5], axis=1).astype(np.float32)  # [12, 2]
    right, left = np.array([[0.0, 1.0], [0.0, -1.0]], np.float32)

    class Ends(nn.Module):
        """Where an action leads: one cell on."""

        def forward(self, states: Tensor, actions: Tensor) -> Tensor:
            return states[..., 1:] + actions[..., 1:]  # [..., A, 1]

    def only_the_last(x: Tensor, y: Tensor) -> Tensor:
        return torch.where(x == 11.5, 0.0, -50.0).expand(-1, len(y))  # [M, K]

    def short_sighted(x: Tensor, y: Tensor) -> Tensor:
        return -200.0 * (x - y[:, 0]).square()  # [..., A, M]; all but the cell itself is out of sight

    agent.state_action_encoder = Ends()
    agent.critic_ab.forward = short_sighted  # type: ignore[method-assign]
    agent.critic_bc.forward = only_the_last  # type: ignore[method-assign]
    monkeypatch.setattr(agent, "encode_goals", lambda goals: goals[:, 1:])
    policy = agent.policy("planned", corridor, CandidateActions(np.stack([left, right]), np.eye(2)), False, False)
    texts = ["row 3"]
    for column in range(11):
        action = policy.act(np.array([[0.5, column + 0.5]], np.float32), texts)
        np.testing.assert_array_equal(action[0], right)
    values = policy._estimators._values(0).numpy()
    np.testing.assert_allclose(values[::-1], agent.policy_config.hop_discount ** np.arange(12), rtol=1e-6)
