"""Every call of the protocols into evaluation: agents on the same tasks, and estimates over training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.agents import Agent
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.registries import estimators
from goalbridge.configs.run_folder import read_run_config
from goalbridge.evaluation.evaluation import Evaluation
from goalbridge.evaluation.metrics import UnderstandingRecord, measured
from goalbridge.evaluation.rollout import Reword, play
from goalbridge.evaluation.statistics import interval
from goalbridge.worlds import Actor, Episodes, Metrics, Task, World, open_trained, require_same
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld


def spread(by_seed: ArrayLike, paired: bool = False) -> dict[str, float]:
    """Mean and 95 % interval of values, or `paired` differences, [S, E] (`evaluation.statistics.interval`)."""
    return asdict(interval(by_seed, paired))


def estimates(by_seed: Sequence[Metrics]) -> dict[str, Any]:
    """Each metric's mean and interval over training seeds, and each seed's mean; without those that say nothing."""
    found = {}
    for name in by_seed[0]:
        values = [metrics[name] for metrics in by_seed if name in metrics]
        if len(values) == len(by_seed) and np.isfinite(values).all():
            per_seed = [round(float(row.mean()), 4) for row in values]
            found[name] = spread(values) | {"per_seed": per_seed}
    return found


def evaluation_of(folder: Path, agent: Agent | None = None, **settings: Any) -> Evaluation:
    """The evaluation of the agent in a run folder; agent: a changed one. settings: of evaluate.py."""
    run = read_run_config(folder)
    world = open_trained(run, folder)
    agent = agent or Agent.from_pretrained(folder)
    require_same(world, agent.world, str(folder))
    common = {name: settings.pop(name) for name in list(settings) if name in EvaluateConfig.__dataclass_fields__}
    config = EvaluateConfig(run_dir=str(folder), **common, further=settings)
    return Evaluation(agent, world, config, config.of_world(run.env.world), folder)


def compared(folder: Path, names: Sequence[str] = (), **settings: Any) -> Mapping[str, Metrics]:
    """Each estimator's metrics [E] for the agent in a folder; without names those that the world compares."""
    return evaluation_of(folder, estimators=tuple(names), **settings).measure()


@dataclass(frozen=True, eq=False)
class Outcome:
    """Finished episodes [E]: their metrics, the fewest steps (NaN where nobody knows), slices of the tasks."""

    episodes: Episodes
    metrics: Metrics
    optimum: NDArray[np.float64]
    slices: Mapping[str, NDArray[np.bool_]]


class Trial:
    """The same tasks of one group, starts and noise for every actor, in the world of the agent in a folder."""

    def __init__(self, folder: Path, agent: Agent | None = None, **settings: Any) -> None:
        self.evaluation = evaluation_of(folder, agent, **{"estimators": ("random",)} | settings)
        self.world: World = self.evaluation.world
        self.tasks: Sequence[Task] = self.evaluation.tasks
        self.categories = np.array([task.category for task in self.tasks])  # [E]

    @property
    def starts(self) -> Any:
        """The first observation of all episodes."""
        return self.world.begin(self.tasks).observation["observation"]

    def play(self, actor: Actor | str, reword: Reword | None = None) -> Outcome:
        """What becomes of the tasks; actor: a policy, or the name of one of the world's references."""
        make = self.evaluation.references[actor] if isinstance(actor, str) else lambda _tasks: actor
        policy: Any = actor
        reads = hasattr(policy, "goal_posterior") and policy.agent.has_goal_posterior
        understanding = (
            UnderstandingRecord(self.world, policy) if reads and estimators.get(policy.name).needs_goals else None
        )
        begun = understanding.add if understanding else None
        (episodes,) = play(self.world, self.tasks, make, reword, begun).values()
        unknown = np.full(len(self.tasks), np.nan)
        slices = self.world.slices(episodes.tasks)
        return Outcome(
            episodes, measured(self.world, episodes, understanding), episodes.info.get("optimum", unknown), slices
        )


def level_trial(folder: Path, level: str, episodes: int, seed: int, view: str = "full") -> Trial:
    """So many episodes of a level of BabyAI, which are the same for all its agents."""
    return Trial(folder, levels=(level,), episodes=episodes, seed=seed, view=view)


def expert_length(env: str) -> float:
    """Mean number of steps of the expert's trajectories in a maze."""
    world = MazeWorld(MazeSettings(f"goalbridge/{env.title().replace('_', '')}-v0"))
    return float(world.collect(DataConfig(trajectories=2000), seed=0).lengths.mean())
