"""Point mazes as a `World`."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from goalbridge.agents.world import CandidateActions, WorldSpec
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import EnvConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.collect import collect_maze
from goalbridge.data.playground import MazePlayground, Playground
from goalbridge.envs.places import CATEGORIES, MazePlaces
from goalbridge.envs.suite import COMPOUND, MazeCompounds
from goalbridge.envs.vector import PointMazeVectorEnv
from goalbridge.evaluation.world import World
from goalbridge.evaluation.worlds import candidates, make_world, surface, world_spec


class MazeHome(World):
    """One maze and its places. captions: the categories of places that are spoken of; all if empty."""

    def __init__(self, env: EnvConfig, captions: tuple[str, ...] = ()) -> None:
        known = (*CATEGORIES, COMPOUND)
        for category in captions:
            if category not in known:
                raise ConfigError(f"data.captions={category}: is no category; of {', '.join(known)} would do")
        self.env = env
        self._vector = make_world(env, 1)
        layout = surface(self._vector).layout
        further = MazeCompounds(layout).known if COMPOUND in captions else ()
        places = [category for category in captions if category != COMPOUND]
        self.captions = MazePlaces(layout, places or CATEGORIES, further)
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

    def playground(self, data: DataConfig, seed: int) -> Playground:
        """As many mazes as `data` says, which begin anew only when told to."""
        env = replace(self.env, max_episode_steps=data.walk_length)
        mazes = make_world(env, data.environments, autoreset_mode=AutoresetMode.DISABLED)
        segments = data.episode_segments if data.start == "corner" else None
        return MazePlayground(cast(PointMazeVectorEnv, mazes.unwrapped), segments)
