"""Measures the ambiguous commands for RESULTS.md: fork and island, three training seeds.

    python -m experiments.agent.ambiguity_protocol fork_maze  # all categories, every estimator; or island_maze
    python -m experiments.agent.ambiguity_protocol scarcity  # success over the number of captioned states
    python -m experiments.agent.ambiguity_protocol goals  # success and error bars over the number of bridge goals

Trains with the command line that a user types, into runs/protocol, what is not there yet. The evaluation's seeds were
used for nothing else. Writes results/ambiguity_PART.json.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.run_folder import read_run_config
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.collect import BRIDGE_GOALS, stream
from goalbridge.envs.commands import Command
from goalbridge.envs.suite import SATISFIABLE, UNSATISFIABLE, draw_suite
from goalbridge.evaluation.compare import Metrics, actor_for, compare
from goalbridge.evaluation.metrics import METRICS, episode_metrics, interval
from goalbridge.evaluation.rollouts import Actor, play
from goalbridge.experiments.agent.protocol import RUNS, SEEDS, measure_parts, run_folder, train
from goalbridge.worlds.maze.vector import make_world, surface

MAZES = ("fork_maze", "island_maze")
EVALUATION_SEED = 60_000_000  # 50 000 000 was looked at before the recipe was what it is
EPISODES = 1000
PER_CATEGORY = -(-EPISODES // len(SATISFIABLE))
SHOWN = ("success", "spl_grid", "steps")
OWN = ("logsumexp", "resampled", "tempered", "max", "likeliest", "sample", "planned", "direct", "limit", "random")
ADDITIONS = {
    "logsumexp, no memory": {"eliminate_visited": False},
    "logsumexp, whole texts": {"parse_compositions": False},
}
# Trained for the purpose: each is told its overrides, and acts by the estimator named last.
RIVALS: dict[str, tuple[tuple[str, ...], str]] = {
    "end to end": (("train.objective=end_to_end", "policy.name=direct"), "direct"),
    "behaviour cloning": (("train.objective=behaviour_cloning", "policy.name=direct"), "direct"),
    "compounds trained on": (
        ("env.categories=[exact,line,region,vague,compound]", "policy.parse_compositions=false"),
        "logsumexp",
    ),
}
CAPTIONED = (30, 100, 300, 1000, 100_000)
SCARCE = ("env.categories=[line]",)
GOALS = (16, 64, 256, 1024, 4096, 16_384)
DRAWN = (16, 64, 256, 1024)


def agent_of(maze: str, seed: int, name: str = "", changes: Sequence[str] = ()) -> Agent:
    """The agent of a maze and training seed, trained now unless it is there; with a name, by a changed recipe."""
    folder = run_folder(maze, seed) if not name else RUNS / f"{maze}_{name.replace(' ', '_')}_{seed}"
    train(maze, seed, folder, (*changes, "encoder.cache_dir=runs/protocol/texts"))
    return Agent.from_pretrained(folder)


class Suite:
    """The same commands, starts and noise of one maze for every actor."""

    def __init__(self, maze: str) -> None:
        self.env = read_run_config(run_folder(maze, SEEDS[0])).env
        self.layout = surface(make_world(self.env, 1)).layout
        every = draw_suite(self.layout, PER_CATEGORY, EVALUATION_SEED)
        self.commands = [command for command in every if command.category in SATISFIABLE]
        self.others = [command for command in every if command.category in UNSATISFIABLE]
        self.world = make_world(self.env, len(self.commands))
        self.categories = np.array([command.category for command in self.commands])  # [E]
        observation, _ = self.world.reset(seed=EVALUATION_SEED, options={"instructions": self.commands})
        self.starts = observation["observation"].copy()  # [E, 2]

    def play(self, actor: Actor) -> Metrics:
        """Each metric [E]."""
        options = {"instructions": self.commands}
        return episode_metrics(self.layout, play(self.world, actor, EVALUATION_SEED, options))

    def actor(self, name: str, agent: Agent) -> Actor:
        """The estimator or rival of that name."""
        return actor_for(name, agent, EvaluateConfig(run_dir="-"), self.env, self.world, self.commands)

    def by_category(self, by_seed: Sequence[Metrics], first: Sequence[Metrics]) -> dict[str, Any]:
        """Means over seeds and episodes, of all and of each category, and differences from the first, paired."""
        rows: dict[str, NDArray[np.bool_]] = {"all": np.ones(len(self.categories), dtype=np.bool_)}
        rows |= {category: self.categories == category for category in SATISFIABLE}
        found: dict[str, Any] = {}
        for name, row in rows.items():
            values = {metric: np.stack([metrics[metric][row] for metrics in by_seed]) for metric in SHOWN}  # [S, E]
            found[name] = {metric: asdict(interval(of)) for metric, of in values.items()}
            for metric in ("success", "spl_grid"):
                gap = np.stack([theirs[metric][row] for theirs in first]) - values[metric]
                found[name][f"first_minus_this_{metric}"] = asdict(interval(gap))
        return found


def measure_maze(maze: str) -> dict[str, Any]:
    """Every estimator of the default agents, what additions are worth, and rivals with the same network and data."""
    agents = [agent_of(maze, seed) for seed in SEEDS]
    suite = Suite(maze)
    found: dict[str, Any] = {}
    first: list[Metrics] = []
    for name in (*OWN, *ADDITIONS, *RIVALS):
        seeds = SEEDS[:1] if name == "limit" else SEEDS  # the limit is not trained
        by_seed = [suite.play(_actor(suite, maze, name, seed)) for seed in seeds]
        by_seed *= len(SEEDS) // len(seeds)
        first = first or by_seed
        found[name] = suite.by_category(by_seed, first)
        print(maze, name, {k: round(v["success"]["mean"], 3) for k, v in found[name].items()}, flush=True)
    sizes = {
        category: float(np.mean([command.region.sum() for command in suite.commands if command.category == category]))
        for category in SATISFIABLE
    }
    recipes = {name: list(changes) for name, (changes, _) in RIVALS.items()}
    not_understood = _flags(suite, agents)
    return {"estimators": found, "region_cells": sizes, "not_understood": not_understood, "recipes": recipes}


def _actor(suite: Suite, maze: str, name: str, seed: int) -> Actor:
    if name in RIVALS:
        changes, estimator = RIVALS[name]
        rival: Actor = agent_of(maze, seed, name, changes).policy(estimator)
        return rival
    agent = agent_of(maze, seed)
    if name in ADDITIONS:
        changed: Actor = _changed(agent, ADDITIONS[name]).policy()
        return changed
    return suite.actor(name, agent)


def _changed(agent: Agent, changes: Mapping[str, Any]) -> Agent:
    agent.policy_config = replace(agent.policy_config, **changes)
    return agent


def _flags(suite: Suite, agents: Sequence[Agent]) -> dict[str, Any]:
    """How often an instruction of each category is taken to be unknown, or to contradict itself."""
    found: dict[str, Any] = {}
    for category in (*SATISFIABLE, *UNSATISFIABLE):
        texts = _distinct([command for command in (*suite.commands, *suite.others) if command.category == category])
        seen = [[agent.policy().understand(text) for text in texts] for agent in agents]
        found[category] = {
            "texts": len(texts),
            "unknown": asdict(interval([[not one.known for one in row] for row in seen])),
            "contradictory": asdict(interval([[not one.consistent for one in row] for row in seen])),
        }
    return found


def _distinct(commands: Sequence[Command]) -> list[str]:
    return list(dict.fromkeys(command.text for command in commands))


def measure_scarcity() -> dict[str, Any]:
    """Success on rows and columns over the number of captioned states, with rivals shown the same captions."""
    rows: dict[str, Any] = {}
    for count in CAPTIONED:
        rows[str(count)] = {}
        for title, changes in (
            ("bridge", ()),
            ("end to end", RIVALS["end to end"][0]),
            ("behaviour cloning", RIVALS["behaviour cloning"][0]),
        ):
            overrides = (*SCARCE, f"data.labelled_goals={count}", *changes)
            agents = [agent_of("fork_maze", seed, f"{title} {count}", overrides) for seed in SEEDS]
            config = EvaluateConfig(run_dir="-", seed=EVALUATION_SEED, estimators=(agents[0].policy_config.name,))
            env = read_run_config(run_folder("fork_maze", SEEDS[0])).env
            by_seed = [next(iter(compare(agent, config, env, "held_out")[1].values())) for agent in agents]
            rows[str(count)][title] = {
                metric: asdict(interval([metrics[metric] for metrics in by_seed])) for metric in METRICS
            }
            print(count, title, rows[str(count)][title]["success"], flush=True)
    return {"maze": "fork_maze", "captions": rows}


def measure_goals() -> dict[str, Any]:
    """Success, path length and the estimator's own error over the number of goals that the bridge sums over."""
    agents = [agent_of("fork_maze", seed) for seed in SEEDS]
    suite = Suite("fork_maze")
    pools = [_draw_goals(seed) for seed in SEEDS]
    rows: dict[str, Any] = {}
    for count in GOALS:
        paired = zip(agents, pools, strict=True)
        policies = [agent.policy("logsumexp", pool[:count]) for agent, pool in paired]
        rows[f"logsumexp {count}"] = _played(suite, policies) | _errors(suite, policies)
    for count in DRAWN:
        policies = [_changed(agent, {"proposals": count}).policy("resampled") for agent in agents]
        rows[f"resampled {count}"] = _played(suite, policies)
    return {"maze": "fork_maze", "rows": rows}


def _played(suite: Suite, policies: Sequence[Any]) -> dict[str, Any]:
    by_seed = [suite.play(policy) for policy in policies]
    found = suite.by_category(by_seed, by_seed)
    print({k: round(v["success"]["mean"], 3) for k, v in found.items()}, flush=True)
    return found


def _errors(suite: Suite, policies: Sequence[Any]) -> dict[str, float]:
    """The estimator's error bars at the episodes' starts, medians, averaged over training seeds."""
    texts, errors = [command.text for command in suite.commands], []
    for policy in policies:
        policy.reset()
        size, error = policy.diagnose(suite.starts, policy.act(suite.starts, texts), texts)
        errors.append([float(size.median()), float(error.median())])
    size_mean, error_mean = np.mean(errors, axis=0).tolist()
    return {"effective_sample_size": size_mean, "standard_error": error_mean}


def _draw_goals(seed: int) -> NDArray[np.float32]:
    """Draws [16 384, 2] from p(g), as the agent's own were drawn, from its trajectories."""
    folder = run_folder("fork_maze", seed)
    buffer = TrajectoryBuffer.open(folder / "trajectories")
    futures = buffer.sample_futures(stream(seed, BRIDGE_GOALS), max(GOALS), read_run_config(folder).train.discount)
    return np.asarray(futures.goals, dtype=np.float32)


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    **{maze: partial(measure_maze, maze) for maze in MAZES},
    "scarcity": measure_scarcity,
    "goals": measure_goals,
}


if __name__ == "__main__":
    measure_parts(
        "goalbridge.experiments.agent.ambiguity_protocol",
        "ambiguity",
        PARTS,
        sys.argv[1:],
        episodes=EPISODES,
        evaluation_seed=EVALUATION_SEED,
    )
