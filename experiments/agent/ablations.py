"""Measures what each part of the recipe is worth, on fork, for RESULTS.md: `python -m experiments.agent.ablations`.

Each row is the default recipe with one setting changed, three training seeds, the same 1000 episodes as the protocol.
Writes results/ablations.json.
"""

from __future__ import annotations

import sys
from typing import Any

from goalbridge.experiments.agent.measuring import SEEDS, header, prepare, run_folder, train, train_command, write
from goalbridge.experiments.agent.trials import compared, estimates

MAZE = "fork_maze"
ESTIMATORS = ("logsumexp", "direct")
ABLATIONS = (
    "train.multi_positives=masked",
    "train.multi_positives=negatives",
    "train.action_negatives=0",
    "agent.frequencies=[]",
    "encoder=label",
    "",
)


def measure(change: str) -> dict[str, Any]:
    """Success and SPL of LogSumExp and Direct with one override of the recipe."""
    by_seed = []
    for seed in SEEDS:
        folder = run_folder(MAZE, seed, change)
        train(folder, train_command(MAZE, seed, folder, (change,) if change else ()))
        by_seed.append(compared(folder, ESTIMATORS, episodes=1000))
    return {name: estimates([metrics[name] for metrics in by_seed]) for name in ESTIMATORS}


def main() -> None:
    """Measures every ablation."""
    prepare()
    rows = {}
    for change in ABLATIONS:
        rows[change or "default"] = measure(change)
        print(change or "default", rows[change or "default"]["logsumexp"]["success"], file=sys.stderr, flush=True)
    write("ablations", header("ablations") | {"maze": MAZE, "rows": rows})


if __name__ == "__main__":
    main()
