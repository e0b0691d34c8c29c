"""Acting in grids whose goals are read off each observation: estimators, batches, episodes and what they remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.agents.scene_policy import ScenePolicy
from goalbridge.agents.scenes import read_scenes
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.registries import estimators
from goalbridge.configs.schema import PolicyConfig
from goalbridge.encoders.grid import possible_situations
from goalbridge.encoders.readers import states_of
from goalbridge.envs.babyai.layouts import draw_layouts, free_poses
from goalbridge.envs.babyai.simulator import GridBatch

MakeAgent = Callable[..., Agent]
Observation = dict[str, NDArray[Any]]
TEXTS = ["go to the red ball", "find a key", "go to a box, then go to the red ball", "somewhere on the left", "a door"]
ALL = pytest.mark.parametrize("name", [name for name in estimators.names() if name not in ("resampled", "shortest")])


@pytest.fixture
def agent(make_grid_agent: MakeAgent) -> Agent:
    """Untrained, and able to compare actions with words."""
    return make_grid_agent(language_in_actions=True)


def layouts_of(level: str, count: int, seed: int = 0) -> GridBatch:
    """Agents somewhere in layouts of a level."""
    rng = np.random.default_rng(seed)
    layouts = draw_layouts([level], count, rng)
    return GridBatch(layouts.grids, np.stack([rng.choice(free_poses(grid)) for grid in layouts.grids]))


def seen(batch: GridBatch, rows: Any = slice(None)) -> Observation:
    return {"grid": batch.grids[rows].copy(), "pose": batch.poses[rows].copy()}


def follow(policy: ScenePolicy, batch: GridBatch, texts: Sequence[str], steps: int) -> NDArray[np.int64]:
    """The actions [steps, B] of a batch of episodes."""
    taken = []
    for _ in range(steps):
        taken.append(policy.act(seen(batch), texts))
        batch.step(taken[-1])
    return np.stack(taken)


@ALL
@pytest.mark.parametrize("level", ["GoToLocal", "GoToObjMazeS4R2"])
def test_actions_are_numbers_of_actions(agent: Agent, name: str, level: str) -> None:
    policy: ScenePolicy = agent.policy(name)
    batch = layouts_of(level, 5)
    actions = policy.act(seen(batch), TEXTS)
    assert actions.shape == (5,)
    assert actions.dtype == np.int64
    assert ((actions >= 0) & (actions < 4)).all()
    assert len(np.unique(follow(policy, batch, TEXTS, 8))) > 1


@ALL
@pytest.mark.parametrize("escape", [False, True])
def test_a_batch_equals_one_at_a_time(agent: Agent, name: str, escape: bool) -> None:
    batch = layouts_of("GoToObjMazeS4R2", 5)
    together = agent.policy(name, mask_blocked=escape, seed=1).act(seen(batch), TEXTS)
    alone: ScenePolicy = agent.policy(name, mask_blocked=escape, seed=1)
    one_by_one = [alone.act(seen(batch, [row]), [TEXTS[row]], [row])[0] for row in range(5)]
    np.testing.assert_array_equal(together, one_by_one)


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float64]]:
    """The scores [A] of every choice, each of which is to turn left."""
    scores: list[NDArray[np.float64]] = []

    def turn_left(_policy: ScenePolicy, _episode: Any, _moment: bytes, found: NDArray[np.float64]) -> int:
        scores.append(found)
        return 0

    monkeypatch.setattr(ScenePolicy, "_choose", turn_left)
    return scores


@ALL
def test_scores_in_a_batch_are_those_alone(agent: Agent, caught: list[NDArray[np.float64]], name: str) -> None:
    batch = layouts_of("GoToObjMazeS4R2", 5)
    agent.policy(name, seed=1).act(seen(batch), TEXTS)
    alone: ScenePolicy = agent.policy(name, seed=1)
    for row in range(5):
        alone.act(seen(batch, [row]), [TEXTS[row]], [row])
    np.testing.assert_allclose(caught[:5], caught[5:], rtol=1e-4, atol=1e-4)
    assert np.ptp(np.nan_to_num(caught[:5], neginf=-99), axis=1).max() > 1e-3


@ALL
def test_the_same_seed_gives_the_same_actions_and_a_reset_repeats_them(agent: Agent, name: str) -> None:
    first = follow(agent.policy(name, seed=3), layouts_of("GoToLocal", 5), TEXTS, 10)
    policy: ScenePolicy = agent.policy(name, seed=3)
    for _ in range(2):
        np.testing.assert_array_equal(follow(policy, layouts_of("GoToLocal", 5), TEXTS, 10), first)
        policy.reset()


def test_sample_draws_by_its_seed_and_keeps_its_goal(agent: Agent) -> None:
    batch = layouts_of("GoToLocal", 1)
    aims = set()
    for seed in range(12):
        policy: ScenePolicy = agent.policy("sample", seed=seed)
        policy.act(seen(batch), TEXTS[:1])
        aims.add(policy._episodes[0].drawn[0])
    assert len(aims) > 1
    aim, row = policy._episodes[0].drawn[0], policy._episodes[0].scene.rows
    assert aim is not None
    batch.step(np.array([0]))
    policy.act(seen(batch), TEXTS[:1])
    later = policy._episodes[0]
    assert later.drawn.get(0) == aim or later.ruled_out[aim]
    assert later.scene.rows is row


def test_one_drawn_goal_is_planned_towards(agent: Agent) -> None:
    batch = layouts_of("GoToLocal", 1)
    policy: ScenePolicy = agent.policy("planned_sample", seed=3)
    policy.act(seen(batch), TEXTS[:1])
    episode = policy._episodes[0]
    assert episode.plan is not None
    assert np.flatnonzero(episode.plan.aims[0]).tolist() == [episode.drawn[0]]
    assert episode.plan.values[frozenset()].argmax() == episode.drawn[0]


def test_sample_draws_from_the_posterior(agent: Agent) -> None:
    observation = seen(layouts_of("GoToObjS4", 1))
    policy: ScenePolicy = agent.policy("sample", seed=0)
    (posterior,) = policy.goal_posterior(TEXTS[:1], observation)
    counts = np.zeros(len(posterior))
    for key in range(600):
        policy.act(observation, TEXTS[:1], [key])
        aim = policy._episodes.pop(key).drawn[0]
        assert aim is not None
        counts[aim] += 1
    error = np.sqrt(posterior * (1 - posterior) / 600)
    assert (np.abs(counts / 600 - posterior) < 5 * error + 1e-3).all()


def test_the_posterior_is_over_the_goals_of_each_grid(agent: Agent) -> None:
    batch = layouts_of("GoToLocal", 3)
    policy: ScenePolicy = agent.policy()
    posteriors, goals = policy.goal_posterior(TEXTS[:3], seen(batch)), policy.goals(seen(batch))
    for grid, posterior, rows in zip(batch.grids, posteriors, goals, strict=True):
        np.testing.assert_array_equal(rows, possible_situations(grid))
        assert posterior.shape == (len(rows),)
        assert posterior.sum() == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        b = agent.encode_meanings(torch.from_numpy(goals[0]))
        c = agent.encode_instructions(TEXTS[:1])
        expected = (-agent.critic_bc.scale * (b - c).square().sum(-1)).softmax(-1)
    np.testing.assert_allclose(posteriors[0], expected.numpy(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["logsumexp", "max"])
def test_scores_equal_the_formula(agent: Agent, caught: list[NDArray[np.float64]], name: str) -> None:
    batch = layouts_of("GoToLocal", 1)
    agent.policy(name).act(seen(batch), TEXTS[:1])
    goals = torch.from_numpy(possible_situations(batch.grids[0]))
    own = goals[(goals[:, :3] == torch.from_numpy(batch.poses[0])).all(dim=1)][:1]
    with torch.no_grad():
        a = agent.encode_state_actions(own, torch.eye(4)).double()
        ab = -agent.critic_ab.scale * (a.unsqueeze(1) - agent.encode_goals(goals).double()).square().sum(-1)
        c = agent.encode_instructions(TEXTS[:1]).double()
        bc = -agent.critic_bc.scale * (agent.encode_meanings(goals).double() - c).square().sum(-1)
    joint = (ab + bc).numpy()
    expected = joint.max(axis=1) if name == "max" else np.log(np.exp(joint).sum(axis=1))
    # Scores are comparable within a row: what fits an instruction best is the zero of f_BC here.
    np.testing.assert_allclose(caught[0] - caught[0].max(), expected - expected.max(), rtol=1e-4, atol=1e-4)


def test_either_of_two_things_is_a_composition(agent: Agent) -> None:
    policy: ScenePolicy = agent.policy()
    observation = seen(layouts_of("GoToLocal", 1))
    whole, *parts = (policy.goal_posterior([text], observation)[0] for text in ("a ball or a key", "a ball", "a key"))
    best = [
        policy._understand(text, policy._read(observation, [text])[0]).texts[text][1] for text in ("a ball", "a key")
    ]
    (scene,) = read_scenes(agent, policy._read(observation, ["a ball"]))
    with torch.no_grad():
        c = agent.encode_instructions(["a ball", "a key"])
        fits = agent.critic_bc(scene.meaning, c).double().numpy() - np.array(best)  # [M, 2]
    expected = np.minimum(np.exp(fits).sum(axis=1), 1.0)
    np.testing.assert_allclose(whole, expected / expected.sum(), rtol=1e-3)
    assert not np.allclose(whole, parts[0], rtol=0.1)


def test_an_episode_lasts_until_the_grid_or_the_instruction_is_another(agent: Agent) -> None:
    policy: ScenePolicy = agent.policy()
    batch, other = layouts_of("GoToLocal", 1), layouts_of("GoToLocal", 1, seed=5)

    def episode(observation: Mapping[str, Any], text: str = TEXTS[0], key: int = 0) -> Any:
        policy.act(observation, [text], [key])
        return policy._episodes[key]

    first = episode(seen(batch))
    for action in (0, 0, 2, 1, 2, 3):
        batch.step(np.array([action]))
        assert episode(seen(batch)) is first
    assert episode(seen(batch), key=1) is not first
    assert episode(seen(batch)) is first
    again = episode(seen(batch), TEXTS[1])
    assert again is not first
    assert (again.begun, again.barred, len(again.taken)) == (True, set(), 1)
    moved = seen(batch)
    moved["pose"][0, :2] = free_poses(batch.grids[0])[-1, :2]
    assert np.abs(moved["pose"] - batch.poses).sum() > 1
    jumped = episode(moved, TEXTS[1])
    assert jumped is not again
    assert episode(seen(other), TEXTS[1]) is not jumped


def test_an_action_that_changed_nothing_is_not_repeated_there(agent: Agent) -> None:
    observation = seen(layouts_of("GoToLocal", 1))
    policy: ScenePolicy = agent.policy()
    tried = [int(policy.act(observation, TEXTS[:1])[0]) for _ in range(4)]
    assert sorted(tried) == [0, 1, 2, 3]  # each in turn, as if the world stood still
    assert int(policy.act(observation, TEXTS[:1])[0]) in range(4)
    stubborn: ScenePolicy = agent.policy(mask_blocked=False)
    assert len({int(stubborn.act(observation, TEXTS[:1])[0]) for _ in range(4)}) == 1
    alike: ScenePolicy = agent.policy("max", mask_blocked=False)
    assert len({int(alike.act(observation, TEXTS[2:3])[0]) for _ in range(4)}) == 1


def test_bars_belong_to_the_place_and_to_the_episode(agent: Agent) -> None:
    batch = layouts_of("GoToLocal", 1)
    policy: ScenePolicy = agent.policy()
    (first,) = policy.act(seen(batch), TEXTS[:1])
    (second,) = policy.act(seen(batch), TEXTS[:1])
    assert first != second
    episode = policy._episodes[0]
    assert {action for _, action in episode.barred} == {int(first)}
    batch.step(np.array([0]))
    policy.act(seen(batch), TEXTS[:1])
    assert {action for _, action in episode.barred} == {int(first)}
    batch.step(np.array([1]))
    assert policy.act(seen(batch), TEXTS[:1])[0] != first  # back again
    assert policy.act(seen(batch), TEXTS[:1], [1])[0] == first


def test_acting_leaves_no_gradients(agent: Agent) -> None:
    policy: ScenePolicy = agent.train().policy()
    policy.act(seen(layouts_of("GoToLocal", 1)), TEXTS[:1])
    scene = policy._episodes[0].scene
    assert not scene.bridge.requires_grad
    assert not scene.meaning.requires_grad


def test_the_settings_of_the_plan_are_those_of_the_agent(make_grid_agent: MakeAgent) -> None:
    batch = layouts_of("GoToLocal", 1)
    values = []
    for discount in (0.5, 0.98):
        config = PolicyConfig(name="planned", candidate_actions=4, average_noise=False, hop_discount=discount)
        policy: ScenePolicy = make_grid_agent(policy=config).policy()
        policy.act(seen(batch), TEXTS[:1])
        plan = policy._episodes[0].plan
        assert plan is not None
        values.append(plan.values[frozenset()])
    assert (values[0] <= values[1] + 1e-9).all()
    assert (values[0] < values[1] - 1e-3).any()


@pytest.mark.parametrize("name", ["likeliest", "tempered"])
def test_other_estimators_weigh_the_same_goals(agent: Agent, caught: list[NDArray[np.float64]], name: str) -> None:
    observation = seen(layouts_of("GoToLocal", 1))
    policy: ScenePolicy = agent.policy(name)
    policy.act(observation, TEXTS[:1])
    (scene,) = read_scenes(agent, policy._read(observation, TEXTS[:1]))
    with torch.no_grad():
        a = agent.encode_state_actions(torch.from_numpy(states_of(policy._read(observation, TEXTS[:1]))), torch.eye(4))
        ab = scene.logits(a).double().numpy()  # [A, M]
    log_p = np.log(policy.goal_posterior(TEXTS[:1], observation)[0].astype(np.float64))  # [M]
    joint = ab + log_p / agent.policy_config.language_temperature
    expected = ab[:, log_p.argmax()] if name == "likeliest" else np.log(np.exp(joint).sum(axis=1))
    np.testing.assert_allclose(caught[0] - caught[0].max(), expected - expected.max(), rtol=1e-3, atol=1e-3)


def test_resampling_is_for_many_goals(agent: Agent) -> None:
    with pytest.raises(ConfigError, match=r"policy.name=resampled: must be one of logsumexp, planned"):
        agent.policy("resampled")
