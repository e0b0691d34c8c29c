"""Estimators and rivals on the same episodes, as means with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from goalbridge.agents import Agent, Policy
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.schema import POLICIES, EnvConfig
from goalbridge.envs.commands import Command
from goalbridge.evaluation.metrics import METRICS, Estimate, episode_metrics, interval
from goalbridge.evaluation.rivals import Chance, Expert, Limit
from goalbridge.evaluation.rollouts import Actor, Episodes, play
from goalbridge.worlds.maze.vector import VectorWorld, candidates, make_world, surface

Metrics = dict[str, NDArray[np.float64]]

EPISODES = 1000
OWN_ESTIMATORS = ("logsumexp", "direct", "max", "sample", "limit", "random")
ESTIMATORS = (*POLICIES, "expert", "limit", "random")


def chosen_estimators(chosen: tuple[str, ...], own: tuple[str, ...], possible: tuple[str, ...]) -> tuple[str, ...]:
    """The estimators chosen for a world, each once, or the world's own; ConfigError for one that it does not have."""
    for name in chosen:
        if name not in possible:
            raise ConfigError(f"estimators={name}: means nothing in this world; {', '.join(possible)} would do")
    return tuple(dict.fromkeys(chosen)) or own


def actor_for(
    name: str, agent: Agent, config: EvaluateConfig, env: EnvConfig, world: VectorWorld, commands: Sequence[Command]
) -> Actor:
    """The estimator or rival of that name, weighing the actions that `config` asks for."""
    count = config.candidate_actions or agent.policy_config.candidate_actions
    weighed = candidates(world, count)
    if name in POLICIES:
        goals = agent.bridge_goals.cpu().numpy()[: config.bridge_goals]
        policy: Actor = agent.policy(name, goals, weighed, config.average_noise, config.escape, config.seed)
        return policy
    if name == "limit":
        return Limit(surface(world).layout, commands, env.action_noise_degrees, count)
    if name == "expert":
        return Expert(surface(world).layout, commands)
    return Chance(weighed.actions, config.seed)


def compare(
    agent: Agent,
    config: EvaluateConfig,
    env: EnvConfig,
    phrasings: str,
    commands: Sequence[Command] | None = None,
    begin: Callable[[str], None] = lambda estimator: None,
) -> tuple[dict[str, Episodes], dict[str, Metrics]]:
    """Each estimator's episodes and their metrics [E]: the same starts, commands and noise for all.

    commands: one an episode; if left out, as many as `config` says are drawn from the world's own, in `phrasings`.
    begin: told each estimator's name before it plays.
    """
    names = chosen_estimators(config.estimators, OWN_ESTIMATORS, ESTIMATORS)
    world = make_world(env, config.episodes or EPISODES if commands is None else len(commands), phrasings)
    options = None if commands is None else {"instructions": commands}
    world.reset(seed=config.seed, options=options)
    if commands is None:
        commands = world.unwrapped.current_commands  # type: ignore[attr-defined]
    # All are made before the first is played: what one of them cannot do shows at once.
    actors = {name: actor_for(name, agent, config, env, world, commands) for name in names}
    episodes, metrics = {}, {}
    for name, actor in actors.items():
        begin(name)
        # The world takes a given "row 3" for one of its own and calls it so; here it stays what it was.
        episodes[name] = replace(play(world, actor, config.seed, options), commands=tuple(commands))
        metrics[name] = episode_metrics(surface(world).layout, episodes[name])
    return episodes, metrics


def bridge_health(policy: Policy, episodes: Episodes, most: int = 200) -> dict[str, float]:
    """How far the LogSumExp estimate can be trusted at the starts of (at most `most`) episodes, medians.

    effective_sample_size: of the M bridge goals. standard_error: of a score, in nats.
    """
    texts = [command.text for command in episodes.commands[:most]]
    starts = episodes.starts[:most]
    policy.reset()
    size, error = policy.diagnose(starts, policy.act(starts, texts), texts)
    return {"effective_sample_size": float(size.median()), "standard_error": float(error.median())}


def summary(metrics: Mapping[str, Metrics], episodes: Mapping[str, Episodes], env_id: str, seed: int) -> dict[str, Any]:
    """What evaluation.json holds: estimators, categories of commands, paired differences from the first estimator."""
    names = list(metrics)
    first = metrics[names[0]]
    categories = np.array([command.category for command in episodes[names[0]].commands])
    return {
        "env": env_id,
        "episodes": len(categories),
        "seed": seed,
        "estimators": {name: estimates(metrics[name]) for name in names},
        "categories": {
            str(category): {
                name: estimates({k: v[categories == category] for k, v in metrics[name].items()}) for name in names
            }
            for category in np.unique(categories)
        },
        "paired_difference_from_" + names[0]: {
            name: estimates({k: metrics[name][k] - first[k] for k in METRICS}) for name in names[1:]
        },
    }


def estimates(metrics: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[str, float]]:
    """Each metric's mean and interval, as JSON holds them."""
    return {name: asdict(interval(values)) for name, values in metrics.items()}


def table(report: Mapping[str, Any]) -> Table:
    """The estimators of evaluation.json as a table, each mean with its 95 % interval below."""
    title = f"{report['env']}, {report['episodes']} paired episodes (95 % intervals)"
    grid = Table(title=title)
    grid.add_column("estimator")
    shown = [metric for metric in METRICS if metric in next(iter(report["estimators"].values()))]
    for metric in shown:
        grid.add_column(metric, justify="right")
    for name, found in report["estimators"].items():
        grid.add_row(name, *(_cell(Estimate(**found[metric]), metric) for metric in shown))
    return grid


def _cell(estimate: Estimate, metric: str) -> str:
    digits = 1 if metric == "steps" else 3
    return f"{estimate.mean:.{digits}f}\n[dim]{estimate.low:.{digits}f} to {estimate.high:.{digits}f}[/dim]"
