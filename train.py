"""Train an agent: collect trajectories and captions, learn both contrastive pairs, evaluate, checkpoint.

    python train.py env=fork_maze seed=0 run_dir=runs/fork
    python train.py env=point_maze env.layout=my_maze.txt run_dir=runs/mine
    python train.py env=babyai run_dir=runs/babyai                         # BabyAI: one agent for all levels
    python train.py env=fork_maze seed=0 run_dir=runs/fork resume=true     # goes on from the last checkpoint
    torchrun --nproc-per-node 2 train.py env=fork_maze run_dir=runs/fork   # several processes share each batch
    tensorboard --logdir runs

All that is written lies under run_dir. Ctrl-C, like SIGTERM, leaves a checkpoint to go on from.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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
from agents.parallel import ALONE, PeerError, Processes, joined
from agents.storage import CheckpointError, write_atomically, write_json
from configs.checks import ConfigError
from configs.load import command_line
from configs.run_folder import claimed, open_run, record
from configs.schema import RunConfig
from data import CaptionPairs, FutureBatch, TrajectoryBuffer
from data.collect import ACTIONS, BATCHES, BRIDGE_GOALS, LABELLED_GOALS, VALIDATION, caption_goals, stream
from encoders import TextEncoder
from envs.phrasing import Split
from evaluation.dashboard import Dashboard
from evaluation.errors import EXPECTED, DivergedError
from evaluation.opening import open_world
from evaluation.progress import TrainingProgress
from evaluation.worlds import resolve_device

RUN_FILES = (CHECKPOINT, "agent.safetensors", "config.json", "trajectories")
ACTION_POOL = 8192
VALIDATION_TEXTS = 400
TEXT_CACHE = "text_cache.safetensors"

Watching = tuple[Dashboard, TrainingProgress]


class Training:
    """One run from data to the last checkpoint; the same for the same settings, however often it is interrupted.

    processes: those that share its batches. The first one collects, evaluates, logs and saves for all.
    """

    def __init__(self, config: RunConfig, processes: Processes = ALONE) -> None:
        self.config, self.folder, self.processes = config, Path(config.run_dir), processes
        processes.require_divisible(config.train.batch_size, config.train.group_size)
        torch.set_flush_denormal(True)  # exp() of far goals gives denormals, which are ten times slower
        self.world = open_world(config.env, config.data)
        self.identity = {"env": config.env.id, "layout": self.world.spec.fingerprint}
        self.device = processes.device(resolve_device(config.device))
        self.resuming = self._open_run()
        kept = self.folder / "layout.txt"
        if self.resuming and kept.is_file() and kept.read_text() != self.world.layout_text:
            raise ConfigError(f"env.layout={config.env.layout}: has changed since {kept} was kept; use another run_dir")
        self.stop = False

    def run(self) -> None:
        """Collects, learns, evaluates and checkpoints; ConfigError where another process is at work on the run."""
        with claimed(self.folder) if self.processes.is_first else nullcontext():
            self.resuming = self._open_run()  # once more: it may have been begun or finished before it was claimed
            try:
                buffer, captions, learner = self.prepare()
                with self._interruptible(), self._watched(learner.step) as watching:
                    self._learn(learner, buffer, captions, watching)
            except PeerError as error:
                raise PeerError(f"{error}; {self._goes_on()}") from error
            except OSError as error:
                if error.errno not in (None, errno.ENOSPC, errno.EDQUOT):  # numpy's says in words alone what failed
                    raise
                raise CheckpointError(
                    f"{self.folder}: the disk is full ({error}); make room; {self._goes_on()}"
                ) from error

    def _goes_on(self) -> str:
        return f"what {self.folder} holds is whole, and the same command with resume=true goes on"

    def _open_run(self) -> bool:
        """Whether the folder holds this run already, as the first process finds it."""
        return self.processes.any(self.processes.is_first and open_run(self.config, RUN_FILES))

    def prepare(self) -> tuple[TrajectoryBuffer, CaptionPairs, Learner]:
        """Trajectories, captions, and a learner that stands where the last checkpoint left it."""
        with self.processes.first_before_the_others():
            text, features = self._text()  # first of all, for a text model may be missing: then nothing is written
            if not self.resuming and self.processes.is_first:
                self._write_record()
            buffer = self._trajectories()
        captions = self._captions(buffer)
        learner = self._learner(buffer, text, features)
        if self.resuming:
            if (self.folder / CHECKPOINT).exists():
                load_checkpoint(self.folder, learner, self.identity)
            if self.processes.is_first:
                write_json(self.folder / "resumed.json", record())
        return buffer, captions, learner

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM stop the run after its present step."""
        previous = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def _watched(self, step: int) -> Iterator[Watching | None]:
        """The logs and the bar of the first process, which have come to `step`; None for the others."""
        if not self.processes.is_first:
            yield None
            return
        with (
            Dashboard(self.config, self.folder, step) as dashboard,
            TrainingProgress(self.config.train.steps, step) as progress,
        ):
            yield dashboard, progress

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.stop = True

    def _write_record(self) -> None:
        if self.world.layout_text:
            write_atomically(self.folder / "layout.txt", self.world.layout_text.encode())
        write_json(self.folder / "run.json", record())
        write_json(self.folder / "config.json", asdict(self.config))  # last: from here on, the run can be resumed

    def _trajectories(self) -> TrajectoryBuffer:
        folder = self.folder / "trajectories"
        if not folder.is_dir():
            self.world.collect(self.config.data, self.config.seed).save(folder)
        return TrajectoryBuffer.open(folder)

    def _futures(self, buffer: TrajectoryBuffer, count: int, purpose: int) -> FutureBatch:
        """`count` draws of what the state-action pair is trained with."""
        return buffer.sample_futures(stream(self.config.seed, purpose), count, self.config.train.discount)

    def _captions(self, buffer: TrajectoryBuffer) -> CaptionPairs:
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

    def _learner(self, buffer: TrajectoryBuffer, text: TextEncoder, features: NDArray[np.float32]) -> Learner:
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
        return Learner(agent, config.train, features, pool, self.processes)

    def _validation(self, text: TextEncoder) -> NDArray[np.float32]:
        """Features [V, T] of texts that should be understood and are not trained on."""
        texts = self.world.captions.all_texts("label" if self._split == "label" else "validation")
        chosen = stream(self.config.seed, VALIDATION).permutation(len(texts))[:VALIDATION_TEXTS]
        return text.encode([texts[i] for i in sorted(chosen)])

    def _learn(
        self, learner: Learner, buffer: TrajectoryBuffer, captions: CaptionPairs, watching: Watching | None
    ) -> None:
        train, stop = self.config.train, False
        try:
            while learner.step < train.steps and not stop:
                rng = stream(self.config.seed, BATCHES, learner.step)  # one stream a step: resuming needs no state
                futures = buffer.sample_futures(rng, train.batch_size, train.discount, train.group_size, train.nearby)
                logs = _due(learner.step + 1, train.log_every, train.steps)
                info = learner.update(futures, captions.sample(rng, train.batch_size), rng, detailed=logs)
                evaluates = _due(learner.step, train.evaluate_every, train.steps)
                if logs or evaluates:
                    self._check(info, learner)
                    _show(watching, learner, info if logs else None, evaluates)
                stop = self.processes.any(self.stop)  # all stop after the same step
                if stop or _due(learner.step, train.checkpoint_every, train.steps):
                    self._check(info, learner)
                    self._save(learner)
        except PeerError:
            if learner.is_finite():
                self._save(learner)  # a step is taken with the others or not at all
            raise
        if not self.processes.is_first:
            return
        if stop and learner.step < train.steps:
            print(f"stopped at step {learner.step} of {train.steps}; the same command with resume=true goes on")
            raise SystemExit(130)
        print(f"trained {train.steps} steps; now: python evaluate.py run_dir={self.folder}")

    def _save(self, learner: Learner) -> None:
        if self.processes.is_first:
            save_checkpoint(self.folder, learner, self.identity)

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


def _show(watching: Watching | None, learner: Learner, info: dict[str, Tensor] | None, evaluates: bool) -> None:
    """Shows the figures of the present step, where there are any, and evaluates where it is time to."""
    if watching is None:
        return
    dashboard, progress = watching
    if info is not None:
        progress.show(learner.step, info)
        dashboard.scalars(learner, info)
    if evaluates:
        progress.show_evaluation(dashboard.evaluate(learner))


def main(config: RunConfig) -> None:
    """Trains one agent as `config` says, together with the other processes of torchrun's, if any."""
    with joined() as processes:
        Training(config, processes).run()


if __name__ == "__main__":
    command_line("train", RunConfig, main, EXPECTED)
