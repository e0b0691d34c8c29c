"""What evaluation.json says of BabyAI's levels, and the tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from goalbridge.evaluation.grid_compare import Outcomes
from goalbridge.evaluation.grid_metrics import METRICS, PAIRS, Columns, chosen, columns, differences, estimates, slices
from goalbridge.evaluation.metrics import Estimate

WIDE: Final = 90  # terminal columns from which there is room for the optimum
ABOUT: Final = (
    "estimators: means over levels, each of the same weight; steps: a failure counts as its level's own limit; "
    "against_optimum: mean steps / mean fewest steps on the full map; against_optimum and spl: of levels whose optimum "
    "is known (no sequences); slices: two by two over the levels that hold both kinds of mission"
)
_HEADINGS: Final = {"against_optimum": "steps / optimum", "spl": "SPL"}

Report = dict[str, Any]
_ByLevel = dict[str, dict[str, Columns]]  # level, estimator


def summary(played: Mapping[str, Outcomes], estimators: Sequence[str], about: Mapping[str, Any]) -> Report:
    """What evaluation.json holds.

    played: the outcomes of each level. estimators: in the order to be shown. about: env, episodes, seed and view.
    """
    by_level: _ByLevel = {
        level: {name: columns(outcomes[name]) for name in estimators if name in outcomes}
        for level, outcomes in played.items()
    }
    first = estimators[0]
    return {
        **about,
        "about": ABOUT,
        "levels": {level: _facts(outcomes) for level, outcomes in played.items()},
        "estimators": _overall(by_level, estimators),
        "categories": {
            level: {name: _plain(estimates([values])) for name, values in by_name.items()}
            for level, by_name in by_level.items()
        },
        "slices": _slices(played, by_level, estimators),
        "paired_difference_from_" + first: _overall(_differences(by_level, first), estimators[1:]),
    }


def _facts(outcomes: Outcomes) -> dict[str, Any]:
    """Of one level: its mean optimum, if it is known, and how many missions are of which slice."""
    if not outcomes:
        return {}
    outcome = next(iter(outcomes.values()))
    known = np.isfinite(outcome.optimum).all()
    counts = {name: int(rows.sum()) for name, rows in slices(outcome.missions).items()}
    return {"optimum": float(outcome.optimum.mean()) if known else None, "missions": counts}


def _overall(by_level: _ByLevel, estimators: Sequence[str]) -> dict[str, Any]:
    """Each estimator over the levels that it played."""
    return {
        name: _plain(estimates([by_name[name] for by_name in by_level.values() if name in by_name]))
        for name in estimators
    }


def _differences(by_level: _ByLevel, first: str) -> _ByLevel:
    return {
        level: {name: differences(values, by_name[first]) for name, values in by_name.items()}
        for level, by_name in by_level.items()
        if first in by_name
    }


def _slices(played: Mapping[str, Outcomes], by_level: _ByLevel, estimators: Sequence[str]) -> dict[str, Any]:
    """Slices two by two, over the levels that hold both, so that they differ in nothing else; empty ones left out."""
    rows = {level: slices(next(iter(outcomes.values())).missions) for level, outcomes in played.items() if outcomes}
    found = {}
    for pair in PAIRS:
        both = [level for level, own in rows.items() if all(own[name].any() for name in pair)]
        for name in pair:
            held = both or [level for level, own in rows.items() if own[name].any()]
            if held:
                found[name] = _overall(_rows_of(by_level, {level: rows[level][name] for level in held}), estimators)
    return found


def _rows_of(by_level: _ByLevel, rows: Mapping[str, NDArray[np.bool_]]) -> _ByLevel:
    return {
        level: {name: chosen(values, own) for name, values in by_level[level].items()} for level, own in rows.items()
    }


def _plain(found: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    return {metric: asdict(estimate) for metric, estimate in found.items()}


def level_table(report: Mapping[str, Any], width: int) -> Table:
    """A row a level: each estimator's success and mean steps. width: of the terminal, in columns."""
    title = f"{report['episodes']} episodes a level, {report['view']} view: success / mean steps"
    wide = width >= WIDE
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, int(wide), 0, 0), show_edge=False, min_width=len(title))
    table.add_column("level", no_wrap=True)
    if wide:
        table.add_column("optimum", justify="right", no_wrap=True)
    for name in report["estimators"]:
        table.add_column(name, justify="right", no_wrap=True)
    for level, by_name in report["categories"].items():
        optimum = report["levels"][level].get("optimum")
        known = ["-" if optimum is None else _short(optimum)] if wide else []
        table.add_row(level, *known, *(_pair(by_name.get(name)) for name in report["estimators"]))
    return table


def _pair(found: Mapping[str, Mapping[str, float]] | None) -> str:
    return "-" if not found else f"{found['success']['mean']:.2f}/{_short(found['steps']['mean']):<4}"


def _short(steps: float) -> str:
    return f"{steps:.1f}" if steps < 99.95 else f"{steps:.0f}"


def overall_table(report: Mapping[str, Any]) -> Table:
    """All levels together, each of the same weight: each mean with its 95 % interval below."""
    count = len(report["categories"])
    together = (
        f"all {count} levels together, each of the same weight" if count > 1 else next(iter(report["categories"]))
    )
    table = Table(title=f"{together} (95 % intervals)", box=SIMPLE_HEAD, show_edge=False)
    table.add_column("estimator")
    metrics = [metric for metric in METRICS if any(metric in found for found in report["estimators"].values())]
    for metric in metrics:
        table.add_column(_HEADINGS.get(metric, metric), justify="right")
    for name, found in report["estimators"].items():
        played = sum(name in by_name for by_name in report["categories"].values())
        label = name if played == count else f"{name}\n[dim]{played} levels[/dim]"
        table.add_row(label, *(_cell(found.get(metric), metric) for metric in metrics))
    return table


def slices_line(report: Mapping[str, Any]) -> str:
    """The first estimator's success in each slice of missions, in a line; empty where there are no slices."""
    first = next(iter(report["estimators"]))
    shares = [
        f"{name.replace('_', ' ')} {found[first]['success']['mean']:.3f}"
        for name, found in report["slices"].items()
        if found[first]
    ]
    return f"{first}'s success by mission: {', '.join(shares)}" if shares else ""


def _cell(estimate: Mapping[str, float] | None, metric: str) -> str:
    if estimate is None:
        return "-"
    digits = 1 if metric == "steps" else 3
    low, high = (f"{estimate[end]:.{digits}f}" for end in ("low", "high"))
    return f"{estimate['mean']:.{digits}f}\n[dim]{low} to {high}[/dim]"
