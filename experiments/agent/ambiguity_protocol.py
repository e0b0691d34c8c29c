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
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.configs.run_folder import read_run_config
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.captions import BRIDGE_GOALS, stream
from goalbridge.envs.suite import SATISFIABLE
from goalbridge.experiments.agent.measuring import SEEDS, agent_of, measure_parts, run_folder
from goalbridge.experiments.agent.trials import Trial, compared, estimates, spread
from goalbridge.worlds import Metrics

MAZES = ("fork_maze", "island_maze")
EVALUATION_SEED = 60_000_000  # 50 000 000 was looked at before the recipe was what it is
EPISODES = 1000
SHOWN = ("success", "spl_grid", "steps", "mass", "first_guess", "wrong_visits")
OWN = ("logsumexp", "resampled", "tempered", "max", "likeliest", "sample", "planned", "direct", "limit", "random")
REFERENCES = ("limit", "random")
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


def suite_of(maze: str) -> Trial:
    """The commands of one maze: the first agent's folder says in which world."""
    agent_of(maze, SEEDS[0])
    return Trial(run_folder(maze, SEEDS[0]), suite="ambiguous", episodes=EPISODES, seed=EVALUATION_SEED)


def by_category(suite: Trial, by_seed: Sequence[Metrics], first: Sequence[Metrics]) -> dict[str, Any]:
    """Means over seeds and episodes, of all and of each category, and differences from the first, paired."""
    rows: dict[str, NDArray[np.bool_]] = {"all": np.ones(len(suite.categories), dtype=np.bool_)}
    rows |= {category: suite.categories == category for category in SATISFIABLE}
    found: dict[str, Any] = {}
    for name, row in rows.items():
        shown = [metric for metric in SHOWN if all(metric in metrics for metrics in by_seed)]
        values = {metric: np.stack([metrics[metric][row] for metrics in by_seed]) for metric in shown}  # [S, E]
        found[name] = {metric: spread(of) for metric, of in values.items()}
        for metric in ("success", "spl_grid"):
            gap = np.stack([theirs[metric][row] for theirs in first]) - values[metric]
            found[name][f"first_minus_this_{metric}"] = spread(gap, paired=True)
    return found


def measure_maze(maze: str) -> dict[str, Any]:
    """Every estimator of the default agents, what additions are worth, and rivals with the same network and data."""
    agents = [agent_of(maze, seed) for seed in SEEDS]
    suite = suite_of(maze)
    found: dict[str, Any] = {}
    first: list[Metrics] = []
    for name in (*OWN, *ADDITIONS, *RIVALS):
        seeds = SEEDS[:1] if name == "limit" else SEEDS  # the limit is not trained
        by_seed = [suite.play(_actor(maze, name, seed)).metrics for seed in seeds]
        by_seed *= len(SEEDS) // len(seeds)
        first = first or by_seed
        found[name] = by_category(suite, by_seed, first)
        print(maze, name, {k: round(v["success"]["mean"], 3) for k, v in found[name].items()}, flush=True)
    sizes = {
        category: suite.world.facts([task for task in suite.tasks if task.category == category])["region_cells"]
        for category in SATISFIABLE
    }
    recipes = {name: list(changes) for name, (changes, _) in RIVALS.items()}
    not_understood = _flags(suite, agents)
    return {"estimators": found, "region_cells": sizes, "not_understood": not_understood, "recipes": recipes}


def _actor(maze: str, name: str, seed: int) -> Any:
    """The policy of that name, or the name of a reference."""
    if name in RIVALS:
        changes, estimator = RIVALS[name]
        return agent_of(maze, seed, name, changes).policy(estimator)
    agent = agent_of(maze, seed)
    if name in ADDITIONS:
        return _changed(agent, ADDITIONS[name]).policy()
    return name if name in REFERENCES else agent.policy(name)


def _changed(agent: Agent, changes: Mapping[str, Any]) -> Agent:
    agent.policy_config = replace(agent.policy_config, **changes)
    return agent


def _flags(suite: Trial, agents: Sequence[Agent]) -> dict[str, Any]:
    """How often an instruction of each category is taken to be unknown, or to contradict itself."""
    policies = [agent.policy() for agent in agents]
    reports = [suite.world.further_report(one, suite.evaluation.config, EPISODES, EVALUATION_SEED) for one in policies]
    found: dict[str, Any] = {}
    for category, first in reports[0]["understood"].items():
        read = [report["understood"][category] for report in reports]
        flags = {name: spread([of[name] for of in read]) for name in ("unknown", "contradictory")}
        found[category] = {"texts": first["texts"], **flags}
    return found


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
            name = f"{title} {count}"
            agents = [agent_of("fork_maze", seed, name, overrides) for seed in SEEDS]
            acts = agents[0].policy_config.name
            folders = [run_folder("fork_maze", seed, name) for seed in SEEDS]
            by_seed = [compared(folder, (acts,), episodes=EPISODES, seed=EVALUATION_SEED)[acts] for folder in folders]
            rows[str(count)][title] = estimates(by_seed)
            print(count, title, rows[str(count)][title]["success"], flush=True)
    return {"maze": "fork_maze", "captions": rows}


def measure_goals() -> dict[str, Any]:
    """Success, path length and the estimator's own error over the number of goals that the bridge sums over."""
    agents = [agent_of("fork_maze", seed) for seed in SEEDS]
    suite = suite_of("fork_maze")
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


def _played(suite: Trial, policies: Sequence[Any]) -> dict[str, Any]:
    by_seed = [suite.play(policy).metrics for policy in policies]
    found = by_category(suite, by_seed, by_seed)
    print({k: round(v["success"]["mean"], 3) for k, v in found.items()}, flush=True)
    return found


def _errors(suite: Trial, policies: Sequence[Any]) -> dict[str, float]:
    """The estimator's error bars at the episodes' starts, medians, averaged over training seeds."""
    texts, errors = [task.text for task in suite.tasks], []
    starts = suite.starts
    for policy in policies:
        policy.reset()
        size, error = policy.diagnose(starts, policy.act(starts, texts), texts)
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
        "ambiguity_protocol",
        "ambiguity_",
        PARTS,
        sys.argv[1:],
        episodes=EPISODES,
        evaluation_seed=EVALUATION_SEED,
    )
