"""Settings that belong to a world: what is common to all of them, and where those of a world by name are found."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from goalbridge.configs.checks import check_fields, one_of, require
from goalbridge.configs.data_schema import DATA_KINDS
from goalbridge.configs.registries import worlds

if TYPE_CHECKING:
    from goalbridge.configs.evaluation import EvaluateConfig
    from goalbridge.configs.schema import RunConfig


@dataclass(frozen=True)
class WorldSettings:
    """The settings of a world, `env` in a run's; those of one world derive from these.

    world: which of the registered worlds it is.
    """

    world: str = field(default="", kw_only=True)

    data_kinds: ClassVar[tuple[str, ...]] = DATA_KINDS
    """What `data.kind` may be in this world."""
    many_layouts: ClassVar[bool] = False
    """Whether goals of a batch may be of different layouts, so that groups of one layout make sense."""

    def __post_init__(self) -> None:
        """ConfigError for a field that is not what `configs.checks.number` or `choice` asked for."""
        check_fields(self, "env.")

    @property
    def env_id(self) -> str:
        """What names it in tables, such as a Gymnasium id."""
        return self.world

    def check(self, run: RunConfig) -> None:
        """ConfigError where other settings of the run do not go with this world."""
        one_of("data.kind", run.data.kind, self.data_kinds)
        size = run.train.negatives_per_layout
        require(
            size == 0 or self.many_layouts, "train.negatives_per_layout", size, f"must be 0 in the world {self.world}"
        )

    @classmethod
    def reads(cls, saved: Mapping[str, Any]) -> bool:
        """Whether the settings of a run that was saved before worlds had names (FORMAT 1) are of this world."""
        return False

    @classmethod
    def chosen(cls, values: Mapping[str, Any]) -> type[WorldSettings]:
        """Those of the world that plain values name; ConfigError where there is no such world."""
        return settings_of(str(values.get("world", "")))


@dataclass(frozen=True)
class WorldEvaluation:
    """The settings that evaluate.py takes in a world beside the common ones; those of one world derive from these."""

    def __post_init__(self) -> None:
        """ConfigError for a field that is not what `configs.checks.number` or `choice` asked for."""
        check_fields(self)

    def check(self, config: EvaluateConfig) -> None:
        """ConfigError where the common settings do not go with these."""


def settings_of(world: str) -> type[WorldSettings]:
    """The class of a world's settings; of the project's own, nothing else of the world is imported for it."""
    return _found(world)[0]


def evaluation_of(world: str) -> type[WorldEvaluation]:
    """The class of the settings of evaluations in a world."""
    return _found(world)[1]


def _found(world: str) -> tuple[type[WorldSettings], type[WorldEvaluation]]:
    module = worlds.module_of(world)
    if module is not None:
        settings = importlib.import_module(f"{module}.settings")
        return settings.SETTINGS, settings.EVALUATION
    kind = worlds.get(world, "env.world")
    return kind.Settings, kind.EvaluationSettings
