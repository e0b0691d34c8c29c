"""Train an agent: collect trajectories and captions, learn both contrastive pairs, evaluate, checkpoint.

    python train.py env=fork_maze seed=0 run_dir=runs/fork
    python train.py env=point_maze env.layout=my_maze.txt run_dir=runs/mine
    python train.py env=babyai run_dir=runs/babyai                         # BabyAI: one agent for all levels
    python train.py env=fork_maze data=online run_dir=runs/online          # no expert: the agent's own play
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
from agents.storage import write_atomically, write_json
from configs.checks import ConfigError
from configs.load import command_line
from configs.run_folder import open_run, record
from configs.schema import RunConfig
from data import CaptionPairs, FutureBatch, TrajectoryBuffer
from data.collect import ACTIONS, BATCHES, BRIDGE_GOALS, LABELLED_GOALS, VALIDATION, caption_goals, stream
from data.online import OnlineData
from encoders import TextEncoder
from envs.phrasing import Split
from evaluation.dashboard import Dashboard
from evaluation.errors import EXPECTED, DivergedError
from evaluation.online_training import own_play, play, renew_bridge, restore, tensors_of
from evaluation.opening import open_world
from evaluation.progress import TrainingProgress
from evaluation.worlds import resolve_device

RUN_FILES = (CHECKPOINT, "agent.safetensors", "config.json", "trajectories")
ACTION_POOL = 8192
VALIDATION_TEXTS = 400
TEXT_CACHE = "text_cache.safetensors"
Trajectories = TrajectoryBuffer | OnlineData
Captioned = CaptionPairs | OnlineData


class Training:
    """One run from data to the last checkpoint; the same for the same settings, however often it is interrupted."""

    def __init__(self, config: RunConfig) -> None:
        self.config, self.folder = config, Path(config.run_dir)
        torch.set_flush_denormal(True)  # exp() of far goals gives denormals, which are ten times slower
        self.world = open_world(config.env, config.data)
        self.identity = {"env": config.env.id, "layout": self.world.spec.fingerprint}
        self.device = resolve_device(config.device)
        self.resuming = open_run(config, RUN_FILES)
        kept = self.folder / "layout.txt"
        if self.resuming and kept.is_file() and kept.read_text() != self.world.layout_text:
            raise ConfigError(f"env.layout={config.env.layout}: has changed since {kept} was kept; use another run_dir")
        self.stop = False

    def run(self) -> None:
        """Collects, learns, evaluates and checkpoints."""
        buffer, captions, learner = self.prepare()
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            with Dashboard(self.config, self.folder, learner.step) as dashboard:
                self._learn(learner, buffer, captions, dashboard)
        finally:
            signal.signal(signal.SIGINT, previous)

    def prepare(self) -> tuple[Trajectories, Captioned, Learner]:
        """Trajectories, captions, and a learner that stands where the last checkpoint left it."""
        text, features = self._text()  # first of all, for a text model may be missing: then nothing is written
        if not self.resuming:
            self._write_record()
        buffer = self._trajectories()
        captions = self._captions(buffer)
        learner = self._learner(buffer, text, features)
        if self.resuming:
            if (self.folder / CHECKPOINT).exists():
                further = load_checkpoint(self.folder, learner, self.identity)
                if isinstance(buffer, OnlineData):
                    restore(buffer, further, self.folder)
            write_json(self.folder / "resumed.json", record())
        return buffer, captions, learner

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.stop = True

    def _write_record(self) -> None:
        if self.world.layout_text:
            write_atomically(self.folder / "layout.txt", self.world.layout_text.encode())
        write_json(self.folder / "run.json", record())
        write_json(self.folder / "config.json", asdict(self.config))  # last: from here on, the run can be resumed

    def _trajectories(self) -> Trajectories:
        if self.config.data.kind == "online":
            return own_play(self.world, self.config, self._split)
        folder = self.folder / "trajectories"
        if not folder.is_dir():
            self.world.collect(self.config.data, self.config.seed).save(folder)
        return TrajectoryBuffer.open(folder)

    def _futures(self, buffer: Trajectories, count: int, purpose: int) -> FutureBatch:
        """`count` draws of what the state-action pair is trained with."""
        return buffer.sample_futures(stream(self.config.seed, purpose), count, self.config.train.discount)

    def _captions(self, buffer: Trajectories) -> Captioned:
        if isinstance(buffer, OnlineData):
            return buffer
        led = self._futures(buffer, self.config.data.labelled_goals, LABELLED_GOALS)
        shown = (led.states, led.actions) if self.config.train.objective != "bridge" else None
        return caption_goals(self.world.captions, led.goals, self._split, self.config.seed, shown)

    @property
    def _split(self) -> Split:
        return "label" if self.config.encoder.kind == "label" else "train"

    def _text(self) -> tuple[TextEncoder, NDArray[np.float32]]:
        """The frozen text encoder and its features [captions, T] of all texts that captions are made of."""
        encoder, captions = self.config.encoder, self.world.captions
        folder = Path(encoder.cache_dir or self.config.run_dir)
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"encoder.cache_dir={folder}: is a file; choose a folder")
        text = text_encoder(encoder, folder / TEXT_CACHE, captions.labels)
        return text, text.encode(captions.all_texts(self._split))

    def _learner(self, buffer: Trajectories, text: TextEncoder, features: NDArray[np.float32]) -> Learner:
        config = self.config
        torch.manual_seed(config.seed)
        agent = Agent(
            self.world.spec,
            config.agent,
            config.policy,
            text,
            features.shape[1],
            self.world.candidates(config.policy.candidate_actions),
            self._futures(buffer, config.agent.bridge_goals, BRIDGE_GOALS).goals,
        ).to(self.device)
        agent.get_acquainted(features, self._validation(text))
        pool = self.world.action_pool(ACTION_POOL, stream(config.seed, ACTIONS))  # [P, D]
        return Learner(agent, config.train, features, pool)

    def _validation(self, text: TextEncoder) -> NDArray[np.float32]:
        """Features [V, T] of texts that should be understood and are not trained on."""
        texts = self.world.captions.all_texts("label" if self._split == "label" else "validation")
        chosen = stream(self.config.seed, VALIDATION).permutation(len(texts))[:VALIDATION_TEXTS]
        return text.encode([texts[i] for i in sorted(chosen)])

    def _learn(self, learner: Learner, buffer: Trajectories, captions: Captioned, dashboard: Dashboard) -> None:
        train = self.config.train
        with TrainingProgress(train.steps, learner.step) as progress:
            while learner.step < train.steps and not self.stop:
                if isinstance(buffer, OnlineData):
                    play(buffer, learner, self.config.data)
                rng = stream(self.config.seed, BATCHES, learner.step)  # one stream a step: resuming needs no state
                futures = buffer.sample_futures(rng, train.batch_size, train.discount, train.group_size, train.nearby)
                logs = _due(learner.step + 1, train.log_every, train.steps)
                info = learner.update(futures, captions.sample(rng, train.batch_size), rng, detailed=logs)
                evaluates = _due(learner.step, train.evaluate_every, train.steps)
                saves = _due(learner.step, train.checkpoint_every, train.steps) or self.stop
                if logs or evaluates or saves:
                    self._check(info, learner)
                if isinstance(buffer, OnlineData):
                    info |= {name: torch.tensor(float(value)) for name, value in buffer.figures.items()} if logs else {}
                    if evaluates or saves:
                        renew_bridge(buffer, learner, self.config)
                if logs:
                    progress.show(learner.step, info)
                    dashboard.scalars(learner, info)
                if evaluates:
                    progress.show_evaluation(dashboard.evaluate(learner))
                if saves:
                    further = tensors_of(buffer) if isinstance(buffer, OnlineData) else None
                    save_checkpoint(self.folder, learner, self.identity, further)
        if self.stop and learner.step < train.steps:
            print(f"stopped at step {learner.step} of {train.steps}; the same command with resume=true goes on")
            raise SystemExit(130)
        print(f"trained {train.steps} steps; now: python evaluate.py run_dir={self.folder}")

    def _check(self, info: dict[str, Tensor], learner: Learner) -> None:
        """DivergedError where the step's loss or the weights that it led to are no finite numbers."""
        loss = float(info["loss"])
        if not np.isfinite(loss) or not learner.is_finite():
            what = f"the loss became {loss}" if not np.isfinite(loss) else "a weight became infinite"
            raise DivergedError(
                f"train.learning_rate={self.config.train.learning_rate}: {what} by step {learner.step}; "
                f"the last good checkpoint, if any, stays in {self.folder}; train anew with a lower one"
            )


def _due(step: int, every: int, last: int) -> bool:
    return step == last or (every > 0 and step % every == 0)


def main(config: RunConfig) -> None:
    """Trains one agent as `config` says."""
    Training(config).run()


if __name__ == "__main__":
    command_line("train", RunConfig, main, EXPECTED)
