"""Measures worlds that users bring for RESULTS.md: those of docs/OWN_WORLD.md, three training seeds each.

    python -m experiments.agent.own_protocol             # all; about 40 minutes on one core
    python -m experiments.agent.own_protocol lake

Writes the user's files into runs/protocol/own, trains there with the command line that a user types, and evaluates on
fresh seeds. "maze" needs gymnasium-robotics. A finished agent is not trained again. Adds to results/own_worlds.json.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from goalbridge.configs.checks import one_of
from goalbridge.configs.durable import write_atomically
from goalbridge.experiments.agent.measuring import ROOT, RUNS, SEEDS, header, prepare, train, write
from goalbridge.experiments.agent.trials import compared, spread
from goalbridge.experiments.report.markdown import RESULTS
from goalbridge.worlds import Metrics

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


def users_files() -> dict[str, str]:
    """The files that docs/OWN_WORLD.md holds, by name."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "OWN_WORLD.md").read_text(), re.DOTALL)
    return {name: next(block for block in blocks if told in block) for name, told in FILES.items()}


def arguments(world: str, seed: int) -> list[str]:
    """What a user types after `python train.py`, but for run_dir."""
    return ["env=own", *WORLDS[world], f"seed={seed}"]


def measure(world: str, folder: Path, seeds: Sequence[int] = SEEDS, episodes: int = EPISODES) -> dict[str, Any]:
    """Success and steps of each estimator in one world, over the seeds."""
    found: dict[str, list[Metrics]] = {}
    seconds = []
    for seed in seeds:
        run = folder / f"{world}_{seed}"
        command = ["train.py", *arguments(world, seed), f"run_dir={run.name}"]
        seconds.append(round(train(run, command, cwd=folder)["seconds"]))
        for name, metrics in compared(run, episodes=episodes, seed=SEED).items():
            found.setdefault(name, []).append(metrics)
    first = next(iter(found))
    estimators: dict[str, dict[str, Any]] = {}
    for name, by_seed in found.items():
        columns = {metric: [metrics[metric] for metrics in by_seed] for metric in by_seed[0]}
        columns["success_minus_first"] = [
            metrics["success"] - base["success"] for metrics, base in zip(by_seed, found[first], strict=True)
        ]
        estimators[name] = {metric: spread(values) for metric, values in columns.items()}
        estimators[name]["success"]["per_seed"] = [float(metrics["success"].mean()) for metrics in by_seed]
    about = header("own_protocol", world, seeds, episodes=episodes, evaluation_seed=SEED, seconds=seconds)
    trained = " ".join(["python", "train.py", *arguments(world, seeds[0])])
    return about | {"train_command": trained, "estimators": estimators}


def main(chosen: Sequence[str]) -> None:
    """Measures the named worlds, or all whose packages are installed."""
    prepare()
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
        target = RESULTS / "own_worlds.json"
        known = json.loads(target.read_text()) if target.is_file() else {}
        write("own_worlds", known | {world: result})
        best = next(iter(result["estimators"].values()))
        print(f"{world}: success {best['success']['mean']:.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
