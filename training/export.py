"""Trajectories out as a Minari dataset.

    python -m goalbridge.training.export run_dir=runs/fork dataset=mine/fork-v0

The dataset lies where `minari.load_dataset` looks for it: in MINARI_DATASETS_PATH, or in Minari's own folder. Without
dataset= it is called goalbridge/NAME-v0 after the run's folder. In: `python train.py data=minari dataset=mine/fork-v0`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from goalbridge.configs.checks import ConfigError, UserError, require
from goalbridge.configs.load import build
from goalbridge.configs.registries import text_encoders
from goalbridge.configs.run_folder import read_run_config
from goalbridge.data.minari_export import export
from goalbridge.data.trajectories import FOLDER, TrajectoryBuffer
from goalbridge.worlds import require_trust, world_of

USAGE = "python -m goalbridge.training.export run_dir=runs/fork dataset=mine/fork-v0"


@dataclass(frozen=True)
class ExportConfig:
    """run_dir: a run of train.py. dataset: the id to be; goalbridge/NAME-v0, after the run's folder, if empty.

    trust_remote_code: whether code that the run's settings name may be run (docs/SECURITY.md).
    """

    run_dir: str
    dataset: str = ""
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        require(bool(self.run_dir), "run_dir", repr(self.run_dir), "must be a folder that train.py wrote")


def read_arguments(arguments: Sequence[str]) -> ExportConfig:
    """The settings that arguments give; ConfigError, in one line, for anything else."""
    values: dict[str, str | bool] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument}: expected setting=value; try {USAGE}")
        values[name] = {"true": True, "false": False}.get(value, value)
    return build(ExportConfig, values)


def run_export(config: ExportConfig) -> Path:
    """Writes the dataset and returns its folder; raises UserError."""
    folder = Path(config.run_dir)
    run = read_run_config(folder)
    if not (folder / FOLDER).is_dir():
        raise ConfigError(
            f"run_dir={folder}: keeps no trajectories (data={run.data.kind}); a run of other data would do"
        )
    buffer = TrajectoryBuffer.open(folder / FOLDER)
    kind = world_of(run.env)
    require_trust(kind.code_of(run.env), folder, config.trust_remote_code)
    world = kind.open_trained(run, folder)
    if world.late_captions:
        world.meet(buffer, np.asarray(buffer.goals))
    name = re.sub(r"[^-\w]+", "_", folder.resolve().name, flags=re.ASCII).strip("_") or "run"
    return export(
        buffer,
        world.dataset_spec(),
        config.dataset or f"goalbridge/{name}-v0",
        world.captions,
        text_encoders.get(run.encoder.kind, "encoder.kind").split(),
        run.seed,
        f"{run.data.kind} (goalbridge)",
    )


def main(arguments: Sequence[str]) -> int:
    """Exports as the arguments say; the exit code is 2, with one line on stderr, where that cannot be."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    try:
        print(f"exported: {run_export(read_arguments(arguments))}")
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
