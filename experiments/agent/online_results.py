"""Own play in RESULTS.md, from results/online_*.json, and its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from goalbridge.configs.registries import estimators
from goalbridge.experiments.agent.markdown import cell, load, source, table

Result = Mapping[str, Any]

PNG: Final = "docs/online.png"
MAZES: Final = ("fork_maze", "island_maze", "blank_maze")
# Asked of own play by the project's own protocol: success of LogSumExp after so many environment steps.
FLOORS: Final = {
    ("fork_maze", "50000"): 0.90,
    ("fork_maze", "250000"): 0.97,
    ("island_maze", "250000"): 0.99,
    ("blank_maze", "250000"): 0.998,
}
CORNER_FLOOR: Final = 0.90
WALKS_FLOOR: Final = ("100000", 0.93)  # of random walks, by the best estimator
SECONDS: Final = 60.0
ABOUT: Final = (
    "*own play* commands itself goals that it has reached, a share of them seldom visited; *random goals* are uniform "
    "within the bounds of the maze instead, walls included. *expert* are noisy shortest paths, *random walks* the same "
    "number of environment steps without any aim. All learn by the same network in 2000 gradient steps."
)


def sections() -> list[str]:
    """Markdown of what has been measured."""
    mazes = {maze: result for maze in MAZES if (result := load(f"online_{maze}"))}
    corner, search, seconds = load("online_corner"), load("online_search"), load("online_time")
    found: list[str] = ["## Own play (online)", ABOUT] if mazes or corner or search or seconds else []
    for maze, result in mazes.items():
        found += [f"### {maze}: success / spl_grid over environment steps", source(result), *_steps(maze, result)]
    if "fork_maze" in mazes:
        found += [f"![Success over environment steps]({PNG})", _walks(mazes["fork_maze"])]
    if corner:
        found += ["### Every episode from one corner (fork)", source(corner), *_corner(corner)]
    if search:
        found += ["### Directions without a grid (fork, own play)", source(search), _search(search)]
    if seconds:
        found += ["### Time of the whole command, seed 0, one core", source(seconds), *_time(seconds)]
    return found


def _both(row: Result) -> str:
    return f"{cell(row['success'])} / {row['spl_grid']['mean']:.3f}"


def _verdict(met: bool, what: str) -> str:
    return f"{what}: {'met' if met else '**not met**'}."


def _budgets(rows: Result) -> list[str]:
    """All numbers of environment steps after which something was measured, ascending."""
    return sorted({steps for by_steps in rows.values() for steps in by_steps}, key=int)


def _steps(maze: str, result: Result) -> list[str]:
    rows = result["rows"]
    budgets = _budgets(rows)
    body = [
        [title, *(_both(by_steps[steps]) if steps in by_steps else "-" for steps in budgets)]
        for title, by_steps in rows.items()
    ]
    own = rows["own play"]
    verdicts = [
        _verdict(own[steps]["success"]["mean"] >= floor, f"Own play at least {floor} after {int(steps):,} steps")
        for (where, steps), floor in FLOORS.items()
        if where == maze and steps in own
    ]
    return [table(["trajectories", *(f"{int(steps):,}" for steps in budgets)], body), " ".join(verdicts)]


def _walks(result: Result) -> str:
    steps, floor = WALKS_FLOOR
    rows = result["rows"]
    found = {title: rows[title][steps] for title in rows if title.startswith("random walks")}
    best = max(found, key=lambda title: float(found[title]["success"]["mean"]))
    mean = found[best]["success"]["mean"]
    return _verdict(mean >= floor, f"Random walks, {int(steps):,} steps, at least {floor} ({best}: {mean:.3f})")


def _corner(result: Result) -> list[str]:
    rows = [
        [title, steps, _both(row), ", ".join(f"{value:.3f}" for value in row["success"]["per_seed"])]
        for title, steps, row in _flat(result)
    ]
    plain = {
        title: row["success"]["mean"]
        for title, _, row in _flat(result)
        if title.removeprefix("own play, ") in estimators.names()  # others are told to command themselves other goals
    }
    best = max(plain, key=lambda title: plain[title])
    recipe = " ".join(next(row for title, _, row in _flat(result) if title in plain)["overrides"])
    return [
        f"Own play by `{recipe}` and other numbers of steps; the others change what their names say.",
        table(["goals", "environment steps", "success / spl_grid", "success by seed"], rows),
        _verdict(plain[best] >= CORNER_FLOOR, f"Own play at least {CORNER_FLOOR} ({best}: {plain[best]:.3f})"),
    ]


def _flat(result: Result) -> list[tuple[str, str, Result]]:
    return [(title, steps, row) for title, by_steps in result["rows"].items() for steps, row in by_steps.items()]


def _search(result: Result) -> str:
    return table(["candidates", "success / spl_grid"], [[title, _both(row)] for title, row in result["rows"].items()])


def _time(result: Result) -> list[str]:
    rows = [[title, f"{row['seconds']:.0f}", f"{row['cpu_seconds']:.0f}"] for title, row in result["rows"].items()]
    longest = max(row["seconds"] for row in result["rows"].values())
    return [
        table(["maze, cache of embeddings", "seconds", "processor seconds"], rows),
        _verdict(longest <= SECONDS, f"At most {SECONDS:.0f} seconds, all texts encoded in them"),
    ]


def draw() -> None:
    """Draws success over environment steps where the fork maze has been measured."""
    result = load("online_fork_maze")
    if result:
        _draw(result["rows"], Path(PNG))


def _draw(rows: Result, path: Path) -> None:
    from matplotlib.figure import Figure  # only who draws waits for it

    figure = Figure(figsize=(6.4, 3.8), layout="tight")
    axes = figure.subplots()
    for title, by_steps in rows.items():
        steps = [int(one) for one in by_steps]
        means, low, high = (_column(by_steps, name) for name in ("mean", "low", "high"))
        axes.plot(steps, means, marker="o", label=title)
        axes.fill_between(steps, low, high, alpha=0.15)
    axes.set(xscale="log", xlabel="environment steps", ylabel="success, held-out phrasings", title="fork_maze")
    budgets = _budgets(rows)
    axes.set_xticks([int(one) for one in budgets], [f"{int(one):,}" for one in budgets])
    axes.minorticks_off()
    lowest = min(float(row["success"]["low"]) for by_steps in rows.values() for row in by_steps.values())
    axes.set_ylim(lowest - 0.02, 1.01)  # all lie close together
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None})


def _column(by_steps: Mapping[str, Result], name: str) -> Sequence[float]:
    return [float(row["success"][name]) for row in by_steps.values()]
