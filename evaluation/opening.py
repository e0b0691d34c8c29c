"""Which `World` belongs to which settings."""

from __future__ import annotations

from configs.schema import DataConfig, EnvConfig
from evaluation.grid_world import FAMILY, GridHome
from evaluation.maze_world import MazeHome
from evaluation.world import World


def open_world(env: EnvConfig, data: DataConfig) -> World:
    """The world that settings name, and of which captions speak as `data` says.

    Raises ConfigError, LayoutError or LevelError where there is none.
    """
    return GridHome(env, data.lexicon) if env.id == FAMILY else MazeHome(env, data.captions)
