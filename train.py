"""Train an agent: collect trajectories and captions, learn both contrastive pairs, evaluate, checkpoint.

    python train.py env=fork_maze seed=0 run_dir=runs/fork
    python train.py env=point_maze env.layout=my_maze.txt run_dir=runs/mine
    python train.py env=fork_maze seed=0 run_dir=runs/fork resume=true     # goes on from the last checkpoint
    tensorboard --logdir runs

All that is written lies under run_dir. Ctrl-C leaves a checkpoint to go on from.
"""

from __future__ import annotations

import signal
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents import Agent, Learner
from agents.agent import text_encoder
from agents.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from agents.storage import write_json
from configs.load import command_line
from configs.run_folder import open_run, record
from configs.schema import RunConfig
from data import CaptionPairs, TrajectoryBuffer
from data.collect import ACTIONS, BATCHES, BRIDGE_GOALS, LABELLED_GOALS, caption_goals, collect_trajectories, stream
from envs.phrasing import Split
from evaluation.dashboard import Dashboard
from evaluation.errors import EXPECTED, DivergedError
from evaluation.progress import TrainingProgress
from evaluation.worlds import candidates, make_world, resolve_device, surface, world_spec

RUN_FILES = (CHECKPOINT, "agent.safetensors", "config.json")
ACTION_POOL = 8192
TEXT_CACHE = "text_cache.safetensors"


class Training:
    """One run from data to the last checkpoint; the same for the same settings, however often it is interrupted."""

    def __init__(self, config: RunConfig) -> None:
        self.config, self.folder = config, Path(config.run_dir)
        torch.set_flush_denormal(True)  # exp() of far goals gives denormals, which are ten times slower
        self.world = make_world(config.env, 1)
        self.identity = {"env": config.env.id, "layout": world_spec(self.world, config.env.id).fingerprint}
        self.resuming = open_run(config, RUN_FILES)
        self.stop = False

    def run(self) -> None:
        """Collects, learns, evaluates and checkpoints."""
        self._write_record()
        buffer = self._trajectories()
        captions = self._captions(buffer)
        learner = self._learner(buffer, captions)
        if self.resuming and (self.folder / CHECKPOINT).exists():
            load_checkpoint(self.folder, learner, self.identity)
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            with Dashboard(self.config, self.folder, learner.step) as dashboard:
                self._learn(learner, buffer, captions, dashboard)
        finally:
            signal.signal(signal.SIGINT, previous)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.stop = True

    def _write_record(self) -> None:
        if not self.resuming:
            write_json(self.folder / "config.json", asdict(self.config))
            (self.folder / "layout.txt").write_text(surface(self.world).layout.to_text())
        write_json(self.folder / ("resumed.json" if self.resuming else "run.json"), record())

    def _trajectories(self) -> TrajectoryBuffer:
        folder = self.folder / "trajectories"
        if not folder.is_dir():
            collect_trajectories(surface(self.world), self.config.data, self.config.seed).save(folder)
        return TrajectoryBuffer.open(folder)

    def _goals(self, buffer: TrajectoryBuffer, count: int, purpose: int) -> NDArray[np.float32]:
        """Draws [count, G] from the marginal of the goals that the state-action pair is trained with."""
        return buffer.sample_futures(stream(self.config.seed, purpose), count, self.config.train.discount).goals

    def _captions(self, buffer: TrajectoryBuffer) -> CaptionPairs:
        goals = self._goals(buffer, self.config.data.labelled_goals, LABELLED_GOALS)
        split: Split = "label" if self.config.encoder.kind == "label" else "train"
        return caption_goals(surface(self.world), goals, split, self.config.seed)

    def _learner(self, buffer: TrajectoryBuffer, captions: CaptionPairs) -> Learner:
        config, device = self.config, resolve_device(self.config.device)
        cache = Path(config.encoder.cache_dir or config.run_dir) / TEXT_CACHE
        text = text_encoder(config.encoder, cache, surface(self.world).commands.labels)
        features = text.encode(captions.texts)  # [captions, T]
        torch.manual_seed(config.seed)
        agent = Agent(
            world_spec(self.world, config.env.id),
            config.agent,
            config.policy,
            text,
            features.shape[1],
            candidates(self.world, config.policy.candidate_actions),
            self._goals(buffer, config.agent.bridge_goals, BRIDGE_GOALS),
        ).to(device)
        space = self.world.single_action_space
        space.seed(int(stream(config.seed, ACTIONS).integers(2**31)))
        pool = np.stack([space.sample() for _ in range(ACTION_POOL)])  # [P, D]
        return Learner(agent, config.train, features, pool)

    def _learn(self, learner: Learner, buffer: TrajectoryBuffer, captions: CaptionPairs, dashboard: Dashboard) -> None:
        train = self.config.train
        with TrainingProgress(train.steps, learner.step) as progress:
            while learner.step < train.steps and not self.stop:
                rng = stream(self.config.seed, BATCHES, learner.step)  # one stream a step: resuming needs no state
                futures = buffer.sample_futures(rng, train.batch_size, train.discount)
                logs = _due(learner.step + 1, train.log_every, train.steps)
                info = learner.update(futures, captions.sample(rng, train.batch_size), rng, detailed=logs)
                if logs:
                    self._check(info, learner.step)
                    progress.show(learner.step, info)
                    dashboard.scalars(learner, info)
                if _due(learner.step, train.evaluate_every, train.steps):
                    progress.show_evaluation(dashboard.evaluate(learner))
                if _due(learner.step, train.checkpoint_every, train.steps):
                    self._check(info, learner.step)
                    save_checkpoint(self.folder, learner, self.identity)
        if self.stop:
            save_checkpoint(self.folder, learner, self.identity)
            print(f"stopped at step {learner.step} of {train.steps}; the same command with resume=true goes on")
            raise SystemExit(130)
        print(f"trained {train.steps} steps; now: python evaluate.py run_dir={self.folder}")

    def _check(self, info: dict[str, Tensor], step: int) -> None:
        loss = float(info["loss"])
        if not np.isfinite(loss):
            raise DivergedError(
                f"train.learning_rate={self.config.train.learning_rate}: the loss became {loss} by step {step}; "
                f"the last good checkpoint stays in {self.folder}; train anew with a lower one"
            )


def _due(step: int, every: int, last: int) -> bool:
    return step == last or (every > 0 and step % every == 0)


def main(config: RunConfig) -> None:
    """Trains one agent as `config` says."""
    Training(config).run()


if __name__ == "__main__":
    command_line("train", RunConfig, main, EXPECTED)
