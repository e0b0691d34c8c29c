"""Point mazes as a `World`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.registries import worlds
from goalbridge.configs.schema import BABYAI, NO_ENV, EnvConfig, RunConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.self_play import SelfPlayEnv
from goalbridge.envs.places import CATEGORIES, MazePlaces
from goalbridge.envs.suite import COMPOUND, MazeCompounds
from goalbridge.envs.vector import PointMazeVectorEnv
from goalbridge.worlds.maze.collect import collect_maze
from goalbridge.worlds.maze.pictures import MazePictures
from goalbridge.worlds.maze.play import MazeSelfPlay
from goalbridge.worlds.maze.vector import candidates, make_world, surface, world_spec


@worlds.register("maze")
class MazeWorld(MazePictures):
    """One maze and its places.

    settings: reads id, layout, action_noise_degrees, max_episode_steps. data: reads captions, the categories of places
    that are spoken of; all if empty.
    """

    settings: EnvConfig

    def __init__(self, settings: EnvConfig, data: DataConfig = DataConfig()) -> None:  # noqa: B008 (frozen)
        known = (*CATEGORIES, COMPOUND)
        for category in data.captions:
            if category not in known:
                raise ConfigError(f"data.captions={category}: is no category; of {', '.join(known)} would do")
        self.settings = settings
        self._vector = make_world(settings, 1)
        self.maze = surface(self._vector).world
        layout = self.maze.layout
        self.spoken = data.captions or CATEGORIES
        further = MazeCompounds(layout).known if COMPOUND in data.captions else ()
        places = [category for category in data.captions if category != COMPOUND]
        self.captions = MazePlaces(layout, places or CATEGORIES, further)
        self.layout_text = layout.to_text()

    def make_mazes(self, count: int, phrasings: str) -> Any:
        """So many of these mazes, in a batch."""
        return make_world(self.settings, count, phrasings)

    @property
    def spec(self) -> WorldSpec:
        """The bounds of its spaces."""
        return world_spec(self._vector, self.settings.id)

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
        return collect_maze(self.layout, data, seed)

    def self_play(self, data: DataConfig, seed: int) -> SelfPlayEnv:
        """As many mazes as `data` says, which begin anew only when told to."""
        settings = replace(self.settings, max_episode_steps=data.walk_length)
        mazes = make_world(settings, data.environments, autoreset_mode=AutoresetMode.DISABLED)
        segments = data.episode_segments if data.start == "corner" else None
        return MazeSelfPlay(cast(PointMazeVectorEnv, mazes.unwrapped), segments)

    @classmethod
    def reads(cls, saved: Mapping[str, Any]) -> bool:
        """Whatever no other of the project's worlds reads; an unknown id is refused when the maze is made."""
        return not saved.get("captions") and saved["id"] not in (BABYAI, NO_ENV)

    @classmethod
    def open_trained(cls, config: RunConfig, folder: Path) -> MazeWorld:
        """The maze that the run was trained in; a layout of the user's own is the copy that the run kept."""
        kept = folder / "layout.txt"
        own = config.env.layout and kept.is_file()
        return cls(replace(config.env, layout=str(kept)) if own else config.env, config.data)
