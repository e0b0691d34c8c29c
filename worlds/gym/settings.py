"""The settings of a user's Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from goalbridge.configs.checks import number, require
from goalbridge.configs.world_settings import WorldEvaluation, WorldSettings


@dataclass(frozen=True)
class GymSettings(WorldSettings):
    """A Gymnasium environment of your own (docs/OWN_WORLD.md).

    id: Gymnasium id, or module:id where importing the module registers it.
    captions: "module:function" that gives all texts that are true of a goal.
    success: "module:function" of a goal and an instruction, whether the goal satisfies it; the captions, if empty.
    max_episode_steps: steps after which an episode is truncated.
    world: its name.
    """

    id: str = ""
    captions: str = ""
    success: str = ""
    max_episode_steps: int = number(100, least=1)
    world: str = field(default="gym", kw_only=True)

    data_kinds: ClassVar[tuple[str, ...]] = ("random", "minari")

    def __post_init__(self) -> None:
        require(bool(self.id), "env.id", repr(self.id), "must be a Gymnasium id such as my_worlds:Lake-v0")
        needed = "is a world of your own, which needs env.captions=module:function that tells what is true of a goal"
        require(bool(self.captions), "env.captions", repr(self.captions), f"{self.id} {needed}")
        super().__post_init__()

    @property
    def env_id(self) -> str:
        """The Gymnasium id."""
        return self.id

    @property
    def code(self) -> dict[str, str]:
        """What names code, by setting: modules, with a part each."""
        named = {"env.id": self.id, "env.captions": self.captions, "env.success": self.success}
        return {setting: name for setting, name in named.items() if ":" in name}

    @classmethod
    def reads(cls, saved: Mapping[str, Any]) -> bool:
        """Settings that name a function for what is true of goals."""
        return bool(saved.get("captions"))


@dataclass(frozen=True)
class GymEvaluation(WorldEvaluation):
    """How the agent acts, where other than it was trained for.

    candidate_actions: how many actions of a Box the agent weighs.
    bridge_goals: how many goals the agent knows.
    """

    candidate_actions: int | None = number(None, least=2)
    bridge_goals: int | None = number(None, least=1)


SETTINGS: Final = GymSettings
EVALUATION: Final = GymEvaluation
