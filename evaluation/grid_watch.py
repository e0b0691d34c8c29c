"""Episodes of BabyAI's levels that one can watch: what was seen, what the agent believed was meant, what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.navigation import Navigation
from goalbridge.envs.babyai.rendering import draw_grid
from goalbridge.evaluation.grid_rollouts import Reword
from goalbridge.evaluation.rollouts import Actor
from goalbridge.evaluation.watch import spread

MOST_FRAMES: Final = 120  # of a longer episode about every second moment is drawn, or every third, ...
_LARGE: Final = 13  # cells along a side from which tiles are drawn smaller
_TILE, _SMALL_TILE = 24, 16

Observation = dict[str, NDArray[Any]]  # a batch of one: "grid" [1, W, H, 3], "pose" [1, 3]
Stop = Callable[[Observation], bool]


@dataclass(frozen=True, eq=False)
class Recording:
    """One episode, moment by moment.

    level, mission: its name and words. told: what the actor was told. moments: T + 1 observations, each a batch of one.
    success: whether the level gave its reward. stopped: whether it ended because `stop` said so.
    """

    level: str
    mission: str
    told: str
    moments: tuple[Observation, ...]
    success: bool
    stopped: bool = False

    @property
    def path(self) -> NDArray[np.int64]:
        """Poses [T + 1, 3]."""
        return np.concatenate([moment["pose"] for moment in self.moments])


def record(
    name: str,
    actor: Actor,
    episode: int,
    seed: int,
    view: str = "full",
    reword: Reword | None = None,
    stop: Stop | None = None,
) -> Recording:
    """Plays one episode of a level and keeps all that was seen; with seed + episode it is that of `play_level`.

    episode: its number, as the actor hears it. reword: what the actor is told instead of the mission. stop: ends the
    episode where it holds, at the start too; the level's own mission then ends nothing, only its step limit.
    """
    env = Navigation(name, view)
    env.begin(seed + episode)
    told = env.mission if reword is None else reword(env.mission)
    actor.reset()
    moments, success, over = [_seen(env)], False, False
    stopped = stop is not None and stop(moments[-1])
    while not over and not stopped:
        action = actor.act(moments[-1], [told], [episode])[0]
        reward, terminated, truncated = env.advance(int(action))
        moments.append(_seen(env))
        success = success or reward > 0
        stopped = stop is not None and stop(moments[-1])
        over = truncated or (terminated and stop is None)
    env.close()
    return Recording(name, env.mission, told, tuple(moments), success, stopped)


def _seen(env: Navigation) -> Observation:
    observation: Observation = env.observe()["observation"]
    return {key: value[None] for key, value in observation.items()}


def posterior_cells(policy: Any, observation: Observation, instruction: str) -> NDArray[np.float64]:
    """Probability of each cell, [W, H], of being where the agent thinks that it was told to stand."""
    goals = policy.goals(observation)[0].astype(np.int64)  # [M, S]
    heat = np.zeros(observation["grid"].shape[1:3])  # [W, H]
    np.add.at(heat, (goals[:, 0], goals[:, 1]), policy.goal_posterior([instruction], observation)[0])
    return heat


def recording_frames(recording: Recording, policy: Any = None, caption: str | None = None) -> list[NDArray[np.uint8]]:
    """A frame [h, w, 3] for each of at most MOST_FRAMES moments, the last one always among them.

    policy: whose posterior over goals is shaded; nobody's if None. caption: instead of the mission.
    """
    last = len(recording.moments) - 1
    tile = _TILE if max(recording.moments[0]["grid"].shape) < _LARGE else _SMALL_TILE
    path = recording.path[:, :2]  # [T + 1, 2]
    grid, heat, frames = None, None, []
    for step in spread(last, MOST_FRAMES):
        moment = recording.moments[step]
        if policy is not None and (grid is None or not np.array_equal(grid, moment["grid"])):
            grid, heat = moment["grid"], posterior_cells(policy, moment, recording.told)
        title = recording.mission if caption is None else caption
        frames.append(draw_grid(moment["grid"][0], moment["pose"][0], heat, title, path[: step + 1], tile))
    return frames
