"""What the end-to-end tests ask of run folders, and scripts as processes of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from goalbridge.agents import Learner
from goalbridge.agents.storage import read_tensors

ROOT = Path(__file__).parents[2]
# Settings that make train.py in BabyAI a matter of a second or two, and what turns runs into such on online data.
GRIDS = (
    *("env=babyai", "env.levels=[GoToLocal,GoToObjMazeS4R2]", "env.layouts=12", "encoder=label"),
    *("data.trajectories=48", "data.walk_length=12", "data.labelled_goals=200"),
    *("agent.width=16", "agent.depth=2", "agent.embedding_dim=8", "agent.bridge_goals=40"),
    *("train.steps=8", "train.batch_size=16", "train.negatives_per_layout=8", "train.log_every=4"),
    *("train.evaluate_every=4", "train.evaluation_episodes=2", "train.checkpoint_every=4"),
)
ONLINE = (
    *("data=online", "data.environments=4", "data.walk_length=12", "data.environment_steps=480", "data.capacity=300"),
)
ONLINE_GRIDS = (  # a round of 12 segments of 8 steps each, eight times
    *(
        *GRIDS,
        "data=online_grids",
        "env.levels=[GoToLocal]",
        "env.layouts=4",
        "train.steps=12",
        "train.evaluate_every=0",
    ),
    *("data.environments=12", "data.walk_length=8", "data.environment_steps=768", "data.capacity=768"),
)
# train.py, which ends itself by kill -9 after a step; under torchrun, one of its processes does.
KILLED = """
import os, signal
from goalbridge import train
from goalbridge.agents import Learner
update = Learner.update
def killing(self, *arguments, **options):
    info = update(self, *arguments, **options)
    if self.step == {step} and os.environ.get("RANK", "0") == "{rank}":
        os.kill(os.getpid(), signal.SIGKILL)
    return info
Learner.update = killing
train.command()
"""


def python(environment: dict[str, str], *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` in the project's folder, to its end, with `text` (lone surrogates are bad bytes) typed in."""
    how: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "timeout": 900}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, input=text, capture_output=True, check=False, **how)


def events(folder: Path) -> EventAccumulator:
    """All that TensorBoard knows of a run."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of all numbers that a run has logged, by tag."""
    logged = events(folder)
    return {tag: [(event.step, event.value) for event in logged.Scalars(tag)] for tag in logged.Tags()["scalars"]}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, for comparisons."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def step_of(folder: Path) -> int:
    """The step of a run's checkpoint."""
    return int(read_tensors(folder / "checkpoint.safetensors")[1]["step"])


def same_state(one: Path, other: Path, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Fails unless two runs hold the same agent and can go on alike: bit for bit unless a tolerance is given."""
    for name in ("agent.safetensors", "checkpoint.safetensors"):
        (first, about), (second, about_second) = read_tensors(one / name), read_tensors(other / name)
        assert about == about_second
        torch.testing.assert_close(first, second, rtol=rtol, atol=atol)


def same_training(one: Path, other: Path) -> None:
    """Fails unless two runs are alike in their files of weights, in what they go on from and in what they logged."""
    same_state(one, other)
    assert (one / "agent.safetensors").read_bytes() == (other / "agent.safetensors").read_bytes()
    assert scalars(one) == scalars(other)


def after_step(step: int, action: Any) -> Any:
    """`Learner.update` that calls `action(learner)` after the given step."""
    update = Learner.update

    def patched(self: Learner, *arguments: Any, **options: Any) -> Any:
        info = update(self, *arguments, **options)
        if self.step == step:
            action(self)
        return info

    return patched


def states(shown: str) -> dict[str, str]:
    """The state of each job in the table that ends a sweep."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines() if re.match(r" \w[\w.]*=", line)]
    return {row[0]: row[1] for row in rows}
