"""How an agent of a point maze does while it trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Agent, Policy
from goalbridge.configs.registries import text_encoders
from goalbridge.configs.schema import RunConfig
from goalbridge.envs.commands import Command
from goalbridge.envs.places import CATEGORIES, MazePlaces
from goalbridge.envs.suite import SATISFIABLE
from goalbridge.evaluation.compare import bridge_health
from goalbridge.evaluation.field import field_commands, field_picture
from goalbridge.evaluation.maze_world import MazeHome
from goalbridge.evaluation.metrics import episode_metrics
from goalbridge.evaluation.projector import Projection, project_maze
from goalbridge.evaluation.rollouts import play
from goalbridge.evaluation.suite import playable, suite_commands
from goalbridge.evaluation.watch import EVALUATION_SEED, WATCHED_SEED, Watched, gif, png, posterior_map, rollout_frames
from goalbridge.evaluation.worlds import make_world, surface

WATCHING_GOALS: Final = 1000  # a fifth of the bridge is a fifth of the time, and near enough to watch by
MOST_FRAMES: Final = 50  # of an animation
BY_CATEGORY: Final = ("success", "spl_grid")
_SHARE: Final = 5  # each category of the suite has so much fewer episodes than rows and columns
_FEWEST: Final = 4
# In turn, so that the few evaluations of one training differ as much as can be.
_SHOWN: Final = ("compound", "vague", "held_out_compound", "region", "line", "held_out_phrasing", "exact")


class MazeWatcher:
    """The same starts, commands and noise each time, pictures of a few fixed commands, and one episode to look at."""

    def __init__(self, config: RunConfig) -> None:
        self._config, self._label = config, text_encoders.get(config.encoder.kind).canonical
        split = "label" if self._label else "held_out"
        self._world = make_world(config.env, config.train.evaluation_episodes, split)
        self._one = make_world(config.env, 1, split)
        self._suite = self._draw(max(_FEWEST, config.train.evaluation_episodes // _SHARE), EVALUATION_SEED)
        self._suite_world = make_world(config.env, len(self._suite), split)
        places = MazeHome(config.env, config.data.captions).captions
        assert isinstance(places, MazePlaces)
        self._places = places
        self._fields = field_commands(self._places, self._label)

    def watch(self, agent: Agent, step: int) -> Watched:
        """Means of success, SPL and steps, over rows and columns and by category; the bridge's health; pictures.

        The animated episode is another at each step; its command is of another category at each evaluation.
        """
        policy = agent.policy(goals=agent.bridge_goals[:WATCHING_GOALS].cpu().numpy())
        layout = surface(self._world).layout
        episodes = play(self._world, policy, EVALUATION_SEED)
        metrics = {name: float(values.mean()) for name, values in episode_metrics(layout, episodes).items()}
        health = {f"bridge/{name}": value for name, value in bridge_health(policy, episodes).items()}
        metrics |= self._by_category(policy)
        return Watched(metrics, health, self._animation(agent, policy, step), self._pictures(agent, policy))

    def project(self, agent: Agent) -> Projection | None:
        """Goals of the maze and instructions; None for rivals, which learn no such space."""
        return project_maze(agent, self._places, self._label) if agent.has_goal_posterior else None

    def _draw(self, per_category: int, seed: int) -> tuple[Command, ...]:
        """Commands of the suite that can be asked and read: an agent that reads labels is asked places by theirs."""
        drawn = playable(suite_commands(surface(self._one).world, per_category * len(SATISFIABLE), seed))
        if not self._label:
            return drawn
        spoken = set(self._config.data.captions or CATEGORIES) & set(CATEGORIES)
        return tuple(replace(command, text=command.label) for command in drawn if command.category in spoken)

    def _by_category(self, policy: Policy) -> dict[str, float]:
        """Means of `BY_CATEGORY`, such as "region/success"."""
        played = play(self._suite_world, policy, EVALUATION_SEED, {"instructions": self._suite})
        metrics = episode_metrics(surface(self._world).layout, played)
        category = np.array([command.category for command in self._suite])
        return {
            f"{name}/{metric}": float(metrics[metric][category == name].mean())
            for name in dict.fromkeys(category.tolist())
            for metric in BY_CATEGORY
        }

    def _animation(self, agent: Agent, policy: Policy, step: int) -> bytes:
        command = self._command(step)
        seen = play(self._one, policy, WATCHED_SEED + step, {"instruction": command})
        heat = self._heat(agent, [command])[0]
        return gif(rollout_frames(surface(self._one).layout, seen, 0, heat, command.text, MOST_FRAMES))

    def _command(self, step: int) -> Command:
        """What is asked in the animation at a step: a category after the other, and any of its commands."""
        drawn = self._draw(_FEWEST, WATCHED_SEED + step)
        categories = [name for name in _SHOWN if any(command.category == name for command in drawn)]
        every = self._config.train.evaluate_every or self._config.train.steps
        category = categories[(-(-step // every) - 1) % len(categories)]
        return next(command for command in drawn if command.category == category)

    def _pictures(self, agent: Agent, policy: Policy) -> dict[str, bytes]:
        layout, heat = surface(self._one).layout, self._heat(agent, self._fields)
        return {
            f"field/{command.text}": png(field_picture(layout, policy, command, seen))
            for command, seen in zip(self._fields, heat, strict=True)
        }

    def _heat(self, agent: Agent, commands: tuple[Command, ...] | list[Command]) -> list[NDArray[np.float64] | None]:
        """For each command, what it is taken to mean, [H, W], by the whole bridge."""
        if not agent.has_goal_posterior:
            return [None] * len(commands)
        layout, goals = surface(self._one).layout, agent.bridge_goals.cpu().numpy()  # [M, 2]
        posterior = agent.policy().goal_posterior([command.text for command in commands])  # [B, M]
        return [posterior_map(layout, goals, row) for row in posterior]
