"""The policy: scores of actions by one estimator (`agents.estimators`), and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.agent import Agent
from goalbridge.agents.bridge import goal_posterior
from goalbridge.agents.bridge_diagnostics import effective_sample
from goalbridge.agents.commitment import Commitment
from goalbridge.agents.escape import Escape
from goalbridge.agents.expressions import Instruction
from goalbridge.agents.hearing import Hearing, Understanding
from goalbridge.agents.old_estimators import ESTIMATORS, Estimators, Moment
from goalbridge.agents.shortest_paths import Ways
from goalbridge.agents.spec import CandidateActions, as_rows
from goalbridge.agents.tried import Tried
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.schema import POLICIES


class Policy:
    """Chooses, for each state, the candidate action with the highest score.

    agent, name, goals, candidates, average_noise, escape, seed: see `Agent.policy`. The goals' and instructions'
    representations are computed once and kept. What was tried in an episode, which goal was drawn for it and which
    actions changed nothing is remembered: tell `act` which episode is which, and `reset` when new ones begin.
    """

    def __init__(
        self,
        agent: Agent,
        name: str,
        goals: NDArray[np.float32] | None = None,
        candidates: CandidateActions | None = None,
        average_noise: bool | None = None,
        escape: bool | None = None,
        seed: int = 0,
    ) -> None:
        if name not in POLICIES:
            raise ConfigError(f"policy.name={name}: must be one of {', '.join(POLICIES)}")
        self.agent, self.name = agent, name
        self._goals = agent.bridge_goals  # [M, G]
        if goals is not None:
            self._goals = torch.as_tensor(np.asarray(goals, dtype=np.float32), device=agent.device)
        if self._goals.ndim != 2 or len(self._goals) == 0 or self._goals.shape[1] != len(agent.world.goal_low):
            raise ConfigError(f"goals: has shape {tuple(self._goals.shape)}, needs [M, {len(agent.world.goal_low)}]")
        if not self._goals.isfinite().all():
            raise ConfigError("goals: hold NaN or infinity; finite ones would do")
        self.actions, execution = agent.candidate_actions, agent.execution  # [A, D], [A, A]
        if candidates is not None:
            self.actions = torch.as_tensor(candidates.actions, device=agent.device)
            if self.actions.ndim != 2 or self.actions.shape[1] != agent.world.action_dim:
                shape = tuple(self.actions.shape)
                raise ConfigError(f"candidates: actions have shape {shape}, need [A, {agent.world.action_dim}]")
            execution = torch.as_tensor(candidates.execution, dtype=torch.float32, device=agent.device)
        config = agent.policy_config
        average = config.average_noise if average_noise is None else average_noise
        self.log_execution = execution.log() if average else None
        escapes = config.escape if escape is None else escape
        self._escape = Escape(execution, agent.observation_extent()) if escapes else None
        remembers = config.remember and agent.world.goals_are_states
        self._tried = Tried(self._goals.float()) if remembers else None
        # Only coordinates tell who stays near where it was: two pictures, or numbers, just differ. "direct" has no
        # goals to settle on.
        commits = remembers and agent.world.kind == "box" and name != "direct"
        self._commitment = Commitment() if commits else None
        with torch.no_grad():
            self._bridge = agent.encode_goals(self._goals)  # [M, d]
        self._ways = Ways(agent, self._goals, self._bridge, self.actions)
        self._heard = Hearing(agent, self._goals, self._bridge, config.compose)
        self._estimators = Estimators(agent, self._goals, self._bridge, self.actions, self._heard, self._ways, seed)

    def reset(self) -> None:
        """Forgets the episodes so far; what follows repeats what a new policy does."""
        self._estimators.reset()
        if self._escape is not None:
            self._escape.forget()
        if self._tried is not None:
            self._tried.forget()
        if self._commitment is not None:
            self._commitment.forget()

    def understand(self, instruction: Instruction, observation: Any = None) -> Understanding:
        """What an instruction is taken to mean: its likeliest goals, how sure that is, whether it was understood."""
        return self._heard.understand(instruction)

    def goals(self, observation: Any = None) -> NDArray[np.float32]:
        """[M, G]."""
        return self._goals.cpu().numpy()  # type: ignore[no-any-return]

    def goal_posterior(self, instructions: Sequence[Instruction], observation: Any = None) -> NDArray[np.float32]:
        """p(g_m | instruction) over the bridge goals, [B, M]; each row sums to one: what the agent thinks was meant."""
        rows = self._heard.rows(instructions)  # [B]; first, for what is kept grows by it
        posterior: NDArray[np.float32] = goal_posterior(self._heard.logits[rows]).cpu().numpy()
        return posterior

    @torch.no_grad()
    def scores(
        self,
        observation: NDArray[Any],
        instructions: Sequence[Instruction],
        episodes: Sequence[int] | None = None,
    ) -> Tensor:
        """Log-scores [B, A] of the candidate actions; comparable within a row, not between rows.

        observation: [B, S], or as the environment gives them: numbers [B], images [B, H, W, C]. instructions: B texts
        or compositions (`agents.expressions`). episodes: B keys that tell episodes apart (0 ... B - 1 if left out).
        """
        states = self._states(observation, instructions, episodes)  # [B, S]
        keys = range(len(instructions)) if episodes is None else episodes
        rows = self._heard.rows(instructions)  # [B]
        log_bc = self._heard.logits[rows]  # [B, M]
        encoded = self.agent.encode_state_actions(states.unsqueeze(1), self.actions.unsqueeze(0))  # [B, A, d]
        if self._tried is not None:
            log_bc = self._tried.exclude(log_bc, keys)
        scores = ESTIMATORS[self.name](self._estimators, Moment(encoded, rows, log_bc, instructions, keys))  # [B, A]
        if self._commitment is not None:
            aims = self._commitment.goals(log_bc, keys)  # [B]
            settled = (aims >= 0).nonzero()[:, 0]  # [R]
            if len(settled):
                scores[settled] = self._ways.scores(encoded[settled], aims[settled]).to(scores.dtype)
        if self.log_execution is not None:
            by_execution = scores.unsqueeze(1) + self.log_execution  # [B, A chosen, A executed]
            scores = torch.logsumexp(by_execution, dim=2)
        return scores

    def act(
        self,
        observation: NDArray[Any],
        instructions: Sequence[Instruction],
        episodes: Sequence[int] | None = None,
    ) -> NDArray[Any]:
        """Actions [B, D], or numbers [B] where the world's are; arguments as `scores`.

        Remembers what it did: `reset` before other episodes take the keys.
        """
        states = self._states(observation, instructions, episodes)  # [B, S]
        keys = range(len(instructions)) if episodes is None else episodes
        if self._tried is not None:
            begun = self._tried.note(states, instructions, keys)  # [B]
            if self._commitment is not None:
                self._commitment.note(states, keys, begun)
        scores = self.scores(observation, instructions, keys)  # [B, A]
        if self._escape is None:
            return self._actions_at(scores.argmax(dim=1))
        best = self._escape.bar(scores, states, keys).argmax(dim=1)  # [B]
        self._escape.remember(states, best, keys)
        return self._actions_at(best)

    @torch.no_grad()
    def diagnose(
        self, observation: NDArray[np.floating], actions: NDArray[np.floating], instructions: Sequence[Instruction]
    ) -> tuple[Tensor, Tensor]:
        """How far LogSumExp can be trusted for each state [B, S], action [B, D] and instruction, at an episode's start.

        Effective sample size of the bridge goals [B] and standard error of the score in nats [B], see
        `agents.bridge_diagnostics.effective_sample`.
        """
        rows = self._heard.rows(instructions)  # [B]
        put = self.agent.bridge_goals.new_tensor
        a = self.agent.encode_state_actions(put(observation), put(actions))  # [B, d]
        return effective_sample(self.agent.critic_ab(a, self._bridge) + self._heard.logits[rows])

    def _states(
        self,
        observation: NDArray[Any],
        instructions: Sequence[Instruction],
        episodes: Sequence[int] | None,
    ) -> Tensor:
        """The observation [B, S] as a tensor; ConfigError where the arguments do not fit each other."""
        world = self.agent.world
        try:
            rows = as_rows(observation, world.kind, len(world.observation_low))  # [B, S]
        except ValueError as error:
            raise ConfigError(f"observation: {error}") from None
        states = torch.as_tensor(rows.astype(np.float32), device=self.agent.device)  # [B, S]
        if isinstance(instructions, str):
            raise ConfigError(
                f"instructions: is one text, {instructions[:60]!r}; a list of one for each state would do"
            )
        needed = (len(instructions), len(world.observation_low))
        if tuple(states.shape) != needed:
            raise ConfigError(f"observation: has shape {tuple(states.shape)}, needs {needed}: one row an instruction")
        if episodes is not None and len(episodes) != len(instructions):
            raise ConfigError(f"episodes: {len(episodes)} keys for {len(instructions)} instructions; one each would do")
        return states

    def _actions_at(self, best: Tensor) -> NDArray[Any]:
        chosen = self.actions[best]  # [B, D]
        actions: NDArray[Any] = (chosen.argmax(dim=1) if self.agent.world.discrete else chosen).cpu().numpy()
        return actions
