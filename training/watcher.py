"""How an agent does while it trains, in the same episodes of any world each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from goalbridge.agents import Agent
from goalbridge.configs.schema import RunConfig
from goalbridge.evaluation.metrics import UnderstandingRecord, measured
from goalbridge.evaluation.report import Played, summary
from goalbridge.evaluation.rollout import play
from goalbridge.evaluation.watch import frames, gif, png, record
from goalbridge.worlds import Begun, Projection, Task, World

EVALUATION_SEED: Final = 500_000  # apart from evaluate.py's, so that nothing is tuned on the episodes that are reported
WATCHED_SEED: Final = 900_000  # the animated episode stays out of the statistics
MOST_FRAMES: Final = 60
_FEWEST: Final = 4


@dataclass(frozen=True)
class Watched:
    """How an agent does in the middle of its training.

    metrics: means over episodes, and by category as "category/metric". animation: a GIF of one episode, empty where
    nothing can be drawn. pictures: PNGs, by tag.
    """

    metrics: dict[str, float]
    animation: bytes = b""
    pictures: dict[str, bytes] = field(default_factory=dict)


class Watcher:
    """Evaluates an agent of the run's world while it trains."""

    def __init__(self, world: World, config: RunConfig) -> None:
        self._world, self._config = world, config
        self._tasks: tuple[Task, ...] = ()

    def watch(self, agent: Agent, step: int) -> Watched:
        """Means over the same tasks each time, what needs no episodes, one other episode as an animation, pictures."""
        metrics = self._world.retrieval(agent)
        if not self._world.playable:
            return Watched(metrics)
        self._tasks = self._tasks or self._world.watched_tasks(
            agent, self._config.train.evaluation_episodes, EVALUATION_SEED
        )
        policy = agent.policy(**self._world.watching_options(agent))
        metrics |= self._metrics(agent, policy)
        pictures = {tag: png(picture) for tag, picture in self._world.pictures(agent).items()}
        return Watched(metrics, self._animation(agent, policy, step), pictures)

    def project(self, agent: Agent) -> Projection | None:
        """Goals and instructions in the space that they share; None where an agent learns no such space."""
        return self._world.project(agent) if agent.has_goal_posterior else None

    def _metrics(self, agent: Agent, policy: Any) -> dict[str, float]:
        understood: dict[str, UnderstandingRecord] = {}

        def begun(start: Begun) -> None:
            understood.setdefault(start.tasks[0].group, UnderstandingRecord(self._world, policy)).add(start)

        reads = agent.has_goal_posterior
        episodes = play(self._world, self._tasks, lambda _tasks: policy, begun=begun if reads else None)
        played = {
            group: Played(own, measured(self._world, own, understood.get(group))) for group, own in episodes.items()
        }
        report = summary(self._world, {policy.name: played}, {})
        found = {name: one["mean"] for name, one in report["estimators"][policy.name].items()}
        if len(report["categories"]) > 1:
            shown = (*self._world.shown[:2], "mass")
            found |= {
                f"{category}/{metric}": own[policy.name][metric]["mean"]
                for category, own in report["categories"].items()
                for metric in shown
                if metric in own[policy.name]
            }
        return found

    def _animation(self, agent: Agent, policy: Any, step: int) -> bytes:
        """Another task at each step; of another category at each evaluation."""
        tasks = self._world.watched_tasks(agent, _FEWEST, WATCHED_SEED + step)
        categories = list(dict.fromkeys(task.category for task in tasks))
        every = self._config.train.evaluate_every or self._config.train.steps
        category = categories[(-(-step // every) - 1) % len(categories)]
        task = next(task for task in tasks if task.category == category)
        recording = record(self._world, task, policy)
        return gif(frames(self._world, recording, policy if agent.has_goal_posterior else None, most=MOST_FRAMES))
