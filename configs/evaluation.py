"""The settings of an evaluation, checked where they are built."""

from __future__ import annotations

from dataclasses import dataclass

from goalbridge.configs.checks import at_least, check_device, one_of, require
from goalbridge.configs.schema import POLICIES, VIEWS

ESTIMATORS = (*POLICIES, "expert", "limit", "bot", "random")
SUITES = ("ambiguous",)
LINES = "-"  # as an instruction: one from each line of standard input


@dataclass(frozen=True)
class EvaluateConfig:
    """An evaluation of the agent in run_dir, or of all runs that it matches, as 'runs/sweep/*' (`evaluation.gather`).

    episodes: how many (None: 1000; in BabyAI 100 of each level), each estimator on the same starts, commands and noise.
    seed: of those; training never uses it. instruction: follow these words instead of drawn commands; in mazes, "-"
    follows each line of standard input.
    estimators: the policies to compare, and "random", in mazes "expert" (shortest paths) and "limit" (knows maze,
    command and noise), in BabyAI "bot" (minigrid's own, which sees 7 x 7 cells); empty: this world's own choice.
    escape: whether the agent bars actions that changed nothing, where other than it was trained for. rollouts:
    episodes drawn as GIFs; in BabyAI spread over the levels.
    In mazes: suite: "ambiguous" (`envs.suite`: commands of many kinds, as many episodes of each) or empty (rows and
    columns). phrasings: wordings of the rows and columns, "held_out" (never trained on) or "train". candidate_actions,
    average_noise, bridge_goals: how the agent acts, where other than it was trained for.
    In BabyAI: levels: those to be played; empty: all that are solved by going somewhere. view: "full" or "partial",
    where other than it was trained for.
    """

    run_dir: str
    episodes: int | None = None
    seed: int = 1_000_000
    instruction: str | None = None
    suite: str = ""
    phrasings: str = "held_out"
    estimators: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    view: str | None = None
    candidate_actions: int | None = None
    average_noise: bool | None = None
    escape: bool | None = None
    bridge_goals: int | None = None
    rollouts: int = 3
    device: str = "auto"

    def __post_init__(self) -> None:
        require(bool(self.run_dir), "run_dir", repr(self.run_dir), "must be a folder that train.py wrote")
        if self.episodes is not None:
            at_least(1, episodes=self.episodes)
        at_least(0, rollouts=self.rollouts, seed=self.seed)
        one_of("phrasings", self.phrasings, ("held_out", "train"))
        if self.suite:
            one_of("suite", self.suite, SUITES)
            require(self.instruction is None, "suite", self.suite, "draws its own commands; leave out instruction")
            require(self.phrasings == "held_out", "suite", self.suite, "has its own wordings; leave out phrasings")
        if self.view is not None:
            one_of("view", self.view, VIEWS)
        for name in self.estimators:
            one_of("estimators", name, ESTIMATORS)
        if self.candidate_actions is not None:
            at_least(2, candidate_actions=self.candidate_actions)
        if self.bridge_goals is not None:
            at_least(1, bridge_goals=self.bridge_goals)
        check_device(self.device)
