"""train.precision and train.compile change speed, not results beyond what is stated here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent, Learner
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import TrainConfig
from goalbridge.data.captions import caption_goals, stream
from goalbridge.envs.layouts import LAYOUTS
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld
from goalbridge.worlds.maze.collect import collect_maze
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

MAZE = MazeWorld(MazeSettings("goalbridge/ForkMaze-v0", categories=("line",)))
GRIDS = BabyAIWorld(BabyAISettings(levels=("GoToLocal",), layouts=8))
BF16_LOSS, BF16_GRADIENT = 0.02, 0.1  # relative: of the loss, and of the gradient by the norm of the difference


def maze_learner(make_agent: Callable[..., Agent], steps: int = 100, **settings: Any) -> Callable[[], dict[str, float]]:
    """What takes a step and tells what it logged; the learner is its attribute."""
    buffer = collect_maze(LAYOUTS["fork"], DataConfig(trajectories=200), 0)
    captions = caption_goals(MAZE.captions, buffer.sample_futures(stream(0, 1), 500, 0.95).goals, "label", 0)
    agent = make_agent().train()
    features = agent.text.encode(MAZE.captions.all_texts("label"))
    config = TrainConfig(**({"steps": steps, "batch_size": 64, "learning_rate": 3e-3} | settings))
    learner = Learner(agent, config, features, MAZE.action_pool(100, stream(0, 2)))

    def step() -> dict[str, float]:
        rng = stream(0, 3, learner.step)
        batch = buffer.sample_futures(rng, 64, 0.95), captions.sample(rng, 64)
        return {name: float(value) for name, value in learner.update(*batch, rng).items()}

    step.learner = learner  # type: ignore[attr-defined]
    return step


def gradient(learner: Learner) -> torch.Tensor:
    return torch.cat([p.grad.reshape(-1) for p in learner.agent.parameters() if p.grad is not None])


def test_a_step_in_bf16_is_close_and_keeps_weights_in_float32(make_agent: Callable[..., Agent]) -> None:
    plain, quick = (maze_learner(make_agent, precision=precision) for precision in ("float32", "bf16"))
    one, other = plain(), quick()
    assert other["loss"] != one["loss"]
    assert other["loss"] == pytest.approx(one["loss"], rel=BF16_LOSS)
    learners: tuple[Learner, Learner] = plain.learner, quick.learner  # type: ignore[attr-defined]
    exact, rounded = map(gradient, learners)
    assert float((rounded - exact).norm() / exact.norm()) < BF16_GRADIENT
    assert all(tensor.dtype == torch.float32 for name, tensor in learners[1].state_tensors().items() if "." in name)


def test_a_step_in_grids_in_bf16_is_close(make_grid_agent: Callable[..., Agent]) -> None:
    buffer = GRIDS.collect(DataConfig(kind="mixed", trajectories=80, walk_length=16), 0)
    captions = caption_goals(GRIDS.captions, buffer.sample_futures(stream(0, 1), 600, 0.6).goals, "label", 0)
    losses = []
    for precision in ("float32", "bf16"):
        agent = make_grid_agent(spread=1.0).train()
        config = TrainConfig(steps=10, batch_size=64, negatives_per_layout=8, discount=0.5, precision=precision)
        features = agent.text.encode(GRIDS.captions.all_texts("label"))
        learner = Learner(agent, config, features, GRIDS.action_pool(50, stream(0, 2)))
        rng = stream(0, 3)
        batch = buffer.sample_futures(rng, 64, 0.5, 8), captions.sample(rng, 64)
        losses.append(float(learner.update(*batch, rng)["loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=BF16_LOSS)


@pytest.mark.slow
def test_bf16_learns_as_well(make_agent: Callable[..., Agent]) -> None:
    """The mean of the last losses, and how often the action taken wins, after 300 steps."""
    last = []
    for precision in ("float32", "bf16"):
        step = maze_learner(make_agent, 300, precision=precision)
        infos = [step() for _ in range(300)][-50:]
        last.append({name: np.mean([info[name] for info in infos]) for name in ("loss", "action/accuracy")})
    assert last[1]["loss"] == pytest.approx(last[0]["loss"], rel=BF16_LOSS)
    assert last[1]["action/accuracy"] == pytest.approx(last[0]["action/accuracy"], abs=0.02)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_steps_are_the_plain_ones(make_agent: Callable[..., Agent]) -> None:
    """Twenty steps, detailed or not: weights within 1e-4, losses within 1e-4."""
    plain, quick = (maze_learner(make_agent, compile=compiled) for compiled in (False, True))
    for _ in range(20):
        one, other = plain(), quick()
        assert other.keys() == one.keys()
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-4)
    learners: tuple[Learner, Learner] = plain.learner, quick.learner  # type: ignore[attr-defined]
    for first, second in zip(*(learner.agent.parameters() for learner in learners), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-4)


def test_without_a_compiler_compiling_is_refused_before_any_work(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    refused = script("train", *tiny, "train.compile=true", f"run_dir={tmp_path / 'run'}").error
    assert refused.startswith("train.compile=true: expected a C++ compiler")
    assert not (tmp_path / "run").exists()
