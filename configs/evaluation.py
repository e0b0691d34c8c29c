"""The settings of an evaluation, checked where they are built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from goalbridge.configs.checks import ConfigError, check_device, check_fields, number, require
from goalbridge.configs.load import NO_SETTING, build, nearest
from goalbridge.configs.world_settings import WorldEvaluation, evaluation_of

LINES = "-"  # as an instruction: one from each line of standard input


@dataclass(frozen=True)
class EvaluateConfig:
    """An evaluation of the agent in run_dir.

    run_dir: the run's folder, or a pattern such as 'runs/sweep/*' for all runs that it matches.
    episodes: how many, each estimator on the same starts, commands and noise; the world's own number if empty.
    seed: of the starts, commands and noise; training never uses it.
    instruction: follow these words instead of drawn commands; "-" follows each line of standard input.
    estimators: those to compare, and references such as "random"; the world's own choice if empty.
    mask_blocked: whether the agent bars actions that changed nothing, where other than it was trained for.
    rollouts: episodes drawn as GIFs.
    device: auto (the first of cuda, mps, cpu that is there), or a name such as cuda:1.
    trust_remote_code: whether code may be run that run_dir names: the functions and the environment of its settings,
        and the modules of its text model. A folder of somebody else's may name any (docs/SECURITY.md).
    """

    run_dir: str
    episodes: int | None = number(None, least=1)
    seed: int = number(1_000_000, least=0)
    instruction: str | None = None
    estimators: tuple[str, ...] = ()
    mask_blocked: bool | None = None
    rollouts: int = number(3, least=0)
    device: str = "auto"
    trust_remote_code: bool = False
    further: Mapping[str, Any] = field(default_factory=dict, metadata=NO_SETTING)
    """What is given beside these settings: some that only the run's world has."""

    def __post_init__(self) -> None:
        require(bool(self.run_dir), "run_dir", repr(self.run_dir), "must be a folder that train.py wrote")
        check_fields(self)
        check_device(self.device)

    def of_world(self, world: str) -> WorldEvaluation:
        """The settings of the world of that name; ConfigError for one that it does not have, with the nearest."""
        kind = evaluation_of(world)
        for name, value in self.further.items():
            if name not in kind.__dataclass_fields__:
                known = (*kind.__dataclass_fields__, *EvaluateConfig.__dataclass_fields__)
                hint = nearest(name, known)
                raise ConfigError(f"{name}={value}: no such setting for agents of the world {world}{hint}")
        own = build(kind, self.further)
        own.check(self)
        return own
