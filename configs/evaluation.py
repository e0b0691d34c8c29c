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
    """An evaluation of the agent in run_dir.

    run_dir: the run's folder, or a pattern such as 'runs/sweep/*' for all runs that it matches.
    episodes: how many, each estimator on the same starts, commands and noise; 1000, or 100 of each BabyAI level.
    seed: of the starts, commands and noise; training never uses it.
    instruction: follow these words instead of drawn commands; in mazes, "-" follows each line of standard input.
    suite: in mazes, "ambiguous" draws commands of many kinds, as many episodes of each; rows and columns if empty.
    phrasings: in mazes, wordings of the rows and columns: "held_out" (never trained on) or "train".
    estimators: those to compare, and "random", in mazes "expert" (shortest paths) and "limit" (knows maze, command and
        noise), in BabyAI "bot" (minigrid's own, which sees 7 x 7 cells); this world's own choice if empty.
    levels: in BabyAI, those to be played; all that are solved by going somewhere if empty.
    view: in BabyAI, "full" or "partial", where other than it was trained for.
    candidate_actions: how many actions the agent weighs, where other than it was trained for.
    average_noise: whether the agent averages over the known noise, where other than it was trained for.
    escape: whether the agent bars actions that changed nothing, where other than it was trained for.
    bridge_goals: how many goals the agent knows, where other than it was trained for.
    rollouts: episodes drawn as GIFs; in BabyAI spread over the levels.
    device: auto (the first of cuda, mps, cpu that is there), or a name such as cuda:1.
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
