"""Metrics of finished episodes; each is one file here, or in a package of its own (entry points "goalbridge.metrics").

A metric is called with the world, the episodes [E] of one group and how the agent understood them, and gives [E]
numbers, or None where it says nothing of them. What an environment's last info holds in numbers is a metric, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.registries import metrics
from goalbridge.worlds import Begun, Episodes, Metrics, World

LIKELY = 0.5  # of the likeliest place's probability: places from there on count as what the agent would try


@dataclass(eq=False)
class UnderstandingRecord:
    """How an agent took the instructions of E episodes of one group, in the order in which they begin.

    It is what success does not tell: who rules out what was tried finds most goals by search, whatever was said. NaN
    where nobody knows what was meant.

    mass: probability of the goals that were meant. first_guess: 1 where the likeliest goal was meant, else 0.
    mistaken: the places of likely goals that were not meant, see `World.places`.
    """

    world: World
    policy: Any
    mass: list[float] = field(default_factory=list)
    first_guess: list[float] = field(default_factory=list)
    mistaken: list[frozenset[int]] = field(default_factory=list)

    def add(self, begun: Begun) -> None:
        """Takes in the start of some more episodes."""
        observation = begun.observation["observation"]
        posterior = self.policy.goal_posterior([task.text for task in begun.tasks], observation)
        goals = self.policy.goals(observation)
        shared = isinstance(goals, np.ndarray)  # [M, G], the same in every episode
        places = self.world.places(goals) if shared else None
        for row, task in enumerate(begun.tasks):
            own = goals if shared else goals[row]
            self._add(task, own, posterior[row], self.world.places(own) if places is None else places)

    def _add(self, task: Any, goals: NDArray[Any], chances: NDArray[Any], places: NDArray[np.int64]) -> None:
        meant = self.world.satisfied_by(task, goals)  # [M]
        if meant is None:
            self.mass.append(np.nan)
            self.first_guess.append(np.nan)
            self.mistaken.append(frozenset())
            return
        self.mass.append(float(chances[meant].sum()))
        self.first_guess.append(float(meant[chances.argmax()]))
        place, which = np.unique(places, return_inverse=True)  # [P], [M]
        by_place = np.bincount(which.reshape(-1), chances, minlength=len(place))  # [P]
        right = np.bincount(which.reshape(-1), meant, minlength=len(place)) > 0  # [P]
        self.mistaken.append(frozenset(place[(by_place >= LIKELY * by_place.max()) & ~right].tolist()))


Metric = Callable[[World, Episodes, UnderstandingRecord | None], NDArray[np.float64] | None]
register = metrics.register


def measured(world: World, episodes: Episodes, understanding: UnderstandingRecord | None) -> Metrics:
    """All metrics of episodes of one group, [E] each: success, the world's own, steps, then the others."""
    found: Metrics = {"success": episodes.success.astype(np.float64)}
    found |= world.metrics(episodes)
    found["steps"] = found.pop("steps", episodes.steps.astype(np.float64))
    found |= {name: values for name, values in episodes.info.items() if name[0] != "_" and name not in found}
    for name in metrics.names():
        metric: Metric = metrics.get(name)
        values = metric(world, episodes, understanding)
        if values is not None:
            found[name] = values
    return found
