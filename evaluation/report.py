"""What evaluation.json says of estimators in the same episodes, and its tables for the terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from goalbridge.evaluation.statistics import Columns, Ratios, differences, means
from goalbridge.worlds import Episodes, Metrics, Task, World

HEADINGS: Final = {
    "spl_grid": "SPL\n(grid)",
    "spl": "SPL",
    "against_optimum": "steps /\noptimum",
    "mass": "mass",
    "first_guess": "first\nguess",
    "wrong_visits": "wrong\nvisits",
}
LEGEND: Final = (
    "means with 95 % intervals; - first: difference in success from the first estimator in the same episodes (* where "
    "its interval leaves out 0); mass: probability of what was meant, at the start; first guess: how often the "
    "likeliest goal was meant; wrong visits: places tried that were not meant"
)
_SHARES: Final = ("success", "spl", "spl_grid", "mass", "first_guess")

Report = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Played:
    """What one estimator did in one group of episodes, E of them; metrics: [E] each."""

    episodes: Episodes
    metrics: Metrics


Results = Mapping[str, Mapping[str, Played]]  # by estimator, then by group


def summary(world: World, results: Results, about: Mapping[str, Any]) -> Report:
    """What evaluation.json holds: estimators, categories of tasks, slices, paired differences from the first estimator.

    Where tasks come in groups, those are the categories, and means over all are means of groups of the same weight.
    """
    names, ratios = list(results), world.ratios if world.grouped else None
    first, others = names[0], names[1:]
    tasks = tasks_of(results)
    rows = _categories(world, tasks)
    every = {name: {group: played.metrics for group, played in by_group.items()} for name, by_group in results.items()}
    apart = {name: _apart(every[name], every[first], ratios) for name in others}
    report: Report = {
        **about,
        "estimators": {name: _means(list(by_group.values()), ratios) for name, by_group in every.items()},
        "categories": {
            category: {name: _means([_some(every[name][group], own)], ratios) for name in names if group in every[name]}
            | world.facts([task for task, chosen in zip(tasks[group], own, strict=True) if chosen])
            for category, (group, own) in rows.items()
        },
    }
    report["paired_difference_from_" + first] = {
        **{name: _means(list(by_group.values()), ratios, paired=True) for name, by_group in apart.items()},
        "categories": {
            category: {
                n: _means([_some(apart[n][group], own)], ratios, paired=True) for n in others if group in apart[n]
            }
            for category, (group, own) in rows.items()
        },
    }
    return report | _sliced(world, tasks, every, ratios)


def _means(groups: Sequence[Columns], ratios: Ratios | None, paired: bool = False) -> dict[str, dict[str, float]]:
    return means(groups, ratios, paired) if groups else {}


def _apart(ours: Mapping[str, Columns], first: Mapping[str, Columns], ratios: Ratios | None) -> dict[str, Columns]:
    return {group: differences(columns, first[group], ratios) for group, columns in ours.items() if group in first}


def _some(columns: Columns, rows: NDArray[np.bool_]) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def tasks_of(results: Results) -> dict[str, tuple[Task, ...]]:
    """The tasks of each group that anybody played."""
    return {group: played.episodes.tasks for own in reversed(list(results.values())) for group, played in own.items()}


def _categories(world: World, by_group: Mapping[str, Sequence[Task]]) -> dict[str, tuple[str, NDArray[np.bool_]]]:
    """Of each category, the group that it is in and its rows [E]."""
    if world.grouped:
        return {group: (group, np.ones(len(own), np.bool_)) for group, own in by_group.items()}
    ((group, tasks),) = by_group.items()
    category = np.array([task.category for task in tasks])
    names = list(dict.fromkeys(category.tolist()))
    return {name: (group, category == name) for name in names}


def _sliced(
    world: World, tasks: Mapping[str, Sequence[Task]], every: Mapping[str, Mapping[str, Columns]], ratios: Ratios | None
) -> Report:
    """Slices two by two, over the groups that hold both, so that they differ in nothing else; empty ones left out."""
    rows = {group: world.slices(own) for group, own in tasks.items()}
    names = list(next(iter(rows.values()), {}))
    if not names:
        return {}
    found: Report = {}
    for pair in zip(names[::2], names[1::2], strict=True):
        both = [group for group, own in rows.items() if all(own[name].any() for name in pair)]
        for name in pair:
            held = both or [group for group, own in rows.items() if own[name].any()]
            if held:
                found[name] = {
                    estimator: _means([_some(own[g], rows[g][name]) for g in held if g in own], ratios)
                    for estimator, own in every.items()
                }
    counts = {group: {name: int(own[name].sum()) for name in names} for group, own in rows.items()}
    facts = {group: {"optimum": _mean(every, group, "optimum"), "missions": counts[group]} for group in rows}
    return {"slices": found, "levels": facts}


def _mean(every: Mapping[str, Mapping[str, Columns]], group: str, metric: str) -> float | None:
    for by_group in every.values():
        if group in by_group and metric in by_group[group]:
            mean = float(by_group[group][metric].mean())
            return mean if np.isfinite(mean) else None
    return None


def episodes_file(world: World, results: Results) -> bytes:
    """Every episode of N estimators as an .npz without pickle, for `numpy.load`.

    group, category, text: str [E]. seed: int [E]. estimator: str [N]. Every metric: float64 [N, E], NaN where an
    estimator did not play, or the metric says nothing. Where there is one group, path: [N, E, T + 1, G], the goals
    achieved, the last one repeated. What the world adds: see `World.task_arrays`.
    """
    tasks = tasks_of(results)
    every = [task for own in tasks.values() for task in own]
    names = dict.fromkeys(m for own in results.values() for played in own.values() for m in played.metrics)
    arrays = {metric: np.stack([_column(own, tasks, metric) for own in results.values()]) for metric in names}
    if not world.grouped:
        arrays["path"] = _paths(
            [path for own in results.values() for played in own.values() for path in played.episodes.goals]
        )
        arrays["path"] = arrays["path"].reshape(len(results), len(every), *arrays["path"].shape[1:])
    buffer = io.BytesIO()
    said = {name: np.array([getattr(task, name) for task in every]) for name in ("group", "category", "text", "seed")}
    content: dict[str, Any] = {**said, "estimator": np.array(list(results)), **arrays, **world.task_arrays(every)}
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


def _column(own: Mapping[str, Played], tasks: Mapping[str, Sequence[Task]], metric: str) -> NDArray[np.float64]:
    """One metric of one estimator over all groups, [E]; NaN where it is not known."""
    unknown = {group: np.full(len(some), np.nan) for group, some in tasks.items()}
    return np.concatenate(
        [own[group].metrics.get(metric, unknown[group]) if group in own else unknown[group] for group in tasks]
    )


def _paths(paths: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Paths [t + 1, G] brought to one length, [P, T + 1, G]."""
    longest = max(map(len, paths))
    return np.stack([np.pad(path, ((0, longest - len(path)), (0, 0)), "edge") for path in paths])


def overall_table(report: Report, title: str, shown: Sequence[str]) -> Table:
    """A row an estimator: each metric's mean with its interval below, and the paired difference in success.

    shown: the metrics, of those that are there.
    """
    first = next(iter(report["estimators"]))
    apart = report["paired_difference_from_" + first]
    there = [metric for metric in shown if any(metric in found for found in report["estimators"].values())]
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("estimator", no_wrap=True)
    for metric in (*there, "- first"):
        table.add_column(HEADINGS.get(metric, metric), justify="right", no_wrap=True)
    count = len(report["categories"])
    for name, found in report["estimators"].items():
        played = sum(name in by_name for by_name in report["categories"].values())
        label = name if played == count else f"{name}\n[dim]{played} of {count}[/dim]"
        table.add_row(label, *(cell(found.get(metric), metric) for metric in there), sure(apart.get(name)))
    return table


def category_tables(report: Report, metric: str, width: int) -> list[Table]:
    """A row a category: success and `metric` of each estimator, mass and first guess of the first that has them.

    As many tables as the estimators need in a terminal of `width` columns.
    """
    names, by_category = list(report["estimators"]), report["categories"]
    longest = max(len(category) for category in by_category)
    fitting = max(1, (width - longest - 16) // 12)
    tables = []
    for start in range(0, len(names), fitting):
        some = names[start : start + fitting]
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
        table.title = f"by category: success / {HEADINGS.get(metric, metric).replace(chr(10), ' ')}"
        for name in ("category", "mass", "first\nguess", *some):
            table.add_column(name, justify="left" if name == "category" else "right", no_wrap=True)
        for category, found in by_category.items():
            believed: Mapping[str, Any] = next((found[name] for name in names if "mass" in found.get(name, {})), {})
            own = [short(believed.get(key), key) for key in ("mass", "first_guess")]
            table.add_row(category, *own, *(_pair(found.get(name), metric) for name in some))
        tables.append(table)
    return tables


def _pair(found: Mapping[str, Any] | None, metric: str) -> str:
    return "-" if not found else f"{short(found['success'], 'success')} / {short(found.get(metric), metric)}"


def cell(found: Mapping[str, float] | None, metric: str) -> str:
    """A mean with its interval below."""
    if found is None:
        return "-"
    low, high = (short({"mean": found[end]}, metric, 2) for end in ("low", "high"))
    return f"{short(found, metric)}\n[dim]{low}–{high}[/dim]"


def short(found: Mapping[str, float] | None, metric: str, digits: int = 3) -> str:
    """A mean in few letters: .974 of a share, 12.3 of steps, 112 of many."""
    if found is None:
        return "-"
    value = found["mean"]
    if metric in _SHARES:
        text = f"{value:.{digits}f}"
        return {0.0: "0", 1.0: "1"}.get(float(text), text.removeprefix("0"))
    if metric == "steps":
        return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
    return f"{value:.2f}" if abs(value) < 99.95 else f"{value:.0f}"


def sure(found: Mapping[str, Mapping[str, float]] | None) -> str:
    """A paired difference in success, starred where its interval leaves out 0; "" where there is none."""
    if not found or "success" not in found:
        return ""
    success = found["success"]
    mean = f"{success['mean']:+.3f}" if abs(success["mean"]) >= 0.0005 else "0"
    return f"{mean}{'*' if success['low'] > 0 or success['high'] < 0 else ''}"


def slices_line(report: Report) -> str:
    """The first estimator's success in each slice of tasks, in a line; empty where there are no slices."""
    first = next(iter(report["estimators"]))
    slices = report.get("slices", {}).items()
    shares = [
        f"{name.replace('_', ' ')} {found[first]['success']['mean']:.3f}" for name, found in slices if found[first]
    ]
    return f"{first}'s success by slice: {', '.join(shares)}" if shares else ""
