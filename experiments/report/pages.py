"""All generated pages; RESULTS.md itself is one headline, one small table and one link for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from goalbridge.experiments.report import agent_pages, other_pages
from goalbridge.experiments.report.markdown import Page, Row, Section, load, rows_of


def _link(name: str) -> str:
    return f"([all figures](docs/results/{name}.md))"


def _suites(_whole: Any) -> Iterable[Row]:
    for maze in agent_pages.MAZES:
        if found := load(f"ambiguity_{maze}"):
            yield {"maze": maze, **found["estimators"]}


def _views(_whole: Any) -> Iterable[Row]:
    """BabyAI: means over the levels, which weigh the same."""
    for view, title in (("full", "whole grid"), ("partial", "7 x 7 view")):
        if found := load(f"babyai_{view}"):
            rows = agent_pages.level_rows(found)
            lowest = min(rows, key=lambda row: float(row["planned"]["success"]["mean"]))
            metrics = ("success", "against_optimum", "against_bot")
            means = {metric: agent_pages.mean_of(rows, "planned", metric) for metric in metrics}
            played = all("random" in row for row in rows)
            chance = agent_pages.mean_of(rows, "random", "success") if played else None
            yield {**means, "view": title, "levels": len(rows), "lowest": lowest, "chance": chance}


def _online(whole: Any) -> Iterable[Row]:
    ours, expert = whole["rows"]["own play"], whole["rows"].get("expert", {})
    for steps, found in ours.items():
        yield {"steps": int(steps), "online": found, "expert": expert.get(steps)}


def _worlds(whole: Any) -> Iterable[Row]:
    for row in rows_of("<world>", whole):
        yield {**row["estimators"], "world": row["world"], "best": next(iter(row["estimators"]))}


def _critics(whole: Any) -> Iterable[Row]:
    rows = list(other_pages.law_rows(whole))
    return [row for row in rows if row["models"] == other_pages.MODELS["independent"]]


def _digits(whole: Any) -> Iterable[Row]:
    shown = ("LogSumExp, trained apart", "Direct, trained apart", "trained on image-speech pairs")
    return [row for row in rows_of("methods.<name>", whole) if row["name"] in shown]


def _shared_out(whole: Any) -> Iterable[Row]:
    return [row for row in other_pages.shared_out(whole) if row["actions"] == 8]


HEADLINES: Final[Sequence[Section]] = [
    Section(
        "",
        "Mazes",
        "Never shown an instruction with an action, LogSumExp goes where it is told; comparing representations "
        f"directly often does not. *Optimal*: value iteration that knows maze and command. {_link('mazes')}",
        agent_pages.maze_rows,
        {
            "maze": "{maze}",
            "LogSumExp: success": "{logsumexp.success}",
            "SPL (grid)": "{logsumexp.spl_grid}",
            "Direct: success": "{direct.success}",
            "optimal: SPL": "{limit.spl_grid.mean:.3f}",
        },
    ),
    Section(
        "",
        "Ambiguous commands",
        "Regions, vague places, compounds that were never trained on: acting on the whole posterior beats a policy "
        f"trained end to end on the same data. {_link('ambiguity')}",
        _suites,
        {"maze": "{maze}"}
        | {
            f"{title}: success": f"{{{name}.all.success}}"
            for title, name in (("LogSumExp", "logsumexp"), ("Direct", "direct"), ("end to end", "end to end"))
        }
        | {
            "LogSumExp: SPL": "{logsumexp.all.spl_grid.mean:.3f}",
            "one sampled goal: SPL": "{sample.all.spl_grid.mean:.3f}",
        },
    ),
    Section(
        "",
        "BabyAI",
        "One agent, unmodified levels and missions, instructions in templates held out of training. Means over "
        f"levels, and of their intervals. {_link('babyai')}",
        _views,
        {
            "seen": "{view}",
            "levels": "{levels}",
            "success": "{success}",
            "lowest level": "{lowest.planned.success.mean:.3f} ({lowest.level})",
            "steps / optimum": "{against_optimum}",
            "steps / bot's": "{against_bot}",
            "random": "{chance.mean:.3f}",
        },
    ),
    Section(
        "online_fork_maze",
        "Online data",
        "Without an expert and without trajectories: the agent commands itself goals that it has reached (fork maze). "
        f"{_link('online')}",
        _online,
        {
            "environment steps": "{steps:,}",
            "online: success": "{online.success}",
            "SPL (grid)": "{online.spl_grid}",
            "from the expert's data: success": "{expert.success}",
        },
    ),
    Section(
        "own_worlds",
        "Worlds that users bring",
        f"Any Gymnasium environment and a function that lists what is true of a goal; random play. "
        f"{_link('custom_worlds')}",
        _worlds,
        {
            "world": "{world}",
            "LogSumExp: success": "{logsumexp.success}",
            "planned": "{planned.success}",
            "Direct": "{direct.success}",
            "random": "{random.success}",
        },
    ),
    Section(
        "law.table",
        "The Law on synthetic data",
        "Two models trained apart: Direct is at chance (1 of 32), Lemma 1's sum is not; in brackets the authors' "
        f"figure. {_link('law')}",
        _critics,
        {
            "critic": "{critic}",
            "Direct": "{direct} ({published.direct:.3g})",
            "LogSumExp, M = 100k": "{monte carlo 100k} ({published.monte carlo 100k:.3g})",
            "better estimator, M = 5k": "{better 5k}",
        },
    ),
    Section(
        "pretrained",
        "Handwriting and speech that were never paired",
        f"Bridged by text; recall among {{candidates}} candidates. {_link('pretrained')}",
        _digits,
        {"method": "{name}"} | {f"{title}, R@1": f"{{{way}.R@1}}" for way, title in other_pages.WAYS.items()},
    ),
    Section(
        "scaling_bridge.sharding",
        "Scaling",
        f"A sum over M = {{result.terms:,}} bridge goals, read from files, 8 actions. {_link('scaling')} Speed and "
        "memory: [benchmarks](docs/results/benchmarks.md).",
        _shared_out,
        {"processes": "{processes}", "seconds": "{seconds:.3f}", "times as fast": "{faster:.2f}"},
    ),
]
PAGES: Final = (
    Page(
        "RESULTS.md",
        "Results",
        "Means and 95 % intervals (bootstrap over training seeds, then episodes); within a table all meet the same "
        "starts, commands and noise. Linked pages have every command, seed and commit. `make measure` measures anew.",
        HEADLINES,
    ),
    *agent_pages.PAGES,
    *other_pages.PAGES,
)


def render() -> dict[str, str]:
    """The text of each page of which something has been measured, by path."""
    return {page.path: text for page in PAGES if (text := page.render()) is not None}
