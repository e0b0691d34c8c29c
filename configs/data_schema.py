"""The settings of where trajectories and captions come from, checked where they are built."""

from __future__ import annotations

from dataclasses import dataclass

from goalbridge.configs.checks import at_least, one_of, require

DATA_KINDS = ("expert", "random", "mixed", "online", "minari", "files")
STORED = ("minari", "files")  # kinds of data that are read from a dataset, and not collected
COMMANDED_GOALS = ("buffer", "uniform")


@dataclass(frozen=True)
class DataConfig:
    """Where trajectories and captions come from.

    kind: "expert" (shortest paths between random places; noisy in mazes), "random" (random walks), "mixed" (half of
        each), "online" (the agent's own play, while it learns), or from `dataset`: "minari" (a Minari dataset of the
        env) or "files" (a user's own trajectories and captions, without an env, all of which are used).
    trajectories: how many, unless online.
    noise_degrees: the expert's angle noise, or that with which the agent explores.
    walk_length: steps of a random walk, or of a segment of online data.
    labelled_goals: how many goals are captioned, one caption each.
    environment_steps: online: taken in all, evenly over the gradient steps.
    environments: online: how many are played at once.
    warmup: online: share of both kinds of steps in which play is random, before the agent commands itself goals.
    capacity: online: transitions that the replay buffer holds.
    goals: online: what the agent commands itself: from the "buffer" (what it has reached) or "uniform" (anywhere within
        bounds).
    frontier: online: share of the goals from the buffer that was seldom reached.
    random_steps_after_goal: online: random steps after a commanded goal was reached, before the next one is commanded.
    exploration: online: share of random actions.
    """

    kind: str = "expert"
    trajectories: int = 20_000
    noise_degrees: float = 10.0
    walk_length: int = 64
    labelled_goals: int = 100_000
    environment_steps: int = 250_000
    environments: int = 64
    warmup: float = 0.1
    capacity: int = 500_000
    goals: str = "buffer"
    frontier: float = 0.3
    random_steps_after_goal: int = 0
    exploration: float = 0.1

    def __post_init__(self) -> None:
        one_of("data.kind", self.kind, DATA_KINDS)
        one_of("data.goals", self.goals, COMMANDED_GOALS)
        at_least(1, data__environments=self.environments)
        for name in ("warmup", "frontier", "exploration"):
            share = getattr(self, name)
            require(0 <= share <= 1, f"data.{name}", share, "must be between 0 and 1")
        self._check_rounds()
        at_least(0, data__random_steps_after_goal=self.random_steps_after_goal)
        at_least(1, data__trajectories=self.trajectories, data__walk_length=self.walk_length)
        at_least(1, data__labelled_goals=self.labelled_goals)
        at_least(0, data__noise_degrees=self.noise_degrees)

    def _check_rounds(self) -> None:
        """Online: there must be a segment for every environment, and room for it."""
        round_steps = self.environments * self.walk_length
        needed = f"must be at least data.environments x data.walk_length = {round_steps}"
        for name, value in (("environment_steps", self.environment_steps), ("capacity", self.capacity)):
            require(self.kind != "online" or value >= round_steps, f"data.{name}", value, needed)
