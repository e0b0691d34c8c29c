"""The settings of BabyAI's levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from goalbridge.configs.checks import ConfigError, choice, number
from goalbridge.configs.world_settings import WorldEvaluation, WorldSettings

VIEWS: Final = ("full", "partial")
BABYAI: Final = "goalbridge/BabyAI"  # stands for a family of levels where a Gymnasium id is asked for
TRAINED: Final = (
    *("GoToLocal", "GoToRedBallGrey", "GoToObj", "GoToDoor", "GoToObjDoor", "GoTo", "GoToObjMaze", "GoToObjMazeS4"),
    "FourRooms",
)


@dataclass(frozen=True)
class BabyAISettings(WorldSettings):
    """BabyAI's levels that are solved by going somewhere; one agent for all of them.

    levels: those from which training draws layouts; evaluation also knows the variants that are not named here.
    layouts: how many are drawn, over which the trajectories are spread.
    view: "full" (the whole grid) or "partial" (a map of what the 7 x 7 view has shown).
    held_out: never show the nine colour-object pairs that are kept for testing.
    lexicon: colour words learnt beside each colour's own name.
    world: its name.
    """

    levels: tuple[str, ...] = TRAINED
    layouts: int = number(1200, least=1)
    view: str = choice("full", VIEWS)
    held_out: bool = True
    lexicon: int = number(0, least=0)
    world: str = field(default="babyai", kw_only=True)

    data_kinds: ClassVar[tuple[str, ...]] = ("expert", "random", "mixed", "online", "minari")
    many_layouts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.levels:
            raise ConfigError("env.levels=[]: is empty; name at least one level, such as [GoToLocal]")
        super().__post_init__()

    @property
    def env_id(self) -> str:
        """What stands for all levels."""
        return BABYAI

    @classmethod
    def reads(cls, saved: Mapping[str, Any]) -> bool:
        """The id that stands for all levels."""
        return saved.get("id") == BABYAI and not saved.get("captions")


@dataclass(frozen=True)
class BabyAIEvaluation(WorldEvaluation):
    """Which levels are played, and how they are seen.

    levels: those to be played; all that are solved by going somewhere if empty.
    view: "full" or "partial", where other than the agent was trained for.
    """

    levels: tuple[str, ...] = ()
    view: str | None = choice(None, VIEWS)


SETTINGS: Final = BabyAISettings
EVALUATION: Final = BabyAIEvaluation
