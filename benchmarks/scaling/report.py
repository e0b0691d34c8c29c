"""What docs/SCALING.md shows of results/: the section "The bridge" with its pictures, and tables of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

TARGET: Final = Path("docs/SCALING.md")
BRIDGE, LAUNCHERS, PARALLEL = "the bridge", "the launchers", "data-parallel training"


def marks(name: str) -> tuple[str, str]:
    """What stands before and after a part of the document that is written here."""
    return f"<!-- {name}: written by python -m benchmarks.scaling report -->", f"<!-- end of {name} -->"


def fill(name: str, text: str) -> None:
    """Writes a part of the document between its marks, the rest stays; ValueError where it has no such part."""
    begin, end = marks(name)
    before, found, rest = TARGET.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{TARGET}: has no part between {begin} and {end}")
    TARGET.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def write(results: Mapping[str, Any]) -> None:
    """The pictures, and the section of the bridge."""
    draw(results)
    fill(BRIDGE, section(results))


def draw(results: Mapping[str, Any]) -> None:
    """docs/scaling_bridge.png (time over M) and docs/scaling_proposals.png (agreement over actions a second)."""
    if "streaming" in results:
        _draw_growth(results["streaming"]["result"]["growth"])
    if "proposals" in results:
        _draw_proposals(results["proposals"]["result"])


def section(results: Mapping[str, Any]) -> str:
    """What was measured, as Markdown, without its marks."""
    parts: dict[str, Callable[[Any], str]] = {
        "streaming": _streaming,
        "sharding": _sharding,
        "proposals": _proposals,
        "serving": _serving,
    }
    texts = [write_part(results[name]["result"]) for name, write_part in parts.items() if name in results]
    commits = ", ".join(f"{name} at commit {results[name]['git_commit'][:7]}" for name in parts if name in results)
    return "\n\n".join((*texts, f"Measured by `python -m benchmarks.scaling`: {commits}."))


def _draw_growth(growth: Mapping[str, Any]) -> None:
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.loglog(growth["goals"], growth["seconds"], "o-")
    axes.set(xlabel="bridge goals M", ylabel="seconds of one thread", title="8 actions, one instruction, 64 dimensions")
    axes.grid(alpha=0.3)
    figure.savefig(TARGET.parent / "scaling_bridge.png", dpi=120)


def _draw_proposals(of: Mapping[str, Any]) -> None:
    figure = Figure(figsize=(4.5 * len(of), 3.4), layout="constrained")
    for axes, (name, part) in zip(figure.subplots(1, len(of), squeeze=False)[0], of.items(), strict=True):
        for way in dict.fromkeys(row["way"] for row in part["rows"]):
            rows = [row for row in part["rows"] if row["way"] == way]
            rates = [row["actions_per_second"] for row in rows]
            axes.semilogx(rates, [row["same_action"] for row in rows], "o-", label=way)
        axes.axvline(part["full_actions_per_second"], color="0.5", linestyle=":", label="all goals")
        axes.set(
            xlabel="actions a second of one thread",
            ylabel="same action as all goals",
            title=f"{name}, M = {part['terms']:,}",
        )
        axes.set_ylim(0, 1.03)
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(TARGET.parent / "scaling_proposals.png", dpi=120)


def _streaming(of: Mapping[str, Any]) -> str:
    lines = [
        f"### Reading M goals once\n\nOne instruction, M = {of['terms']:,}, 64 dimensions. `share` is achieved bytes/s "
        "over those of a plain copy of the same bytes: *files*, from the store's mapped files to memory, in the same "
        "windows; *memory*, from memory to memory.\n",
        "| towers | dtype | actions | ns a goal | goals/s | GB/s | share of a copy, files | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in of["rates"]:
        ours = row["ns_per_goal"]
        lines.append(
            f"| {row['towers']} | {row['dtype']} | {row['rows']} | {ours:.0f} | {1e3 / ours:.1f} M | "
            f"{row['bytes_per_goal'] / ours:.1f} | {row['ns_mapped_copy'] / ours:.2f} | {row['ns_copy'] / ours:.2f} |"
        )
    return "\n".join(lines) + "\n\n" + _growth(of["growth"])


def _growth(of: Mapping[str, Any]) -> str:
    lines = [
        "### Growing M\n\n![Seconds over the number of goals](scaling_bridge.png)\n",
        "| M | seconds of one thread | ns a goal |",
        "|---|---|---|",
    ]
    for goals, taken in zip(of["goals"], of["seconds"], strict=True):
        lines.append(f"| {goals:,} | {taken:.3f} | {taken / goals * 1e9:.0f} |")
    lines += [
        f"\nMemory: a store of {of['store_megabytes']:,.0f} MB, streamed. What it adds to a process's peak, mapped "
        "files included:\n",
        "| `memory` | peak rises by |",
        "|---|---|",
    ]
    for budget, extra in zip(of["budget_megabytes"], of["extra_megabytes"], strict=True):
        lines.append(f"| {budget:.0f} MB | {extra:.0f} MB |")
    return "\n".join(lines)


def _sharding(of: Mapping[str, Any]) -> str:
    alone = {row["actions"]: row for row in of["rows"] if row["processes"] == 1}
    lines = [
        f"### Sharing the goals out\n\nM = {of['terms']:,}, two towers, float32: wall time of `sharded_bridge_scores` "
        f"under torchrun, one thread a process, {of['cores']} virtual cores (load before: {of['load_before']:.1f}).\n",
        "| processes | actions | seconds | times as fast | score differs by |",
        "|---|---|---|---|---|",
    ]
    for row in of["rows"]:
        one = alone[row["actions"]]
        lines.append(
            f"| {row['processes']} | {row['actions']} | {row['seconds']:.3f} | {one['seconds'] / row['seconds']:.2f} | "
            f"{abs(row['score'] - one['score']):.1g} |"
        )
    return "\n".join(lines)


def _proposals(of: Mapping[str, Any]) -> str:
    lines = [
        "### Fewer goals for the same answer\n\n![Agreement over actions a second](scaling_proposals.png)\n\n"
        "Every decision has an instruction of its own. *same action*: as the sum over all goals; *regret*: nats by "
        "which the action is worse in that sum; *error*: mean absolute one of a score, beside the stated one; "
        "*covered*: share of scores whose stated 95 % interval holds the full sum's.\n",
    ]
    if any(row["way"].startswith("and state") for part in of.values() for row in part["rows"]):
        lines.append("*and state*: neighbours of what lies between the instruction and the state.\n")
    for name, part in of.items():
        lines += [
            f"{name}: M = {part['terms']:,}, {part['actions']} actions, {part['decisions']} decisions; over all goals "
            f"{part['full_actions_per_second']:.2f} actions/s; the index takes {part['build_seconds']:.0f} s.\n",
            "| goals | way | actions/s | times as fast | same action | regret | error | stated | covered |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for row in sorted(part["rows"], key=lambda row: row["goals"]):
            stated, covered = f"{row['stated_error']:.3f}", f"{row['covered']:.2f}"
            if not row["stated_error"]:
                stated = covered = "-"
            lines.append(
                f"| {row['goals']} | {row['way']} | {row['actions_per_second']:.0f} | "
                f"{row['actions_per_second'] / part['full_actions_per_second']:.0f} | {row['same_action']:.2f} | "
                f"{row['regret']:.3f} | {row['error']:.3f} | {stated} | {covered} |"
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def _serving(rows: list[Mapping[str, Any]]) -> str:
    lines = [
        "### A thousand instructions at once\n\n`policy.act` for 1000 distinct instructions in one call, against a "
        "call for each; the shipped agent of fork.\n",
        "| policy | instructions | at once, actions/s | each alone | times as fast |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['setting']} | {row['instructions']} | {row['at_once']:.0f} | {row['alone']:.0f} | "
            f"{row['at_once'] / row['alone']:.1f} |"
        )
    return "\n".join(lines)
