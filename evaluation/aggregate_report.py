"""The table of many runs for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from goalbridge.evaluation.report import HEADINGS, cell, sure

SHOWN: Final = ("success", "spl_grid", "steps", "mass", "first_guess", "wrong_visits")
LEGEND: Final = (
    "means with 95 % intervals over training seeds, then episodes; paired differences in success from the group's "
    "first estimator and from the world's first group (* where the interval leaves out 0)"
)


def table(report: Mapping[str, Any]) -> Table:
    """A row an estimator of each group of each world: means with intervals, and paired differences in success."""
    grid = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("estimator", *SHOWN, "- first", "- group"):
        first = name == "estimator"
        grid.add_column(HEADINGS.get(name, name), justify="left" if first else "right", no_wrap=not first)
    for world in report["worlds"]:
        groups = world["groups"]
        first_group = next(iter(groups))
        between = world[f"paired_difference_from_{first_group}"]
        for label, group in groups.items():
            first = next(iter(group["estimators"]))
            within = group[f"paired_difference_from_{first}"]
            across = between.get(label, {}).get("estimators", {})
            grid.add_row(f"[bold]{escape(world['env'].split('/')[-1])}[/bold]\n{escape(_about(label, group))}")
            for name, found in group["estimators"].items():
                cells = [cell(found.get(metric), metric) for metric in SHOWN]
                grid.add_row(name, *cells, sure(within.get(name)), sure(across.get(name)))
            grid.add_section()
    return grid


def _about(label: str, group: Mapping[str, Any]) -> str:
    seeds = ", ".join(str(seed) for seed in group["seeds"])
    settings = "" if label == "all" else f"{label}; "
    return f"{settings}{'seeds' if len(group['seeds']) > 1 else 'seed'} {seeds}; {group['episodes']} episodes"
