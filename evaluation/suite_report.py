"""The ambiguous suite's tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from goalbridge.envs.suite import SATISFIABLE

SHOWN: Final = {"success": "success", "spl_grid": "SPL (grid)"}
ALL: Final = "all"
LEGEND: Final = (
    "mean, 95 % interval, and difference from {first} in the same episodes (* where its 95 % interval leaves out 0)"
)


def headings(category: str) -> str:
    """A category's name in words."""
    return category.replace("held_out", "held-out").replace("_", " ")


def first_estimator(report: Mapping[str, Any]) -> str:
    """The estimator that the others are held against."""
    return str(next(iter(report["estimators"])))


def category_table(report: Mapping[str, Any], metric: str) -> Table:
    """A row an estimator, a column a category of evaluation.json: mean, interval, paired difference from the first."""
    first = first_estimator(report)
    differences = report["paired_difference_from_" + first]
    title = f"{report['env']}: {SHOWN[metric]} in {report['episodes']} paired episodes"
    table = Table(title=title, box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("estimator", no_wrap=True)
    for category in (*report["categories"], ALL):
        table.add_column(headings(category), justify="right")
    cells = [f"{found['region_cells']:.1f}" for found in report["categories"].values()]
    table.add_row("[dim]cells[/dim]", *(f"[dim]{size}[/dim]" for size in cells), end_section=True)
    for name, overall in report["estimators"].items():
        own = [found[name][metric] for found in report["categories"].values()] + [overall[metric]]
        others: list[Mapping[str, float]] = [{}] * len(own)
        if name != first:
            others = [found[name][metric] for found in differences["categories"].values()] + [differences[name][metric]]
        table.add_row(name, *(_cell(*pair) for pair in zip(own, others, strict=True)))
    return table


def _cell(found: Mapping[str, float], difference: Mapping[str, float]) -> str:
    lines = [_short(found["mean"], 3), f"[dim]{_short(found['low'], 2)}–{_short(found['high'], 2)}[/dim]"]
    if difference:
        sure = "*" if difference["low"] > 0 or difference["high"] < 0 else ""
        size = _short(abs(difference["mean"]), 3)
        sign = "" if size == "0" else "-" if difference["mean"] < 0 else "+"
        lines.append(f"{sign}{size}{sure}")
    return "\n".join(lines)


def _short(share: float, digits: int) -> str:
    """A share in [0, 1] without what goes without saying: .974, 1, 0."""
    text = f"{share:.{digits}f}"
    return {0.0: "0", 1.0: "1"}.get(float(text), text.removeprefix("0"))


def understood_table(report: Mapping[str, Any]) -> Table:
    """A row a category of evaluation.json: of how many texts, how many were said not to be understood, and why."""
    title = "not understood: false alarms above the line, rightly below"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("category", no_wrap=True)
    for name in ("texts", "flagged", "95 % interval", "unknown", "contradictory"):
        table.add_column(name, justify="right", no_wrap=True)
    categories = list(report["understood"])
    for category, following in zip(categories, [*categories[1:], ""], strict=True):
        found = report["understood"][category]
        flagged = found["not_understood"]
        table.add_row(
            headings(category),
            str(found["texts"]),
            f"{flagged['mean']:.1%}",
            f"{flagged['low']:.1%} to {flagged['high']:.1%}",
            *(f"{found[kind]['mean']:.1%}" for kind in ("unknown", "contradictory")),
            end_section=category in SATISFIABLE and following not in SATISFIABLE,
        )
    return table
