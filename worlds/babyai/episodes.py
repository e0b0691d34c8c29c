"""What BabyAI's episodes are judged by, what of them is told apart, and who plays or judges them otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai.four_rooms import room_at
from goalbridge.envs.babyai.layouts import HELD_OUT_COMBINATIONS
from goalbridge.envs.babyai.levels import LevelError, level
from goalbridge.envs.babyai.navigation import Navigation
from goalbridge.envs.babyai.optimum import bot_steps, fewest_steps, mission_targets
from goalbridge.envs.babyai.phrasing import COLOURS, TYPES
from goalbridge.envs.babyai.simulator import ACTIONS
from goalbridge.envs.babyai.vector import BabyAIVectorEnv
from goalbridge.envs.vector import Flags
from goalbridge.worlds._base import Episodes, RandomActor, Task

ROOMS: Final = 3  # so many small levels are watched in training, and one of many rooms
_THING: Final = re.compile(rf"\b({'|'.join(COLOURS)}) ({'|'.join(TYPES)})\b")


class Meant(NamedTuple):
    """What satisfies a mission: cells bool [W, H], to be faced or to be stood in."""

    cells: NDArray[np.bool_]
    faced: bool


def known_levels(setting: str, names: Sequence[str]) -> tuple[str, ...]:
    """The levels' own names; LevelError, which names the setting, for what is no navigation level."""
    try:
        return tuple(level(name).name for name in names)
    except LevelError as error:
        raise LevelError(f"{setting}{str(error).removeprefix('level')}") from None


@lru_cache(maxsize=2)  # as many episodes as are played at once, and the rest of them
def environments(name: str, episodes: int, view: str) -> Any:
    """Environments of one level, kept for the next actor: they are slow to make, and a seeded reset begins anew."""
    made = gymnasium.make_vec(level(name).id, num_envs=episodes, view=view, autoreset_mode=AutoresetMode.DISABLED)
    return made.unwrapped


def meant_by(env: Any) -> Meant | None:
    """What satisfies the mission of an episode that has just begun; None of sequences."""
    raw = env.unwrapped
    if env.level.family == "sequence":
        return None
    if env.level.family != "four_rooms":
        return Meant(mission_targets(raw), faced=True)
    size = (raw.width, raw.height)
    inside = [[room_at(x, y, *size) == env.env.room for y in range(size[1])] for x in range(size[0])]
    return Meant(np.array(inside), faced=False)  # [W, H]


def optimum_of(env: Any) -> float:
    """Fewest steps of an episode that has just begun, on the full map; NaN of sequences."""
    meant, raw = meant_by(env), env.unwrapped
    if meant is None:
        return float("nan")
    grid, start = raw.grid.encode(), (*raw.agent_pos, raw.agent_dir)
    return fewest_steps(grid, start, meant.cells, meant.faced)


def ambiguous(mission: str) -> bool:
    """Whether a mission leaves open which thing is meant, as BabyAI says it: "go to a ..."."""
    return re.search(r"\ban? ", mission) is not None


def names_held_out(mission: str) -> bool | None:
    """Whether a mission names a colour-type pair that training never shows; None where it names no coloured thing."""
    things = _THING.findall(mission)
    return any(thing in HELD_OUT_COMBINATIONS for thing in things) if things else None


def watched_levels(names: Sequence[str]) -> tuple[str, ...]:
    """The first three single rooms and the smallest level of many rooms, of those that there are; else the first four.

    Small ones, so that watching costs seconds.
    """
    known = [level(name) for name in dict.fromkeys(names)]
    rooms = [one.name for one in known if one.family == "room"][:ROOMS]
    mazes = sorted((one for one in known if one.family == "maze"), key=lambda one: one.width)[:1]
    return (*rooms, *(one.name for one in mazes)) or tuple(one.name for one in known[: ROOMS + 1])


def random_actions(seed: int) -> RandomActor:
    """Any of the four actions, each as likely."""
    return RandomActor(lambda rng: partial(rng.integers, len(ACTIONS)), seed)


class Bot:
    """minigrid's own bot: it is told the mission as code, and takes actions that no agent here has."""

    def play(self, tasks: Sequence[Task]) -> Episodes:
        """The same episodes as any actor meets, each in an environment of its own."""
        told, paths, rows = list[Task](), list[NDArray[np.int64]](), []
        for task in tasks:
            env = Navigation(task.group)
            env.begin(task.seed)
            told.append(replace(task, text=env.mission))
            start, optimum = env.goal(), optimum_of(env)
            success, steps = bot_steps(env.unwrapped)
            rows.append((success, steps, optimum, env.unwrapped.max_steps))  # type: ignore[attr-defined]
            paths.append(np.array([start, env.goal()], dtype=np.int64))  # [2, 7]: nobody saw the way
            env.close()
        done, taken, optima, limits = np.array(rows, dtype=np.float64).T  # [E] each
        info = {"optimum": optima, "_limit": limits}
        return Episodes(tuple(told), done.astype(np.bool_), taken.astype(np.int64), tuple(paths), info)


class UnjudgedEnv(BabyAIVectorEnv):
    """One environment of a level as a batch of one; only the level's limit of steps ends an episode."""

    def __init__(self, level: str, view: str) -> None:
        super().__init__(1, level, view, autoreset_mode=AutoresetMode.DISABLED)

    def _advance(self, actions: NDArray[Any], active: Flags) -> tuple[NDArray[np.float64], Flags, Flags]:
        rewards, terminated, truncated = super()._advance(actions, active)
        return np.zeros_like(rewards), np.zeros_like(terminated), truncated
