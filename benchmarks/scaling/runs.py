"""Sweeps and data-parallel training in docs/SCALING.md, from results/sweeps.json and results/parallel.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Result = Mapping[str, Any]


def launchers(result: Result) -> str:
    """Wall time of a sweep by each launcher, as Markdown."""
    jobs, alone = result["jobs"], result["alone"]
    lines = [
        f"{jobs} jobs of `train.py {' '.join(result['settings'])}`, one core each, on {result['cores']} virtual cores "
        f"(load before: {result['load_before']}); one of them alone takes {alone:.1f} s. `{result['command']}`, commit "
        f"{result['git_commit'][:7]}.\n",
        "| launcher | seconds | of one job after the other |",
        "|---|---|---|",
    ]
    for launcher, seconds in result["seconds"].items():
        lines.append(f"| {launcher} | {seconds:.1f} | {seconds / (jobs * alone):.2f} |")
    return "\n".join(lines)


def data_parallel(result: Result) -> str:
    """Samples a second, and processor time of one process a step, as Markdown."""
    sizes = sorted({row["batch_size"] for row in result["rows"]})
    kinds = dict.fromkeys((row["processes"], row["kind"]) for row in result["rows"])
    found = {(row["processes"], row["kind"], row["batch_size"]): row for row in result["rows"]}
    lines = [
        f"Fork maze, default networks, {result['steps']} steps each, one thread a process, {result['cores']} virtual "
        f"cores (load before: {result['load_before']:.1f}); CPU seconds are one process's. "
        f"`{result['command']}`, commit {result['git_commit'][:7]}.\n",
        "| processes | kind | " + " | ".join(f"batch {n}: samples/s | CPU s a step" for n in sizes) + " |",
        "|---" * (2 + 2 * len(sizes)) + "|",
    ]
    for processes, kind in kinds:
        cells = [
            f"{row['samples_per_second']:,.0f} | {row['cpu_seconds_per_step']:.4f}"
            for row in (found[processes, kind, size] for size in sizes)
        ]
        lines.append(f"| {processes} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)
