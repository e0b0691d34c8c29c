"""Agents of grids: one line for what they cannot read or do, and the same behaviour after saving."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.agents.scene_policy import ScenePolicy
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.compose import settings
from goalbridge.configs.registries import estimators
from goalbridge.configs.schema import RunConfig
from goalbridge.encoders import LabelEncoder, SentenceEncoder
from goalbridge.encoders.readers import ObservationError
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.layouts import draw_layouts, free_poses
from goalbridge.envs.babyai.simulator import GridBatch

MakeAgent = Callable[..., Agent]
Observation = dict[str, NDArray[Any]]
TEXTS = ["go to the red ball", "find a key"]


@pytest.fixture
def agent(make_grid_agent: MakeAgent) -> Agent:
    """Untrained, and able to compare actions with words."""
    return make_grid_agent(language_in_actions=True)


def blank(*shape: int, pose: Sequence[int] = (1, 1, 0), fill: int = 0, poses: int | None = None) -> Observation:
    """An observation with a grid of that shape."""
    return {"grid": np.full(shape, fill, np.uint8), "pose": np.array([pose] * (shape[0] if poses is None else poses))}


ONE = TEXTS[:1]
REFUSALS: list[tuple[Any, Any, str]] = [
    (blank(1, 8, 8), ONE, r"grid has shape \(1, 8, 8\), pose \(1, 3\); \[B, W, H, 3\] and \[B, 3\] would do"),
    (blank(8, 8, 3, poses=1), ONE, r"grid has shape \(8, 8, 3\)"),
    (blank(1, 8, 8, 4), ONE, r"grid has shape \(1, 8, 8, 4\)"),
    (blank(1, 8, 8, 3, poses=2), ONE, r"pose \(2, 3\)"),
    (blank(1, 8, 8, 3, pose=(1, 1)), ONE, r"pose \(1, 2\)"),
    (blank(1, 40, 9, 3), ONE, "a grid of 40 x 9 is larger than those trained on; at most 22 x 22 would do"),
    ({"grid": np.zeros((1, 8, 8, 3), np.uint8)}, ONE, 'observation: needs {"grid"'),
    (np.zeros((1, 2)), ONE, 'observation: needs {"grid"'),
    (blank(2, 8, 8, 3, fill=1), ONE, "observation: 2 grids for 1 instructions"),
    (blank(1, 8, 8, 3), TEXTS[0], "instructions: is one text, 'go to the red ball'; a list of one"),
    (blank(1, 8, 8, 3, pose=(0, 3, 1)), ONE, r"pose \(0, 3, 1\) is outside of a grid of 8 x 8"),
    (blank(1, 8, 8, 3, pose=(3, 7, 1)), ONE, r"pose \(3, 7, 1\) is outside"),
    (blank(1, 8, 8, 3, pose=(3, 3, 4)), ONE, r"pose \(3, 3, 4\) is outside"),
    (blank(1, 8, 8, 3, pose=(-1, 3, 0)), ONE, r"pose \(-1, 3, 0\) is outside"),
    (blank(1, 8, 8, 3), ONE, "grid 0 has no cell to stand in; one with an empty cell would do"),
    (blank(1, 8, 8, 3, fill=99), ONE, "grid holds a type up to 99 and a colour up to 99; minigrid's, below 11 and 6"),
]


@pytest.mark.parametrize(("observation", "instructions", "says"), REFUSALS, ids=lambda value: str(value)[-40:])
def test_what_cannot_be_read_is_one_clear_line(agent: Agent, observation: Any, instructions: Any, says: str) -> None:
    policy: ScenePolicy = agent.policy()
    with pytest.raises((ConfigError, ObservationError), match=says) as caught:
        policy.act(observation, instructions)
    assert "\n" not in str(caught.value)


def test_as_many_keys_as_instructions(agent: Agent) -> None:
    with pytest.raises(ConfigError, match="episodes: 1 keys for 2 instructions; one each would do"):
        agent.policy().act(blank(2, 8, 8, 3, fill=1), TEXTS, [0])


def test_policies_that_cannot_be_are_refused(agent: Agent, make_grid_agent: MakeAgent) -> None:
    with pytest.raises(ConfigError, match=r"policy\.name=logsumxp: must be one of"):
        agent.policy("logsumxp")
    with pytest.raises(
        ConfigError, match=r"policy\.name=direct: .* agent\.language_in_actions=true; logsumexp would do"
    ) as caught:
        make_grid_agent().policy("direct")
    assert "\n" not in str(caught.value)
    for options in ({"goals": np.zeros((2, 3))}, {"average_noise": True}):
        with pytest.raises(ConfigError, match="are read off each grid; leave them out"):
            agent.policy(**options)
    assert agent.policy().name == agent.policy_config.name == "planned"
    assert agent.policy("direct").name == "direct"


def follow(policy: ScenePolicy, texts: Sequence[str], steps: int = 12) -> NDArray[np.int64]:
    """The actions [steps, B] of episodes that begin somewhere in a level with doors."""
    rng = np.random.default_rng(0)
    grids = draw_layouts(["GoToObjMazeS4R2"], len(texts), rng).grids
    batch, taken = GridBatch(grids, np.stack([rng.choice(free_poses(grid)) for grid in grids])), []
    for _ in range(steps):
        taken.append(policy.act({"grid": batch.grids.copy(), "pose": batch.poses.copy()}, texts))
        batch.step(taken[-1])
    return np.stack(taken)


@pytest.mark.parametrize("name", [name for name in estimators.names() if name not in ("resampled", "shortest")])
@pytest.mark.parametrize("rotary", [False, True])
def test_a_loaded_agent_acts_as_the_saved_one(
    make_grid_agent: MakeAgent, tmp_path: Path, name: str, rotary: bool
) -> None:
    labels = GridCaptions().labels
    agent = make_grid_agent(LabelEncoder(labels), language_in_actions=True, rotary=rotary)
    agent.save_pretrained(tmp_path / "agent")
    loaded = Agent.from_pretrained(tmp_path / "agent")
    assert loaded.description() == agent.description()
    assert loaded.world == agent.world
    for key, tensor in agent.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[key]), key
    before, after = (follow(each.policy(name, seed=2), labels[:5]) for each in (agent, loaded))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("things", [False, True])
def test_an_agent_of_the_usual_size_is_a_small_file(make_grid_agent: MakeAgent, tmp_path: Path, things: bool) -> None:
    chosen = settings(RunConfig, ["agent=grids"]).agent
    goals = chosen.bridge_goals
    text = SentenceEncoder("m", fingerprint="x", dim=384)
    agent = make_grid_agent(text, **asdict(replace(chosen, language_in_actions=things, frequencies=(1.0,))))
    agent.bridge_goals = agent.bridge_goals[:1].repeat(goals, 1)
    agent.save_pretrained(tmp_path / "agent")
    size = sum(os.path.getsize(tmp_path / "agent" / name) for name in os.listdir(tmp_path / "agent"))
    assert 1e6 < size < 5e6
