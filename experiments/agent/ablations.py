"""Measures what each part of the recipe is worth, on fork, for RESULTS.md: `python -m experiments.agent.ablations`.

Each row is the default recipe with one setting changed, three training seeds, the same 1000 episodes as the protocol.
Writes results/ablations.json.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import torch

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_json
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.run_folder import read_run_config, record
from goalbridge.evaluation.compare import compare
from goalbridge.evaluation.metrics import METRICS, interval
from goalbridge.experiments.agent.protocol import RESULTS, RUNS, SEEDS, train

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
        folder = RUNS / f"{MAZE}_{seed}{'_' + change.replace('=', '_') if change else ''}"
        train(MAZE, seed, folder, (change,) if change else ())
        run, agent = read_run_config(folder), Agent.from_pretrained(folder)
        config = EvaluateConfig(run_dir=str(folder), estimators=ESTIMATORS)
        split = "label" if agent.text.canonical else config.phrasings
        by_seed.append(compare(agent, config, run.env, split)[1])
    return {
        name: {metric: asdict(interval([metrics[name][metric] for metrics in by_seed])) for metric in METRICS}
        for name in ESTIMATORS
    }


def main() -> None:
    """Measures every ablation."""
    torch.set_flush_denormal(True)
    rows = {}
    for change in ABLATIONS:
        rows[change or "default"] = measure(change)
        print(change or "default", rows[change or "default"]["logsumexp"]["success"], file=sys.stderr, flush=True)
    result = {
        "maze": MAZE,
        "command": "python -m experiments.agent.ablations",
        "seeds": list(SEEDS),
        "rows": rows,
    }
    write_json(RESULTS / "ablations.json", result | {"git_commit": record()["git_commit"]})


if __name__ == "__main__":
    main()
