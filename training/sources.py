"""What a run learns from: trajectories and captions that are there before it begins, or that its agent collects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from goalbridge.agents import Learner
from goalbridge.agents.checkpoint import CHECKPOINT
from goalbridge.agents.explorer import Explorer
from goalbridge.agents.storage import CheckpointError
from goalbridge.configs.schema import RunConfig
from goalbridge.configs.splits import Split
from goalbridge.data import CaptionBatch, CaptionPairs, FutureBatch, TrajectoryBuffer
from goalbridge.data.captions import BRIDGE_GOALS, stream
from goalbridge.data.online import OnlineData
from goalbridge.worlds import World


class BatchSource:
    """Batches of both contrastive pairs, of trajectories and captions that stay as they are; what grows overrides more.

    trajectories: see `TrajectoryBuffer.sample_futures`. captions: see `CaptionPairs.sample`.
    """

    def __init__(self, trajectories: TrajectoryBuffer | OnlineData, captions: CaptionPairs | OnlineData) -> None:
        self.trajectories, self.captions = trajectories, captions

    def sample_futures(
        self, rng: np.random.Generator, batch_size: int, discount: float, group_size: int = 0, nearby: float = 0.0
    ) -> FutureBatch:
        """Futures within the trajectories."""
        return self.trajectories.sample_futures(rng, batch_size, discount, group_size, nearby)

    def sample_captions(self, rng: np.random.Generator, batch_size: int) -> CaptionBatch:
        """Of all captions."""
        return self.captions.sample(rng, batch_size)

    def advance(self, learner: Learner) -> None:
        """What is due before the learner's next step."""

    def figures(self) -> dict[str, float]:
        """What to log of it."""
        return {}

    def renew_bridge(self, learner: Learner) -> None:
        """Draws the agents' bridge goals anew, where what there is has changed."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint must hold of it."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor], folder: Path) -> None:
        """Restores what `tensors` gave; CheckpointError, which names `folder`, where it does not fit."""


class OnlineSource(BatchSource):
    """What the agent collects itself: one round of random play, captioned in wordings of `split`, to begin with."""

    def __init__(self, world: World, config: RunConfig, split: Split) -> None:
        self._config = config
        spec, env = world.spec, world.self_play(config.data, config.seed)
        bounds = (spec.goal_low, spec.goal_high)
        steps, seed = config.train.steps, config.seed
        self.data = OnlineData(env, world.captions, bounds, config.data, steps, split, seed, spec.dtype)
        super().__init__(self.data, self.data)

    def advance(self, learner: Learner) -> None:
        """Lets the averaged agent play what is due before the learner's next step."""
        config = self._config.data
        self.data.advance(learner.step, lambda: Explorer(learner.ema, config.exploration, config.noise_degrees))

    def figures(self) -> dict[str, float]:
        """Environment steps, what is kept, and how often commanded goals are reached."""
        return self.data.figures

    def renew_bridge(self, learner: Learner) -> None:
        """Draws the bridge goals of the agent and of its average anew, from p(g) of what is kept now."""
        rng = stream(self._config.seed, BRIDGE_GOALS, learner.step)
        count, discount = self._config.agent.bridge_goals, self._config.train.discount
        goals = torch.as_tensor(self.data.sample_futures(rng, count, discount).goals)  # [M, G]
        for agent in (learner.agent, learner.ema):
            agent.bridge_goals.copy_(goals)

    def tensors(self) -> dict[str, Tensor]:
        """The buffer, the environments and the counters."""
        return {name: torch.as_tensor(array) for name, array in self.data.state_arrays().items()}

    def restore(self, tensors: Mapping[str, Tensor], folder: Path) -> None:
        """Goes on from there."""
        try:
            self.data.load_state_arrays({name: tensor.numpy() for name, tensor in tensors.items()})
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"{folder / CHECKPOINT}: does not fit the run's online data ({error}); train anew"
            ) from error
