"""Episodes in BabyAI's levels, many at once, each judged by the level's own verifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai.four_rooms import ROOMS, room_at
from goalbridge.envs.babyai.levels import level
from goalbridge.envs.babyai.optimum import fewest_steps, fewest_steps_to_region, mission_targets
from goalbridge.evaluation.rollouts import Actor

Reword = Callable[[str], str]


@dataclass(frozen=True, eq=False)
class GridEpisodes:
    """E finished episodes of one level.

    level: its name. missions: E texts, as the actor was told them. grids: E arrays [W, H, 3], at the start.
    paths: E arrays [steps + 1, 3] of poses. success: [E] bool, reward > 0. steps: [E] taken; charged: [E], the same but
    the level's own limit where it failed. optimum: [E], the fewest on the full map; NaN where nobody knows (sequences).
    """

    level: str
    missions: tuple[str, ...]
    grids: tuple[NDArray[np.uint8], ...]
    paths: tuple[NDArray[np.int64], ...]
    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    charged: NDArray[np.float64]
    optimum: NDArray[np.float64]

    @property
    def ambiguous(self) -> NDArray[np.bool_]:
        """Which missions leave open which thing is meant, as BabyAI says it: "go to a ...", [E]."""
        return np.array([" a " in text or " an " in text for text in self.missions])


def play_level(
    name: str,
    actor: Actor,
    episodes: int,
    seed: int,
    view: str = "full",
    reword: Reword | None = None,
) -> GridEpisodes:
    """One episode in each of `episodes` environments of a level; seed s gives environment i the seed s + i.

    reword: what is told to the actor instead of the level's own mission. The level, its mission and its verifier are
    minigrid's; an environment whose episode is over waits.
    """
    world = _world(name, episodes, view)
    actor.reset()
    observation, _ = world.reset(seed=seed)
    told = tuple(text if reword is None else reword(text) for text in world.missions)
    optimum = np.array([optimum_of(env) for env in world.envs])
    limits = np.array([env.unwrapped.max_steps for env in world.envs], dtype=np.float64)
    grids = tuple(env.grid.copy() for env in world.envs)
    paths = [[env.goal()[:3]] for env in world.envs]
    success, steps = np.zeros(episodes, dtype=np.bool_), np.zeros(episodes, dtype=np.int64)
    active = np.ones(episodes, dtype=np.bool_)
    actions = np.zeros(episodes, dtype=np.int64)
    while active.any():
        going = np.flatnonzero(active)
        seen = {key: value[going] for key, value in observation["observation"].items()}
        actions[going] = actor.act(seen, [told[i] for i in going], going.tolist())
        observation, reward, terminated, truncated, _ = world.step(actions)
        for i in going:
            paths[i].append(world.envs[i].goal()[:3])
        steps += active
        success |= active & (reward > 0)
        active &= ~(terminated | truncated)
    charged = np.where(success, steps, limits)
    walked = tuple(np.array(path, dtype=np.int64) for path in paths)
    return GridEpisodes(name, told, grids, walked, success, steps, charged, optimum)


@lru_cache(maxsize=2)  # as many episodes as are played at once, and the rest of them
def _world(name: str, episodes: int, view: str) -> Any:
    """Environments of a level, kept for the next actor: they are slow to make, and a seeded reset begins all anew."""
    return gymnasium.make_vec(
        level(name).id, num_envs=episodes, view=view, autoreset_mode=AutoresetMode.DISABLED
    ).unwrapped


def optimum_of(env: Any) -> float:
    """Fewest steps of an episode that has just begun, on the full map."""
    raw = env.unwrapped
    grid, start = raw.grid.encode(), (*raw.agent_pos, raw.agent_dir)
    if env.level.family == "four_rooms":
        room = env.env.room
        assert room in ROOMS
        size = (raw.width, raw.height)
        region = np.array([[room_at(x, y, *size) == room for y in range(size[1])] for x in range(size[0])])  # [W, H]
        return fewest_steps_to_region(grid, start, region)
    if env.level.family == "sequence":
        return float("nan")
    return fewest_steps(grid, start, mission_targets(raw))
