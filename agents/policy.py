"""The policy: what is observed is read, scored by one estimator (`agents.estimators`), and an action chosen."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.bridge import effective_sample
from goalbridge.agents.estimators import Estimator
from goalbridge.agents.expressions import Instruction
from goalbridge.agents.fixed_goals import FixedGoals
from goalbridge.agents.goals import GoalSource
from goalbridge.agents.instructions import Understanding
from goalbridge.agents.observed_goals import ObservedGoals
from goalbridge.agents.spec import CandidateActions
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.registries import estimators

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent


class Policy:
    """Chooses, for each state, the candidate action with the highest score.

    agent, name, goals, candidates, average_noise, mask_blocked, seed: see `Agent.policy`. Representations of goals and
    instructions are computed once and kept. What was tried in an episode, which goal was drawn for it and which actions
    changed nothing is remembered: tell `act` which episode is which, and `reset` when new ones begin.
    """

    def __init__(
        self,
        agent: Agent,
        name: str,
        goals: NDArray[np.float32] | None = None,
        candidates: CandidateActions | None = None,
        average_noise: bool | None = None,
        mask_blocked: bool | None = None,
        seed: int = 0,
    ) -> None:
        kind: type[Estimator] = estimators.get(name, "policy.name")
        self.agent, self.name = agent, name
        self.source: GoalSource
        if not agent.world.goals_are_observed:
            self.source = FixedGoals(agent, goals, candidates, average_noise, mask_blocked, seed, kind.needs_goals)
        elif goals is None and candidates is None and not average_noise:
            self.source = ObservedGoals(agent, mask_blocked, seed, kind.plans)
        else:
            raise ConfigError(
                "goals, candidates, average_noise: expected none here, for they are read off observations"
            )
        kind.check(name, agent, self.source.fixed)
        self._estimator = kind(agent)

    @property
    def actions(self) -> Tensor:
        """The candidate actions, [A, D]."""
        return self.source.actions

    def reset(self) -> None:
        """Forgets the episodes so far; what follows repeats what a new policy does."""
        self.source.reset()

    @torch.no_grad()
    def act(
        self, observation: Any, instructions: Sequence[Instruction], episodes: Sequence[Hashable] | None = None
    ) -> NDArray[Any]:
        """Actions [B, D], or numbers [B] where the world's are; arguments as of `scores`.

        Remembers what it did: `reset` before other episodes take the keys.
        """
        seen = self.source.read(observation, instructions, _one_each(instructions, episodes))
        self.source.note(seen)
        best = self.source.choose(seen, self._scores(seen))  # [B]
        actions = self.source.actions[best]  # [B, D]
        return (actions.argmax(dim=1) if self.agent.world.discrete else actions).cpu().numpy()

    @torch.no_grad()
    def scores(
        self, observation: Any, instructions: Sequence[Instruction], episodes: Sequence[Hashable] | None = None
    ) -> Tensor:
        """Log-scores [B, A] of the candidate actions; comparable within a row, not between rows.

        observation: [B, S], or as the environment gives them: numbers [B], images [B, H, W, C], grids and poses.
        instructions: B texts or compositions (`agents.expressions`). episodes: B keys that tell episodes apart, any
        that can be hashed (0 ... B - 1 if left out). ConfigError or ObservationError for what does not fit.
        """
        return self._scores(self.source.read(observation, instructions, _one_each(instructions, episodes)))

    def _scores(self, seen: Any) -> Tensor:
        batch = self.source.batch(seen)
        return self.source.adjust(seen, batch, self._estimator.scores(batch))

    def goals(self, observation: Any = None) -> Any:
        """The goals that are weighed: [M, G], or where they are read off each observation B arrays [M, S]."""
        return self.source.goals(observation)

    @torch.no_grad()
    def goal_posterior(self, instructions: Sequence[Instruction], observation: Any = None) -> Any:
        """p(g_m | instruction) over `goals`, [B, M] or B arrays [M]; each sums to one: what is thought to be meant."""
        _one_each(instructions, None)
        return self.source.posterior(instructions, observation)

    @torch.no_grad()
    def understand(self, instruction: Instruction, observation: Any = None, likeliest: int = 3) -> Understanding:
        """What an instruction is taken to mean: its likeliest goals, how sure that is, whether it was understood.

        observation: a batch of one; needed only where goals are read off it.
        """
        return self.source.understand(instruction, observation, likeliest)

    def fulfilment(self, instruction: str) -> Any:
        """Says of each observation of an episode, a batch of one, whether by its own reading the agent is there.

        Parts of an instruction that are composed in time are ticked off in their order.
        """
        return self.source.fulfilment(instruction)

    @torch.no_grad()
    def diagnose(self, observation: Any, actions: NDArray[Any], instructions: Sequence[Instruction]) -> Any:
        """How far LogSumExp can be trusted for each state, action [B, D] (or [B]) and instruction, at a start.

        Effective sample size of the goals [B] and standard error of the score in nats [B], see
        `agents.bridge.effective_sample`.
        """
        seen = self.source.read(observation, instructions, [object() for _ in instructions])
        done = torch.as_tensor(actions, device=self.agent.device)
        if self.agent.world.discrete:
            done = torch.nn.functional.one_hot(done.long(), self.agent.world.action_dim)
        return effective_sample(self.source.log_terms(seen, done.to(torch.float32)))


def _one_each(instructions: Sequence[Instruction], keys: Sequence[Hashable] | None) -> tuple[Hashable, ...]:
    """The keys, 0 ... B - 1 if left out; ConfigError where there is not one for each instruction."""
    if isinstance(instructions, str):
        raise ConfigError(f"instructions: expected a list, one for each state, got the text {instructions[:60]!r}")
    if keys is None:
        return tuple(range(len(instructions)))
    if len(keys) != len(instructions):
        raise ConfigError(f"episodes: expected a key for each of {len(instructions)} instructions, got {len(keys)}")
    for key in keys:
        try:
            hash(key)
        except TypeError:
            raise ConfigError(
                f"episodes: expected keys that can be hashed, got {key!r}; try numbers or texts"
            ) from None
    return tuple(keys)
