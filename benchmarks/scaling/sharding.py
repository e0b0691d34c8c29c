"""The sum over goals shared out among processes of one machine, each with one thread: wall time, and the same scores.

torchrun --standalone --nproc-per-node 2 -m benchmarks.scaling.sharding FOLDER   # FOLDER holds a store of goals
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import torch
from torch import distributed as dist

from goalbridge.benchmarks.scaling.streaming import queries, write_normal
from goalbridge.experiments.scaling.goal_store import GoalStore
from goalbridge.experiments.scaling.streamed_bridge import sharded_bridge_scores

PROCESSES: Final = (1, 2)
ACTIONS: Final = (1, 8, 32)
REPEATS: Final = 7


def measure(folder: Path, terms: int) -> dict[str, Any]:
    """Rows with processes, actions, seconds by the clock and the first score, for a store written into `folder`."""
    store = write_normal(folder / "goals", terms)
    rows: list[dict[str, Any]] = []
    for count in PROCESSES:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        command = [*launch, "-m", "goalbridge.benchmarks.scaling.sharding", str(store.folder)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        rows += json.loads(done.stdout.splitlines()[-1])
    return {"terms": terms, "cores": os.cpu_count(), "load_before": os.getloadavg()[0], "rows": rows}


def _rows(store: GoalStore) -> list[dict[str, Any]]:
    """What one process, of however many, sees; medians."""
    found = []
    for actions in ACTIONS:
        a, c, pair = queries(actions)
        times = []
        for _ in range(REPEATS + 1):
            dist.barrier()
            begin = time.perf_counter()
            scores = sharded_bridge_scores(a, c, store, *pair)
            times.append(time.perf_counter() - begin)
        taken = sorted(times[1:])[REPEATS // 2]  # the first one finds the files
        found.append(
            {"processes": dist.get_world_size(), "actions": actions, "seconds": taken, "score": float(scores[0, 0])}
        )
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rows = _rows(GoalStore(sys.argv[1]))
    if dist.get_rank() == 0:
        print(json.dumps(rows), flush=True)
    dist.destroy_process_group()
