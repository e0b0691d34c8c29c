"""train.py on the agent's own play: no expert, exact resuming, refusals in one line."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from goalbridge.agents import Agent, Learner
from goalbridge.agents.storage import read_tensors

ONLINE = (
    "data=online",
    "data.environments=4",
    "data.walk_length=12",
    "data.environment_steps=480",
    "data.capacity=300",
)


@pytest.fixture
def own(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Overrides of a tiny run on own play."""
    return (*tiny, *ONLINE)


def babyai(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Overrides of a tiny run on own play in BabyAI: a round of 12 segments of 8 steps each, eight times."""
    return (
        *(one for one in tiny if not one.startswith(("encoder", "data", "env.max"))),
        "encoder=label",
        "env=babyai",
        "data=online_grids",
        "env.levels=[GoToLocal]",
        "env.layouts=4",
        "data.environments=12",
        "data.walk_length=8",
        "data.environment_steps=768",
        "data.capacity=768",
        "data.labelled_goals=100",
        "train.negatives_per_layout=8",
        "train.evaluate_every=0",
    )


def same_training(one: Path, other: Path) -> None:
    for name in ("agent.safetensors", "checkpoint.safetensors"):
        (first, about), (second, about_second) = read_tensors(one / name), read_tensors(other / name)
        assert first.keys() == second.keys()
        for tensor in first:
            assert torch.equal(first[tensor], second[tensor]), (name, tensor)
        assert about == about_second


def test_a_run_on_own_play(script: Any, own: tuple[str, ...], tmp_path: Path) -> None:
    done = script("train", *own, f"run_dir={tmp_path}")
    assert done.code == 0, done.err
    assert not (tmp_path / "trajectories").exists()  # nobody but the agent collected anything
    agent = Agent.from_pretrained(tmp_path)
    assert not agent.policy_config.average_noise
    goals = agent.bridge_goals.numpy()
    tensors, _ = read_tensors(tmp_path / "checkpoint.safetensors")
    kept = tensors["further.replay.observations"].numpy()
    assert len(kept) <= 300 // 12
    assert {tuple(goal) for goal in goals} <= {tuple(state) for state in kept.reshape(-1, 2)}
    assert len(tensors["further.goals"]) == 200
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    steps = [event.value for event in accumulator.Scalars("train/online/environment_steps")]
    assert steps == sorted(steps)
    assert steps[-1] <= 480
    actions = agent.policy().act(np.array([[1.5, 1.5]]), ["row 3"])
    assert np.linalg.norm(actions) == pytest.approx(1, abs=1e-5)
    assert script("evaluate", f"run_dir={tmp_path}", "episodes=5", "rollouts=0", "estimators=[logsumexp]").code == 0


@pytest.mark.parametrize("where", ["anywhere", "corner", "babyai"])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Ctrl-C in step 7 of 12, amidst the play: buffer, captions, places and generators go on alike."""
    in_a_maze = (*tiny, *ONLINE, f"env.start={where}", "env.episode_segments=3")
    arguments, update = babyai(tiny) if where == "babyai" else in_a_maze, Learner.update

    def interrupted(self: Learner, *inputs: Any, **options: Any) -> Any:
        info = update(self, *inputs, **options)
        if self.step == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return info

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "update", interrupted)
        halted = script("train", *arguments, f"run_dir={tmp_path / 'halted'}")
    assert halted.code == 130
    assert "stopped at step 7 of 12" in halted.out
    assert script("train", *arguments, f"run_dir={tmp_path / 'halted'}", "resume=true").code == 0
    assert script("train", *arguments, f"run_dir={tmp_path / 'whole'}").code == 0
    same_training(tmp_path / "whole", tmp_path / "halted")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("data.frontier=1.5",), "data.frontier=1.5: must be between 0 and 1"),
        (("data.warmup=1.5",), "data.warmup=1.5: must be between 0 and 1"),
        (("data.goals=bufer",), "did you mean buffer?"),
        (("env.start=middle",), "env.start=middle: must be one of anywhere, corner"),
        (("data.environment_steps=40",), "must be at least data.environments x data.walk_length = 48"),
        (("data.capacity=40",), "data.capacity=40: must be at least"),
        (
            ("train.objective=end_to_end",),
            "train.objective=end_to_end: expected one that needs no captions of what was done",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    script: Any, own: tuple[str, ...], tmp_path: Path, overrides: tuple[str, ...], says: str
) -> None:
    folder = tmp_path / "run"
    assert says in script("train", *own, *overrides, f"run_dir={folder}").error
    assert not folder.exists()


def test_own_play_in_babyai(script: Any, tiny: tuple[str, ...], tmp_path: Path) -> None:
    done = script("train", *babyai(tiny), f"run_dir={tmp_path}")
    assert done.code == 0, done.err
    tensors, _ = read_tensors(tmp_path / "checkpoint.safetensors")
    assert tensors["further.replay.observations"].dtype == torch.uint8
    assert tensors["further.counters"][0] == 8
