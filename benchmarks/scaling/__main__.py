"""Measures the bridge over many goals: `python -m benchmarks.scaling`, about 20 minutes and 8 GB of temporary files.

Writes results/scaling_bridge.json, of which `make results` makes docs/results/scaling.md. With names of parts, measures
these anew and keeps the others.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from goalbridge.agents.storage import read_json, write_json
from goalbridge.benchmarks.scaling import proposals, serving, sharding, streaming
from goalbridge.configs.checks import one_of
from goalbridge.configs.run_folder import record

RESULT: Final = Path("results/scaling_bridge.json")
GOALS: Final = (100_000, 1_000_000, 10_000_000)
BUDGETS: Final = (1 << 24, 1 << 26, 1 << 28)


def _streaming() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        rows = streaming.rates(Path(folder), GOALS[1], repeats=9)
    with tempfile.TemporaryDirectory() as folder:
        return {"terms": GOALS[1], "rates": rows, "growth": streaming.growth(Path(folder), GOALS, BUDGETS, repeats=3)}


def _sharding() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return sharding.measure(Path(folder), GOALS[2])


def _proposals() -> dict[str, Any]:
    return {
        "synthetic": proposals.measure(proposals.synthetic(GOALS[1], 128), repeats=3),
        "fork": proposals.measure(proposals.maze(GOALS[1], 64), repeats=3),
        "synthetic, ten times as many": proposals.measure(proposals.synthetic(GOALS[2], 32), repeats=3),
    }


PARTS: Final[dict[str, Callable[[], Any]]] = {
    "streaming": _streaming,
    "sharding": _sharding,
    "proposals": _proposals,
    "serving": serving.measure,
}


def main(chosen: list[str]) -> None:
    """Measures the chosen parts, or all, and writes the results."""
    for part in chosen:
        one_of("part", part, tuple(PARTS))
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for part in chosen or PARTS:
        run = record()
        kept = read_json(RESULT) if RESULT.is_file() else {}
        measured = {
            "command": f"python -m benchmarks.scaling {part}",
            "git_commit": run["git_commit"],
            "versions": run["versions"],
            "platform": run["platform"],
            "seed": proposals.SEED,
            "result": PARTS[part](),
        }
        write_json(RESULT, kept | {part: measured})


if __name__ == "__main__":
    main(sys.argv[1:])
