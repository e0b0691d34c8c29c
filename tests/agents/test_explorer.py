"""Acting towards commanded goals: the best candidate, a share of others, turned a little, out of dead ends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent
from goalbridge.agents.explorer import Explorer

STATES = np.random.default_rng(0).random((50, 2)).astype(np.float32) * 15
GOALS = np.random.default_rng(1).random((50, 2)).astype(np.float32) * 15


def best_of(agent: Agent) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with torch.no_grad():
        encoded = agent.encode_state_actions(torch.as_tensor(STATES)[:, None], agent.candidate_actions[None])
        scores = agent.critic_ab.paired(encoded, agent.encode_goals(torch.as_tensor(GOALS))[:, None])
    best: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = agent.candidate_actions[scores.argmax(dim=1)].numpy()
    return best


def test_without_exploration_it_takes_the_best(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent()
    actions = Explorer(agent, 0.0, 0.0).act(STATES, GOALS, np.random.default_rng(0))
    np.testing.assert_allclose(actions, best_of(agent))
    assert actions.dtype == np.float32


def test_exploration_takes_others_at_random(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent()
    actions = Explorer(agent, 1.0, 0.0).act(STATES, GOALS, np.random.default_rng(0))
    assert len(np.unique(actions, axis=0)) == len(agent.candidate_actions)
    assert (actions != best_of(agent)).any(axis=1).mean() > 0.7


def test_noise_turns_and_keeps_the_length(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent()
    turned, rng = [], np.random.default_rng(0)
    for _ in range(20):
        actions = Explorer(agent, 0.0, 20.0).act(STATES, GOALS, rng)
        np.testing.assert_allclose(np.linalg.norm(actions, axis=1), 1, atol=1e-5)
        turned.append(np.degrees(np.arccos((actions * best_of(agent)).sum(axis=1).clip(-1, 1))))
    assert np.sqrt(np.mean(np.square(turned))) == pytest.approx(20, rel=0.1)


def test_the_same_generator_gives_the_same_actions(make_agent: Callable[..., Agent]) -> None:
    first, second = (Explorer(make_agent(), 0.3, 10.0).act(STATES, GOALS, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_changed_nothing_is_not_done_again_at_once(make_agent: Callable[..., Agent]) -> None:
    explorer, rng = Explorer(make_agent(), 0.0, 0.0), np.random.default_rng(0)
    first, second = (explorer.act(STATES, GOALS, rng) for _ in range(2))  # nothing has moved in between
    assert (first != second).any(axis=1).all()
