"""Writes RESULTS.md and its pictures from the raw results under results/: `make results`. Figures are never typed."""

from __future__ import annotations

from pathlib import Path

from goalbridge.experiments.agent import results
from goalbridge.experiments.law import results as law
from goalbridge.experiments.pretrained import results as pretrained

TARGET = Path("RESULTS.md")


def render() -> str:
    """RESULTS.md as text: the agent's results, then the experiments'."""
    parts = [results.render().rstrip("\n"), *law.sections(), *pretrained.sections()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    results.draw()
    TARGET.write_text(render())
