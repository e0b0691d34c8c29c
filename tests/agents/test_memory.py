"""What a policy remembers of episodes: goals ruled out, masked actions, goals settled on; how much it keeps."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents import Agent, Policy, fixed_goals
from goalbridge.agents.expressions import AnyOf
from goalbridge.agents.lru import LRU
from goalbridge.agents.memory import EPISODES_KEPT, FAR, LEAST_LEFT, MASKED_STEPS, REACH, VectorMemory
from goalbridge.agents.shortest_paths import GoalPlanner
from goalbridge.configs.registries import estimators

GOALS = torch.stack(torch.meshgrid(torch.arange(10) + 0.5, torch.arange(10) + 0.5, indexing="ij"), -1).reshape(100, 2)
FLAT = torch.zeros(1, 100)
EXTENT = torch.tensor([10.0, 10.0])
SCORES = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
HERE, THERE = torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 1.0]])


def memory(eliminates: bool = False, masks: bool = False, settles: bool = False, alike: Any = None) -> VectorMemory:
    execution = torch.eye(4) if alike is None else torch.tensor(alike)
    return VectorMemory(GOALS, execution, EXTENT, eliminates, masks, settles)


def walk(kept: VectorMemory, *places: tuple[float, float], text: Any = "row 9", key: Hashable = 0) -> None:
    for place in places:
        kept.note(torch.tensor([place]), [text], [key])


def ruled_out(kept: VectorMemory, key: Hashable = 0, log_bc: Tensor = FLAT) -> list[int]:
    return [int(g) for g in kept.eliminate(log_bc, [key])[0].isneginf().nonzero()[:, 0]]


def near(places: list[tuple[float, float]], reach: float) -> list[int]:
    """By a loop: the goals nearer than `reach` to any of the places."""
    return [g for g, goal in enumerate(GOALS.tolist()) if any(math.dist(goal, place) < reach for place in places)]


# Visited-goal elimination.


def test_goals_nearer_than_half_the_longest_step_are_ruled_out() -> None:
    kept = memory(eliminates=True)
    walk(kept, (2.5, 2.5), (2.5, 2.5))
    assert ruled_out(kept) == []  # nobody knows yet how far a step goes
    walk(kept, (2.5, 4.5))
    assert ruled_out(kept) == near([(2.5, 4.5)], REACH * 2)
    walk(kept, (2.5, 5.0))  # half a step: the longest so far counts
    expected = near([(2.5, 4.5), (2.5, 5.0)], REACH * 2)
    assert ruled_out(kept) == expected
    assert len(expected) == 2
    walk(kept, (2.5, 8.0))
    assert ruled_out(kept) == sorted({*expected, *near([(2.5, 8.0)], REACH * 3)})
    assert not FLAT.isneginf().any()  # what was given stays as it was


@pytest.mark.parametrize("other", ["row 8", AnyOf("row 9", "row 8")])
def test_another_instruction_begins_anew(other: Any) -> None:
    kept = memory(eliminates=True)
    walk(kept, (2.5, 2.5), (2.5, 4.5))
    walk(kept, (2.5, 6.5), text=other)
    assert ruled_out(kept) == []
    walk(kept, (2.5, 8.5), text=other)
    assert ruled_out(kept) == near([(2.5, 8.5)], 1.0)


@pytest.mark.parametrize(("factor", "forgotten"), [(FAR - 0.1, False), (FAR + 0.1, True)])
def test_a_jump_begins_anew_and_a_step_does_not(factor: float, forgotten: bool) -> None:
    kept = memory(eliminates=True)
    walk(kept, (2.5, 0.5), (2.5, 2.5), (2.5, 2.5 + 2 * factor))
    assert (ruled_out(kept) == []) is forgotten
    assert (set(near([(2.5, 2.5)], 1.0)) <= set(ruled_out(kept))) is not forgotten


def test_all_goals_count_again_when_next_to_nothing_would_be_left() -> None:
    kept = memory(eliminates=True)
    walk(kept, (2.5, 2.5), (2.5, 4.5))
    gone = near([(2.5, 4.5)], 1.0)
    for log_left, all_count in ((LEAST_LEFT + 0.1, False), (LEAST_LEFT - 0.1, True), (-math.inf, True)):
        chances = torch.full((1, 100), math.exp(log_left) / (100 - len(gone)))
        chances[0, gone] = (1 - math.exp(log_left)) / len(gone)
        log_bc = chances.log() + 17.0  # a constant says nothing
        assert torch.equal(kept.eliminate(log_bc, [0]), log_bc) is all_count


def test_an_empty_batch_passes() -> None:
    kept = memory(True, True, True)
    for _ in range(2):
        kept.note(torch.empty(0, 2), [], [])
        assert kept.eliminate(torch.empty(0, 100), []).shape == (0, 100)
        assert kept.settled(torch.empty(0, 100), []).shape == (0,)
        assert kept.mask(torch.empty(0, 4), torch.empty(0, 2), []).shape == (0, 4)
        walk(kept, (2.5, 2.5), (2.5, 4.5))


# Blocked-action mask.


def step(kept: VectorMemory, observation: Tensor, key: Hashable = 0) -> int:
    best = kept.mask(SCORES, observation, [key]).argmax(dim=1)
    kept.chose(observation, best, [key])
    return int(best)


def test_what_changed_nothing_is_masked_for_four_steps_of_movement() -> None:
    kept = memory(masks=True)
    assert [step(kept, HERE + i) for i in range(5)] == [0] * 5  # while things move the best action stands
    kept.reset()
    assert [step(kept, HERE) for _ in range(5)] == [0, 1, 2, 3, 0]  # in turn; none when all would be masked
    kept.reset()
    assert [step(kept, HERE), step(kept, HERE)] == [0, 1]
    assert [step(kept, THERE + i) for i in range(MASKED_STEPS + 1)] == [1] * (MASKED_STEPS - 1) + [0, 0]
    kept.reset()
    assert (step(kept, HERE), step(kept, HERE, "another"), step(kept, HERE)) == (0, 0, 1)


def test_alike_actions_are_masked_together() -> None:
    """Where the actuator mixes actions 0 and 1 up, a blocked 0 speaks against 1 as well."""
    kept = memory(masks=True, alike=[[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
    assert [step(kept, HERE) for _ in range(2)] == [0, 2]


# Of one size.


def test_an_lru_forgets_what_was_least_recently_used() -> None:
    gone: list[tuple[str, int]] = []
    kept: LRU[str, int] = LRU(2, lambda key, value: gone.append((key, value)))
    assert (kept.put("a", 1), kept.put("b", 2), kept.get("a")) == (1, 2, 1)
    kept.put("c", 3)
    assert (gone, kept.get("b"), "a" in kept, len(kept)) == ([("b", 2)], None, True, 2)
    kept.clear()
    assert (len(kept), kept.get("a")) == (0, None)


def test_twenty_thousand_episodes_keep_memory_bounded_and_the_recent_ones_remembered() -> None:
    kept = memory(True, True, True)

    def serve(first: int, last: int) -> int:
        tracemalloc.start()
        for start in range(first, last, 500):
            keys = tuple(f"episode {key}" for key in range(start, start + 500))
            for column in (2.5, 4.5):
                states = torch.tensor([(2.5, column)]).expand(500, -1)
                kept.note(states, ["row 9"] * 500, keys)
                kept.chose(states, kept.mask(SCORES.expand(500, -1), states, keys).argmax(dim=1), keys)
        kept_bytes = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return kept_bytes

    serve(0, EPISODES_KEPT)
    assert serve(EPISODES_KEPT, 2 * EPISODES_KEPT) < 4e6
    assert ruled_out(kept, "episode 19999") == near([(2.5, 4.5)], 1.0)
    assert ruled_out(kept, "episode 9999") == []  # long over


def test_no_episode_of_a_batch_is_forgotten_for_another_of_it() -> None:
    kept = memory(eliminates=True)
    old = tuple(range(EPISODES_KEPT))
    for column in (2.5, 4.5):
        kept.note(torch.tensor([(2.5, column)]).expand(len(old), -1), ["row 9"] * len(old), old)
    kept.note(torch.tensor([(8.5, 8.5), (2.5, 6.5)]), ["row 9"] * 2, ("new", 0))
    assert ruled_out(kept, 0) == near([(2.5, 4.5), (2.5, 6.5)], 1.0)


def test_a_policy_that_serves_for_long_stays_of_one_size(make_agent: Callable[..., Agent]) -> None:
    policy, steps = make_agent().policy("sample"), 40
    states = np.full((500, 2), 7.5, np.float32)
    for start in range(0, 500 * steps, 500):
        policy.act(
            states + 0.1 * (start % 1000), ["row 3"] * 500, [("session", key) for key in range(start, start + 500)]
        )
    tracemalloc.start()
    policy.act(states[:1], ["row 3"], [10**7])
    assert tracemalloc.get_traced_memory()[1] < 1e6  # a large number costs what a small one does
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["planned", "planned_sample", "resampled", "shortest"])
def test_more_instructions_at_once_than_are_kept_are_all_answered(
    make_agent: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    texts, states = [f"row {row}" for row in range(4)], np.full((4, 2), 7.5, np.float32)
    expected = make_agent().policy(name).scores(states, texts)
    monkeypatch.setattr(fixed_goals, "INSTRUCTIONS_KEPT", 2)
    torch.testing.assert_close(make_agent().policy(name).scores(states, texts), expected)


# What the policy makes of it. The walks do not depend on the actions, so that memories can be compared.

TEXTS = ["row 3", "column 1", "row 3", "row 7"]
PATHS = np.random.default_rng(2).uniform(-0.9, 0.9, size=(6, 4, 2)).cumsum(axis=0).astype(np.float32) + 7  # [T, B, 2]
STALLED = np.random.default_rng(0).uniform(7, 8, size=(25, 4, 2)).astype(np.float32)  # [T, B, 2], on the spot


def replayed(
    policy: Policy, paths: NDArray[np.float32], rows: Sequence[int], keys: Sequence[Hashable]
) -> tuple[NDArray[np.float32], Tensor]:
    """Actions [T, B, 2] and scores [T, B, A] along the paths of some rows."""
    texts = [TEXTS[row] for row in rows]
    actions, scores = [], []
    for states in paths:
        actions.append(policy.act(states[list(rows)], texts, keys))
        scores.append(policy.scores(states[list(rows)], texts, keys))
    return np.stack(actions), torch.stack(scores)


@pytest.mark.parametrize("paths", [PATHS, STALLED], ids=["walking", "stalled"])
@pytest.mark.parametrize("name", estimators.names())
def test_batches_and_resets_make_no_difference(
    make_agent: Callable[..., Agent], name: str, paths: NDArray[np.float32]
) -> None:
    agent, keys = make_agent(bridge_goals=200), ["a", 10**7, (3, "c"), 0]
    policy = agent.policy(name, seed=3)
    together, scores = replayed(policy, paths, range(4), keys)
    for row in (3, 0, 2, 1):
        alone, own = replayed(agent.policy(name, seed=3), paths, [row], [keys[row]])
        np.testing.assert_array_equal(alone[:, 0], together[:, row])
        torch.testing.assert_close(own[:, 0], scores[:, row], rtol=1e-4, atol=1e-4)
    policy.reset()
    again, _ = replayed(policy, paths, [2, 0, 3], [keys[row] for row in (2, 0, 3)])
    np.testing.assert_array_equal(again, together[:, [2, 0, 3]])


def test_scores_depend_on_where_the_episode_has_been(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent(bridge_goals=200)
    policy, last = agent.policy("logsumexp"), PATHS[-1]
    fresh = policy.scores(last, TEXTS)
    reused, plain = np.empty((4, 2), np.float32), []
    for states in PATHS:
        reused[:] = states  # worlds may reuse the array of their observations
        plain.append(policy.act(reused, TEXTS))
    np.testing.assert_array_equal(np.stack(plain), replayed(agent.policy("logsumexp"), PATHS, range(4), range(4))[0])
    assert (policy.scores(last, TEXTS) - fresh).abs().max() > 1e-3
    torch.testing.assert_close(policy.scores(last, TEXTS, [20, 21, 22, 23]), fresh)  # others have not been there
    torch.testing.assert_close(policy.goal_posterior(TEXTS), agent.policy("logsumexp").goal_posterior(TEXTS))
    policy.reset()
    torch.testing.assert_close(policy.scores(last, TEXTS), fresh)


@pytest.mark.parametrize("name", ["logsumexp", "direct"])
def test_who_has_stalled_follows_the_path_to_one_goal(make_agent: Callable[..., Agent], name: str) -> None:
    """After going to and fro a policy acts by the path to the goal that it settled on; "direct" has no goals."""
    agent = make_agent()
    policy, spot = agent.policy(name, None, None, False, False), np.array([[3.0, 3.0]], dtype=np.float32)
    fresh = policy.scores(spot, ["row 5"], ["another"])
    for number in range(13):
        policy.act(spot + 0.1 * (number % 2), ["row 5"])
    found = policy.scores(spot, ["row 5"], [0])
    if name == "direct":
        torch.testing.assert_close(found, fresh)
        return
    with torch.no_grad():
        encoded = agent.encode_state_actions(torch.as_tensor(spot).unsqueeze(1), policy.actions)
        goals = agent.bridge_goals
        planner = GoalPlanner(agent, goals, agent.encode_goals(goals), policy.actions)
        goal = int(policy.goal_posterior(["row 5"])[0].argmax())
        torch.testing.assert_close(found, planner.scores(encoded, torch.tensor([goal])))
    assert (found - fresh).abs().max() > 1e-2
