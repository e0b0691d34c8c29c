"""The progress bar of training: the figures that matter, steps per second, time left."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

SHOWN = {"loss": "loss", "goal/accuracy": "goal", "action/accuracy": "act", "language/accuracy": "text"}
_SHORT = {  # what there is room for
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


class TrainingProgress:
    """A bar with loss, categorical accuracies, steps/s, time left and the last evaluation."""

    def __init__(self, steps: int, done: int) -> None:
        columns = (BarColumn(bar_width=10), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        self._bar = Progress(*columns, TextColumn("{task.fields[figures]}"))
        self._task = self._bar.add_task("training", total=steps, completed=done, figures="")
        self._learning = self._evaluation = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, step: int, info: dict[str, Tensor]) -> None:
        """Moves the bar to `step` and shows the figures of `info`."""
        self._learning = "  ".join(f"{name} {float(info[key]):.2f}" for key, name in SHOWN.items() if key in info)
        self._bar.update(self._task, completed=step)
        self._write()

    def show_evaluation(self, metrics: dict[str, float]) -> None:
        """Shows success and the other figures of the last evaluation."""
        self._evaluation = "  ".join(
            f"{short} {metrics[name]:.2f}" for name, short in _SHORT.items() if name in metrics
        )
        self._write()

    def _write(self) -> None:
        # Two lines, so that all fits a terminal of 80 columns.
        self._bar.update(self._task, figures=f"{self._learning}\n{self._evaluation}")
