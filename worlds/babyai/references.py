"""Who the agent is held against in BabyAI: minigrid's bot, and chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.navigation import Navigation
from goalbridge.envs.babyai.optimum import bot_steps
from goalbridge.worlds._base import Episodes, Task
from goalbridge.worlds.babyai.episodes import optimum_of


class RandomActions:
    """Any of the actions, each as likely; every episode has draws of its own."""

    def __init__(self, actions: int, seed: int) -> None:
        self._actions, self._seed = actions, seed
        self.reset()

    def reset(self) -> None:
        """Begins the same draws anew."""
        self._draws: dict[int, np.random.Generator] = {}

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Actions [B] of B numbered episodes."""
        keys = range(len(instructions)) if episodes is None else episodes
        for key in keys:
            if key not in self._draws:
                self._draws[key] = np.random.default_rng([self._seed, key])
        return np.array([self._draws[key].integers(self._actions) for key in keys], dtype=np.int64)


class Bot:
    """minigrid's own bot: it is told the mission as code, and takes actions that no agent here has."""

    def play(self, tasks: Sequence[Task]) -> Episodes:
        """The same episodes as any actor meets, each in an environment of its own."""
        missions, paths, success, steps, optimum, limits = [], [], [], [], [], []
        for task in tasks:
            env = Navigation(task.group)
            env.begin(task.seed)
            missions.append(env.mission)
            start = np.array(env.goal(), dtype=np.int64)  # [7]
            optimum.append(optimum_of(env))
            limits.append(float(env.unwrapped.max_steps))  # type: ignore[attr-defined]
            done, taken = bot_steps(env.unwrapped)
            success.append(done)
            steps.append(taken)
            paths.append(np.stack([start, np.array(env.goal(), dtype=np.int64)]))  # nobody saw the way
            env.close()
        told = tuple(replace(task, text=mission) for task, mission in zip(tasks, missions, strict=True))
        info = {"optimum": np.array(optimum), "_limit": np.array(limits)}
        return Episodes(told, np.array(success), np.array(steps, dtype=np.int64), tuple(paths), info)
