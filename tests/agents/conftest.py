"""Learners in mazes and in grids, with the data that they learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from goalbridge.agents import Agent, Learner
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import TrainConfig
from goalbridge.data.captions import CaptionPairs, caption_goals, stream
from goalbridge.data.trajectories import TrajectoryBuffer
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

SETTINGS: dict[str, dict[str, Any]] = {
    "maze": {},
    "grid": {"negatives_per_layout": 8, "hard_negative_share": 0.5, "discount": 0.5, "action_negatives": 0},
}


@dataclass
class Course:
    """A learner and what it learns from; the same batches at the same steps."""

    learner: Learner
    buffer: TrajectoryBuffer
    captions: CaptionPairs

    def draw(self) -> tuple[Any, Any, np.random.Generator]:
        config, rng = self.learner.config, stream(0, 9, self.learner.step)
        groups = config.negatives_per_layout, config.hard_negative_share
        futures = self.buffer.sample_futures(rng, config.batch_size, config.discount, *groups)
        return futures, self.captions.sample(rng, config.batch_size), rng

    def step(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.learner.update(*self.draw()).items()}


@cache
def data_of(kind: str) -> tuple[Any, TrajectoryBuffer, CaptionPairs]:
    world: Any
    if kind == "maze":
        world = MazeWorld(MazeSettings("goalbridge/ForkMaze-v0", categories=("line",)))
        buffer, discount = world.collect(DataConfig(trajectories=300), 0), 0.95
    else:
        world = BabyAIWorld(BabyAISettings(levels=("GoToLocal", "GoToObjMazeS4R2"), layouts=8))
        buffer, discount = world.collect(DataConfig(kind="mixed", trajectories=80, walk_length=16), 0), 0.6
    goals = buffer.sample_futures(np.random.default_rng(0), 1000, discount).goals
    return world, buffer, caption_goals(world.captions, goals, "label", 0)


@pytest.fixture
def course(make_agent: Callable[..., Agent], make_grid_agent: Callable[..., Agent]) -> Callable[..., Course]:
    """`course("maze")` or `course("grid", {"width": 32}, ema=0.8)`: settings of the networks, of the training."""

    def make(kind: str, networks: dict[str, Any] | None = None, **settings: Any) -> Course:
        world, buffer, captions = data_of(kind)
        agent = (make_agent if kind == "maze" else make_grid_agent)(
            **({} if kind == "maze" else {"spread": 1.0}), **(networks or {})
        ).train()
        features = agent.text.encode(world.captions.all_texts("label"))
        config = TrainConfig(**({"steps": 100, "batch_size": 32} | SETTINGS[kind] | settings))
        return Course(Learner(agent, config, features, world.action_pool(100, stream(0, 2))), buffer, captions)

    return make
