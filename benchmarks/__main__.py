"""All benchmarks, one table, and results/benchmarks.json: `make bench`."""

from __future__ import annotations

from pathlib import Path

from goalbridge.agents.storage import write_json
from goalbridge.benchmarks import (
    bridge,
    datasets,
    environments,
    evaluation,
    grid,
    grid_evaluation,
    memory,
    show,
    training,
)
from goalbridge.configs.run_folder import record

MODULES = (bridge, environments, grid, training, evaluation, grid_evaluation, memory, datasets)


def main() -> None:
    """Runs every benchmark in turn; a bound is a lower one where the name says faster or share, else an upper one."""
    rows = [row for module in MODULES for row in module.run()]
    show(rows)
    run = record()
    kept = {"command": "make bench", "git_commit": run["git_commit"], "platform": run["platform"], "rows": rows}
    write_json(Path("results/benchmarks.json"), kept)


if __name__ == "__main__":
    main()
