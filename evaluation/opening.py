"""Which `World` belongs to which settings."""

from __future__ import annotations

from configs.schema import DataConfig, EnvConfig
from evaluation.grid_world import FAMILY, GridHome
from evaluation.maze_world import MazeHome
from evaluation.own_world import OwnHome
from evaluation.world import World


def open_world(env: EnvConfig, data: DataConfig) -> World:
    """The world that settings name, and of which captions speak as `data` says; a user's own is told by its captions.

    Raises ConfigError, LayoutError or LevelError where there is none.
    """
    if env.captions:
        return OwnHome(env)
    return GridHome(env, data.lexicon) if env.id == FAMILY else MazeHome(env, data.captions)
