"""Estimators: how scores of actions come from an instruction.

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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.bridge import bridge_scores_per_row, goal_posterior
from goalbridge.agents.expressions import Instruction
from goalbridge.agents.planning import Hops, aims_of, find_hops, hop_scores, propagate
from goalbridge.agents.proposals import propose, space_filling_order
from goalbridge.agents.shortest_paths import NODES, Ways, distances, road_scores
from goalbridge.configs.checks import ConfigError

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent
    from goalbridge.agents.hearing import Hearing

PLANNED_GOALS: Final = NODES  # of the bridge goals, how many are planned over: hops cost their square
_STATES_AT_ONCE: Final = 128


@dataclass(frozen=True, eq=False)
class Moment:
    """What an estimator goes by.

    encoded: [B, A, d], phi_A. rows: [B] of what was heard. log_bc: [B, M], log p(g | instruction) up to a constant,
    -inf for goals that were tried. instructions, keys: B each, the keys telling episodes apart.
    """

    encoded: Tensor
    rows: Tensor
    log_bc: Tensor
    instructions: Sequence[Instruction]
    keys: Sequence[int]


class Estimators:
    """The estimators of one policy, and what they keep: drawn goals, plans.

    agent: whose critics. goals, bridge: [M, G] and [M, d]. actions: [A, D]. heard: the instructions so far.
    ways: over those goals. seed: of what is drawn.
    """

    def __init__(
        self, agent: Agent, goals: Tensor, bridge: Tensor, actions: Tensor, heard: Hearing, ways: Ways, seed: int
    ) -> None:
        self._agent, self._goals, self._bridge, self._actions = agent, goals, bridge, actions
        self._heard, self._ways, self._seed = heard, ways, seed
        self._planned_values: dict[int, Tensor] = {}
        self._distances: dict[int, Tensor] = {}
        self._proposed: dict[int, tuple[Tensor, Tensor]] = {}
        self.reset()

    def reset(self) -> None:
        """Forgets the episodes so far."""
        self._rng = np.random.default_rng(self._seed)
        self.drawn: dict[int, tuple[Instruction, int]] = {}

    def logsumexp(self, moment: Moment) -> Tensor:
        """[B, A]."""
        return bridge_scores_per_row(moment.encoded, moment.log_bc, self._bridge, self._agent.critic_ab)

    def max(self, moment: Moment) -> Tensor:
        """[B, A]."""
        critic = self._agent.critic_ab
        return bridge_scores_per_row(moment.encoded, moment.log_bc, self._bridge, critic, best_goal=True)

    def tempered(self, moment: Moment) -> Tensor:
        """[B, A]."""
        log_bc = moment.log_bc / self._agent.policy_config.language_temperature
        return bridge_scores_per_row(moment.encoded, log_bc, self._bridge, self._agent.critic_ab)

    def resampled(self, moment: Moment) -> Tensor:
        """[B, A]."""
        proposals = [self._proposals(int(row)) for row in moment.rows]  # B x ([n], [n])
        which = torch.stack([rows for rows, _ in proposals])  # [B, n]
        log_bc = moment.log_bc.gather(1, which) + torch.stack([weights for _, weights in proposals])  # [B, n]
        scores = bridge_scores_per_row(moment.encoded, log_bc, self._bridge[which], self._agent.critic_ab)
        tried = log_bc.isneginf().all(dim=1)  # all that was drawn: only the whole bridge can tell what remains
        if tried.any():
            critic = self._agent.critic_ab
            scores[tried] = bridge_scores_per_row(moment.encoded[tried], moment.log_bc[tried], self._bridge, critic)
        return scores

    def likeliest(self, moment: Moment) -> Tensor:
        """[B, A]."""
        best = self._bridge[moment.log_bc.argmax(dim=1)]  # [B, d]
        return self._agent.critic_ab.paired(moment.encoded, best.unsqueeze(1))

    def sample(self, moment: Moment) -> Tensor:
        """[B, A]."""
        return self._agent.critic_ab.paired(moment.encoded, self._bridge[self._draw(moment)].unsqueeze(1))

    def direct(self, moment: Moment) -> Tensor:
        """[B, A]."""
        return self._agent.critic_ab.paired(moment.encoded, self._heard.language(moment.instructions).unsqueeze(1))

    def planned(self, moment: Moment) -> Tensor:
        """[B, A]."""
        return self._towards(moment, torch.stack([self._values(int(row)) for row in moment.rows]))

    def planned_sample(self, moment: Moment) -> Tensor:
        """[B, A]."""
        aims = np.eye(min(PLANNED_GOALS, len(self._goals)))  # [M', M']
        drawn = self._draw(moment, PLANNED_GOALS)  # B
        return self._towards(moment, torch.stack([self._values_of(-1 - goal, aims[goal]) for goal in drawn]))

    def shortest(self, moment: Moment) -> Tensor:
        """[B, A]."""
        away = torch.stack([self._away(int(row)) for row in moment.rows])  # [B, M']
        away = away.masked_fill(moment.log_bc[:, :PLANNED_GOALS].isneginf(), torch.inf)
        return self._by_hops(moment, away, lambda logits, values: road_scores(logits, self._ways.roads.nearest, values))

    def _draw(self, moment: Moment, most: int | None = None) -> list[int]:
        """The goal drawn for each episode, of the first `most`; anew where it was tried, or something else is asked."""
        log_bc = moment.log_bc[:, :most].double().cpu()  # [B, M]
        goals = []
        for row, (key, instruction) in enumerate(zip(moment.keys, moment.instructions, strict=True)):
            known = self.drawn.get(key)
            if known is None or known[0] != instruction or log_bc[row, known[1]].isneginf():
                posterior = goal_posterior(log_bc[row]).numpy()  # [M]
                known = (instruction, int(self._rng.choice(len(posterior), p=posterior / posterior.sum())))
                self.drawn[key] = known
            goals.append(known[1])
        return goals

    def _proposals(self, row: int) -> tuple[Tensor, Tensor]:
        """Goals [n] and their log weights [n] for one instruction that was heard; drawn once."""
        if row not in self._proposed:
            count = self._agent.policy_config.proposals
            self._proposed[row] = propose(self._heard.logits[row], self._order, count, 0.5)
        return self._proposed[row]

    @cached_property
    def _order(self) -> Tensor:
        return torch.as_tensor(space_filling_order(self._goals.cpu().numpy()), device=self._goals.device)

    def _towards(self, moment: Moment, values: Tensor) -> Tensor:
        """Log-scores [B, A] where goals have the values [B, M']."""
        share = self._agent.policy_config.hop_share
        values = values.masked_fill(moment.log_bc[:, :PLANNED_GOALS].isneginf(), 0.0)
        return self._by_hops(moment, values, lambda logits, worth: hop_scores(logits, worth, share))

    def _by_hops(self, moment: Moment, values: Tensor, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Log-scores [B, A] by `score` of logits [b, A, M'] and of what is known of the goals, values [B, M']."""
        parts = [slice(start, start + _STATES_AT_ONCE) for start in range(0, len(values), _STATES_AT_ONCE)]
        logits, bridge = self._agent.critic_ab, self._bridge[:PLANNED_GOALS]  # [M', d]
        scores = torch.cat([score(logits(moment.encoded[p], bridge), values[p]) for p in parts])
        lost = scores.isneginf().all(dim=1)  # no goal nearby is worth anything: the plain sum sees farther
        if lost.any():
            everything = bridge_scores_per_row(moment.encoded[lost], moment.log_bc[lost], self._bridge, logits)
            scores[lost] = everything.to(scores.dtype)
        return scores.to(moment.encoded.dtype)

    def _values(self, row: int) -> Tensor:
        """V [M'] of the goals that are planned over, for one instruction that was heard."""
        return self._values_of(row, aims_of(self._heard.logits[row, :PLANNED_GOALS].cpu().numpy()))

    def _values_of(self, key: int, aims: NDArray[np.float64]) -> Tensor:
        """V [M'] for aims [M']; worked out once for each key."""
        if key not in self._planned_values:
            config = self._agent.policy_config
            values = propagate(self._hops, aims, config.hop_discount, config.sweeps)
            self._planned_values[key] = torch.as_tensor(values, device=self._bridge.device)
        return self._planned_values[key]

    def _away(self, row: int) -> Tensor:
        """How far [M'] each goal that is planned over is from what one heard instruction asks for."""
        if row not in self._distances:
            self._require_states("shortest")
            aims = aims_of(self._heard.logits[row, :PLANNED_GOALS].cpu().numpy())
            self._distances[row] = torch.as_tensor(distances(self._ways.roads, aims), device=self._bridge.device)
        return self._distances[row]

    def _require_states(self, name: str) -> None:
        if not self._agent.world.goals_are_states:
            raise ConfigError(f"policy.name={name}: needs goals that are states, for hops from one to the next")

    @cached_property
    def _hops(self) -> Hops:
        agent, bridge, goals = self._agent, self._bridge[:PLANNED_GOALS], self._goals[:PLANNED_GOALS]
        self._require_states("planned")

        def logits(start: int, stop: int) -> Tensor:
            a = agent.encode_state_actions(goals[start:stop].unsqueeze(1), self._actions)  # [m, A, d]
            return agent.critic_ab(a, bridge)  # type: ignore[no-any-return]  # [m, A, M']

        return find_hops(logits, len(goals), len(self._actions), agent.policy_config.hop_share)


ESTIMATORS: Final[dict[str, Callable[[Estimators, Moment], Tensor]]] = {
    "logsumexp": Estimators.logsumexp,
    "max": Estimators.max,
    "tempered": Estimators.tempered,
    "resampled": Estimators.resampled,
    "likeliest": Estimators.likeliest,
    "sample": Estimators.sample,
    "planned": Estimators.planned,
    "planned_sample": Estimators.planned_sample,
    "shortest": Estimators.shortest,
    "direct": Estimators.direct,
}
