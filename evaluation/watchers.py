"""Who evaluates an agent while it trains, by its world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from goalbridge.configs.schema import RunConfig
from goalbridge.evaluation.files_watcher import FilesWatcher
from goalbridge.evaluation.grid_watcher import GridWatcher
from goalbridge.evaluation.maze_watcher import MazeWatcher
from goalbridge.evaluation.own_watcher import OwnWatcher
from goalbridge.evaluation.watch import Watcher
from goalbridge.worlds import World, world_of
from goalbridge.worlds.babyai import BabyAIWorld
from goalbridge.worlds.files import FilesWorld
from goalbridge.worlds.gym import GymWorld
from goalbridge.worlds.maze import MazeWorld

_WATCHERS: Final[dict[type[World], Callable[[RunConfig], Watcher]]] = {
    MazeWorld: MazeWatcher,
    BabyAIWorld: GridWatcher,
    GymWorld: OwnWatcher,
    FilesWorld: FilesWatcher,
}


def watcher_of(config: RunConfig) -> Watcher:
    """Who evaluates an agent of the run's world while it trains."""
    return _WATCHERS[world_of(config.env)](config)
