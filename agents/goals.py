"""The goals that a policy weighs: the same in every episode, or read off each observation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from goalbridge.agents.estimators import ScoringBatch
from goalbridge.agents.expressions import Instruction
from goalbridge.agents.instructions import Understanding
from goalbridge.configs.checks import ConfigError


class GoalSource(ABC):
    """Where a policy's goals come from, what it remembers of episodes with them, and how it chooses.

    fixed: whether goals are the same in every episode. actions: [A, D], the candidates. What is not explained here is
    what `Policy` says of it.
    """

    fixed: ClassVar[bool]
    actions: Tensor

    @abstractmethod
    def reset(self) -> None: ...

    @abstractmethod
    def read(self, observation: Any, instructions: Sequence[Instruction], keys: Sequence[Hashable]) -> Any:
        """B observations, with B instructions and keys of their episodes; ConfigError where they do not fit."""

    @abstractmethod
    def note(self, seen: Any) -> None:
        """Episodes that go on are there now: rules out what was not meant."""

    @abstractmethod
    def batch(self, seen: Any) -> ScoringBatch:
        """What an estimator goes by."""

    def adjust(self, seen: Any, batch: ScoringBatch, scores: Tensor) -> Tensor:
        """Scores [B, A] of an estimator as they count here."""
        return scores

    @abstractmethod
    def choose(self, seen: Any, scores: Tensor) -> Tensor:
        """Numbers [B] of the actions to take; remembers them."""

    @abstractmethod
    def goals(self, observation: Any) -> Any: ...

    @abstractmethod
    def posterior(self, instructions: Sequence[Instruction], observation: Any) -> Any: ...

    @abstractmethod
    def understand(self, instruction: Instruction, observation: Any, likeliest: int) -> Understanding: ...

    @abstractmethod
    def log_terms(self, seen: Any, actions: Tensor) -> Tensor:
        """The summands of LogSumExp at an episode's start, [B, M], of actions [B, D]; -inf pads."""

    def fulfilment(self, instruction: str) -> Any:
        raise ConfigError("fulfilment: expected goals that are read off each observation; the environment judges here")


def stream_of(seed: int, key: Hashable) -> np.random.Generator:
    """The random numbers of one episode: of its key alone; those of seed + key where that is a whole number."""
    if isinstance(key, int | np.integer) and seed + int(key) >= 0:
        return np.random.default_rng(seed + int(key))
    return np.random.default_rng([seed, *repr(key).encode()])
