"""What TensorBoard shows of a run: scalars, success and SPL as it trains, an animated rollout."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from agents import Learner
from configs.schema import RunConfig
from evaluation.compare import bridge_health
from evaluation.metrics import episode_metrics
from evaluation.rollouts import play
from evaluation.watch import add_animation, gif, rollout_frames
from evaluation.worlds import make_world, surface

EVALUATION_SEED = 500_000  # apart from evaluate.py's, so that nothing is tuned on the episodes that are reported
WATCHING_GOALS = 1000  # a fifth of the bridge is a fifth of the time, and near enough to watch by
WATCHED_SEED = 900_000  # the animated episode stays out of the statistics


class Dashboard:
    """TensorBoard logs of one run in `folder`, after `first_step` (later events of a killed run are dropped)."""

    def __init__(self, config: RunConfig, folder: Path, first_step: int) -> None:
        self.config = config
        # Events of `first_step` itself were written before its checkpoint and stay.
        self.writer = SummaryWriter(str(folder), purge_step=first_step + 1)
        split = "label" if config.encoder.kind == "label" else "held_out"
        self._world = make_world(config.env, config.train.evaluation_episodes, split)
        self._watched = make_world(config.env, 1, split)

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
        goals = learner.averaged.bridge_goals[:WATCHING_GOALS].cpu().numpy()
        policy = learner.averaged.policy(goals=goals)
        episodes = play(self._world, policy, EVALUATION_SEED)
        metrics = {name: float(v.mean()) for name, v in episode_metrics(surface(self._world).layout, episodes).items()}
        for name, value in metrics.items():
            self._scalar(f"evaluation/{name}", value, learner.step)
        for name, value in bridge_health(policy, episodes).items():
            self._scalar(f"bridge/{name}", value, learner.step)
        watched = play(self._watched, policy, WATCHED_SEED + learner.step)
        frames = rollout_frames(surface(self._world).layout, watched, 0)
        add_animation(self.writer, "rollout", gif(frames), learner.step)
        self.writer.flush()
        return metrics
