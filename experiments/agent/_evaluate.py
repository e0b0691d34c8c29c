"""Every call of the protocols into evaluation: agents on the same episodes, and estimates over training seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.agents import Agent
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.run_folder import read_run_config
from goalbridge.configs.schema import EnvConfig
from goalbridge.envs.layouts import Layout
from goalbridge.envs.suite import draw_suite
from goalbridge.evaluation import grid_compare, own_evaluation
from goalbridge.evaluation.compare import EPISODES, Metrics, actor_for, compare
from goalbridge.evaluation.grid_actors import BOT, grid_actor
from goalbridge.evaluation.grid_compare import Outcome, play_bot
from goalbridge.evaluation.grid_metrics import slices
from goalbridge.evaluation.maze_world import MazeHome
from goalbridge.evaluation.metrics import METRICS, episode_metrics, interval
from goalbridge.evaluation.own_world import OwnHome
from goalbridge.evaluation.rollouts import Actor, Episodes, play
from goalbridge.evaluation.suite import playable, suite_commands
from goalbridge.evaluation.watch import gif, posterior_map
from goalbridge.evaluation.worlds import make_world, surface

__all__ = ["BOT", "EPISODES", "Actor", "Episodes", "Metrics", "Outcome", "gif", "play_bot", "posterior_map", "slices"]


def spread(by_seed: ArrayLike) -> dict[str, float]:
    """Mean and 95 % interval of values [S, E], by a bootstrap over seeds, then episodes."""
    return asdict(interval(by_seed))


def estimates(by_seed: Sequence[Metrics], names: Sequence[str] = METRICS) -> dict[str, Any]:
    """Each metric's mean and interval over training seeds, and each seed's mean."""
    return {
        name: spread([metrics[name] for metrics in by_seed])
        | {"per_seed": [round(float(metrics[name].mean()), 4) for metrics in by_seed]}
        for name in names
    }


def compared(folder: Path, estimators: Sequence[str], split: str | None = None, **changes: Any) -> dict[str, Metrics]:
    """Each estimator's metrics [E] for the maze agent in a folder; changes: of the settings of evaluate.py."""
    config = replace(EvaluateConfig(run_dir=str(folder), estimators=tuple(estimators)), **changes)
    run = read_run_config(folder)
    split = split or ("label" if run.encoder.kind == "label" else config.phrasings)
    return compare(Agent.from_pretrained(folder), config, run.env, split)[1]


class Suite:
    """The same commands, starts and noise of one maze for every actor."""

    def __init__(self, folder: Path, per_category: int, seed: int, categories: Sequence[str]) -> None:
        self.env, self.seed = read_run_config(folder).env, seed
        self.layout: Layout = surface(make_world(self.env, 1)).layout
        every = draw_suite(self.layout, per_category, seed)
        self.commands = [command for command in every if command.category in categories]
        self.others = [command for command in every if command.category not in categories]
        self.categories = np.array([command.category for command in self.commands])  # [E]
        self.world = make_world(self.env, len(self.commands))
        observation, _ = self.world.reset(seed=seed, options={"instructions": self.commands})
        self.starts: NDArray[np.float32] = observation["observation"].copy()  # [E, 2]

    def play(self, actor: Actor) -> Metrics:
        """Each metric [E]."""
        return episode_metrics(self.layout, play(self.world, actor, self.seed, {"instructions": self.commands}))

    def actor(self, name: str, agent: Agent) -> Actor:
        """The estimator or rival of that name."""
        return actor_for(name, agent, EvaluateConfig(run_dir="-"), self.env, self.world, self.commands)


def maze_metrics(folder: Path, seed: int, directions: int, wrap: Callable[[Any], Actor]) -> Metrics:
    """Metrics [E] of LogSumExp among so many directions, wrapped, on held-out phrasings."""
    agent, env = Agent.from_pretrained(folder), read_run_config(folder).env
    policy = agent.policy("logsumexp", candidates=MazeHome(env).candidates(directions))
    world = make_world(env, EPISODES, "held_out")
    return episode_metrics(surface(world).layout, play(world, wrap(policy), seed))


def expert_length(env: str) -> float:
    """Mean number of steps of the expert's trajectories."""
    world = MazeHome(EnvConfig(f"goalbridge/{env.title().replace('_', '')}-v0"))
    return float(world.collect(DataConfig(trajectories=2000), seed=0).lengths.mean())


def play_level(level: str, actor: Any, count: int, seed: int, view: str = "full", reword: Any = None) -> Outcome:
    """What becomes of so many episodes of a BabyAI level."""
    return grid_compare.play_in_parts(level, actor, count, seed, view, reword=reword)


def level_actor(name: str, agent: Agent, seed: int) -> Actor:
    """The estimator or rival of that name in BabyAI."""
    return grid_actor(name, agent, EvaluateConfig(run_dir="-", seed=seed))


def custom_world(folder: Path, episodes: int, seed: int) -> Mapping[str, Metrics]:
    """Each estimator's metrics [E] for the agent in a folder, in the world that its user brought."""
    config = EvaluateConfig(run_dir=str(folder), episodes=episodes, seed=seed)
    home = OwnHome(read_run_config(folder).env)
    return own_evaluation.OwnEvaluation(Agent.from_pretrained(folder), config, home, folder).measure()


def played_side_by_side(
    agent: Agent, folder: Path, estimators: Mapping[str, str], count: int, seed: int
) -> tuple[Layout, list[Any], dict[str, Episodes]]:
    """The layout, commands of the suite that mean several cells, and how each estimator played them, by its title."""
    run = read_run_config(folder)
    MazeHome(run.env, run.data.captions).require_same(agent.world, str(folder))
    drawn = playable(suite_commands(surface(make_world(run.env, 1)).world, count, seed))
    commands = [command for command in drawn if command.region.sum() > 1]
    world = make_world(run.env, len(commands))
    played = {
        title: play(world, agent.policy(name), seed, {"instructions": commands}) for name, title in estimators.items()
    }
    return surface(world).layout, commands, played
