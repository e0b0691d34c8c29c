"""Which `World` belongs to which settings."""

from __future__ import annotations

from configs.schema import EnvConfig
from evaluation.grid_world import FAMILY, GridHome
from evaluation.maze_world import MazeHome
from evaluation.world import World


def open_world(env: EnvConfig, lexicon: int = 0) -> World:
    """The world that settings name. lexicon: see `DataConfig`.

    Raises ConfigError, LayoutError or LevelError where there is none.
    """
    return GridHome(env, lexicon) if env.id == FAMILY else MazeHome(env)
