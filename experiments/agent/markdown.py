"""What the parts of RESULTS.md share: raw results by name, tables, cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from goalbridge.experiments.agent.protocol import RESULTS


def load(name: str) -> Any:
    """results/NAME.json; None where it has not been measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(estimate: Mapping[str, float], digits: int = 3) -> str:
    """A mean and its interval: "0.998 [0.995, 1.000]"."""
    mean, low, high = (round(estimate[end], digits) + 0.0 for end in ("mean", "low", "high"))  # nobody wants -0.000
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def source(result: Mapping[str, Any]) -> str:
    """Where a result of the BabyAI protocol comes from, in a line."""
    seeds = ", ".join(str(seed) for seed in result["seeds"])
    where = f"evaluation seed {result['evaluation_seed']}, commit {result['git_commit'][:12]}"
    return f"`{result['command']}`, training seeds {seeds}, {where}."
