"""Trajectories in point mazes, without instructions: of the expert, of random walks, and of an agent's own play."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.captions import TRAJECTORIES, stream
from goalbridge.data.replay import STILL, distances, drop_no_ops, step_length
from goalbridge.envs.commands import Command
from goalbridge.envs.expert import collect_expert, collect_random
from goalbridge.envs.layouts import Layout
from goalbridge.envs.maze import PointMazeVectorEnv


def collect_maze(layout: Layout, config: DataConfig, seed: int) -> TrajectoryBuffer:
    """Trajectories of the noisy expert or of a random walk; the same for the same seed. No instruction is involved."""
    draw = int(stream(seed, TRAJECTORIES).integers(2**31))
    if config.kind == "expert":
        seen, actions, lengths = collect_expert(layout, config.trajectories, draw, config.noise_degrees)
    elif config.kind == "random":
        flat = collect_random(layout, config.trajectories, config.walk_length, draw)
        seen, actions, lengths = _moving(*flat[:2], config.walk_length)
    else:
        raise ConfigError(f"data.kind={config.kind}: expected data of a maze; try data.kind=expert or random")
    return TrajectoryBuffer(seen, seen, actions, lengths)


def _moving(observations: NDArray[Any], actions: NDArray[np.float32], length: int) -> tuple[NDArray[Any], ...]:
    """Random walks of `length` steps each, without those that did not move."""
    walks, taken = observations.reshape(-1, length + 1, observations.shape[1]), actions.reshape(-1, length, 2)
    distance = distances(walks)  # [N, T]
    walks, taken, lengths = drop_no_ops(walks, taken, distance > STILL * step_length(distance))
    steps = np.arange(length + 1)
    return walks[steps <= lengths[:, None]], taken[steps[:-1] < lengths[:, None]], lengths


class MazeSelfPlay:
    """A point maze in which nothing is asked, as `data.self_play.SelfPlayEnv`.

    env: E mazes that never begin anew by themselves (`AutoresetMode.DISABLED`; ValueError otherwise).
    segments: None to begin every segment at a place drawn uniformly; otherwise every episode begins in the first corner
    of the maze and goes on over so many segments, each from where the last one ended.
    """

    groups: NDArray[np.int64] | None = None
    places: NDArray[np.float32] | None = None
    directed: bool = True

    def __init__(self, env: PointMazeVectorEnv, segments: int | None) -> None:
        if env.autoreset_mode != AutoresetMode.DISABLED:
            raise ValueError(f"env: expected autoreset_mode=DISABLED, got {env.autoreset_mode}")
        self._env, self._segments = env, segments
        self.size: Final = env.num_envs
        nothing = np.zeros_like(env.layout.walls)
        self._nothing = Command("look around", "nothing", "nothing", nothing)  # holds nowhere: no episode ends by it
        corner = env.layout.free_cells[0] + 0.5  # [2]
        self._corner = np.asarray(corner, dtype=np.float64)
        self._position = np.tile(self._corner, (self.size, 1))  # [E, 2]
        # Segments that each episode has had: they do not all begin at once.
        self._age = np.arange(self.size) % (segments or 1)  # [E]

    def begin(self, seed: int) -> NDArray[np.float32]:
        """Begins a segment of every episode; positions [E, 2]."""
        options: dict[str, Any] = {"instruction": self._nothing}
        if self._segments is not None:
            options["position"] = self._position
        observation, _ = self._env.reset(seed=seed, options=options)
        return np.asarray(observation["observation"])

    def step(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Moves all points once in the directions [E, 2]; positions [E, 2]."""
        observation, _, _, truncated, _ = self._env.step(actions)
        if truncated.all() and self._segments is not None:
            self._age = (self._age + 1) % self._segments
            ended = (self._age == 0)[:, None]  # [E, 1]
            self._position = np.where(ended, self._corner, observation["observation"].astype(np.float64))
        return np.asarray(observation["observation"])

    def random_actions(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Uniform directions [E, 2]."""
        angle = rng.uniform(0.0, 2.0 * np.pi, self.size)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Where each episode goes on, and how many segments it has had."""
        return {"position": self._position, "age": self._age}

    def load_state_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._position, self._age = arrays["position"].copy(), arrays["age"].copy()
