"""Point mazes as a `World`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.world import CandidateActions, WorldSpec
from configs.schema import ConfigError, DataConfig, EnvConfig
from data import TrajectoryBuffer
from data.collect import collect_maze
from envs.places import CATEGORIES, MazePlaces
from evaluation.world import World
from evaluation.worlds import candidates, make_world, surface, world_spec


class MazeHome(World):
    """One maze and its places. captions: the categories of places that are spoken of; all if empty."""

    def __init__(self, env: EnvConfig, captions: tuple[str, ...] = ()) -> None:
        for category in captions:
            if category not in CATEGORIES:
                raise ConfigError(f"data.captions={category}: is no category; of {', '.join(CATEGORIES)} would do")
        self.env = env
        self._vector = make_world(env, 1)
        self.captions = MazePlaces(surface(self._vector).layout, captions or CATEGORIES)
        self.layout_text = surface(self._vector).layout.to_text()

    @property
    def spec(self) -> WorldSpec:
        """The bounds of its spaces."""
        return world_spec(self._vector, self.env.id)

    def candidates(self, count: int) -> CandidateActions:
        """`count` directions, and what the noise makes of each."""
        return candidates(self._vector, count)

    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Uniform directions."""
        space = self._vector.single_action_space
        space.seed(int(rng.integers(2**31)))
        return np.stack([space.sample() for _ in range(count)])

    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        """The noisy expert's trajectories, or random walks."""
        return collect_maze(surface(self._vector).layout, data, seed)
