"""Who plays BabyAI's levels: the agent's estimators, and chance. (minigrid's bot plays by itself.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.envs.babyai.simulator import ACTIONS
from goalbridge.evaluation.compare import chosen_estimators
from goalbridge.evaluation.rollouts import Actor

BOT = "bot"
OWN_ESTIMATORS = ("planned", "logsumexp", "max", "sample", BOT, "random")
ESTIMATORS = (
    *("planned", "planned_sample", "logsumexp", "tempered", "max", "likeliest", "sample", "direct"),
    *(BOT, "random"),
)


def grid_estimators(agent: Agent, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The estimators to compare in grids; ConfigError for one that grids or this agent cannot do."""
    possible = ESTIMATORS if agent.config.things else tuple(name for name in ESTIMATORS if name != "direct")
    if "direct" in chosen and "direct" not in possible:
        raise ConfigError(
            f"estimators=direct: needs an agent trained with agent.things=true; {', '.join(possible)} would do"
        )
    return chosen_estimators(chosen, OWN_ESTIMATORS, possible)


def grid_actor(name: str, agent: Agent, config: EvaluateConfig) -> Actor:
    """The estimator of that name (not the bot); what it does in an episode depends on that episode alone."""
    if name == "random":
        return Chance(config.seed)
    if name in ("sample", "planned_sample"):  # those that draw
        return Apart(lambda episode: agent.policy(name, escape=config.escape, seed=config.seed + episode))
    policy: Actor = agent.policy(name, escape=config.escape)
    return policy


class Chance:
    """Any of the four actions, each as likely; every episode has draws of its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Begins the same draws anew."""
        self._draws: dict[int, np.random.Generator] = {}

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Actions [B] of B numbered episodes."""
        keys = range(len(instructions)) if episodes is None else episodes
        for key in keys:
            if key not in self._draws:
                self._draws[key] = np.random.default_rng([self._seed, key])
        return np.array([self._draws[key].integers(len(ACTIONS)) for key in keys], dtype=np.int64)


class Apart:
    """Plays each episode with an actor of its own, so that what one draws leaves the others as they are.

    make: the actor of a numbered episode.
    """

    def __init__(self, make: Callable[[int], Actor]) -> None:
        self._make = make
        self.reset()

    def reset(self) -> None:
        """Forgets the episodes so far."""
        self._actors: dict[int, Actor] = {}

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Actions [B] of B numbered episodes."""
        keys = range(len(instructions)) if episodes is None else episodes
        chosen = np.empty(len(instructions), dtype=np.int64)
        for row, key in enumerate(keys):
            if key not in self._actors:
                self._actors[key] = self._make(key)
            own = {name: values[row : row + 1] for name, values in observation.items()}
            chosen[row] = self._actors[key].act(own, instructions[row : row + 1], [key])[0]
        return chosen


@dataclass(frozen=True)
class Numbered:
    """An actor whose episodes are numbered from `first` on: a part of many that are not all played at once."""

    actor: Actor
    first: int

    def reset(self) -> None:
        """Forgets the episodes so far."""
        self.actor.reset()

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Actions [B] of B episodes, numbered from 0 here."""
        keys = range(len(instructions)) if episodes is None else episodes
        return self.actor.act(observation, instructions, [self.first + key for key in keys])
