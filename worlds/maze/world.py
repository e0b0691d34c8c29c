"""Point mazes as a `World`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.registries import worlds
from goalbridge.configs.schema import RunConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.online import SelfPlayEnv
from goalbridge.envs.maze import PointMazeVectorEnv
from goalbridge.envs.places import CATEGORIES, MazePlaces
from goalbridge.envs.suite import COMPOUND, MazeCompounds
from goalbridge.worlds.maze.collect import collect_maze
from goalbridge.worlds.maze.pictures import MazePictures
from goalbridge.worlds.maze.play import MazeSelfPlay
from goalbridge.worlds.maze.settings import MazeEvaluation, MazeSettings
from goalbridge.worlds.maze.vector import candidates, make_world, surface, world_spec


@worlds.register("maze")
class MazeWorld(MazePictures):
    """One maze and its places.

    Raises ConfigError for an id that is no maze's, LayoutError for an unusable layout.
    """

    Settings = MazeSettings
    EvaluationSettings = MazeEvaluation
    settings: MazeSettings

    def __init__(self, settings: MazeSettings) -> None:
        self.settings = settings
        self._vector = make_world(settings, 1)
        self.maze = surface(self._vector).world
        layout = self.maze.layout
        self.spoken = settings.categories or CATEGORIES
        further = MazeCompounds(layout).known if COMPOUND in settings.categories else ()
        places = [category for category in settings.categories if category != COMPOUND]
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
        segments = self.settings.episode_segments if self.settings.start == "corner" else None
        return MazeSelfPlay(cast(PointMazeVectorEnv, mazes.unwrapped), segments)

    @classmethod
    def open_trained(cls, config: RunConfig, folder: Path) -> MazeWorld:
        """The maze that the run was trained in; a layout of the user's own is the copy that the run kept."""
        settings, kept = cast(MazeSettings, config.env), folder / "layout.txt"
        return cls(replace(settings, layout=str(kept)) if settings.layout and kept.is_file() else settings)
