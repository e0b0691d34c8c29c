"""The agent's part of RESULTS.md, from the raw results under results/. No figure is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goalbridge.experiments.agent import ambiguity_results, grid_figures, grid_results, online_results, own_results
from goalbridge.experiments.agent.markdown import cell, load, table
from goalbridge.experiments.agent.protocol import MAZES

SHOWN = ("success", "spl_grid", "spl", "steps")
# Asked of LogSumExp by the project's own protocol: success, spl_grid.
FLOORS = {
    "fork_maze": (0.99, 0.88),
    "island_maze": (0.98, 0.90),
    "blank_maze": (0.998, 0.92),
    "slit_maze": (0.98, 0.87),
    "blocker_maze": (0.99, 0.91),
}
PUBLISHED = {"fork_maze": ".71 / .56", "island_maze": ".95 / .69", "blank_maze": ".90 / .64"}

PREFACE = (
    "Written by `make results` from `results/*.json`, which `make measure` and `make bench` make. Each cell: mean and "
    "95 % interval (bootstrap over training seeds, then episodes). Within a table all estimators meet the same starts, "
    "commands (in words, in phrasings held out of training) and noise; the evaluation's seeds are used nowhere else."
)
ABOUT_POLICIES = (
    "The *default* policy weighs 32 directions, averages over the known noise and bars blocked directions; that of "
    "*8 directions* is the published reference's, with none of these. *limit* is value iteration that knows maze, "
    "command and noise, with the same directions as the policy. *expert* is the data's, which knows maze and command."
)


def _overview(results: Mapping[str, Any], seconds: Mapping[str, float]) -> str:
    rows = []
    for maze, result in results.items():
        by_policy = result["policies"]
        ours = by_policy["default"]["logsumexp"]
        as_published = by_policy["8 directions"]["logsumexp"]
        limit = by_policy["default"]["limit"]
        rows.append(
            [
                maze,
                f"{cell(ours['success'])} / {cell(ours['spl_grid'])}",
                f"{as_published['success']['mean']:.3f} / {as_published['spl_grid']['mean']:.3f}",
                f"{FLOORS[maze][0]} / {FLOORS[maze][1]}",
                f"{ours['spl_grid']['mean'] / limit['spl_grid']['mean']:.3f}",
                PUBLISHED.get(maze, "-"),
                f"{seconds[maze]:.0f}" if maze in seconds else "-",
            ]
        )
    header = [
        "maze",
        "LogSumExp: success / spl_grid",
        "the same, 8 directions",
        "floor",
        "share of the limit's spl_grid",
        "published reference",
        "s to train, one core",
    ]
    return table(header, rows)


def _maze(result: Mapping[str, Any]) -> str:
    parts = [
        f"### {result['maze']}",
        f"Seeds {result['seeds']}; `{result['command']}`; training `{result['train_command']}`.",
    ]
    for policy, estimators in result["policies"].items():
        rows = [
            [
                name,
                *(cell(metrics[m], 1 if m == "steps" else 3) for m in SHOWN),
                cell(metrics["success_minus_logsumexp"]),
            ]
            for name, metrics in estimators.items()
        ]
        parts += [f"Policy: {policy}", table(["estimator", *SHOWN, "success - LogSumExp's, paired"], rows)]
    return "\n\n".join(parts)


def _ablations(result: Mapping[str, Any]) -> str:
    rows = [
        [
            f"`{change}`" if "=" in change else change,
            f"{cell(row['logsumexp']['success'])} / {row['logsumexp']['spl_grid']['mean']:.3f}",
            f"{cell(row['direct']['success'])} / {row['direct']['spl_grid']['mean']:.3f}",
        ]
        for change, row in result["rows"].items()
    ]
    head = (
        f"Seeds {result['seeds']}, 1000 episodes each; `{result['command']}`, commit {result['git_commit'][:12]}: then "
        "captions spoke of rows and columns only, and policies did not remember where they had been."
    )
    return head + "\n\n" + table(["one change to the recipe", "LogSumExp", "Direct"], rows)


def _benchmarks(result: Mapping[str, Any]) -> str:
    rows = [
        [
            row["name"],
            f"{row['value']:.4g} {row['unit']}",
            "" if row["bound"] is None else f"{row['bound']:g} {row['unit']}",
        ]
        for row in result["rows"]
    ]
    note = "A bound is a lower one where the name says faster or share, else an upper one."
    return f"`{result['command']}`, {result['platform']}. {note}\n\n" + table(["benchmark", "value", "bound"], rows)


def render() -> str:
    """RESULTS.md as text."""
    results = {maze: result for maze in MAZES if (result := load(maze))}
    timing = load("training_time") or {"command": "python -m experiments.agent.timing", "seconds": {}}
    seconds = timing["seconds"]
    parts = ["# Results", PREFACE]
    if results:
        first = next(iter(results.values()))
        measured = f"{len(first['seeds'])} training seeds x {first['episodes']} episodes"
        where = f"evaluation seed {first['evaluation_seed']}, commit {first['git_commit'][:12]}"
        parts += [
            "## Point mazes",
            f"{measured} ({where}). {ABOUT_POLICIES}",
            _overview(results, seconds),
            f"Training time is that of the whole command, `{timing['command']}`, on an idle machine.",
            *(_maze(result) for result in results.values()),
        ]
    if ablations := load("ablations"):
        parts += ["## What each part is worth (fork)", _ablations(ablations)]
    parts += ambiguity_results.sections()
    parts += online_results.sections()
    parts += grid_results.sections()
    parts += own_results.sections()
    if benchmarks := load("benchmarks"):
        parts += ["## Benchmarks", _benchmarks(benchmarks)]
    return "\n\n".join(parts) + "\n"


def draw() -> None:
    """Draws the pictures that it shows, into docs/."""
    grid_figures.draw()
    ambiguity_results.draw()
    online_results.draw()
