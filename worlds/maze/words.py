"""What is asked in words in a maze: the ambiguous suite, and what somebody's own words mean, whoever reads them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents.expressions import AnyOf, Instruction, Not, read
from goalbridge.configs.checks import ConfigError
from goalbridge.envs.commands import Command, CommandError
from goalbridge.envs.layouts import Layout
from goalbridge.envs.phrasing import TEMPLATES
from goalbridge.envs.places import CATEGORIES, MazePlaces
from goalbridge.envs.point_maze import PointMaze
from goalbridge.envs.suite import SATISFIABLE, draw_suite

_AROUND: Final = [template.lower().split("{place}") for templates in TEMPLATES.values() for template in templates]
_BEFORE: Final = sorted({before for before, _ in _AROUND}, key=len, reverse=True)  # the longest first, "" last
_AFTER: Final = sorted({after for _, after in _AROUND}, key=len, reverse=True)


def suite_commands(maze: PointMaze, episodes: int, seed: int) -> tuple[Command, ...]:
    """The ambiguous suite's commands in the order of its categories, the same for the same seed.

    episodes: how many are to be played; each category of `SATISFIABLE` has as many, rounded up, and four at least, so
    that held-out phrasings are of every kind of place. Left out are those that hold everywhere or cannot be reached, in
    mazes that have such places. ConfigError where none can be played.
    """
    each = max(-(-episodes // len(SATISFIABLE)), len(CATEGORIES))
    commands = tuple(command for command in draw_suite(maze.layout, each, seed) if _can_be_asked(maze, command))
    if not playable(commands):
        raise ConfigError("suite=ambiguous: expected a maze in which some of it can be asked; try a larger one")
    return commands


def _can_be_asked(maze: PointMaze, command: Command) -> bool:
    try:
        maze.cells_asking(maze.check_command(command))
    except CommandError:
        return False
    return True


def playable(commands: Sequence[Command]) -> tuple[Command, ...]:
    """Those that something satisfies."""
    return tuple(command for command in commands if command.category in SATISFIABLE)


def not_understood(policy: Any, commands: Sequence[Command]) -> dict[str, dict[str, Any]]:
    """By category: how many different texts there are, and which of them the policy did not understand, [T] each.

    not_understood: for either reason. unknown: it does not know the words. contradictory: the parts exclude each other.
    Where something satisfies the commands, they are false alarms.
    """
    policy.goal_posterior(list(dict.fromkeys(command.text for command in commands)))  # reads all at once
    report = {}
    for category in dict.fromkeys(command.category for command in commands):
        texts = dict.fromkeys(command.text for command in commands if command.category == category)
        read = [policy.understand(text) for text in texts]
        report[category] = {
            "texts": len(texts),
            "not_understood": np.array([not one.understood for one in read], np.float64),
            "unknown": np.array([not one.known for one in read], np.float64),
            "contradictory": np.array([not one.consistent for one in read], np.float64),
        }
    return report


class NamedRegions:
    """The cells that words name in a maze, whatever an agent makes of them: places, and compositions of places."""

    def __init__(self, layout: Layout) -> None:
        self._free: Final = ~layout.walls  # [H, W]
        self._places: Final = MazePlaces(layout)

    def __call__(self, text: str) -> NDArray[np.bool_] | None:
        """Bool [H, W]: the free cells that satisfy an instruction; None where one of its parts is no known place."""
        return self._region(read(" ".join(text.split()).rstrip(" .!?")))

    def judgement(self, text: str) -> tuple[NDArray[np.bool_], str]:
        """The cells [H, W] by which an instruction can be judged, none where it cannot; and what is said of that."""
        region = self(text)
        if region is None:
            said = "names no places of this maze: it is followed, but cannot be judged"
            return np.zeros_like(self._free), said
        if not region.any():
            return region, "is true of no cell of this maze: it is followed, in vain"
        return region, f"is true of {region.sum()} of the {self._free.sum()} free cells"

    def _region(self, instruction: Instruction) -> NDArray[np.bool_] | None:
        if isinstance(instruction, str):
            return self._named(instruction.lower())
        if isinstance(instruction, Not):
            region = self._region(instruction.part)
            return None if region is None else self._free & ~region
        regions = [region for part in instruction.parts if (region := self._region(part)) is not None]
        if len(regions) < len(instruction.parts):
            return None
        combine = np.logical_or if isinstance(instruction, AnyOf) else np.logical_and
        return np.asarray(combine.reduce(regions))

    def _named(self, text: str) -> NDArray[np.bool_] | None:
        """The region of a place in any wording, or by any of its names, alone or after "go to" and the like."""
        place = self._places.find(text)
        if place is not None:
            return place.region
        for before in _BEFORE:
            for after in _AFTER:
                if text.startswith(before) and text.endswith(after):
                    name = text.removeprefix(before).removesuffix(after)
                    if name in self._by_name:
                        return self._by_name[name]
        return None

    @cached_property
    def _by_name(self) -> dict[str, NDArray[np.bool_]]:
        return {name.lower(): place.region for place in self._places.places for name in (place.label, *place.names)}
