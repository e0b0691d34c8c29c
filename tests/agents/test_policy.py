"""One policy in mazes and grids: what it takes, what it refuses, what it understands, how far it can be trusted."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.agents import Agent, CandidateActions
from goalbridge.agents.expressions import AllOf, AnyOf, Instruction, Not
from goalbridge.configs.checks import ConfigError, UserError
from goalbridge.configs.compose import settings
from goalbridge.configs.registries import estimators
from goalbridge.configs.schema import RunConfig
from goalbridge.encoders import LabelEncoder, SentenceEncoder
from goalbridge.encoders.grid import possible_situations
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.layouts import draw_layouts, free_poses
from goalbridge.envs.babyai.simulator import GridBatch
from goalbridge.envs.motion import execution_kernel, unit_directions

MakeAgent = Callable[..., Agent]
TEXTS = ["row 3", "column 1", "row 3", "row 7", "column 9"]
B = len(TEXTS)
STATES = np.random.default_rng(1).uniform(1, 9, size=(B, 2)).astype(np.float32)
FIND = ["go to the red ball", "find a key", "a box"]
ONE = FIND[:1]


def grids_of(level: str, count: int, seed: int = 0) -> GridBatch:
    """Agents somewhere in layouts of a level."""
    rng = np.random.default_rng(seed)
    grids = draw_layouts([level], count, rng).grids
    return GridBatch(grids, np.stack([rng.choice(free_poses(grid)) for grid in grids]))


def seen(batch: GridBatch, rows: Any = slice(None)) -> dict[str, NDArray[Any]]:
    return {"grid": batch.grids[rows].copy(), "pose": batch.poses[rows].copy()}


def blank(*shape: int, pose: Any = (1, 1, 0), fill: int = 0, poses: int | None = None) -> dict[str, NDArray[Any]]:
    """An observation with a grid of that shape."""
    return {"grid": np.full(shape, fill, np.uint8), "pose": np.array([pose] * (shape[0] if poses is None else poses))}


# Actions, goals and noise with fixed goals.


def test_scores_are_averaged_over_what_is_executed(make_agent: MakeAgent) -> None:
    agent = make_agent()
    plain = agent.policy("logsumexp", average_noise=False).scores(STATES, TEXTS)
    averaged = agent.policy("logsumexp").scores(STATES, TEXTS)
    assert agent.policy_config.average_noise  # which is what the one without a word has done
    expected = np.log(np.exp(plain.double().numpy()) @ agent.execution.double().numpy().T)
    np.testing.assert_allclose(averaged.numpy(), expected, rtol=1e-4)
    assert (averaged - plain).abs().max() > 1e-3
    obedient = CandidateActions(unit_directions(8), execution_kernel(8, 0.0))
    torch.testing.assert_close(agent.policy("logsumexp", candidates=obedient).scores(STATES, TEXTS), plain)


def test_other_candidates_and_other_goals_are_weighed(make_agent: MakeAgent) -> None:
    agent = make_agent()
    few = CandidateActions(unit_directions(3), execution_kernel(3, 20.0))
    policy = agent.policy("direct", candidates=few)
    assert policy.scores(STATES, TEXTS).shape == (B, 3)
    assert {tuple(a) for a in policy.act(STATES, TEXTS)} <= {tuple(a) for a in few.actions}
    stored, scores = agent.bridge_goals.numpy(), agent.policy().scores(STATES, TEXTS)
    assert agent.policy().name == agent.policy_config.name
    np.testing.assert_array_equal(agent.policy().goals(), stored)
    every: list[Any] = [stored, stored[::-1].copy(), stored.astype(np.float64)]
    for goals in every:
        torch.testing.assert_close(agent.policy(goals=goals).scores(STATES, TEXTS), scores, rtol=1e-4, atol=1e-4)
    assert (agent.policy(goals=stored[:3]).scores(STATES, TEXTS) - scores).abs().max() > 1e-2


@pytest.mark.parametrize("name", ["logsumexp", "planned", "direct"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_policies_compute_in_float32_whatever_holds_the_weights(
    make_agent: MakeAgent, name: str, dtype: torch.dtype
) -> None:
    agent, before = make_agent(), torch.get_default_dtype()
    expected = agent.policy(name).scores(STATES, TEXTS)
    rtol, atol = (0.1, 0.3) if dtype == torch.bfloat16 else (1e-5, 1e-5)
    try:
        if dtype == torch.float64:
            torch.set_default_dtype(dtype)
        found = agent.to(dtype).policy(name)
        torch.testing.assert_close(found.scores(STATES, TEXTS), expected, rtol=rtol, atol=atol)
        assert found.act(STATES, TEXTS).shape == (B, 2)
    finally:
        torch.set_default_dtype(before)
    assert next(agent.parameters()).dtype == dtype  # it is left as it was


# What does not fit is told in one line.

BAD: list[tuple[str, tuple[Any, ...], str]] = [
    ("maze", (STATES[:2], TEXTS), r"observation: expected shape \(5, 2\), one row an instruction, got \(2, 2\)"),
    ("maze", (STATES[0], ONE), r"observation: expected shape \(1, 2\), .*got \(2,\)"),
    ("maze", (STATES[:, :1], TEXTS), r"observation: expected shape \(5, 2\)"),
    (
        "maze",
        ([[1.0, 2.0], [np.nan, 2.0]], TEXTS[:2]),
        r"observation: row 1: expected finite .*\[nan, 2\.0\]",
    ),
    ("maze", (STATES, "row 3"), "instructions: expected a list, one for each state, got the text 'row 3'"),
    ("maze", (STATES, TEXTS, [1, 2]), "episodes: expected a key for each of 5 instructions, got 2"),
    ("maze", (STATES, TEXTS, [[], 1, 2, 3, 4]), r"episodes: expected keys that can be hashed, got \[\]; try numbers"),
    ("grid", (blank(1, 8, 8, 3, fill=1), ONE, [{}]), "episodes: expected keys that can be hashed"),
    ("grid", (blank(1, 8, 8), ONE), r"got grid \(1, 8, 8\) and pose \(1, 3\)"),
    ("grid", (blank(8, 8, 3, poses=1), ONE), r"got grid \(8, 8, 3\)"),
    ("grid", (blank(1, 8, 8, 3, pose=(1, 1)), ONE), r"pose \(1, 2\)"),
    ("grid", (blank(1, 40, 9, 3), ONE), "as those trained on, got 40 x 9"),
    ("grid", (np.zeros((1, 2)), ONE), "observation: "),
    ("grid", (blank(2, 8, 8, 3, fill=1), ONE), "observation: expected a grid for each of 1 instructions, got 2"),
    ("grid", (blank(1, 8, 8, 3), FIND[0]), "instructions: expected a list, one for each state, got the text"),
    ("grid", (blank(1, 8, 8, 3, pose=(0, 3, 1)), ONE), r"outer walls of 8 x 8 cells, got pose \(0, 3, 1\)"),
    ("grid", (blank(1, 8, 8, 3), ONE), "a cell to stand in, got none in grid 0"),
    ("grid", (blank(1, 8, 8, 3, fill=99), ONE), "colours below 6, got up to 99 and 99"),
    ("grid", (None, ONE), "observation: expected one for each instruction, for goals are read off it, got none"),
]


@pytest.mark.parametrize(("kind", "arguments", "says"), BAD)
def test_arguments_that_do_not_fit_are_named(
    make_agent: MakeAgent, make_grid_agent: MakeAgent, kind: str, arguments: Any, says: str
) -> None:
    policy = (make_agent() if kind == "maze" else make_grid_agent()).policy()
    for method in (policy.scores, policy.act):
        with pytest.raises(UserError, match=says) as caught:
            method(*arguments)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("maze", {"goals": np.zeros((0, 2))}, r"goals: expected shape \[M, 2\], got \(0, 2\)"),
        ("maze", {"goals": np.zeros(2)}, r"goals: expected shape \[M, 2\], got \(2,\)"),
        ("maze", {"goals": np.full((4, 2), math.nan)}, "goals: expected finite numbers, got NaN"),
        ("maze", {"candidates": CandidateActions(np.zeros((2, 3), np.float32), np.eye(2))}, r"got \(2, 3\)"),
        ("grid", {"goals": np.zeros((2, 3))}, "expected none here, for they are read off observations"),
        ("grid", {"average_noise": True}, "expected none here, for they are read off observations"),
    ],
)
def test_policies_that_cannot_be_are_refused(
    make_agent: MakeAgent, make_grid_agent: MakeAgent, kind: str, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        (make_agent() if kind == "maze" else make_grid_agent()).policy(**given)


def test_candidate_actions_are_checked_where_they_are_made() -> None:
    with pytest.raises(ValueError, match=r"execution: .*\(2, 3\)"):
        CandidateActions(np.zeros((2, 2), np.float32), np.ones((2, 3)) / 3)
    for rows in ([[0.5, 0.4], [0.0, 1.0]], [[1.5, -0.5], [0.0, 1.0]]):
        with pytest.raises(ValueError, match="probabilities"):
            CandidateActions(np.zeros((2, 2), np.float32), np.array(rows))


# What is understood.


def test_the_posterior_is_the_softmax_of_the_goal_language_critic(
    make_agent: MakeAgent, make_grid_agent: MakeAgent, fake_text: Any
) -> None:
    maze, grid, batch = make_agent(fake_text), make_grid_agent(), grids_of("GoToLocal", 3)
    rows = [possible_situations(one) for one in batch.grids]
    for mine, goals in zip(grid.policy().goals(seen(batch)), rows, strict=True):
        np.testing.assert_array_equal(mine, goals)
    cases = [(maze, TEXTS, maze.policy().goal_posterior(TEXTS), [maze.bridge_goals.numpy()] * B)]
    cases += [(grid, FIND, grid.policy().goal_posterior(FIND, seen(batch)), rows)]
    for agent, texts, posteriors, every in cases:
        for text, posterior, goals in zip(texts, posteriors, every, strict=True):
            with torch.no_grad():
                b, c = agent.encode_meanings(torch.from_numpy(goals)), agent.encode_instructions([text])
                expected = (-agent.critic_bc.scale * (b - c).square().sum(-1)).softmax(-1)
            np.testing.assert_allclose(posterior, expected.numpy(), rtol=2e-3, atol=1e-6)
            assert posterior.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(cases[0][2][0] - cases[0][2][1]).max() > 1e-3


@pytest.mark.parametrize("told", ["a ball", "a ball or a key", AllOf("a ball", Not("a red ball"))])
def test_what_is_understood_are_the_likeliest_goals_of_the_posterior(
    make_agent: MakeAgent, make_grid_agent: MakeAgent, fake_text: Any, told: Instruction
) -> None:
    observation = seen(grids_of("GoToLocal", 1))
    for policy, shown in ((make_agent(fake_text).policy(), None), (make_grid_agent().policy(), observation)):
        found = policy.understand(told, shown, likeliest=4)
        (posterior,) = policy.goal_posterior([told], shown)
        goals = policy.goals(shown) if shown is None else policy.goals(shown)[0]
        best = np.argsort(-posterior.astype(np.float64), kind="stable")[:4]
        np.testing.assert_allclose(found.chances, posterior[best], rtol=1e-3)
        np.testing.assert_allclose(posterior[(goals == found.likeliest[0]).all(axis=1)], posterior.max(), rtol=1e-3)
        assert found.goals == len(goals)
        entropy = -(posterior * np.log(np.maximum(posterior, 1e-30))).sum()
        assert found.entropy == pytest.approx(entropy, rel=1e-3)
        assert bool(found.reading) == (told != "a ball")


@pytest.mark.parametrize("name", ["logsumexp", "max", "tempered", "resampled", "likeliest", "planned"])
def test_words_and_compositions_score_alike(make_agent: MakeAgent, fake_text: Any, name: str) -> None:
    agent = make_agent(fake_text)
    with torch.no_grad():
        agent.critic_bc.log_scale.add_(3.0)
    said = ["row 3 or column 1", "row 3 and column 1", "row 3 but not column 1", "row 3 or column 1, but not row 7"]
    either = AnyOf("row 3", "column 1")
    meant: list[Instruction] = [
        either,
        AllOf("row 3", "column 1"),
        AllOf("row 3", Not("column 1")),
        AllOf(either, Not("row 7")),
    ]
    in_words = agent.policy(name).scores(STATES[:4], said)
    torch.testing.assert_close(in_words, agent.policy(name).scores(STATES[:4], meant))
    agent.policy_config = replace(agent.policy_config, parse_compositions=False)
    assert (agent.policy(name).scores(STATES[:4], said) - in_words).abs().max() > 1e-2


def test_direct_reads_a_composition_as_it_is_said(make_agent: MakeAgent, fake_text: Any) -> None:
    policy = make_agent(fake_text).policy("direct")
    found = policy.scores(STATES[:2], ["row 3 or column 1", AnyOf("row 3", "column 1")])
    said = policy.scores(STATES[:2], ["row 3 or column 1", "any of (row 3; column 1)"])
    torch.testing.assert_close(found, said)
    assert (said - policy.scores(STATES[:2], ["row 3"] * 2)).abs().max() > 1e-3


# How far LogSumExp can be trusted.


def test_diagnose_counts_the_goals_that_decide(make_agent: MakeAgent, make_grid_agent: MakeAgent) -> None:
    """By the definition, from the posterior and f_AB towards each goal; a row does not depend on its batch."""
    batch = grids_of("GoToLocal", 3)
    things = np.argwhere(batch.grids[1, ..., 0] > 4)
    batch.grids[1][tuple(things[0])] = (1, 0, 0)  # one grid has more goals than the others
    cases: list[tuple[Agent, Any, Any, list[str]]] = [
        (make_agent(), STATES, unit_directions(B), TEXTS),
        (make_grid_agent(), seen(batch), np.array([0, 2, 1]), FIND),
    ]
    for agent, observation, actions, texts in cases:
        policy = agent.policy("logsumexp", average_noise=False)
        sizes, errors = policy.diagnose(observation, actions, texts)
        assert sizes.shape == errors.shape == (len(texts),)
        source = policy.source
        done = torch.eye(4)[actions] if agent.world.discrete else torch.as_tensor(actions)
        with torch.no_grad():
            terms = source.log_terms(source.read(observation, texts, range(len(texts))), done).double().numpy()
        for row, one in enumerate(terms):
            weights = np.exp(one[np.isfinite(one)] - one.max())  # [M]
            size, goals = weights.sum() ** 2 / np.square(weights).sum(), len(weights)
            assert float(sizes[row]) == pytest.approx(size, rel=1e-3)
            assert float(errors[row]) == pytest.approx(math.sqrt((goals / size - 1) / (goals - 1)), rel=1e-3)
    policy = make_grid_agent().policy()
    assert len({len(goals) for goals in policy.goals(seen(batch))}) > 1
    sizes, errors = policy.diagnose(seen(batch), np.array([0, 2, 1]), FIND)
    for row in range(3):
        size, error = policy.diagnose(seen(batch, [row]), np.array([[0, 2, 1][row]]), FIND[row : row + 1])
        assert float(size[0]) == pytest.approx(float(sizes[row]), rel=1e-4)
        assert float(error[0]) == pytest.approx(float(errors[row]), rel=1e-4)


def test_diagnose_does_not_touch_what_is_remembered(make_agent: MakeAgent) -> None:
    policy, fresh = make_agent().policy("sample", seed=1), make_agent().policy("sample", seed=1)
    policy.diagnose(STATES, unit_directions(B), TEXTS)
    np.testing.assert_array_equal(policy.act(STATES, TEXTS), fresh.act(STATES, TEXTS))


# Saved agents of grids.


@pytest.mark.parametrize("rotary", [False, True])
def test_a_loaded_agent_acts_as_the_saved_one(make_grid_agent: MakeAgent, tmp_path: Path, rotary: bool) -> None:
    labels = GridCaptions().labels
    agent = make_grid_agent(LabelEncoder(labels), language_in_actions=True, rotary=rotary)
    agent.save_pretrained(tmp_path / "agent")
    loaded = Agent.from_pretrained(tmp_path / "agent")
    assert (loaded.description(), loaded.world) == (agent.description(), agent.world)
    for key, tensor in agent.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[key]), key
    for name in estimators.names():
        if name not in ("resampled", "shortest", "softened"):
            batches = [grids_of("GoToObjMazeS4R2", 5) for _ in range(2)]
            policies = [each.policy(name, seed=2) for each in (agent, loaded)]
            for _ in range(5):
                actions = [policy.act(seen(one), labels[:5]) for policy, one in zip(policies, batches, strict=True)]
                np.testing.assert_array_equal(actions[0], actions[1])
                for one in batches:
                    one.step(actions[0])


@pytest.mark.parametrize("language", [False, True])
def test_an_agent_of_the_usual_size_is_a_small_file(make_grid_agent: MakeAgent, tmp_path: Path, language: bool) -> None:
    usual = settings(RunConfig, ["agent=grids"]).agent
    text = SentenceEncoder("m", fingerprint="x", dim=384)
    agent = make_grid_agent(text, **asdict(replace(usual, language_in_actions=language, frequencies=(1.0,))))
    agent.bridge_goals = agent.bridge_goals[:1].repeat(usual.bridge_goals, 1)
    agent.save_pretrained(tmp_path / "agent")
    size = sum(os.path.getsize(tmp_path / "agent" / name) for name in os.listdir(tmp_path / "agent"))
    assert 1e6 < size < 5e6
