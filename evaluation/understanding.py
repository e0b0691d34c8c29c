"""How an agent took instructions, at the start of each episode: what success does not tell.

An agent that rules out what it has tried finds most goals by search, whatever it was told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.evaluation.rollout import rows_of
from goalbridge.worlds import Begun, World

LIKELY = 0.5  # of the likeliest place's probability: places from there on count as what the agent would try


@dataclass(eq=False)
class UnderstandingRecord:
    """Of E episodes of one group, in the order in which they begin; NaN where nobody knows what was meant.

    mass: probability of the goals that were meant. first_guess: 1 where the likeliest goal was meant, else 0. chance:
    share of all goals that were meant, which is the mass of who knows nothing. mistaken: the places of likely goals
    that were not meant, see `World.places`.
    """

    world: World
    policy: Any
    mass: list[float] = field(default_factory=list)
    first_guess: list[float] = field(default_factory=list)
    chance: list[float] = field(default_factory=list)
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
            for column in (self.mass, self.first_guess, self.chance):
                column.append(np.nan)
            self.mistaken.append(frozenset())
            return
        self.mass.append(float(chances[meant].sum()))
        self.first_guess.append(float(meant[chances.argmax()]))
        self.chance.append(float(meant.mean()))
        place, which = np.unique(places, return_inverse=True)  # [P], [M]
        by_place = np.bincount(which.reshape(-1), chances, minlength=len(place))  # [P]
        right = np.bincount(which.reshape(-1), meant, minlength=len(place)) > 0  # [P]
        self.mistaken.append(frozenset(place[(by_place >= LIKELY * by_place.max()) & ~right].tolist()))


def first_rows(begun: Begun) -> list[Any]:
    """The first observation of each episode, a batch of one each."""
    return [rows_of(begun.observation["observation"], np.array([row])) for row in range(len(begun.tasks))]
