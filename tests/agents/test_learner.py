"""The learner on a toy problem: it learns, averages, follows its schedule, and goes on bit for bit where it stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent, Learner
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import TrainConfig
from goalbridge.data.captions import CaptionPairs, caption_goals, stream
from goalbridge.data.trajectories import TrajectoryBuffer
from goalbridge.envs.places import MazePlaces
from goalbridge.experiments.reading import Reading
from goalbridge.worlds.maze.collect import collect_maze
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.vector import make_world, surface

MAZE = surface(make_world(MazeSettings("goalbridge/ForkMaze-v0"), 1))
LINES = MazePlaces(MAZE.layout, ("line",))
Data = tuple[TrajectoryBuffer, CaptionPairs]


@pytest.fixture(scope="module")
def data() -> Data:
    buffer = collect_maze(MAZE.layout, DataConfig(trajectories=300), 0)
    goals = buffer.sample_futures(np.random.default_rng(0), 1000, 0.95).goals
    return buffer, caption_goals(LINES, goals, "label", 0)


def make_learner(make_agent: Callable[..., Agent], **settings: Any) -> Learner:
    agent = make_agent().train()
    space = make_world(MazeSettings("goalbridge/ForkMaze-v0"), 1).single_action_space
    space.seed(0)
    pool = np.stack([space.sample() for _ in range(100)])
    features = agent.text.encode(LINES.all_texts("label"))
    return Learner(agent, TrainConfig(**{"steps": 100, "batch_size": 32} | settings), features, pool)


def step(learner: Learner, data: Data) -> dict[str, float]:
    rng = stream(0, 9, learner.step)
    size = learner.config.batch_size
    batch = data[0].sample_futures(rng, size, learner.config.discount), data[1].sample(rng, size)
    return {name: float(value) for name, value in learner.update(*batch, rng).items()}


def test_losses_fall_and_accuracies_rise(make_agent: Callable[..., Agent], data: Data) -> None:
    torch.manual_seed(0)
    learner = make_learner(make_agent, steps=250)
    infos = [step(learner, data) for _ in range(250)]
    first, last = ({key: np.mean([i[key] for i in part]) for key in infos[0]} for part in (infos[:20], infos[-20:]))
    for key in ("loss", "goal/loss", "action/loss"):
        assert last[key] < 0.8 * first[key], key
    # A goal makes two captions true, and a caption is true of several goals of a batch: far from zero at best.
    assert last["language/loss"] < first["language/loss"] - 0.15
    for key in ("goal/accuracy", "goal/accuracy_columns", "language/accuracy", "action/accuracy"):
        assert last[key] > 1.5 * first[key], key
    for pair in ("goal", "language"):
        gap = [part[f"{pair}/positive_logits"] - part[f"{pair}/negative_logits"] for part in (first, last)]
        assert gap[1] > gap[0] + 0.2
    assert learner.step == 250
    assert last["action/accuracy"] > 0.4  # of five actions


def test_what_is_logged_fits_together(make_agent: Callable[..., Agent], data: Data) -> None:
    learner = make_learner(make_agent, caption_weight=0.7, action_weight=2.0)
    info = step(learner, data)
    total = info["goal/loss"] + 0.7 * info["language/loss"] + 2 * info["action/loss"]
    assert info["loss"] == pytest.approx(total, rel=1e-5)
    assert info["gradient_norm"] > 0
    without = make_learner(make_agent, action_negatives=0)
    assert not any(name.startswith("action/") for name in step(without, data))


def test_every_part_is_trained_and_buffers_stay(make_agent: Callable[..., Agent], data: Data) -> None:
    learner = make_learner(make_agent)
    before = {name: value.clone() for name, value in learner.agent.state_dict().items()}
    for _ in range(3):
        step(learner, data)
    after = learner.agent.state_dict()
    trained = {name for name, _ in learner.agent.named_parameters()}
    unchanged = {name for name in before if torch.equal(before[name], after[name])}
    assert unchanged == set(before) - trained
    assert {"critic_ab.log_scale", "critic_bc.log_scale"} <= trained


def test_an_update_is_read_in_five_files(make_agent: Callable[..., Agent], data: Data, fake_text: Any) -> None:
    learner, rng = make_learner(lambda: make_agent(fake_text)), stream(0, 9, 0)
    batch = data[0].sample_futures(rng, 32, 0.9), data[1].sample(rng, 32)
    reading = Reading()
    reading.start()
    learner.update(*batch, rng)
    assert len(reading.stop()) <= 5


def test_averages_are_the_formula(make_agent: Callable[..., Agent], data: Data) -> None:
    """decay x average + (1 - decay) x weights after each step, from the initial weights on."""
    learner = make_learner(make_agent, ema=0.8)
    expected = {name: value.detach().double() for name, value in learner.agent.named_parameters()}
    for _ in range(5):
        step(learner, data)
        for name, value in learner.agent.named_parameters():
            expected[name] = 0.8 * expected[name] + 0.2 * value.detach().double()
    for name, value in learner.ema.named_parameters():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)
        assert not value.requires_grad
    assert learner.ema.text is learner.agent.text


def test_learning_rate_rises_to_the_peak_and_falls_along_a_cosine(make_agent: Callable[..., Agent], data: Data) -> None:
    learner = make_learner(make_agent, steps=200, warmup=0.1, learning_rate=0.02)
    rates = []
    for learner.step in range(200):
        rates.append(learner.learning_rate())
    np.testing.assert_allclose(np.diff(rates[:20]), rates[0], rtol=1e-6)  # linear, from the first step on
    assert max(rates) == rates[20] == 0.02
    for at in (60, 110, 160):
        assert rates[at] == pytest.approx(0.01 * (1 + math.cos(math.pi * (at - 20) / 180)))
    assert 0 < rates[-1] < 1e-5
    learner.step = 7
    step(learner, data)
    assert [group["lr"] for group in learner.optimizer.param_groups] == [rates[7]] * 2


def test_gradients_are_clipped_and_matrices_alone_decay(make_agent: Callable[..., Agent], data: Data) -> None:
    learner = make_learner(make_agent, gradient_clip=1e-3, weight_decay=0.5)
    info = step(learner, data)
    assert info["gradient_norm"] > 1e-3
    gradients = [p.grad for p in learner.agent.parameters() if p.grad is not None]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm().item()
    assert norm == pytest.approx(1e-3, rel=1e-2)
    for group, decay in zip(learner.optimizer.param_groups, (0.5, 0.0), strict=True):
        assert group["weight_decay"] == decay
        assert all((p.ndim > 1) == (decay > 0) for p in group["params"])


def test_a_restored_learner_goes_on_bit_for_bit(make_agent: Callable[..., Agent], data: Data) -> None:
    whole, halted = make_learner(make_agent), make_learner(make_agent)
    for _ in range(6):
        step(whole, data)
    for _ in range(3):
        step(halted, data)
    saved = {name: tensor.clone() for name, tensor in halted.state_tensors().items()}
    step(halted, data)  # what happens afterwards is no part of it
    torch.manual_seed(5)
    resumed = make_learner(make_agent)
    step(resumed, data)
    resumed.load_state_tensors(saved, 3)
    for name, tensor in resumed.state_tensors().items():
        assert torch.equal(tensor, saved[name]), name
    infos = [step(resumed, data) for _ in range(3)]
    states = whole.state_tensors(), resumed.state_tensors()
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]), name
    assert resumed.step == whole.step
    assert step(whole, data) == step(resumed, data)
    assert all(math.isfinite(value) for info in infos for value in info.values())


def test_a_state_that_does_not_fit_is_refused(make_agent: Callable[..., Agent], data: Data) -> None:
    learner = make_learner(make_agent)
    step(learner, data)
    tensors = learner.state_tensors()
    with pytest.raises(KeyError):
        learner.load_state_tensors({**tensors, "stranger.x": torch.zeros(1)}, 1)
    narrow = {**tensors, "agent.goal_encoder.tower.0.weight": torch.zeros(2, 2)}
    with pytest.raises(RuntimeError, match="size mismatch"):
        learner.load_state_tensors(narrow, 1)
    with pytest.raises(RuntimeError, match="Missing key"):
        learner.load_state_tensors({k: v for k, v in tensors.items() if not k.startswith("average.critic")}, 1)


@pytest.mark.parametrize("where", ["agent", "ema", "temperature"])
def test_a_weight_that_is_no_number_is_noticed(make_agent: Callable[..., Agent], data: Data, where: str) -> None:
    learner = make_learner(make_agent)
    step(learner, data)
    assert learner.is_finite()
    with torch.no_grad():
        if where == "temperature":
            learner.agent.critic_bc.log_scale.fill_(1e3)  # which overflows
        else:
            next(getattr(learner, where).goal_encoder.parameters())[0, 0] = math.nan
    assert not learner.is_finite()
