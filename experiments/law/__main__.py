"""The paper's synthetic experiments, on the agent's own critics and bridge.

    python -m experiments.law                      # all of the following but `diagnose`
    python -m experiments.law table                # every critic and estimator, ten seeds
    python -m experiments.law rho                  # a share of the signal bypasses the bridge
    python -m experiments.law estimators           # recall, bias and spread over the number of bridge goals
    python -m experiments.law figures              # docs/law_*.png
    python -m experiments.law diagnose AB.npz BC.npz   # what may be done with any two models' embeddings

Models are kept under runs/law and not trained again. Writes results/law.json, part by part.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError, UserError
from goalbridge.configs.run_folder import record
from goalbridge.experiments.law.curves import measure_estimators
from goalbridge.experiments.law.diagnose import diagnose
from goalbridge.experiments.law.figures import draw
from goalbridge.experiments.law.measure import DEVELOPMENT_SEEDS, SEEDS, measure_bypass, measure_table
from goalbridge.experiments.report.markdown import RESULTS, load

PARTS: dict[str, Callable[[Callable[[], None]], dict[str, Any]]] = {
    "table": measure_table,
    "rho": measure_bypass,
    "estimators": measure_estimators,
}


def measure(part: str) -> None:
    """Measures one part and writes it into results/law.json, beside the others."""
    run = record()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} steps"), TimeElapsedColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(part, total=None)
        found = PARTS[part](lambda: bar.advance(task))
    result = load("law") or {}
    result[part] = {
        "command": f"python -m experiments.law {part}",
        "seeds": list(SEEDS),
        "development_seeds": list(DEVELOPMENT_SEEDS),
        "git_commit": run["git_commit"],
        "versions": run["versions"],
    } | found
    write_json(RESULTS / "law.json", result)


def main(arguments: Sequence[str]) -> None:
    """Runs the named parts, or all; or the diagnosis of two files."""
    torch.set_flush_denormal(True)
    if arguments[:1] == ["diagnose"]:
        if len(arguments) != 3:
            raise ConfigError(f"diagnose: {len(arguments) - 1} files given; two would do, AB.npz and BC.npz")
        diagnose(Path(arguments[1]), Path(arguments[2]))
        return
    for part in arguments:
        if part not in (*PARTS, "figures"):
            raise ConfigError(f"{part}: is no part; {', '.join((*PARTS, 'figures', 'diagnose'))} would do")
    for part in arguments or (*PARTS, "figures"):
        draw() if part == "figures" else measure(part)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
