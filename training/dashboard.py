"""What a run shows: a bar with its figures, and in TensorBoard scalars, pictures, the projector and hparams."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from goalbridge.agents import Agent, Learner
from goalbridge.configs.schema import RunConfig
from goalbridge.evaluation.aggregate import GATHERED
from goalbridge.evaluation.watch import add_picture
from goalbridge.training.watcher import Watcher
from goalbridge.worlds import Projection, World

_DIGITS: Final = 4  # nobody sees more, and text files are long
_TAG: Final = "goals_and_instructions"
SETTINGS: Final = (
    "seed", "env.env_id", "data.kind", "dataset", "data.trajectories", "data.labelled_goals", "encoder.kind",
    "agent.critic", "agent.bridge_goals", "train.objective", "train.steps", "train.learning_rate", "train.discount",
    "train.action_weight", "train.multi_positives", "policy.name",
)  # fmt: skip
RESULTS: Final = (
    *("success", "spl_grid", "against_optimum", "mass", "first_guess", "wrong_visits"),
    *("goal_of_text", "text_of_goal"),
)  # of an evaluation, those of them that a world has

_LEARNT: Final = {"loss": "loss", "goal/accuracy": "goal", "action/accuracy": "act", "language/accuracy": "text"}
_EVALUATED: Final = {  # what there is room for
    "success": "success",
    "spl": "SPL",
    "against_optimum": "steps/optimum",
    "mass": "mass",
    "goal_of_text": "goal of text",
    "text_of_goal": "text of goal",
}


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} steps/s" if task.speed else "")


class Dashboard:
    """The bar of one run, and its TensorBoard logs in `folder`, after `first_step`.

    Later events of a killed run are dropped.
    """

    def __init__(self, world: World, config: RunConfig, folder: Path, first_step: int) -> None:
        # Events of `first_step` itself were written before its checkpoint and stay.
        self.writer = SummaryWriter(str(folder), purge_step=first_step + 1)
        self._config, self._watcher = config, Watcher(world, config)
        self._has_charts = False
        # Two lines, so that all fits a terminal of 80 columns.
        columns = (BarColumn(bar_width=10), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        figures = TextColumn("{task.fields[learnt]}\n{task.fields[evaluated]}")
        self._bar = Progress(*columns, figures)
        self._task = self._bar.add_task("", total=config.train.steps, completed=first_step, learnt="", evaluated="")

    def __enter__(self) -> Self:
        self._bar.start()
        # What TensorBoard's thread meets, such as a full disk, its writer raises again where it is next called.
        self._excepthook, threading.excepthook = threading.excepthook, lambda _: None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        threading.excepthook = self._excepthook
        self._bar.stop()
        self.writer.close()

    def _scalar(self, tag: str, value: float | Tensor, step: int) -> None:
        self.writer.add_scalar(tag, float(torch.as_tensor(value).detach()), step)

    def show(self, learner: Learner, info: Mapping[str, float | Tensor]) -> None:
        """Losses, accuracies, logits, temperatures, gradient norm and learning rate of the present step."""
        self._bar.update(self._task, completed=learner.step, learnt=_figures(_LEARNT, info))
        for name, value in info.items():
            self._scalar(f"train/{name}", value, learner.step)
        self._scalar("train/goal/temperature", 1 / learner.agent.critic_ab.scale, learner.step)
        self._scalar("train/language/temperature", 1 / learner.agent.critic_bc.scale, learner.step)

    def evaluate(self, learner: Learner) -> None:
        """Shows means of the averaged agent's metrics on held-out phrasings, an animated rollout and pictures."""
        found = self._watcher.watch(learner.ema, learner.step)
        for name, value in found.metrics.items():
            self._scalar(f"evaluation/{name}", value, learner.step)
        if found.animation:
            add_picture(self.writer, "rollout", found.animation, learner.step)
        for tag, picture in found.pictures.items():
            add_picture(self.writer, tag, picture, learner.step)
        if not self._has_charts:
            self.writer.add_custom_scalars(charts(found.metrics))
            self._has_charts = True
        if learner.step == self._config.train.steps:
            self._conclude(learner, found.metrics)
        self.writer.flush()
        self._bar.update(self._task, evaluated=_figures(_EVALUATED, found.metrics))

    def _conclude(self, learner: Learner, metrics: dict[str, float]) -> None:
        """Logs what is known at the end: goals and instructions in the projector, settings beside results."""
        projection = self._watcher.project(learner.ema)
        if projection is not None:
            add_projection(self.writer, learner.ema, projection, learner.step)
        results = {f"evaluation/{name}": metrics[name] for name in RESULTS if name in metrics}
        name = self._config.policy.name
        results |= {f"{GATHERED}/{name}/{metric}": 0.0 for metric in RESULTS if metric in metrics}  # to be filled
        # `SummaryWriter.add_hparams` would write a run of its own; here the scalars above are the results.
        file_writer: Any = self.writer._get_file_writer()  # type: ignore[no-untyped-call]
        for summary in hparams(settings_of(self._config), results):  # type: ignore[no-untyped-call]
            file_writer.add_summary(summary, learner.step)


def _figures(names: Mapping[str, str], values: Mapping[str, float | Tensor]) -> str:
    return "  ".join(f"{short} {float(values[name]):.2f}" for name, short in names.items() if name in values)


def settings_of(config: RunConfig) -> dict[str, Any]:
    """The settings by which runs are told apart, by their dotted names."""
    return {name.replace("env_id", "id"): attrgetter(name)(config) for name in SETTINGS}


def charts(metrics: Mapping[str, float]) -> dict[str, dict[str, list[Any]]]:
    """For the tab of custom scalars: a chart for each metric, with a line for every category or level that has it."""
    by_metric: dict[str, list[str]] = {}
    for name in metrics:
        by_metric.setdefault(name.rpartition("/")[2], []).append(f"evaluation/{name}")
    return {"evaluation": {metric: ["Multiline", tags] for metric, tags in by_metric.items() if len(tags) > 1}}


@torch.no_grad()
def add_projection(writer: SummaryWriter, agent: Agent, projection: Projection, step: int) -> None:
    """Shows goals (phi_B towards language) and instructions (phi_C) in TensorBoard's projector.

    Files of the same step are written anew.
    """
    goals = torch.as_tensor(projection.goals, device=agent.device)
    both = torch.cat([agent.encode_meanings(goals), agent.encode_instructions(projection.texts)])  # [M + K, d]
    shutil.rmtree(Path(writer.log_dir) / f"{step:05d}" / _TAG, ignore_errors=True)
    writer.add_embedding(
        np.round(both.cpu().numpy().astype(np.float64), _DIGITS),
        metadata=[list(row) for row in projection.rows],
        metadata_header=list(projection.columns),
        global_step=step,
        tag=_TAG,
    )
