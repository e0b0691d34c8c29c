"""The settings of where trajectories and captions come from, checked where they are built."""

from __future__ import annotations

from dataclasses import dataclass

from goalbridge.configs.checks import check_fields, choice, number, require

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

    kind: str = choice("expert", DATA_KINDS)
    trajectories: int = number(20_000, least=1)
    noise_degrees: float = number(10.0, least=0)
    walk_length: int = number(64, least=1)
    labelled_goals: int = number(100_000, least=1)
    environment_steps: int = 250_000
    environments: int = number(64, least=1)
    warmup: float = number(0.1, least=0, most=1)
    capacity: int = 500_000
    goals: str = choice("buffer", COMMANDED_GOALS)
    frontier: float = number(0.3, least=0, most=1)
    random_steps_after_goal: int = number(0, least=0)
    exploration: float = number(0.1, least=0, most=1)

    def __post_init__(self) -> None:
        check_fields(self, "data.")
        if self.kind == "online":  # a segment for every environment, and room for it
            steps = self.environments * self.walk_length
            needed = f"must be at least data.environments x data.walk_length = {steps}"
            for name in ("environment_steps", "capacity"):
                require(getattr(self, name) >= steps, f"data.{name}", getattr(self, name), needed)
