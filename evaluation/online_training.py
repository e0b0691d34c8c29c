"""What training on an agent's own play adds: playing, its state in checkpoints, bridge goals that keep up with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agents import Learner
from agents.checkpoint import CHECKPOINT
from agents.explorer import Explorer
from agents.storage import CheckpointError
from configs.schema import DataConfig, RunConfig
from data.collect import BRIDGE_GOALS, stream
from data.online import OnlineData
from envs.phrasing import Split
from evaluation.world import World


def own_play(world: World, config: RunConfig, split: Split) -> OnlineData:
    """The data of a run that begins: one round of random play, captioned in wordings of `split`."""
    bounds = (world.spec.goal_low, world.spec.goal_high)
    playground = world.playground(config.data, config.seed)
    dtype = np.uint8 if world.spec.kind == "grid" else np.float32
    return OnlineData(playground, world.captions, bounds, config.data, config.train.steps, split, config.seed, dtype)


def play(data: OnlineData, learner: Learner, config: DataConfig) -> None:
    """Lets the averaged agent play what is due before the learner's next step."""
    data.advance(learner.step, lambda: Explorer(learner.averaged, config.exploration, config.noise_degrees))


def renew_bridge(data: OnlineData, learner: Learner, config: RunConfig) -> None:
    """Draws the bridge goals of the agent and of its average anew, from p(g) of what is kept now."""
    rng = stream(config.seed, BRIDGE_GOALS, learner.step)
    goals = data.sample_futures(rng, config.agent.bridge_goals, config.train.discount).goals  # [M, G]
    for agent in (learner.agent, learner.averaged):
        agent.bridge_goals.copy_(torch.as_tensor(goals))


def tensors_of(data: OnlineData) -> dict[str, Tensor]:
    """The data's state for a checkpoint."""
    return {name: torch.as_tensor(array) for name, array in data.state_arrays().items()}


def restore(data: OnlineData, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Restores what `tensors_of` gave; CheckpointError where it does not fit."""
    try:
        data.load_state_arrays({name: tensor.numpy() for name, tensor in tensors.items()})
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{folder / CHECKPOINT}: does not fit the run's own play ({error}); train anew"
        ) from error
