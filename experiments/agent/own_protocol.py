"""Measures worlds that users bring for RESULTS.md: those of docs/OWN_WORLD.md, three training seeds each.

    python -m experiments.agent.own_protocol             # all; about 40 minutes on one core
    python -m experiments.agent.own_protocol lake

Writes the user's files into runs/protocol/own, trains there with the command line that a user types, and evaluates on
fresh seeds. "maze" needs gymnasium-robotics. A finished agent is not trained again. Adds to results/own_worlds.json.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_atomically, write_json
from goalbridge.configs.checks import one_of
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.run_folder import read_run_config, record
from goalbridge.evaluation.compare import Metrics
from goalbridge.evaluation.metrics import interval
from goalbridge.evaluation.own_evaluation import OwnEvaluation
from goalbridge.experiments.agent.protocol import RESULTS, RUNS, SEEDS
from goalbridge.worlds.gym.world import GymWorld

ROOT: Final = Path(__file__).parents[1]
FILES: Final = {"my_worlds.py": "lake(goal)", "robot_worlds.py": "maze(goal)"}  # told by a function in each
WORLDS: Final = {
    "lake": ("env.id=my_worlds:Lake-v0", "env.captions=my_worlds:lake"),
    "pendulum": ("env.id=Pendulum-v1", "env.captions=my_worlds:pendulum"),
    "dot": ("env.id=my_worlds:Dot-v0", "env.captions=my_worlds:dot"),
    "maze": (
        *("env.id=robot_worlds:PointMaze_UMaze-v3", "env.captions=robot_worlds:maze", "env.max_episode_steps=200"),
        *("data.walk_length=200", "train.discount=0.98"),  # it takes long to roll from one end to the other
    ),
}
NEEDS: Final = {"maze": "gymnasium_robotics"}
EPISODES, SEED = 500, 60_000_000
TARGET = RESULTS / "own_worlds.json"


def users_files() -> dict[str, str]:
    """The files that docs/OWN_WORLD.md holds, by name."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "OWN_WORLD.md").read_text(), re.DOTALL)
    return {name: next(block for block in blocks if told in block) for name, told in FILES.items()}


def train(world: str, seed: int, folder: Path) -> float:
    """Trains one agent in `folder` on one core unless it is there; wall-clock seconds of the whole command."""
    run = folder / f"{world}_{seed}"
    marker = run / "seconds.txt"
    if not marker.is_file():
        begin = time.perf_counter()
        command = [sys.executable, str(ROOT / "train.py"), *arguments(world, seed), f"run_dir={run.name}"]
        surroundings = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "resume=true"], check=True, env=surroundings, cwd=folder)
        marker.write_text(f"{time.perf_counter() - begin:.1f}\n")
    return float(marker.read_text())


def arguments(world: str, seed: int) -> list[str]:
    """What a user types after `python train.py`, but for run_dir."""
    return ["env=own", *WORLDS[world], f"seed={seed}"]


def measure(world: str, folder: Path, seeds: Sequence[int] = SEEDS, episodes: int = EPISODES) -> dict[str, Any]:
    """Success and steps of each estimator in one world, over the seeds."""
    seconds = [train(world, seed, folder) for seed in seeds]
    found: dict[str, list[Metrics]] = {}
    for seed in seeds:
        run = folder / f"{world}_{seed}"
        config = EvaluateConfig(run_dir=str(run), episodes=episodes, seed=SEED)
        home = GymWorld(read_run_config(run).env)
        for name, metrics in OwnEvaluation(Agent.from_pretrained(run), config, home, run).measure().items():
            found.setdefault(name, []).append(metrics)
    first = next(iter(found))
    estimators = {}
    for name, by_seed in found.items():
        columns = {metric: [metrics[metric] for metrics in by_seed] for metric in by_seed[0]}
        columns["success_minus_first"] = [
            metrics["success"] - base["success"] for metrics, base in zip(by_seed, found[first], strict=True)
        ]
        estimators[name] = {metric: asdict(interval(values)) for metric, values in columns.items()}
        estimators[name]["success"]["per_seed"] = [float(metrics["success"].mean()) for metrics in by_seed]
    about = record()
    return {
        "command": f"python -m experiments.agent.own_protocol {world}",
        "train_command": " ".join(["python", "train.py", *arguments(world, seeds[0])]),
        "seeds": list(seeds),
        "episodes": episodes,
        "evaluation_seed": SEED,
        "seconds": [round(one) for one in seconds],
        "git_commit": about["git_commit"],
        "versions": about["versions"],
        "estimators": estimators,
    }


def main(chosen: Sequence[str]) -> None:
    """Measures the named worlds, or all whose packages are installed."""
    torch.set_flush_denormal(True)
    np.seterr(all="raise", under="ignore")
    for world in chosen:
        one_of("world", world, tuple(WORLDS))
    possible = [world for world in WORLDS if world not in NEEDS or importlib.util.find_spec(NEEDS[world])]
    folder = (RUNS / "own").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(folder))
    for name, text in users_files().items():
        write_atomically(folder / name, text.encode())
    for world in chosen or possible:
        result = measure(world, folder)
        known = json.loads(TARGET.read_text()) if TARGET.is_file() else {}
        write_json(TARGET, known | {world: result})
        best = next(iter(result["estimators"].values()))
        print(f"{world}: success {best['success']['mean']:.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
