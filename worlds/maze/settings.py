"""The settings of point mazes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from goalbridge.configs.checks import choice, number, one_of, require
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.world_settings import WorldEvaluation, WorldSettings

PLACES: Final = ("exact", "line", "region", "vague")
STARTS: Final = ("anywhere", "corner")
SUITES: Final = ("ambiguous",)
WORDINGS: Final = ("held_out", "train")


@dataclass(frozen=True)
class MazeSettings(WorldSettings):
    """A point maze.

    id: Gymnasium id.
    layout: a named layout, a text file ('#' wall, '.' free), or empty for the id's own.
    action_noise_degrees: standard deviation of the Gaussian noise on the executed direction, in degrees.
    max_episode_steps: steps after which an episode is truncated.
    categories: of places that captions speak of: "exact", "line", "region", "vague", and on request "compound"; the
        first four if empty.
    start: online: of segments, "anywhere" or always from one "corner".
    episode_segments: online: segments that an episode goes on over, where all begin in one corner.
    world: its name.
    """

    id: str = "goalbridge/PointMaze-v0"
    layout: str = ""
    action_noise_degrees: float = number(20.0, least=0)
    max_episode_steps: int = number(100, least=1)
    categories: tuple[str, ...] = choice((), (*PLACES, "compound"))
    start: str = choice("anywhere", STARTS)
    episode_segments: int = number(8, least=1)
    world: str = field(default="maze", kw_only=True)

    data_kinds: ClassVar[tuple[str, ...]] = ("expert", "random", "online", "minari")

    def __post_init__(self) -> None:
        require(bool(self.id), "env.id", repr(self.id), "must be a Gymnasium id such as goalbridge/ForkMaze-v0")
        super().__post_init__()

    @property
    def env_id(self) -> str:
        """The Gymnasium id."""
        return self.id

    @classmethod
    def reads(cls, saved: Mapping[str, Any]) -> bool:
        """Ids of this project's but BabyAI's."""
        return not saved.get("captions") and saved.get("id") not in ("goalbridge/BabyAI", "none")


@dataclass(frozen=True)
class MazeEvaluation(WorldEvaluation):
    """What is asked in a maze, and how the agent acts there, where other than it was trained for.

    suite: "ambiguous" draws commands of many kinds, as many episodes of each; rows and columns if empty.
    phrasings: wordings of the rows and columns: "held_out" (never trained on) or "train".
    candidate_actions: how many directions the agent weighs.
    average_noise: whether the agent averages over the known noise.
    bridge_goals: how many goals the agent knows.
    """

    suite: str = ""
    phrasings: str = choice("held_out", WORDINGS)
    candidate_actions: int | None = number(None, least=2)
    average_noise: bool | None = None
    bridge_goals: int | None = number(None, least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.suite:
            one_of("suite", self.suite, SUITES)
            require(self.phrasings == "held_out", "suite", self.suite, "has its own wordings; leave out phrasings")

    def check(self, config: EvaluateConfig) -> None:
        """A suite draws commands."""
        alone = not self.suite or config.instruction is None
        require(alone, "suite", self.suite, "draws its own commands; leave out instruction")


SETTINGS: Final = MazeSettings
EVALUATION: Final = MazeEvaluation
