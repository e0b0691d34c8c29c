"""The ambiguous commands in RESULTS.md, from results/ambiguity_*.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from goalbridge.envs.suite import SATISFIABLE
from goalbridge.experiments.agent.ambiguity_protocol import MAZES
from goalbridge.experiments.agent.markdown import cell, load, source, table

Result = Mapping[str, Any]

SCARCITY_PNG: Final = "docs/ambiguity_scarcity.png"
GOALS_PNG: Final = "docs/ambiguity_goals.png"
# Asked of LogSumExp by the project's own protocol: success by category; of every category, spl_grid beside the limit's.
FLOORS: Final = {
    "exact": 0.95,
    "line": 0.98,
    "region": 0.98,
    "vague": 0.98,
    "compound": 0.95,
    "held_out_compound": 0.95,
}
SPL_SHARE: Final = 0.93
SCARCITY_FLOORS: Final = {"1000": 0.98, "300": 0.95, "100": 0.88}
LEADS: Final = {"300": 0.15, "100": 0.25}  # over end to end
ABOUT_ESTIMATORS: Final = (
    "*resampled* sums over 256 goals drawn in proportion to the posterior instead of 5000; *tempered* halves the "
    "language term's temperature; *likeliest* heads for the posterior's best goal, *sample* for one drawn from it. *no "
    "memory* forgets where an episode has been, *whole texts* reads compounds as one text. *limit* knows maze, command "
    "and noise."
)


def sections() -> list[str]:
    """Markdown of what has been measured."""
    scarcity, goals = load("ambiguity_scarcity"), load("ambiguity_goals")
    mazes = {maze: result for maze in MAZES if (result := load(f"ambiguity_{maze}"))}
    found: list[str] = ["## Ambiguous commands"] if mazes or scarcity or goals else []
    if mazes:
        recipes = next(iter(mazes.values()))["recipes"]
        trained = "; ".join(f"*{name}*: `{' '.join(changes)}`" for name, changes in recipes.items())
        found += [f"{ABOUT_ESTIMATORS} Trained for the purpose, on the same data: {trained}."]
        for maze, result in mazes.items():
            found += _maze(maze, result)
    if scarcity:
        found += [
            "### How few captioned states are enough (fork, rows and columns)",
            source(scarcity),
            *_scarcity(scarcity),
        ]
    if goals:
        found += ["### How many bridge goals are enough (fork)", source(goals), *_goals(goals)]
    return found


def _maze(maze: str, result: Result) -> list[str]:
    estimators, sizes = result["estimators"], result["region_cells"]
    header = ["estimator", "all", *(f"{name.replace('_', ' ')} ({sizes[name]:.0f} cells)" for name in SATISFIABLE)]
    rows = [[name, *(_both(of[group]) for group in ("all", *SATISFIABLE))] for name, of in estimators.items()]
    gaps = [
        [name, cell(of["all"]["first_minus_this_success"]), cell(of["all"]["first_minus_this_spl_grid"])]
        for name, of in estimators.items()
        if name != "logsumexp"
    ]
    flags = [
        [name.replace("_", " "), str(of["texts"]), cell(of["unknown"]), cell(of["contradictory"])]
        for name, of in result["not_understood"].items()
    ]
    better = _better(estimators)
    return [
        f"### Ambiguous commands in {maze}",
        source(result),
        _verdict(estimators["logsumexp"], estimators["limit"]),
        table(header, rows),
        f"Better than LogSumExp, with an interval that excludes 0: {', '.join(better) if better else 'none'}.",
        table(["estimator", "LogSumExp's success - this, paired", "LogSumExp's spl_grid - this"], gaps),
        "How many different texts are taken not to be understood:",
        table(["category", "texts", "unknown", "contradicts itself"], flags),
    ]


def _verdict(ours: Result, limit: Result) -> str:
    """Which floors of LogSumExp's are met."""
    success = {name: ours[name]["success"]["mean"] for name in FLOORS}
    short = [f"{name} ({success[name]:.3f})" for name, floor in FLOORS.items() if success[name] < floor]
    share = {name: ours[name]["spl_grid"]["mean"] / limit[name]["spl_grid"]["mean"] for name in SATISFIABLE}
    long = [f"{name} ({value:.3f})" for name, value in share.items() if value < SPL_SHARE]
    floors = ", ".join(f"{name} {floor}" for name, floor in FLOORS.items())
    return (
        f"Success / spl_grid. Floors of success ({floors}): {_met(short)}. "
        f"spl_grid at least {SPL_SHARE} of the limit's in every category: {_met(long)}."
    )


def _met(exceptions: list[str]) -> str:
    return f"**not met: {', '.join(exceptions)}**" if exceptions else "met"


def _better(estimators: Mapping[str, Result]) -> list[str]:
    """Who beats LogSumExp where, beyond doubt."""
    return [
        f"{name} in {category} ({metric} {-of[category][f'first_minus_this_{metric}']['mean']:+.3f})"
        for name, of in estimators.items()
        for category in SATISFIABLE
        for metric in ("success", "spl_grid")
        if name != "limit" and of[category][f"first_minus_this_{metric}"]["high"] < 0
    ]


def _both(of: Result) -> str:
    return f"{cell(of['success'])} / {of['spl_grid']['mean']:.3f}"


def _scarcity(result: Result) -> list[str]:
    titles = list(next(iter(result["captions"].values())))
    rows = [
        [
            count,
            *(_both(by_title[title]) for title in titles),
            f"{SCARCITY_FLOORS.get(count, '-')}",
            f"{by_title['bridge']['success']['mean'] - by_title['end to end']['success']['mean']:.3f}",
            f"{LEADS.get(count, '-')}",
        ]
        for count, by_title in result["captions"].items()
    ]
    return [
        table(["captioned states", *titles, "floor of the bridge", "lead over end to end", "floor of the lead"], rows),
        f"![Success over the number of captioned states]({SCARCITY_PNG})",
    ]


def _goals(result: Result) -> list[str]:
    rows = [
        [
            name,
            _both(of["all"]),
            *(f"{of[category]['success']['mean']:.3f}" for category in SATISFIABLE),
            f"{of['effective_sample_size']:.1f}" if "effective_sample_size" in of else "-",
            f"{of['standard_error']:.2f}" if "standard_error" in of else "-",
        ]
        for name, of in result["rows"].items()
    ]
    header = ["estimator and goals", "all", *(name.replace("_", " ") for name in SATISFIABLE)]
    return [
        table([*header, "effective sample size", "standard error, nats"], rows),
        f"![Success and path length over the number of goals]({GOALS_PNG})",
    ]


def draw() -> None:
    """Draws what has been measured, into docs/."""
    if scarcity := load("ambiguity_scarcity"):
        curves: dict[str, list[Result | None]] = {}
        for by_title in scarcity["captions"].values():
            for title, of in by_title.items():
                curves.setdefault(title, []).append(of)
        _plot(SCARCITY_PNG, "captioned states", list(scarcity["captions"]), curves)
    if goals := load("ambiguity_goals"):
        ticks = [name.split()[1] for name in goals["rows"] if name.startswith("logsumexp")]
        by_name: dict[str, list[Result | None]] = {
            estimator: [goals["rows"].get(f"{estimator} {tick}", {}).get("all") for tick in ticks]
            for estimator in ("logsumexp", "resampled")
        }
        _plot(GOALS_PNG, "bridge goals", ticks, by_name)


def _plot(path: str, label: str, ticks: list[str], curves: Mapping[str, list[Result | None]]) -> None:
    from matplotlib.figure import Figure  # only who draws waits for it

    figure = Figure(figsize=(10.0, 3.4), dpi=90, layout="constrained")
    for panel, metric in zip(figure.subplots(1, 2), ("success", "spl_grid"), strict=True):
        for place, (title, found) in enumerate(curves.items()):
            points = [(i + 0.06 * place, of[metric]) for i, of in enumerate(found) if of is not None]
            means = [of["mean"] for _, of in points]
            spread = [[of["mean"] - of["low"] for _, of in points], [of["high"] - of["mean"] for _, of in points]]
            panel.errorbar([x for x, _ in points], means, spread, label=title, marker="o", ms=4, capsize=2)
        panel.set_xticks(range(len(ticks)), [f"{int(tick):,}" for tick in ticks])
        panel.set_xlabel(label)
        panel.set_ylabel(f"{metric} (95 % interval)")
        panel.grid(alpha=0.3)
    panel.legend(fontsize="small")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})  # the same bytes for the same figures
