"""Worlds: all that learning and measuring need of an environment beyond Gymnasium's interface.

Each world is one file (or folder) here, or in a package of its own that names it among the entry points
"goalbridge.worlds"; nothing outside `worlds` and `envs` knows one by name.
"""

from goalbridge.configs.registries import worlds
from goalbridge.configs.world_settings import WorldEvaluation, WorldSettings
from goalbridge.worlds._base import (
    Actor,
    Begun,
    Belief,
    Episodes,
    Metrics,
    Moment,
    Player,
    Projection,
    RandomActor,
    Reference,
    Task,
    World,
    open_trained,
    require_same,
    spl,
    world_of,
)
from goalbridge.worlds._check import check_world

register = worlds.register

__all__ = [
    "Actor",
    "Begun",
    "Belief",
    "Episodes",
    "Metrics",
    "Moment",
    "Player",
    "Projection",
    "RandomActor",
    "Reference",
    "Task",
    "World",
    "WorldEvaluation",
    "WorldSettings",
    "check_world",
    "open_trained",
    "register",
    "require_same",
    "spl",
    "world_of",
    "worlds",
]
