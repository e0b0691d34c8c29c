"""A corridor, as somebody else would add a world: one file, and an entry point that names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.data_schema import DataConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.free_captions import FreeCaptions
from goalbridge.worlds import Begun, Belief, Moment, RandomActor, Reference, Task, World, WorldEvaluation, WorldSettings

STEPS = 20


@dataclass(frozen=True)
class CorridorSettings(WorldSettings):
    """A corridor.

    length: how many cells it has.
    world: its name.
    """

    length: int = 7
    world: str = field(default="corridor", kw_only=True)

    @property
    def env_id(self) -> str:
        """What stands for it in tables."""
        return f"theirs/Corridor{self.length}"


@dataclass(frozen=True)
class CorridorEvaluation(WorldEvaluation):
    """What is asked.

    halves: whether only the two halves are asked for.
    """

    halves: bool = False


class Corridors(VectorEnv[Any, Any, Any]):
    """Corridors side by side; action 0 goes left, 1 goes right."""

    single_action_space = Discrete(2)

    def __init__(self, length: int, cells: NDArray[np.int64], meant: Sequence[Sequence[int]]) -> None:
        self.num_envs, self.length, self.cells, self.meant = len(cells), length, cells, meant
        self.taken = 0

    def observe(self) -> dict[str, NDArray[np.float32]]:
        rows = self.cells[:, None].astype(np.float32)  # [B, 1]
        return {"observation": rows, "achieved_goal": rows}

    def step(self, actions: NDArray[Any]) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        self.cells = np.clip(self.cells + 2 * actions - 1, 0, self.length - 1)
        self.taken += 1
        success = np.array([cell in meant for cell, meant in zip(self.cells, self.meant, strict=True)])
        over = np.full(self.num_envs, self.taken >= STEPS)
        return self.observe(), success.astype(float), success, over, {"is_success": success}


class CorridorWorld(World):
    """A corridor, its cells and its halves."""

    Settings = CorridorSettings
    EvaluationSettings = CorridorEvaluation
    settings: CorridorSettings

    def __init__(self, settings: CorridorSettings) -> None:
        self.settings, self.length = settings, settings.length
        self.said = [(f"cell {i}", "left half" if 2 * i < self.length else "right half") for i in range(self.length)]
        self.captions = FreeCaptions(np.arange(self.length, dtype=np.float32)[:, None], self.said)

    @property
    def spec(self) -> WorldSpec:
        bounds = (0.0,), (float(self.length - 1),)
        return WorldSpec(self.settings.env_id, "cells", *bounds, *bounds, action_dim=2, discrete=True)

    def candidates(self, count: int) -> CandidateActions:
        return CandidateActions(np.eye(2, dtype=np.float32), np.eye(2))

    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return np.eye(2, dtype=np.float32)[rng.integers(2, size=count)]

    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        rng = np.random.default_rng(seed)
        n, t = data.trajectories, data.walk_length
        envs = Corridors(self.length, rng.integers(self.length, size=n), [()] * n)
        actions = rng.integers(2, size=(n, t))
        cells = np.stack([envs.cells, *(envs.step(actions[:, i])[0]["observation"][:, 0] for i in range(t))], axis=1)
        states = cells.reshape(-1, 1).astype(np.float32)  # [N (T + 1), 1]
        taken = np.eye(2, dtype=np.float32)[actions.reshape(-1)]  # [N T, 2]
        return TrajectoryBuffer(states, states, taken, np.full(n, t))

    def meant(self, text: str) -> tuple[int, ...]:
        return tuple(i for i, own in enumerate(self.said) if text in own)

    def tasks(self, agent: Agent, settings: Any, episodes: int | None, seed: int) -> tuple[Task, ...]:
        texts = [text for text in self.captions.labels if "half" in text or not settings.halves]
        some = [texts[i % len(texts)] for i in range(episodes or 2 * len(texts))]
        return tuple(Task(text, text.split()[-1], seed + i, meant=self.meant(text)) for i, text in enumerate(some))

    def begin(self, tasks: Sequence[Task], render: bool = False) -> Begun:
        meant = [task.meant or () for task in tasks]
        elsewhere = [np.setdiff1d(range(self.length), cells) for cells in meant]
        starts = [np.random.default_rng(task.seed).choice(cells) for task, cells in zip(tasks, elsewhere, strict=True)]
        env = Corridors(self.length, np.array(starts), meant)
        return Begun(env, env.observe(), tuple(tasks))

    def references(self, agent: Agent, settings: Any, seed: int) -> Mapping[str, Reference]:
        return {"drifter": lambda tasks: RandomActor(lambda rng: partial(rng.integers, 2), seed)}

    def satisfied_by(self, task: Task, goals: NDArray[Any]) -> NDArray[np.bool_] | None:
        return None if task.meant is None else np.isin(np.rint(goals[:, 0]), task.meant)

    def describe(self, goal: NDArray[Any]) -> str:
        return f"cell {goal[0]:.0f}"

    def follow_task(self, instruction: str, seed: int, settings: Any) -> tuple[Task, str]:
        meant = self.meant(instruction)
        return Task(instruction, "", seed, meant=meant or None), "judged" if meant else "nobody can judge this"

    def frame(self, moment: Moment, belief: Belief | None, title: str) -> NDArray[np.uint8] | None:
        picture = np.full((16, 16 * self.length, 3), 230, dtype=np.uint8)
        cell = int(moment.goals[-1, 0])
        picture[:, 16 * cell : 16 * (cell + 1)] = (200, 60, 40)
        return picture
