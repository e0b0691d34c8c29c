"""The table of many runs for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from goalbridge.evaluation.report import HEADINGS, cell, sure

SHOWN: Final = ("success", "spl_grid", "against_optimum", "mass", "first_guess", "wrong_visits")
LEGEND: Final = (
    "means with 95 % intervals over training seeds, then episodes; paired differences in success from the group's "
    "first estimator and from the world's first group (* where the interval leaves out 0); IQM: the mean of the middle "
    "half of the seeds' success; P(better): how probably a seed succeeds more often than one of the first group"
)


def table(report: Mapping[str, Any]) -> Group:
    """Of each group of each world a heading and a row an estimator: means with intervals, paired differences."""
    shown: list[RenderableType] = []
    for world in report["worlds"]:
        groups = world["groups"]
        between = world[f"paired_difference_from_{next(iter(groups))}"]
        for label, group in groups.items():
            first = next(iter(group["estimators"]))
            within = group[f"paired_difference_from_{first}"]
            across = between.get(label, {}).get("estimators", {})
            there = [metric for metric in SHOWN if any(metric in found for found in group["estimators"].values())]
            grid = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
            grid.add_column("estimator", no_wrap=True)
            for metric in (*there, "- first", "- group"):
                grid.add_column(HEADINGS.get(metric, metric), justify="right", no_wrap=True)
            for name, found in group["estimators"].items():
                cells = [cell(found.get(metric), metric) for metric in there]
                grid.add_row(name, *cells, sure(within.get(name)), sure(across.get(name)))
            shown += [
                f"[bold]{escape(world['env'].split('/')[-1])}[/bold]: {escape(_about(label, group))}",
                grid,
                *_of_seeds(group, across),
                "",
            ]
    return Group(*shown)


def _of_seeds(group: Mapping[str, Any], across: Mapping[str, Any]) -> list[str]:
    """Lines of what only several seeds can say of success."""
    iqm = {name: found["success"].get("iqm") for name, found in group["estimators"].items()}
    better = {name: found.get("probability_of_improvement") for name, found in across.items()}
    said = []
    for what, figures in {"IQM": iqm, "P(better)": better}.items():
        cells = [f"{name} {cell(one, 'success')}".replace("\n", " ") for name, one in figures.items() if one]
        said += [f"{what}: {', '.join(cells)}"] if cells else []
    return said


def _about(label: str, group: Mapping[str, Any]) -> str:
    seeds = ", ".join(str(seed) for seed in group["seeds"])
    settings = "" if label == "all" else f"{label}; "
    return f"{settings}{'seeds' if len(group['seeds']) > 1 else 'seed'} {seeds}; {group['episodes']} episodes"
