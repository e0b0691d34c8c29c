"""Measures the maze protocol for RESULTS.md: five mazes, three training seeds, one recipe.

    python -m experiments.agent.protocol                     # all; about 40 minutes on one core
    python -m experiments.agent.protocol fork_maze           # one maze

Trains with the command line that a user types, one core each, into runs/protocol, and evaluates every agent on the same
1000 episodes that no training or tuning has met. A finished agent is not trained again. Writes results/MAZE.json.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.experiments.agent.measuring import MAZES, SEEDS, measure_parts, run_folder, train, train_command
from goalbridge.experiments.agent.trials import compared, estimates, spread

EPISODES = 1000
# How the agent acts: as it does by default, and as the published reference does.
POLICIES: dict[str, dict[str, Any]] = {
    "default": {},
    "8 directions": {"candidate_actions": 8, "average_noise": False, "mask_blocked": False},
}
ESTIMATORS = {
    "default": ("logsumexp", "direct", "max", "sample", "limit", "random"),
    "8 directions": ("logsumexp", "direct", "max", "sample", "limit", "expert"),
}


def measure(maze: str) -> dict[str, Any]:
    """All figures of one maze, as results/MAZE.json holds them."""
    folders = [run_folder(maze, seed) for seed in SEEDS]
    commands = [train_command(maze, seed, folder) for seed, folder in zip(SEEDS, folders, strict=True)]
    for folder, command in zip(folders, commands, strict=True):
        train(folder, command)
    rows: dict[str, Any] = {}
    for policy, settings in POLICIES.items():
        by_seed = [
            compared(run_folder(maze, seed), ESTIMATORS[policy], episodes=EPISODES, **settings) for seed in SEEDS
        ]
        rows[policy] = {name: estimates([metrics[name] for metrics in by_seed]) for name in ESTIMATORS[policy]}
        for name, row in rows[policy].items():
            gaps = [metrics[name]["success"] - metrics["logsumexp"]["success"] for metrics in by_seed]
            row["success_minus_logsumexp"] = spread(gaps, paired=True)
    print(f"{maze}: success {rows['default']['logsumexp']['success']['mean']:.3f}", flush=True)
    return {"maze": maze, "train_command": " ".join(["python", *commands[0]]), "policies": rows}


if __name__ == "__main__":
    parts = {maze: partial(measure, maze) for maze in MAZES}
    seed = EvaluateConfig(run_dir="-").seed
    measure_parts("protocol", "", parts, sys.argv[1:], episodes=EPISODES, evaluation_seed=seed)
