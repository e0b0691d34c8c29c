"""What TensorBoard shows of a run: scalars, success and path length as it trains, an animated rollout."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from agents import Learner
from configs.schema import RunConfig
from evaluation.grid_watcher import GridWatcher
from evaluation.grid_world import FAMILY
from evaluation.maze_watcher import MazeWatcher
from evaluation.watch import Watcher, add_animation


def watcher_of(config: RunConfig) -> Watcher:
    """Who evaluates an agent of the run's world while it trains."""
    return GridWatcher(config) if config.env.id == FAMILY else MazeWatcher(config)


class Dashboard:
    """TensorBoard logs of one run in `folder`, after `first_step` (later events of a killed run are dropped)."""

    def __init__(self, config: RunConfig, folder: Path, first_step: int) -> None:
        # Events of `first_step` itself were written before its checkpoint and stay.
        self.writer = SummaryWriter(str(folder), purge_step=first_step + 1)
        self._watcher = watcher_of(config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    def _scalar(self, tag: str, value: float | Tensor, step: int) -> None:
        self.writer.add_scalar(tag, float(torch.as_tensor(value).detach()), step)

    def scalars(self, learner: Learner, info: dict[str, Tensor]) -> None:
        """Losses, accuracies, logits, temperatures, gradient norm and learning rate of the present step."""
        for name, value in info.items():
            self._scalar(f"train/{name}", value, learner.step)
        self._scalar("train/goal/temperature", 1 / learner.agent.critic_ab.scale, learner.step)
        self._scalar("train/language/temperature", 1 / learner.agent.critic_bc.scale, learner.step)

    def evaluate(self, learner: Learner) -> dict[str, float]:
        """Means of the averaged agent's metrics on held-out phrasings; logs them and an animated rollout."""
        found = self._watcher.watch(learner.averaged, learner.step)
        for name, value in found.metrics.items():
            self._scalar(f"evaluation/{name}", value, learner.step)
        for tag, value in found.further.items():
            self._scalar(tag, value, learner.step)
        add_animation(self.writer, "rollout", found.animation, learner.step)
        self.writer.flush()
        return found.metrics
