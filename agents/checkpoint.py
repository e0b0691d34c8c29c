"""Where a run can go on from: one file, written atomically, that holds all of the training state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from goalbridge.agents.learner import Learner
from goalbridge.agents.storage import CheckpointError, read_metadata, read_tensors, write_tensors

CHECKPOINT = "checkpoint.safetensors"
GONE = "which somebody has removed; train anew"


FURTHER = "further."  # how the names of what is not the learner's begin


def save_checkpoint(
    folder: Path, learner: Learner, run: dict[str, str], further: Mapping[str, Tensor] | None = None
) -> None:
    """Writes the averaged agent, then checkpoint.safetensors beside it, each atomically.

    In this order: a run that is killed between the two goes on from the step before, and writes the agent again.

    run: what identifies the run (environment and layout), for `load_checkpoint` to compare. further: what else the run
    needs to go on, such as data that it has collected itself.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected the run's folder, {GONE}")
    tensors = learner.state_tensors() | {FURTHER + name: tensor for name, tensor in (further or {}).items()}
    learner.ema.save_pretrained(folder)
    write_tensors(folder / CHECKPOINT, tensors, {"step": learner.step, "run": run})


def load_checkpoint(folder: Path, learner: Learner, run: dict[str, str]) -> dict[str, Tensor]:
    """Restores the learner and gives back what else was saved.

    CheckpointError where the file is missing, damaged, holds NaN or is of another run.
    """
    path = folder / CHECKPOINT
    tensors, metadata = read_tensors(path)
    origin = metadata.get("run", {})
    for name, value in run.items():
        found = origin.get(name)
        if found != value:
            raise CheckpointError(f"{path}: was made with {name} {found}, not {value}; use another run_dir")
    further = {name.removeprefix(FURTHER): tensors.pop(name) for name in list(tensors) if name.startswith(FURTHER)}
    try:
        learner.load_state_tensors(tensors, _step(path, metadata))
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: does not fit the run's networks ({reason}); train anew") from error
    return further


def trained_steps(folder: Path) -> int | None:
    """The step at which the run in `folder` was last saved, None before the first; CheckpointError where damaged."""
    path = folder / CHECKPOINT
    return _step(path, read_metadata(path)) if path.is_file() else None


def _step(path: Path, metadata: Mapping[str, Any]) -> int:
    step = metadata.get("step")
    if type(step) is not int or step < 0:
        raise CheckpointError(f"{path}: step: expected a whole number, got {step!r:.60}; restore it or train anew")
    return step
