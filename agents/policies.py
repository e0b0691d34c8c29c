"""Policies: how scores of actions come from an instruction, and the choice among them.

Every estimator scores A candidate actions of B states, each with its own instruction, from the same three encoders:

    logsumexp  log E_g exp(f_AB(s, a, g) + f_BC(g, instruction))     Lemma 1 (Che & Eysenbach, ICLR 2025)
    max        the best single goal instead of the expectation
    planned    the bridge crossed as often as it takes (`agents.planning`)
    sample     one goal drawn from p(g | instruction) when the instruction is first met, then f_AB(s, a, g)
    planned_sample  a goal drawn likewise, and planned towards
    direct     f_AB's own similarity of phi_A(s, a) and phi_C(instruction); no goals (Lemmas 2, 3)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.agent import Agent
from agents.bridge import BridgeDiagnostics, bridge_diagnostics, bridge_scores_per_row, goal_posterior
from agents.escape import Escape
from agents.planning import Hops, aims_of, find_hops, hop_scores, propagate
from agents.world import CandidateActions
from configs.schema import POLICIES, ConfigError

PLANNED_GOALS: Final = 1000  # of the bridge goals, how many are planned over: hops cost their square
_STATES_AT_ONCE: Final = 128


class Policy:
    """Chooses, for each state, the candidate action with the highest score.

    agent, name, goals, candidates, average_noise, escape, seed: see `Agent.policy`. The goals' and instructions'
    representations are computed once and kept. "sample" remembers one goal an episode, and `PolicyConfig.escape` what
    changed nothing in it: tell `act` which episode is which, and `reset` when new ones begin.
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
        self.goals = agent.bridge_goals  # [M, G]
        if goals is not None:
            self.goals = torch.as_tensor(np.asarray(goals, dtype=np.float32), device=agent.device)
        if self.goals.ndim != 2 or len(self.goals) == 0 or self.goals.shape[1] != len(agent.world.goal_low):
            raise ConfigError(f"goals: has shape {tuple(self.goals.shape)}, needs [M, {len(agent.world.goal_low)}]")
        if not self.goals.isfinite().all():
            raise ConfigError("goals: hold NaN or infinity; finite ones would do")
        self.actions, execution = agent.candidate_actions, agent.execution  # [A, D], [A, A]
        if candidates is not None:
            self.actions = torch.as_tensor(candidates.actions, device=agent.device)
            if self.actions.ndim != 2 or self.actions.shape[1] != agent.world.action_dim:
                shape = tuple(self.actions.shape)
                raise ConfigError(f"candidates: actions have shape {shape}, need [A, {agent.world.action_dim}]")
            execution = torch.as_tensor(candidates.execution, dtype=torch.float32, device=agent.device)
        average = agent.policy_config.average_noise if average_noise is None else average_noise
        self.log_execution = execution.log() if average else None
        escapes = agent.policy_config.escape if escape is None else escape
        self._escape = Escape(execution, agent.observation_extent()) if escapes else None
        self._seed = seed
        self._rows: dict[str, int] = {}
        self._planned_values: dict[int, Tensor] = {}
        self.reset()
        self._language = torch.empty(0, agent.config.embedding_dim, device=agent.device)  # [K, d]
        self._goal_logits = torch.empty(0, len(self.goals), device=agent.device)  # [K, M]
        with torch.no_grad():
            self._bridge = agent.encode_goals(self.goals)  # [M, d]

    def reset(self) -> None:
        """Forgets the episodes so far (barred actions, sampled goals); what follows repeats what a new policy does."""
        self._rng = np.random.default_rng(self._seed)
        self._sampled: dict[int, tuple[str, int]] = {}
        if self._escape is not None:
            self._escape.forget()

    @torch.no_grad()
    def _know(self, instructions: Sequence[str]) -> Tensor:
        """Row of each instruction [B] in the kept representations, which grow by those not met before."""
        new = [text for text in dict.fromkeys(instructions) if text not in self._rows]
        if new:
            language = self.agent.encode_instructions(new)  # [k, d]
            goal_logits = self.agent.critic_bc(self._bridge, language).T  # [k, M]
            self._language = torch.cat([self._language, language])
            self._goal_logits = torch.cat([self._goal_logits, goal_logits])
            self._rows.update({text: len(self._rows) + i for i, text in enumerate(new)})
        return torch.tensor([self._rows[text] for text in instructions], dtype=torch.long, device=self.agent.device)

    def goal_posterior(self, instructions: Sequence[str]) -> NDArray[np.float32]:
        """p(g_m | instruction) over the bridge goals, [B, M]; each row sums to one: what the agent thinks was meant."""
        rows = self._know(instructions)  # [B]; first, for the kept representations grow by it
        posterior: NDArray[np.float32] = goal_posterior(self._goal_logits[rows]).cpu().numpy()
        return posterior

    @torch.no_grad()
    def scores(
        self, observation: NDArray[np.floating], instructions: Sequence[str], episodes: Sequence[int] | None = None
    ) -> Tensor:
        """Log-scores [B, A] of the candidate actions; comparable within a row, not between rows.

        observation: [B, S]. instructions: B strings. episodes: B keys that tell episodes apart for "sample"
        (0 ... B - 1 if left out).
        """
        states = torch.as_tensor(np.asarray(observation, dtype=np.float32), device=self.agent.device)  # [B, S]
        if isinstance(instructions, str):
            raise ConfigError(
                f"instructions: is one text, {instructions[:60]!r}; a list of one for each state would do"
            )
        needed = (len(instructions), len(self.agent.world.observation_low))
        if tuple(states.shape) != needed:
            raise ConfigError(f"observation: has shape {tuple(states.shape)}, needs {needed}: one row an instruction")
        if episodes is not None and len(episodes) != len(instructions):
            raise ConfigError(f"episodes: {len(episodes)} keys for {len(instructions)} instructions; one each would do")
        rows = self._know(instructions)  # [B]
        encoded = self.agent.encode_state_actions(states.unsqueeze(1), self.actions.unsqueeze(0))  # [B, A, d]
        keys = range(len(instructions)) if episodes is None else episodes
        scores = _ESTIMATORS[self.name](self, encoded, rows, instructions, keys)  # [B, A]
        if self.log_execution is not None:
            by_execution = scores.unsqueeze(1) + self.log_execution  # [B, A chosen, A executed]
            scores = torch.logsumexp(by_execution, dim=2)
        return scores

    def act(
        self, observation: NDArray[np.floating], instructions: Sequence[str], episodes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Actions [B, D]; arguments as `scores`. Remembers what it did: `reset` before other episodes take the keys."""
        keys = range(len(instructions)) if episodes is None else episodes
        scores = self.scores(observation, instructions, keys)  # [B, A]
        if self._escape is None:
            return self._actions_at(scores.argmax(dim=1))
        states = torch.as_tensor(np.asarray(observation, dtype=np.float32), device=self.agent.device)  # [B, S]
        best = self._escape.bar(scores, states, keys).argmax(dim=1)  # [B]
        self._escape.remember(states, best, keys)
        return self._actions_at(best)

    @torch.no_grad()
    def diagnose(
        self, observation: NDArray[np.floating], actions: NDArray[np.floating], instructions: Sequence[str]
    ) -> BridgeDiagnostics:
        """How far LogSumExp can be trusted for each state [B, S], action [B, D] and instruction: [B] each."""
        rows = self._know(instructions)  # [B]
        put = self.agent.bridge_goals.new_tensor
        a = self.agent.encode_state_actions(put(observation), put(actions))  # [B, d]
        distinct, which = rows.unique(return_inverse=True)  # type: ignore[no-untyped-call]  # [K], [B]
        bridge, agent = self._bridge, self.agent
        every = bridge_diagnostics(a, self._language[distinct], bridge, bridge, agent.critic_ab, agent.critic_bc)
        own = torch.arange(len(rows), device=rows.device)
        size, error = every.effective_sample_size[own, which], every.standard_error[own, which]
        return BridgeDiagnostics(size, error, every.arithmetic)

    def _actions_at(self, best: Tensor) -> NDArray[np.float32]:
        actions: NDArray[np.float32] = self.actions[best].cpu().numpy()
        return actions

    def _logsumexp(self, encoded: Tensor, rows: Tensor, _texts: Sequence[str], _keys: Sequence[int]) -> Tensor:
        return bridge_scores_per_row(encoded, self._goal_logits, self._bridge, self.agent.critic_ab, which=rows)

    def _max(self, encoded: Tensor, rows: Tensor, _texts: Sequence[str], _keys: Sequence[int]) -> Tensor:
        goal_logits, critic = self._goal_logits, self.agent.critic_ab
        return bridge_scores_per_row(encoded, goal_logits, self._bridge, critic, which=rows, best_goal=True)

    def _planned(self, encoded: Tensor, rows: Tensor, texts: Sequence[str], keys: Sequence[int]) -> Tensor:
        values = torch.stack([self._values(int(row)) for row in rows])  # [B, M']
        return self._towards(values, encoded, rows, texts, keys)

    def _planned_sample(self, encoded: Tensor, rows: Tensor, texts: Sequence[str], keys: Sequence[int]) -> Tensor:
        aims = np.eye(min(PLANNED_GOALS, len(self.goals)))  # [M', M']
        drawn = zip(keys, texts, rows, strict=True)
        goals = [self._goal_of(key, text, int(row), PLANNED_GOALS) for key, text, row in drawn]  # B
        values = torch.stack([self._values_of(-1 - goal, aims[goal]) for goal in goals])  # [B, M']
        return self._towards(values, encoded, rows, texts, keys)

    def _towards(
        self, values: Tensor, encoded: Tensor, rows: Tensor, texts: Sequence[str], keys: Sequence[int]
    ) -> Tensor:
        """Log-scores [B, A] where goals have the values [B, M']."""
        share, bridge = self.agent.policy_config.hop_share, self._bridge[:PLANNED_GOALS]  # [M', d]
        parts = [slice(start, start + _STATES_AT_ONCE) for start in range(0, len(rows), _STATES_AT_ONCE)]
        scores = torch.cat([hop_scores(self.agent.critic_ab(encoded[p], bridge), values[p], share) for p in parts])
        lost = scores.isneginf().all(dim=1)  # no goal nearby is worth anything: the plain sum sees farther
        if lost.any():
            scores[lost] = self._logsumexp(encoded[lost], rows[lost], texts, keys).to(scores.dtype)
        return scores.to(encoded.dtype)

    def _values(self, row: int) -> Tensor:
        """V [M'] of the goals that are planned over, for one kept instruction."""
        return self._values_of(row, aims_of(self._goal_logits[row, :PLANNED_GOALS].cpu().numpy()))

    def _values_of(self, key: int, aims: NDArray[np.float64]) -> Tensor:
        """V [M'] for aims [M']; worked out once for each key."""
        if key not in self._planned_values:
            config = self.agent.policy_config
            values = propagate(self._hops, aims, config.hop_discount, config.sweeps)
            self._planned_values[key] = torch.as_tensor(values, device=self._bridge.device)
        return self._planned_values[key]

    @cached_property
    def _hops(self) -> Hops:
        agent, bridge, goals = self.agent, self._bridge[:PLANNED_GOALS], self.goals[:PLANNED_GOALS]
        if agent.world.observation_low != agent.world.goal_low:
            raise ConfigError("policy.name=planned: needs goals that are states, for hops from one to the next")

        def logits(start: int, stop: int) -> Tensor:
            a = agent.encode_state_actions(goals[start:stop].unsqueeze(1), self.actions)  # [m, A, d]
            return agent.critic_ab(a, bridge)  # type: ignore[no-any-return]  # [m, A, M']

        return find_hops(logits, len(goals), len(self.actions), agent.policy_config.hop_share)

    def _direct(self, encoded: Tensor, rows: Tensor, _texts: Sequence[str], _keys: Sequence[int]) -> Tensor:
        return self.agent.critic_ab.paired(encoded, self._language[rows].unsqueeze(1))

    def _sample(self, encoded: Tensor, rows: Tensor, texts: Sequence[str], keys: Sequence[int]) -> Tensor:
        goals = [self._goal_of(key, text, int(row)) for key, text, row in zip(keys, texts, rows, strict=True)]  # B
        return self.agent.critic_ab.paired(encoded, self._bridge[goals].unsqueeze(1))

    def _goal_of(self, key: int, text: str, row: int, most: int | None = None) -> int:
        """The bridge goal drawn for this episode, of the first `most`; anew where the instruction is another one."""
        known = self._sampled.get(key)
        if known is None or known[0] != text:
            posterior = goal_posterior(self._goal_logits[row, :most].double()).cpu().numpy()  # [M]
            known = (text, int(self._rng.choice(len(posterior), p=posterior / posterior.sum())))
            self._sampled[key] = known
        return known[1]


_Estimator = Callable[[Policy, Tensor, Tensor, Sequence[str], Sequence[int]], Tensor]
_ESTIMATORS: dict[str, _Estimator] = {
    "logsumexp": Policy._logsumexp,
    "planned": Policy._planned,
    "max": Policy._max,
    "direct": Policy._direct,
    "sample": Policy._sample,
    "planned_sample": Policy._planned_sample,
}
