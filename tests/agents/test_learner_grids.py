"""The learner in BabyAI's grids: every part learns, goals are compared within a layout, and it goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent, Learner
from goalbridge.agents.objectives import info_nce
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import TrainConfig
from goalbridge.data.captions import CaptionPairs, caption_goals, stream
from goalbridge.data.trajectories import FutureBatch, TrajectoryBuffer
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld

HOME = BabyAIWorld(BabyAISettings(levels=("GoToLocal", "GoToObjMazeS4R2"), layouts=8))
Data = tuple[TrajectoryBuffer, CaptionPairs]
MakeAgent = Callable[..., Agent]


@pytest.fixture(scope="module")
def data() -> Data:
    buffer = HOME.collect(DataConfig(kind="mixed", trajectories=80, walk_length=16), 0)
    goals = buffer.sample_futures(np.random.default_rng(0), 600, 0.6).goals
    return buffer, caption_goals(HOME.captions, goals, "label", 0)


def make_learner(make_grid_agent: MakeAgent, settings: dict[str, Any] | None = None, **networks: Any) -> Learner:
    agent = make_grid_agent(spread=1.0, **networks).train()
    plain = {
        "steps": 100,
        "batch_size": 32,
        "negatives_per_layout": 8,
        "hard_negative_share": 0.5,
        "discount": 0.5,
        "action_negatives": 0,
    }
    features = agent.text.encode(HOME.captions.all_texts("label"))
    return Learner(agent, TrainConfig(**(plain | (settings or {}))), features, HOME.action_pool(50, stream(0, 1)))


def draw(learner: Learner, data: Data) -> tuple[FutureBatch, Any, np.random.Generator]:
    config, rng = learner.config, stream(0, 9, learner.step)
    futures = data[0].sample_futures(
        rng, config.batch_size, config.discount, config.negatives_per_layout, config.hard_negative_share
    )
    return futures, data[1].sample(rng, config.batch_size), rng


def step(learner: Learner, data: Data) -> dict[str, float]:
    return {name: float(value) for name, value in learner.update(*draw(learner, data)).items()}


@pytest.mark.parametrize("things", [False, True])
@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("negatives", [0, 3])
def test_one_step_moves_every_parameter(
    make_grid_agent: MakeAgent, data: Data, things: bool, rotary: bool, negatives: int
) -> None:
    settings = {"action_negatives": negatives, "weight_decay": 0.0}  # decay moves what no gradient reaches
    learner = make_learner(make_grid_agent, settings, language_in_actions=things, rotary=rotary)
    before = {name: value.clone() for name, value in learner.agent.state_dict().items()}
    info = step(learner, data)
    after, trained = learner.agent.state_dict(), {name for name, _ in learner.agent.named_parameters()}
    assert {name for name in before if torch.equal(before[name], after[name])} == set(before) - trained
    for part in ("state_action_encoder", "goal_encoder", "meaning_encoder", "language_head", "critic_ab", "critic_bc"):
        assert any(name.startswith(part) for name in trained)
    assert any(name.startswith("rotary") for name in trained) == rotary
    assert all(np.isfinite(value) for value in info.values())
    assert ("action/loss" in info) == (negatives > 0)
    assert (learner.ema.rotary is None) == (not rotary)
    assert not any(parameter.requires_grad for parameter in learner.ema.parameters())


def test_language_alone_moves_the_meanings_and_places_alone_the_rest(make_grid_agent: MakeAgent, data: Data) -> None:
    """The two pairs share no tower unless the agent is to compare actions with words directly."""
    learner = make_learner(make_grid_agent)
    batch = learner.tensors(*draw(learner, data))
    agent = learner.agent
    a, b = agent.encode_state_actions(batch.states, batch.actions), agent.encode_goals(batch.goals)
    info_nce(agent.critic_ab(a, b))[0].backward()  # type: ignore[no-untyped-call]
    touched = {name.split(".")[0] for name, p in agent.named_parameters() if p.grad is not None}
    assert touched == {"state_action_encoder", "goal_encoder", "rotary", "critic_ab"}
    agent.zero_grad()
    c = agent.encode_language(learner.objective.text_features(batch.captions))
    info_nce(agent.critic_bc(agent.encode_meanings(batch.caption_goals), c))[0].backward()  # type: ignore[no-untyped-call]
    touched = {name.split(".")[0] for name, p in agent.named_parameters() if p.grad is not None}
    assert touched == {"meaning_encoder", "language_head", "critic_bc"}


def test_the_goal_loss_is_the_mean_over_groups(make_grid_agent: MakeAgent, data: Data) -> None:
    learner = make_learner(make_grid_agent)
    batch, agent = learner.tensors(*draw(learner, data)), learner.agent
    with torch.no_grad():
        _, info = learner.loss(batch)
        a, b = agent.encode_state_actions(batch.states, batch.actions), agent.encode_goals(batch.goals)
        alone = [info_nce(agent.critic_ab(a[i : i + 8], b[i : i + 8]))[0] for i in range(0, 32, 8)]
        together = info_nce(agent.critic_ab(a, b))[0]
    torch.testing.assert_close(info["goal/loss"], torch.stack(alone).mean())
    assert abs(float(together) - float(info["goal/loss"])) > 0.1


def test_losses_fall(make_grid_agent: MakeAgent, data: Data) -> None:
    torch.manual_seed(0)
    learner = make_learner(make_grid_agent, {"steps": 150}, width=32, embedding_dim=16)
    infos = [step(learner, data) for _ in range(150)]
    for name in ("goal/loss", "language/loss"):
        first, last = (float(np.mean([info[name] for info in part])) for part in (infos[:10], infos[-10:]))
        assert last < first - 0.3, name


@pytest.mark.parametrize(
    "networks", [{}, {"language_in_actions": True}, {"text_dropout": 0.4, "language_critic": "dot"}]
)
def test_a_restored_learner_goes_on_bit_for_bit(
    make_grid_agent: MakeAgent, data: Data, networks: dict[str, Any]
) -> None:
    whole, halted = (make_learner(make_grid_agent, **networks) for _ in range(2))
    for _ in range(4):
        step(whole, data)
    for _ in range(2):
        step(halted, data)
    saved = {name: tensor.clone() for name, tensor in halted.state_tensors().items()}
    assert {f"{kind}.rotary.angular" for kind in ("agent", "average")} <= set(saved)
    torch.manual_seed(5)
    resumed = make_learner(make_grid_agent, **networks)
    step(resumed, data)
    resumed.load_state_tensors(saved, 2)
    for _ in range(2):
        step(resumed, data)
    states = whole.state_tensors(), resumed.state_tensors()
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]), name
    assert step(whole, data) == step(resumed, data)


def test_text_dropout_is_of_training_alone(make_grid_agent: MakeAgent, data: Data) -> None:
    learner = make_learner(make_grid_agent, text_dropout=0.5)
    features = learner.objective.texts[:5]
    with torch.no_grad():
        drawn = [learner.agent.encode_language(features) for _ in range(2)]
        steady = [learner.ema.encode_language(features) for _ in range(2)]
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(steady[0], steady[1])
    step(learner, data)
    assert learner.agent.training
    assert not learner.ema.training


@pytest.mark.parametrize("negatives", [0, 1, 2, 3, 9])
def test_other_actions_are_others_each_once(make_grid_agent: MakeAgent, data: Data, negatives: int) -> None:
    learner = make_learner(make_grid_agent, {"action_negatives": negatives})
    batch = learner.tensors(*draw(learner, data))
    assert batch.other_actions.shape == (32, min(negatives, 3), 4)
    for taken, others in zip(batch.actions, batch.other_actions, strict=True):
        assert (others.sum(dim=1) == 1).all()
        numbers = [int(taken.argmax()), *others.argmax(dim=1).tolist()]
        assert len(set(numbers)) == 1 + min(negatives, 3)
