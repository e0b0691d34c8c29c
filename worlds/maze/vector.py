"""Batches of mazes as settings name them, and what a learner is told of one."""

from __future__ import annotations

import difflib
import hashlib
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.checks import ConfigError
from goalbridge.envs.motion import execution_kernel, unit_directions
from goalbridge.envs.point_maze import MazeSurface
from goalbridge.worlds.maze.settings import MazeSettings

VectorWorld = gymnasium.vector.VectorEnv[Any, Any, Any]


def _settings(config: MazeSettings) -> dict[str, Any]:
    settings: dict[str, Any] = {"action_noise_degrees": config.action_noise_degrees}
    if config.layout:
        settings["layout"] = config.layout
    elif config.id == "goalbridge/PointMaze-v0":
        raise ConfigError("env.layout: is empty; give a text file ('#' wall, '.' free), as in env.layout=my_maze.txt")
    return settings


def make_world(
    config: MazeSettings,
    episodes: int,
    phrasings: str = "train",
    autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
) -> VectorWorld:
    """A batch of `episodes` environments; unless told otherwise, one that has ended begins anew in the next step.

    Raises ConfigError for an id that is none of these worlds, LayoutError for an unusable layout.
    """
    known = [name for name in gymnasium.registry if name.startswith("goalbridge/")]
    if config.id not in known:
        nearest = difflib.get_close_matches(config.id, known, n=1, cutoff=0.0)
        hint = f"did you mean {nearest[0]}? A world of your own is env=own"
        raise ConfigError(f"env.id={config.id}: is none of this project's mazes; {hint}")
    return gymnasium.make_vec(
        config.id,
        num_envs=episodes,
        phrasings=phrasings,
        max_episode_steps=config.max_episode_steps,
        autoreset_mode=autoreset_mode,
        **_settings(config),
    )


def surface(world: VectorWorld) -> MazeSurface:
    """What a world offers learners beside Gymnasium's interface: captions, candidate goals and actions."""
    return cast(MazeSurface, world.unwrapped)


def fingerprint(world: VectorWorld) -> str:
    """Tells two layouts apart; the same for the same layout."""
    return hashlib.sha256(surface(world).layout.to_text().encode()).hexdigest()[:16]


def world_spec(world: VectorWorld, env_id: str) -> WorldSpec:
    """What the learner is told of a world: the bounds of its spaces."""
    spaces = cast(gymnasium.spaces.Dict, world.single_observation_space)
    observation = cast(gymnasium.spaces.Box, spaces["observation"])
    goal = cast(gymnasium.spaces.Box, spaces["achieved_goal"])
    action = cast(gymnasium.spaces.Box, world.single_action_space)
    return WorldSpec(
        env_id,
        fingerprint(world),
        tuple(observation.low.tolist()),
        tuple(observation.high.tolist()),
        tuple(goal.low.tolist()),
        tuple(goal.high.tolist()),
        int(np.prod(action.shape)),
    )


def candidates(world: VectorWorld, count: int) -> CandidateActions:
    """`count` actions worth weighing, and what the world's actuator makes of each."""
    noise = surface(world).world.action_noise_degrees
    return CandidateActions(unit_directions(count), execution_kernel(count, noise))
