"""Worlds that users bring in RESULTS.md, from results/own_worlds.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from goalbridge.experiments.agent.markdown import cell, load, table

ABOUT: Final = (
    "The worlds of docs/OWN_WORLD.md, trained on random play by the commands that stand there, and asked for captions "
    "that do not hold at the start. *random* plays as the data were made. *lake* is Gymnasium's FrozenLake (numbered "
    "states and actions), *pendulum* its Pendulum (continuous actions), *dot* is seen in pictures, *maze* is "
    "gymnasium-robotics' PointMaze (continuous actions, MuJoCo). Success, then steps; a failure counts all its own."
)


def sections() -> list[str]:
    """Markdown of what has been measured."""
    found = load("own_worlds")
    return ["## Worlds that users bring", ABOUT, *(_world(*item) for item in found.items())] if found else []


def _world(name: str, result: Mapping[str, Any]) -> str:
    header = ["estimator", "success", "by seed", "steps", "success minus the first's"]
    rows = [
        [
            estimator,
            cell(figures["success"]),
            " ".join(f"{value:.2f}" for value in figures["success"]["per_seed"]),
            f"{figures['steps']['mean']:.1f}",
            cell(figures["success_minus_first"]),
        ]
        for estimator, figures in result["estimators"].items()
    ]
    seeds, seconds = len(result["seeds"]), max(result["seconds"])
    how = (
        f"*{name}*: `{result['train_command']}` ({seconds} s at most), {seeds} training seeds, {result['episodes']} "
        f"episodes each; `{result['command']}`, at {result['git_commit'][:8]}."
    )
    return f"{how}\n\n{table(header, rows)}"
