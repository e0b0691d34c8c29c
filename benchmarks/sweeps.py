"""Wall time of a sweep of four jobs by each launcher: `python -m benchmarks.sweeps`, which writes results/sweeps.json.

The jobs are the fork and the slit maze with two seeds, without language, one core each. `seconds` is the whole
command's time, `alone` that of one of the jobs by itself. A launcher that is not installed is left out.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from goalbridge.agents.storage import write_json
from goalbridge.configs.run_folder import record

SETTINGS = ("encoder=label", "train.steps=400", "train.evaluate_every=0")
SWEPT = ("env=fork_maze,slit_maze", "seed=0,1")
JOBS = 4
LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra.launcher.n_jobs=2"],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2"],
    "submitit_local": [],
}


def seconds_of(arguments: list[str]) -> float:
    """How long `python train.py ARGUMENTS` takes, by the wall clock."""
    begin = time.perf_counter()
    command = [sys.executable, "train.py", *SETTINGS, *arguments]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def is_installed(launcher: str) -> bool:
    """Whether Hydra has it."""
    plugin = f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher"
    there = importlib.util.find_spec("hydra_plugins") is not None
    return launcher == "basic" or (there and importlib.util.find_spec(plugin) is not None)


def measure() -> dict[str, Any]:
    """Seconds of one job alone, and of the sweep by each launcher."""
    with tempfile.TemporaryDirectory() as folder:
        alone = seconds_of(["env=fork_maze", "seed=0", f"run_dir={folder}/alone"])
        rows = {
            launcher: round(
                seconds_of(["-m", *SWEPT, f"hydra/launcher={launcher}", *settings, f"sweep_dir={folder}/{launcher}"]), 1
            )
            for launcher, settings in LAUNCHERS.items()
            if is_installed(launcher)
        }
    return {"jobs": JOBS, "settings": list(SETTINGS), "alone": round(alone, 1), "seconds": rows}


def main() -> None:
    """Measures, writes results/sweeps.json, and prints the figures."""
    before, run = os.getloadavg(), record()
    result = {
        "command": "python -m benchmarks.sweeps",
        "git_commit": run["git_commit"],
        "versions": run["versions"],
        "platform": run["platform"],
        "cores": os.cpu_count(),
        "load_before": round(before[0], 2),
        **measure(),
        "load_after": round(os.getloadavg()[0], 2),
    }
    write_json(Path("results/sweeps.json"), result)
    print(f"one job alone {result['alone']} s; {JOBS} jobs: {result['seconds']}")


if __name__ == "__main__":
    main()
