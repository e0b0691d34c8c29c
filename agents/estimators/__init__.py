"""Estimators: how scores of actions come from an instruction, one file each.

Every one scores A candidate actions of B states, each with its own instruction, from the same three encoders:

    logsumexp       log E_g exp(f_AB(s, a, g) + f_BC(g, instruction))     Lemma 1 (Che & Eysenbach, ICLR 2025)
    max             the best single goal instead of the expectation
    tempered        logsumexp with f_BC over `PolicyConfig.language_temperature`
    resampled       logsumexp over `PolicyConfig.proposals` goals, drawn in proportion to p(g | instruction)
    likeliest       the single goal with the highest p(g | instruction), then f_AB(s, a, g)
    sample          one goal drawn from p(g | instruction), kept until it was tried, then f_AB(s, a, g)
    planned         the bridge crossed as often as it takes (`agents.planning`)
    planned_sample  a goal drawn likewise, and planned towards
    shortest        shortest paths over the bridge (`agents.shortest_paths`)
    direct          f_AB's own similarity of phi_A(s, a) and phi_C(instruction); no goals (Lemmas 2, 3)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.registries import estimators

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent

__all__ = ["Estimator", "ScoringBatch", "register"]

register = estimators.register


class ScoringBatch(ABC):
    """B episodes that wait for an action, each with its instruction and its goals.

    agent: whose critics. encoded: [B, A, d], phi_A of the states and candidate actions. log_bc: [B, M],
    log p(g | instruction) up to a constant; -inf for goals that were ruled out, and where an episode has fewer than M.
    """

    agent: Agent
    encoded: Tensor
    log_bc: Tensor

    @abstractmethod
    def logits(self) -> Tensor:
        """f_AB of every candidate action and goal, [B, A, M]; what it is where log_bc is -inf does not matter."""

    def summed(self, log_bc: Tensor, best_goal: bool = False) -> Tensor:
        """logsumexp_m [f_AB + log_bc], with log_bc [B, M] instead of the batch's; max_m if `best_goal`: [B, A]."""
        joint = self.logits() + log_bc.unsqueeze(1)  # [B, A, M]
        return joint.amax(dim=-1) if best_goal else joint.logsumexp(dim=-1)

    def towards(self, goals: list[int]) -> Tensor:
        """f_AB towards one goal of each episode, B numbers below M: [B, A]."""
        logits = self.logits()  # [B, A, M]
        return logits[range(len(goals)), :, goals]

    @abstractmethod
    def language(self) -> Tensor:
        """phi_C of what is to be done now, encoded as a whole, [B, d]."""

    @abstractmethod
    def drawn(self) -> list[int]:
        """A goal of each episode, drawn from p(g | instruction) and kept until it is ruled out; B numbers."""

    @abstractmethod
    def planned(self, drawn: bool = False) -> Tensor:
        """Log-scores [B, A] by value iteration over the goals (`agents.planning`); towards a drawn one if `drawn`."""

    # The rest is there only where all episodes share their goals (`Estimator.needs_fixed_goals`).

    def along_paths(self) -> Tensor:
        """Log-scores [B, A] by shortest paths over the goals (`agents.shortest_paths`)."""
        raise ConfigError("along_paths: expected goals that are the same in every episode")

    def proposed(self, count: int) -> tuple[Tensor, Tensor]:
        """`count` goals of each episode, drawn in proportion to p(g | instruction): numbers and log weights, [B, n]."""
        raise ConfigError("proposed: expected goals that are the same in every episode")

    def summed_over(self, which: Tensor, log_bc: Tensor) -> Tensor:
        """As `summed`, over the goals numbered `which` [B, n] alone, with log_bc [B, n]."""
        raise ConfigError("summed_over: expected goals that are the same in every episode")


class Estimator(ABC):
    """How scores of actions come from an instruction; one file here, or a plug-in (goalbridge.estimators).

    needs_goals: it sums over goals. plans: it needs to know where actions lead from goals, which must be states.
    needs_fixed_goals: it needs goals that are the same in every episode.
    """

    needs_goals: ClassVar[bool] = True
    plans: ClassVar[bool] = False
    needs_fixed_goals: ClassVar[bool] = False

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    @classmethod
    def check(cls, name: str, agent: Agent, fixed_goals: bool) -> None:
        """ConfigError, which begins with the estimator's name, where an agent cannot use it."""
        if cls.needs_fixed_goals and not fixed_goals:
            raise ConfigError(f"policy.name={name}: expected goals that are the same in every episode; try planned")
        if cls.plans and not agent.world.goals_are_states:
            raise ConfigError(f"policy.name={name}: expected goals that are states, to go on from; try logsumexp")

    @abstractmethod
    def scores(self, batch: ScoringBatch) -> Tensor:
        """Log-scores [B, A] of the candidate actions; comparable within a row, not between rows."""
