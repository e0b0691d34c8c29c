"""The verdict tool: what two models' embeddings allow, at the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from goalbridge.experiments.law.pair_files import read_pairs
from goalbridge.experiments.law.verdicts import Verdict, verdicts

_WORDS = {True: "[green]yes[/green]", False: "[red]no[/red]", None: "[yellow]unclear[/yellow]"}


def diagnose(ab_path: Path, bc_path: Path) -> list[Verdict]:
    """Prints, and returns, the verdicts on two files as `read_pairs` takes them. Raises ConfigError likewise."""
    found = verdicts(*read_pairs(ab_path, bc_path))
    table = Table(title=f"{ab_path.name}, {bc_path.name}")
    for title in ("question", "answer", "evidence: figure; what is needed"):
        table.add_column(title)
    for verdict in found:
        table.add_row(verdict.question, _WORDS[verdict.holds], verdict.evidence)
    Console().print(table)
    return found
