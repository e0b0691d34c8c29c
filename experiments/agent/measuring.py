"""What the protocols share: training by the command that a user types, once, and results with where they come from."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import one_of
from goalbridge.configs.run_folder import record
from goalbridge.experiments.report.markdown import RESULTS

ROOT: Final = Path(__file__).parents[2]
RUNS: Final = Path("runs/protocol")
TEXTS: Final = f"encoder.cache_dir={RUNS / 'texts'}"  # the same texts are encoded once for all agents
MAZES: Final = ("fork_maze", "island_maze", "blank_maze", "slit_maze", "blocker_maze")
SEEDS: Final = (0, 1, 2)


def run_folder(env: str, seed: int, name: str = "", runs: Path = RUNS) -> Path:
    """Where the agent of a world and seed lies; name: of a changed recipe."""
    return runs / "_".join([env, *([name.replace(" ", "_").replace("=", "_")] if name else []), str(seed)])


def train_command(env: str, seed: int, folder: Path, changes: Sequence[str] = ()) -> list[str]:
    """The arguments after `python`, as a user types them."""
    return ["train.py", f"env={env}", f"seed={seed}", f"run_dir={folder}", *changes]


def timed(command: Sequence[str], cwd: Path | None = None) -> dict[str, float]:
    """Runs a command of `python` on one core; its wall-clock and processor seconds."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    script, *arguments = command
    program = [sys.executable, str(ROOT / script), *arguments]
    subprocess.run(program, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=cwd)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(time.perf_counter() - begin, 1), "cpu_seconds": round(used, 1)}


def train(folder: Path, command: Sequence[str], cwd: Path | None = None) -> dict[str, float]:
    """Trains the agent of a run folder unless it is there; what the whole command cost, which stays beside it.

    cwd: the folder that the command runs in, from which its run_dir counts.
    """
    marker = folder / "cost.json"
    if not marker.is_file():
        write_json(marker, timed([*command, "resume=true"], cwd))
    cost: dict[str, float] = json.loads(marker.read_text())
    return cost


def agent_of(env: str, seed: int, name: str = "", changes: Sequence[str] = ()) -> Agent:
    """The agent of a world and seed, trained now unless it is there; with a name, by a changed recipe."""
    folder = run_folder(env, seed, name)
    train(folder, train_command(env, seed, folder, (*changes, TEXTS)))
    return Agent.from_pretrained(folder)


def prepare() -> None:
    """Numerics as in training, and errors instead of silent NaNs."""
    torch.set_flush_denormal(True)
    np.seterr(all="raise", under="ignore")


def header(module: str, part: str = "", seeds: Sequence[int] = SEEDS, **more: Any) -> dict[str, Any]:
    """Where a result comes from: the command, seeds, commit and versions."""
    run = record()
    command = f"python -m experiments.agent.{module} {part}".strip()
    about = {"command": command, "seeds": list(seeds), **more}
    return about | {"git_commit": run["git_commit"], "versions": run["versions"]}


def write(name: str, result: Mapping[str, Any]) -> None:
    """Writes results/NAME.json."""
    write_json(RESULTS / f"{name}.json", dict(result))


def measure_parts(
    module: str, prefix: str, parts: Mapping[str, Callable[[], dict[str, Any]]], chosen: Sequence[str], **more: Any
) -> None:
    """Measures the chosen parts, or all, and writes each to results/PREFIXPART.json, `more` in its header.

    ConfigError for a part that is not there, before any is measured.
    """
    for part in chosen:
        one_of("part", part, tuple(parts))
    prepare()
    for part in chosen or parts:
        write(f"{prefix}{part}", header(module, part, **more) | parts[part]())
