"""What an episode came by in vain is left out of the posterior, unless it is another episode or nothing is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents import Agent, Policy
from goalbridge.agents.expressions import AnyOf
from goalbridge.agents.tried import FAR, LEAST_LEFT, REACH, Tried
from goalbridge.configs.registries import estimators

GOALS = torch.stack(torch.meshgrid(torch.arange(10) + 0.5, torch.arange(10) + 0.5, indexing="ij"), -1).reshape(100, 2)
FLAT = torch.zeros(1, 100)
EVEN = torch.full((1, 100), -math.log(100))


def at(*places: tuple[float, float]) -> Tensor:
    return torch.tensor(places)


def walk(tried: Tried, *places: tuple[float, float], text: str = "row 9", key: int = 0) -> None:
    for place in places:
        tried.note(at(place), [text], [key])


def excluded(tried: Tried, key: int = 0, log_bc: Tensor = FLAT) -> list[int]:
    """Indices of the goals that count as tried."""
    return [int(g) for g in tried.exclude(log_bc, [key])[0].isneginf().nonzero()[:, 0]]


def near(places: list[tuple[float, float]], reach: float) -> list[int]:
    """By a loop: the goals nearer than `reach` to any of the places."""
    return [g for g, goal in enumerate(GOALS.tolist()) if any(math.dist(goal, place) < reach for place in places)]


def test_goals_nearer_than_half_the_longest_step_to_where_it_came_are_tried() -> None:
    tried = Tried(GOALS)
    assert excluded(tried) == []
    walk(tried, (2.5, 2.5))
    assert excluded(tried) == []  # nobody knows yet how far a step goes
    walk(tried, (2.5, 4.5))
    assert excluded(tried) == near([(2.5, 4.5)], REACH * 2)
    walk(tried, (2.5, 5.0))  # half a step: the longest so far counts
    expected = near([(2.5, 4.5), (2.5, 5.0)], REACH * 2)
    assert excluded(tried) == expected
    assert len(expected) == 2
    walk(tried, (2.5, 8.0))  # a longer one
    assert excluded(tried) == sorted({*expected, *near([(2.5, 8.0)], REACH * 3)})
    left = tried.exclude(FLAT, [0])
    assert torch.equal(left[~left.isneginf()], FLAT[~left.isneginf()])
    assert not FLAT.isneginf().any()  # what was given stays as it was


@pytest.mark.parametrize("other", ["row 8", AnyOf("row 9", "row 8")])
def test_another_instruction_begins_anew(other: Any) -> None:
    tried = Tried(GOALS)
    walk(tried, (2.5, 2.5), (2.5, 4.5))
    walk(tried, (2.5, 6.5), text=other)
    assert excluded(tried) == []
    walk(tried, (2.5, 8.5), text=other)
    assert excluded(tried) == near([(2.5, 8.5)], 1.0)


def test_a_jump_begins_anew_and_a_step_does_not() -> None:
    for factor, forgotten in ((FAR - 0.1, False), (FAR + 0.1, True)):
        tried = Tried(GOALS)
        walk(tried, (2.5, 0.5), (2.5, 2.5), (2.5, 2.5 + 2 * factor))
        assert (set(near([(2.5, 2.5)], 1.0)) <= set(excluded(tried))) is not forgotten
        if forgotten:
            assert excluded(tried) == []
            walk(tried, (2.5, 4.5 + 2 * factor - 1))  # one cell on from where it fell: a step of its own length
            assert excluded(tried) == near([(2.5, 4.5 + 2 * factor - 1)], 0.5)


def test_standing_still_is_no_jump_and_no_step() -> None:
    tried = Tried(GOALS)
    walk(tried, (2.5, 2.5), (2.5, 2.5), (2.5, 2.5))
    assert excluded(tried) == []
    walk(tried, (2.5, 4.5), (2.5, 4.5))
    assert excluded(tried) == near([(2.5, 4.5)], 1.0)


def test_all_goals_are_kept_when_next_to_nothing_would_be_left() -> None:
    tried = Tried(GOALS)
    walk(tried, (2.5, 2.5), (2.5, 4.5))
    gone = near([(2.5, 4.5)], 1.0)
    for log_left, keeps in ((LEAST_LEFT + 0.1, False), (LEAST_LEFT - 0.1, True)):
        chances = torch.full((1, 100), math.exp(log_left) / (100 - len(gone)))
        chances[0, gone] = (1 - math.exp(log_left)) / len(gone)
        log_bc = chances.log() + 17.0  # a constant says nothing
        assert (excluded(tried, log_bc=log_bc) == []) is keeps
        if keeps:
            assert torch.equal(tried.exclude(log_bc, [0]), log_bc)
    everything = torch.full((1, 100), -torch.inf)
    everything[0, gone] = 0.0
    assert torch.equal(tried.exclude(everything, [0]), everything)


def test_episodes_are_told_apart_by_their_keys() -> None:
    tried = Tried(GOALS)
    walk(tried, (2.5, 2.5), (2.5, 4.5), key=7)
    walk(tried, (8.5, 2.5), (8.5, 4.5), key=3)
    left = tried.exclude(FLAT.expand(3, -1), [3, 5, 7])
    assert left[0].isneginf().nonzero()[:, 0].tolist() == near([(8.5, 4.5)], 1.0)
    assert not left[1].isneginf().any()  # who has not been anywhere has tried nothing
    assert left[2].isneginf().nonzero()[:, 0].tolist() == near([(2.5, 4.5)], 1.0)
    tried.forget()
    assert torch.equal(tried.exclude(FLAT, [7]), FLAT)
    walk(tried, (2.5, 6.5), key=7)
    assert excluded(tried, 7) == []


def test_a_batch_is_as_one_episode_after_another() -> None:
    rng = np.random.default_rng(0)
    paths = torch.as_tensor(rng.uniform(-1, 1, size=(8, 5, 2)).cumsum(axis=0) + 5.0, dtype=torch.float32)  # [T, B, 2]
    together, alone = Tried(GOALS), Tried(GOALS)
    texts = ["row 3", "row 9", "row 3", "column 1", "row 3"]
    for moment in paths:
        together.note(moment, texts, range(5))
    for key in range(5):
        for moment in paths:
            alone.note(moment[key : key + 1], texts[key : key + 1], [key])
    masked = together.exclude(EVEN.expand(5, -1), range(5))
    assert torch.equal(masked, alone.exclude(EVEN.expand(5, -1), range(5)))
    assert masked.isneginf().any(dim=1).all()


def test_an_empty_batch_passes() -> None:
    tried = Tried(GOALS)
    tried.note(torch.empty(0, 2), [], [])
    assert tried.exclude(torch.empty(0, 100), []).shape == (0, 100)
    walk(tried, (2.5, 2.5), (2.5, 4.5))
    tried.note(torch.empty(0, 2), [], [])
    assert tried.exclude(torch.empty(0, 100), []).shape == (0, 100)


# What the policy makes of it. The walks do not depend on the actions, so that memories can be compared.

TEXTS = ["row 3", "column 1", "row 3", "row 7"]
PATHS = np.random.default_rng(2).uniform(-0.9, 0.9, size=(6, 4, 2)).cumsum(axis=0).astype(np.float32) + 7  # [T, B, 2]


def replayed(policy: Policy, rows: list[int], keys: list[int]) -> tuple[NDArray[np.float32], list[Tensor]]:
    """Actions [T, B, 2] and scores T x [B, A] along the paths of some rows."""
    actions, scores = [], []
    for states in PATHS:
        actions.append(policy.act(states[rows], [TEXTS[row] for row in rows], keys))
        scores.append(policy.scores(states[rows], [TEXTS[row] for row in rows], keys))
    return np.stack(actions), scores


@pytest.mark.parametrize("name", [name for name in estimators.names() if "sample" not in name])
def test_a_batch_equals_one_at_a_time_where_episodes_remember(make_agent: Callable[..., Agent], name: str) -> None:
    agent = make_agent(bridge_goals=200)
    policy = agent.policy(name)
    together, scores = replayed(policy, [0, 1, 2, 3], [0, 1, 2, 3])
    for row in range(4):
        alone, own = replayed(policy if row % 2 else agent.policy(name), [row], [10 + row])
        np.testing.assert_array_equal(alone[:, 0], together[:, row])
        for one, all_ in zip(own, scores, strict=True):
            torch.testing.assert_close(one[0], all_[row], rtol=1e-4, atol=1e-4)
    order = [2, 0, 3]
    policy.reset()
    mixed, _ = replayed(policy, order, [5, 9, 6])
    np.testing.assert_array_equal(mixed, together[:, order])


@pytest.mark.parametrize("name", estimators.names())
def test_a_reset_restores_what_a_new_policy_does(make_agent: Callable[..., Agent], name: str) -> None:
    policy = make_agent(bridge_goals=200).policy(name, seed=3)
    first, scores = replayed(policy, [0, 1, 2, 3], [0, 1, 2, 3])
    policy.reset()
    again, scores_again = replayed(policy, [0, 1, 2, 3], [0, 1, 2, 3])
    np.testing.assert_array_equal(first, again)
    assert all(torch.equal(a, b) for a, b in zip(scores, scores_again, strict=True))


def test_scores_depend_on_where_the_episode_has_been(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent(bridge_goals=200)
    policy = agent.policy("logsumexp")
    fresh = policy.scores(PATHS[-1], TEXTS)
    replayed(policy, [0, 1, 2, 3], [0, 1, 2, 3])
    seen = policy.scores(PATHS[-1], TEXTS)
    assert (seen - fresh).abs().max() > 1e-3
    torch.testing.assert_close(policy.scores(PATHS[-1], TEXTS, [20, 21, 22, 23]), fresh)  # others have not been there
    torch.testing.assert_close(policy.goal_posterior(TEXTS), agent.policy("logsumexp").goal_posterior(TEXTS))
    policy.reset()
    torch.testing.assert_close(policy.scores(PATHS[-1], TEXTS), fresh)


def test_states_that_are_overwritten_in_place_are_remembered_as_they_were(make_agent: Callable[..., Agent]) -> None:
    """Worlds may reuse the array of their observations."""
    agent = make_agent(bridge_goals=200)
    plain, _ = replayed(agent.policy("logsumexp"), [0, 1, 2, 3], [0, 1, 2, 3])
    policy, states = agent.policy("logsumexp"), np.empty((4, 2), np.float32)
    actions, scores = [], []
    for moment in PATHS:
        states[:] = moment
        actions.append(policy.act(states, TEXTS))
        scores.append(policy.scores(states, TEXTS))
    np.testing.assert_array_equal(np.stack(actions), plain)
    assert (scores[-1] - agent.policy("logsumexp").scores(PATHS[-1], TEXTS)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["logsumexp", "planned", "resampled"])
def test_who_dithers_does_the_same_in_a_batch_and_after_a_reset(make_agent: Callable[..., Agent], name: str) -> None:
    """Walking on the spot for long makes an episode settle on a goal (`agents.commitment`): that is remembered too."""
    agent = make_agent(bridge_goals=200)
    walks = np.random.default_rng(0).uniform(7, 8, size=(25, 4, 2)).astype(np.float32)  # [T, B, 2]

    def dithered(policy: Policy, rows: list[int]) -> NDArray[np.float32]:
        return np.stack([policy.act(states[rows], [TEXTS[row] for row in rows], rows) for states in walks])

    policy = agent.policy(name)
    together = dithered(policy, [0, 1, 2, 3])
    assert policy._commitment is not None
    assert (policy._commitment._goal >= 0).all()
    for row in (3, 0, 2, 1):
        np.testing.assert_array_equal(dithered(agent.policy(name), [row])[:, 0], together[:, row])
    policy.reset()
    np.testing.assert_array_equal(dithered(policy, [0, 1, 2, 3]), together)
