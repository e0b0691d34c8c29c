"""Training in 1 and 2 processes, in bf16 and compiled: `python -m benchmarks.parallel`, to results/parallel.json.

Each figure is a whole step of the fork maze's default networks: sampling, loss, messages, clipping, AdamW, averaging.
Besides the clock's, CPU seconds are told: on a machine that does other work too, or has fewer cores than processes,
only they compare.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from goalbridge.agents.parallel import Processes, joined
from goalbridge.agents.storage import write_json
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.run_folder import record
from goalbridge.configs.schema import EncoderConfig, RunConfig, TrainConfig
from goalbridge.data.captions import BATCHES, stream
from goalbridge.training.build import RunBuilder
from goalbridge.worlds.maze.settings import MazeSettings

TARGET = Path("results/parallel.json")
BATCH_SIZES = (256, 2048)
FORK, DATA = MazeSettings("goalbridge/ForkMaze-v0"), DataConfig(trajectories=2000, labelled_goals=10_000)
STEPS, WARM_UP = 30, 5
KINDS = {"float32": TrainConfig(), "bf16": TrainConfig(precision="bf16"), "compiled": TrainConfig(compile=True)}


def run(processes: Processes, folder: Path) -> list[dict[str, Any]]:
    """Rows with kind, processes, batch_size, samples/s, and CPU seconds of a process per step."""
    torch.set_flush_denormal(True)
    kinds = KINDS if processes.count == 1 else {"float32": KINDS["float32"]}
    return [
        {"kind": kind, "processes": processes.count, "batch_size": batch_size}
        | _rates(processes, replace(train, batch_size=batch_size), folder / f"{kind}_{batch_size}_{processes.count}")
        for batch_size in BATCH_SIZES
        for kind, train in kinds.items()
    ]


def _rates(processes: Processes, train: TrainConfig, folder: Path) -> dict[str, float]:
    config = RunConfig(FORK, str(folder), data=DATA, encoder=EncoderConfig("label"), train=train)
    source, learner = RunBuilder(config, torch.device("cpu"), processes=processes).prepare()

    def step() -> None:
        rng = stream(0, BATCHES, learner.step)
        futures = source.sample_futures(rng, train.batch_size, train.discount)
        learner.update(futures, source.sample_captions(rng, train.batch_size), rng, detailed=False)

    for _ in range(WARM_UP):
        step()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        step()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"samples_per_second": STEPS * train.batch_size / wall, "cpu_seconds_per_step": cpu / STEPS}


def main() -> None:
    """Runs itself in 1 and in 2 processes, one thread each, and writes down what the first of them found."""
    rows, load = [], os.getloadavg()[0]
    for count in (1, 2):
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with tempfile.TemporaryDirectory() as folder:
            worker = [*launch, "-m", "goalbridge.benchmarks.parallel", folder]
            done = subprocess.run(worker, env=environment, stdout=subprocess.PIPE, check=True)
        rows += json.loads(done.stdout.splitlines()[-1])
    for row in rows:
        print("  ".join(f"{name} {value:.4g}" if name != "kind" else value for name, value in row.items()))
    about = record()
    kept = {name: about[name] for name in ("git_commit", "platform", "versions")}
    machine = {"cores": os.cpu_count(), "load_before": load}
    write_json(
        TARGET,
        {"command": "python -m benchmarks.parallel"} | kept | machine | {"steps": STEPS, "rows": rows},
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with joined() as everyone:
            found = run(everyone, Path(sys.argv[1]))
            if everyone.is_first:
                print(json.dumps(found), flush=True)
    else:
        main()
