"""The settings of trajectories from files: there are none beside which files (`dataset`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from goalbridge.configs.world_settings import WorldEvaluation, WorldSettings

NO_ENV: Final = "none"  # where a Gymnasium id is asked for


@dataclass(frozen=True)
class FilesSettings(WorldSettings):
    """No environment, but what files hold.

    world: its name.
    """

    world: str = field(default="files", kw_only=True)

    data_kinds: ClassVar[tuple[str, ...]] = ("files",)

    @property
    def env_id(self) -> str:
        """None."""
        return NO_ENV

    @classmethod
    def reads(cls, saved: Mapping[str, Any]) -> bool:
        """What stands for an id where there is no environment."""
        return saved.get("id") == NO_ENV


SETTINGS: Final = FilesSettings
EVALUATION: Final = WorldEvaluation
