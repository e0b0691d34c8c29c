"""One training run, from data to the last checkpoint; all that is written lies under run_dir."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from goalbridge.agents import Learner
from goalbridge.agents.checkpoint import CHECKPOINT, GONE, save_checkpoint, trained_steps
from goalbridge.agents.device import require_compiler, resolve_device
from goalbridge.agents.learner import DivergedError
from goalbridge.agents.parallel import ALONE, PeerError, Processes, joined
from goalbridge.agents.storage import CheckpointError
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.command import as_called
from goalbridge.configs.failing import said_of
from goalbridge.configs.run_folder import claimed, open_run
from goalbridge.configs.schema import RunConfig
from goalbridge.data.captions import BATCHES, stream
from goalbridge.data.trajectories import FOLDER
from goalbridge.training.build import RunBuilder
from goalbridge.training.dashboard import Dashboard
from goalbridge.training.memory import require_memory
from goalbridge.training.sources import BatchSource
from goalbridge.worlds import world_of

RUN_FILES = (CHECKPOINT, "agent.safetensors", "config.json", FOLDER)


class Training:
    """One run from data to the last checkpoint; the same for the same settings, however often it is interrupted.

    processes: those that share its batches. The first one collects, evaluates, logs and saves for all.
    """

    def __init__(self, config: RunConfig, processes: Processes = ALONE) -> None:
        self.config, self.folder, self.processes = config, Path(config.run_dir), processes
        processes.require_divisible(config.train.batch_size, config.train.negatives_per_layout)
        require_memory(config)
        torch.set_flush_denormal(True)  # exp() of far goals gives denormals, which are ten times slower
        self.device = processes.device(resolve_device(config.device))
        require_compiler(config.train.compile)
        self._open_run()
        self.stop = False

    def run(self) -> None:
        """Collects, learns, evaluates and checkpoints; ConfigError where another process is at work on the run."""
        first = self.processes.is_first  # it alone logs and saves
        with claimed(self.folder) if first else nullcontext():
            # Once more: it may have been begun or finished before it was claimed.
            builder = RunBuilder(self.config, self.device, self._open_run(), self.processes)
            try:
                with Console(stderr=True).status("") as status:
                    source, learner = builder.prepare(status.update)
                shown = Dashboard(builder.world, self.config, self.folder, learner.step) if first else nullcontext()
                with self._interruptible(), shown as dashboard:
                    self._learn(learner, source, builder.identity, dashboard)
            except PeerError as error:
                raise PeerError(f"{error}; {self._goes_on()}") from error
            except OSError as error:
                if not self.folder.is_dir():
                    raise CheckpointError(f"{self.folder}: expected the run's folder, {GONE}") from error
                raise CheckpointError(f"{self.folder}: {said_of(error)}; {self._goes_on()}") from error

    def _goes_on(self) -> str:
        return f"what {self.folder} holds is whole, and the same command with resume=true goes on"

    def _open_run(self) -> bool:
        """Whether the folder holds this run already, as the first process finds it."""
        return self.processes.any(self.processes.is_first and open_run(self.config, RUN_FILES))

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM stop the run after its present step."""
        previous: dict[int, Any] = {
            number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        except PeerError:
            previous[signal.SIGTERM] = signal.SIG_IGN  # torchrun ends the others, which have something to say first
            raise
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.stop and self.processes.is_first:
            os.write(
                2, b"\nstopping after this step, with a checkpoint\n"
            )  # print() may be in use where this interrupts
        self.stop = True

    def _learn(
        self, learner: Learner, source: BatchSource, identity: dict[str, str], dashboard: Dashboard | None
    ) -> None:
        train, stop = self.config.train, False
        try:
            while learner.step < train.steps and not stop:
                source.advance(learner)
                rng = stream(self.config.seed, BATCHES, learner.step)  # one stream a step: resuming needs no state
                futures = source.sample_futures(
                    rng, train.batch_size, train.discount, train.negatives_per_layout, train.hard_negative_share
                )
                captions = source.sample_captions(rng, train.batch_size)
                logs = _due(learner.step + 1, train.log_every, train.steps)
                info = learner.update(futures, captions, rng, detailed=logs)
                evaluates = _due(learner.step, train.evaluate_every, train.steps)
                saves = _due(learner.step, train.checkpoint_every, train.steps)
                if logs or evaluates:
                    self._check(info, learner)
                if evaluates:
                    source.renew_bridge(learner)
                if dashboard is not None and logs:
                    dashboard.show(learner, {**info, **source.figures()})
                if dashboard is not None and evaluates:
                    dashboard.evaluate(learner)
                stop = self.processes.any(self.stop)  # all stop after the same step
                if stop or saves:
                    self._check(info, learner)
                    self._save(learner, source, identity)
        except PeerError:
            if learner.is_finite():
                self._save(learner, source, identity)  # a step is taken with the others or not at all
            raise
        if not self.processes.is_first:
            return
        if stop and learner.step < train.steps:
            print(f"stopped at step {learner.step} of {train.steps}; the same command with resume=true goes on")
            raise SystemExit(130)
        print(f"trained {train.steps} steps; now: {self._next()}")

    def _next(self) -> str:
        if not world_of(self.config.env).playable:
            return f"Agent.from_pretrained({str(self.folder)!r}).policy().act(observations, instructions), from Python"
        return as_called(f"python evaluate.py run_dir={self.folder}")

    def _save(self, learner: Learner, source: BatchSource, identity: dict[str, str]) -> None:
        source.renew_bridge(learner)
        if self.processes.is_first:
            save_checkpoint(self.folder, learner, identity, source.tensors())

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


def train(config: RunConfig) -> None:
    """Trains one agent as `config` says, together with the other processes of torchrun's, if any."""
    with joined() as processes:
        Training(config, processes).run()


def finished(config: RunConfig) -> bool:
    """Whether run_dir holds this very run, trained to its last step."""
    folder = Path(config.run_dir)
    try:
        there = open_run(replace(config, resume=True), RUN_FILES)
        return there and (folder / "agent.safetensors").is_file() and trained_steps(folder) == config.train.steps
    except (ConfigError, CheckpointError):
        return False  # the run itself says what is wrong
