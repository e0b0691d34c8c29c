"""Training checkpoints: of this run, whole, finite; anything else is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent, CheckpointError, Learner
from goalbridge.agents.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from goalbridge.agents.storage import read_tensors, write_tensors
from goalbridge.configs.schema import TrainConfig

RUN = {"env": "goalbridge/ForkMaze-v0", "layout": "abc"}


def make_learner(agent: Agent) -> Learner:
    learner = Learner(agent, TrainConfig(), np.zeros((3, 1), np.float32), np.zeros((5, 2), np.float32))
    for group in learner.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    learner.optimizer.step()
    return learner


@pytest.fixture
def learner(make_agent: Callable[..., Agent], tmp_path: Path) -> Learner:
    learner = make_learner(make_agent())
    learner.step = 7
    save_checkpoint(tmp_path, learner, RUN)
    return learner


def refusal(folder: Path, learner: Learner, run: dict[str, str] = RUN) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder, learner, run)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checkpoint_restores_everything(make_agent: Callable[..., Agent], learner: Learner, tmp_path: Path) -> None:
    other = make_learner(make_agent())
    other.agent.critic_ab.log_scale.data.add_(1)
    load_checkpoint(tmp_path, other, RUN)
    assert other.step == 7
    for name, tensor in learner.state_tensors().items():
        assert torch.equal(tensor, other.state_tensors()[name]), name
    acting = Agent.from_pretrained(tmp_path)  # the averaged agent lies beside it
    for name, tensor in learner.ema.state_dict().items():
        assert torch.equal(tensor, acting.state_dict()[name]), name


def test_a_checkpoint_of_another_run(learner: Learner, tmp_path: Path) -> None:
    for changed in ({"env": "goalbridge/SlitMaze-v0"}, {"layout": "xyz"}):
        (name, value), *_ = changed.items()
        assert f"was made with {name} {RUN[name]}, not {value}" in refusal(tmp_path, learner, RUN | changed)


def test_a_checkpoint_of_other_networks(make_agent: Callable[..., Agent], learner: Learner, tmp_path: Path) -> None:
    assert "does not fit the run's networks" in refusal(tmp_path, make_learner(make_agent(width=17)))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint(learner: Learner, tmp_path: Path, share: float) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "is damaged or no safetensors file" in refusal(tmp_path, learner)


def test_a_missing_checkpoint_and_one_without_its_step(learner: Learner, tmp_path: Path) -> None:
    tensors, _ = read_tensors(tmp_path / CHECKPOINT)
    write_tensors(tmp_path / CHECKPOINT, tensors, {"run": RUN})
    assert "step" in refusal(tmp_path, learner)
    write_tensors(tmp_path / CHECKPOINT, tensors)
    assert "was made with env None" in refusal(tmp_path, learner)
    (tmp_path / CHECKPOINT).unlink()
    assert "there is no such file" in refusal(tmp_path, learner)


def test_a_checkpoint_with_nan(learner: Learner, tmp_path: Path) -> None:
    tensors, metadata = read_tensors(tmp_path / CHECKPOINT)
    name = next(key for key in tensors if key.endswith("exp_avg"))
    tensors[name].view(-1)[0] = float("nan")
    write_tensors(tmp_path / CHECKPOINT, tensors, metadata)
    assert "holds NaN or infinity" in refusal(tmp_path, learner)


def test_a_checkpoint_cut_at_every_block_is_refused_by_name_and_changes_nothing(
    learner: Learner, tmp_path: Path
) -> None:
    """At every 4 KiB, where a file system would cut it, and one byte short of whole."""
    path = tmp_path / CHECKPOINT
    whole = path.read_bytes()
    before = {name: tensor.clone() for name, tensor in learner.state_tensors().items()}
    ends = [*range(0, len(whole), 4096), len(whole) - 1]
    assert len(ends) > 5
    for end in ends:
        path.write_bytes(whole[:end])
        assert refusal(tmp_path, learner).startswith(f"{path}: is damaged or no safetensors file"), end
    assert learner.step == 7
    for name, tensor in learner.state_tensors().items():
        assert torch.equal(tensor, before[name]), name
    path.write_bytes(whole)
    load_checkpoint(tmp_path, learner, RUN)


def test_an_agent_cut_at_every_block_is_refused_by_name(learner: Learner, tmp_path: Path) -> None:
    path = tmp_path / "agent.safetensors"
    whole = path.read_bytes()
    for end in range(0, len(whole), 4096):
        path.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match=r"agent\.safetensors: is damaged"):
            Agent.from_pretrained(tmp_path)
