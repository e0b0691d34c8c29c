"""Speed and memory, each as a ratio within one run to a plain implementation or to what cannot be done without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show(rows: Iterable[Mapping[str, Any]]) -> None:
    """Prints rows of name, value, unit and bound as a table."""
    table = Table("benchmark", "value", "bound")
    for row in rows:
        bound = "" if row["bound"] is None else f"{row['bound']:g} {row['unit']}"
        table.add_row(row["name"], f"{row['value']:.4g} {row['unit']}", bound)
    Console().print(table)
