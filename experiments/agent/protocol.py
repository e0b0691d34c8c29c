"""Measures the maze protocol for RESULTS.md: five mazes, three training seeds, one recipe.

    python -m experiments.agent.protocol                     # all; about 40 minutes on one core
    python -m experiments.agent.protocol fork_maze           # one maze

Trains with the command line that a user types, one core each, into runs/protocol, and evaluates every agent on the same
1000 episodes that no training or tuning has met. A finished agent is not trained again. Writes results/MAZE.json.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import one_of
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.run_folder import read_run_config, record
from goalbridge.evaluation.compare import EPISODES, Metrics, compare
from goalbridge.evaluation.metrics import METRICS, interval

MAZES = ("fork_maze", "island_maze", "blank_maze", "slit_maze", "blocker_maze")
SEEDS = (0, 1, 2)
RUNS, RESULTS = Path("runs/protocol"), Path("results")
# How the agent acts: as it does by default, and as the published reference does.
POLICIES: dict[str, dict[str, Any]] = {
    "default": {},
    "8 directions": {"candidate_actions": 8, "average_noise": False, "mask_blocked": False},
}
ESTIMATORS = {
    "default": ("logsumexp", "direct", "max", "sample", "limit", "random"),
    "8 directions": ("logsumexp", "direct", "max", "sample", "limit", "expert"),
}


def run_folder(maze: str, seed: int) -> Path:
    """Where the agent of one maze and seed lies."""
    return RUNS / f"{maze}_{seed}"


def train_command(maze: str, seed: int, folder: Path, changes: Sequence[str] = ()) -> list[str]:
    """The arguments after `python`, as a user types them."""
    return ["train.py", f"env={maze}", f"seed={seed}", f"run_dir={folder}", *changes]


def train(maze: str, seed: int, folder: Path, changes: Sequence[str] = ()) -> float:
    """Trains one agent on one core unless it is there; wall-clock seconds of the whole command.

    changes: overrides of the recipe.
    """
    marker = folder / "seconds.txt"
    if not marker.is_file():
        begin = time.perf_counter()
        command = [sys.executable, *train_command(maze, seed, folder, changes), "resume=true"]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        marker.write_text(f"{time.perf_counter() - begin:.1f}\n")
    return float(marker.read_text())


def evaluate(maze: str, seed: int, policy: str) -> dict[str, Metrics]:
    """Each estimator's metrics [E] for one trained agent."""
    folder = run_folder(maze, seed)
    config = EvaluateConfig(run_dir=str(folder), estimators=ESTIMATORS[policy])
    config = replace(config, **POLICIES[policy])
    return compare(Agent.from_pretrained(folder), config, read_run_config(folder).env, config.phrasings)[1]


def measure(maze: str) -> dict[str, Any]:
    """All figures of one maze, as results/MAZE.json holds them."""
    for seed in SEEDS:
        train(maze, seed, run_folder(maze, seed))
    rows: dict[str, Any] = {}
    for policy in POLICIES:
        by_seed = [evaluate(maze, seed, policy) for seed in SEEDS]
        rows[policy] = {
            name: {
                metric: asdict(interval([metrics[name][metric] for metrics in by_seed]))
                | {"per_seed": [round(float(metrics[name][metric].mean()), 4) for metrics in by_seed]}
                for metric in METRICS
            }
            for name in ESTIMATORS[policy]
        }
        first = "logsumexp"
        for name in ESTIMATORS[policy]:
            differences = [metrics[name]["success"] - metrics[first]["success"] for metrics in by_seed]
            rows[policy][name]["success_minus_logsumexp"] = asdict(interval(differences))
    run = record()
    return {
        "maze": maze,
        "command": f"python -m experiments.agent.protocol {maze}",
        "train_command": " ".join(["python", *train_command(maze, 0, run_folder(maze, 0))]),
        "seeds": list(SEEDS),
        "episodes": EPISODES,
        "evaluation_seed": EvaluateConfig(run_dir="-").seed,
        "git_commit": run["git_commit"],
        "versions": run["versions"],
        "policies": rows,
    }


def measure_parts(
    module: str, prefix: str, parts: Mapping[str, Callable[[], dict[str, Any]]], chosen: Sequence[str], **header: Any
) -> None:
    """Measures the chosen parts, or all, and writes each to results/PREFIX_PART.json; `header` goes in front.

    ConfigError for a part that is not there, before any is measured.
    """
    torch.set_flush_denormal(True)
    RUNS.mkdir(parents=True, exist_ok=True)
    for part in chosen:
        one_of("part", part, tuple(parts))
    for part in chosen or parts:
        run = record()
        result = {
            "command": f"python -m {module} {part}",
            "seeds": list(SEEDS),
            **header,
            "git_commit": run["git_commit"],
            "versions": run["versions"],
        }
        write_json(RESULTS / f"{prefix}_{part}.json", result | parts[part]())


def main(mazes: list[str]) -> None:
    """Measures the named mazes, or all."""
    torch.set_flush_denormal(True)
    np.seterr(all="raise", under="ignore")
    for maze in mazes or MAZES:
        result = measure(maze)
        write_json(RESULTS / f"{maze}.json", result)
        best = result["policies"]["default"]["logsumexp"]
        print(f"{maze}: success {best['success']['mean']:.3f}, spl_grid {best['spl_grid']['mean']:.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
