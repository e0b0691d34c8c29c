"""Goals that are the same in every episode: those kept with the agent, or others that it is given."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.bridge import bridge_scores_per_row
from goalbridge.agents.estimators import ScoringBatch
from goalbridge.agents.estimators.resampled import propose, space_filling_order
from goalbridge.agents.expressions import Instruction, say
from goalbridge.agents.goals import GoalSource, stream_of
from goalbridge.agents.instructions import InstructionEncoder, Understanding, log_ratios, understanding
from goalbridge.agents.lru import LRU
from goalbridge.agents.memory import VectorMemory, cached
from goalbridge.agents.planning import (
    TransitionModel,
    find_transitions,
    goal_weights,
    log_action_values,
    value_iteration,
)
from goalbridge.agents.shortest_paths import NODES, GoalPlanner, distances, path_scores
from goalbridge.agents.spec import CandidateActions, as_rows
from goalbridge.configs.checks import ConfigError

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent

PLANNED_GOALS: Final = NODES  # of the goals, how many are planned over: transitions cost their square
INSTRUCTIONS_KEPT: Final = 2048  # whose posteriors, plans and proposals are remembered
DRAWS_KEPT: Final = 100_000  # episodes whose drawn goals are remembered
_STATES_AT_ONCE: Final = 128


@dataclass(frozen=True, eq=False)
class FixedSeen:
    """States [B, S], their instructions and keys."""

    states: Tensor
    instructions: Sequence[Instruction]
    keys: Sequence[Hashable]


@dataclass
class Drawn:
    """The goal that was drawn in an episode, for which instruction, and the episode's random numbers."""

    rng: np.random.Generator
    instruction: Instruction | None = None
    goal: int = 0


class FixedGoals(GoalSource):
    """Goals [M, G]; the arguments are those of `Agent.policy`. settles: whether an episode may settle on one goal."""

    fixed = True

    def __init__(
        self,
        agent: Agent,
        goals: NDArray[np.float32] | None,
        candidates: CandidateActions | None,
        average_noise: bool | None,
        mask_blocked: bool | None,
        seed: int,
        settles: bool,
    ) -> None:
        self.agent, self._seed = agent, seed
        self.rows = _checked_goals(agent, goals)  # [M, G]
        self.actions, execution = _checked_candidates(agent, candidates)  # [A, D], [A, A]
        config = agent.policy_config
        average = config.average_noise if average_noise is None else average_noise
        self._log_execution = execution.log() if average else None
        eliminates = config.eliminate_visited and agent.world.goals_are_states
        # Only coordinates tell who stays near where it was: two pictures, or numbers, just differ.
        settles = settles and eliminates and agent.world.has_coordinates
        masks = config.mask_blocked if mask_blocked is None else mask_blocked
        extent = agent.observation_extent()
        self.memory = VectorMemory(self.rows.float(), execution, extent, eliminates, masks, settles)
        with torch.no_grad():
            self.bridge = agent.encode_goals(self.rows)  # [M, d]
        self.planner = GoalPlanner(agent, self.rows, self.bridge, self.actions)
        self.instructions = InstructionEncoder(agent, in_time=False)
        self._ratios: LRU[Instruction, tuple[Tensor, float]] = LRU(INSTRUCTIONS_KEPT)
        self._values: LRU[Instruction, Tensor] = LRU(INSTRUCTIONS_KEPT)
        self._values_towards: LRU[int, Tensor] = LRU(INSTRUCTIONS_KEPT)
        self._distances: LRU[Instruction, Tensor] = LRU(INSTRUCTIONS_KEPT)
        self._proposed: LRU[tuple[Instruction, int], tuple[Tensor, Tensor]] = LRU(INSTRUCTIONS_KEPT)
        self.reset()

    def reset(self) -> None:
        self.memory.reset()
        self._drawn: LRU[Hashable, Drawn] = LRU(DRAWS_KEPT)

    def read(self, observation: Any, instructions: Sequence[Instruction], keys: Sequence[Hashable]) -> FixedSeen:
        needed = (len(instructions), len(self.agent.world.observation_low))
        try:
            rows = as_rows(observation, self.agent.world.kind, needed[1])  # [B, S]
        except ValueError as error:
            raise ConfigError(f"observation: {error}") from None
        if tuple(rows.shape) != needed:
            raise ConfigError(f"observation: expected shape {needed}, one row an instruction, got {tuple(rows.shape)}")
        bad = ~np.isfinite(rows).all(axis=1)  # [B]
        if bad.any():
            row = int(bad.argmax())
            raise ConfigError(f"observation: row {row}: expected finite numbers, got {rows[row].tolist()}"[:300])
        return FixedSeen(torch.as_tensor(rows.astype(np.float32), device=self.agent.device), instructions, keys)

    def note(self, seen: FixedSeen) -> None:
        self.memory.note(seen.states, seen.instructions, seen.keys)

    def batch(self, seen: FixedSeen) -> FixedBatch:
        encoded = self.agent.encode_state_actions(seen.states.unsqueeze(1), self.actions.unsqueeze(0))  # [B, A, d]
        return FixedBatch(self, seen, encoded, self.memory.eliminate(self.ratios(seen.instructions), seen.keys))

    def adjust(self, seen: FixedSeen, batch: ScoringBatch, scores: Tensor) -> Tensor:
        goals = self.memory.settled(batch.log_bc, seen.keys)  # [B]
        settled = (goals >= 0).nonzero()[:, 0]  # [R]
        if len(settled):
            scores[settled] = self.planner.scores(batch.encoded[settled], goals[settled]).to(scores.dtype)
        if self._log_execution is None:
            return scores
        return torch.logsumexp(scores.unsqueeze(1) + self._log_execution, dim=2)  # [B, A chosen, A executed] -> [B, A]

    def choose(self, seen: FixedSeen, scores: Tensor) -> Tensor:
        best = self.memory.mask(scores, seen.states, seen.keys).argmax(dim=1)  # [B]
        self.memory.chose(seen.states, best, seen.keys)
        return best

    def goals(self, observation: Any) -> NDArray[np.float32]:
        return self.rows.cpu().numpy()

    def posterior(self, instructions: Sequence[Instruction], observation: Any) -> NDArray[np.float32]:
        return self.ratios(instructions).softmax(-1).cpu().numpy()

    def understand(self, instruction: Instruction, observation: Any, likeliest: int) -> Understanding:
        (parsed,) = self.instructions.parsed([instruction])
        ratio, agreement = self._known([instruction])[0]
        return understanding(self.agent, parsed, self.goals(None), ratio, agreement, likeliest)

    def log_terms(self, seen: FixedSeen, actions: Tensor) -> Tensor:
        a = self.agent.encode_state_actions(seen.states, actions)  # [B, d]
        return self.agent.critic_ab(a, self.bridge) + self.ratios(seen.instructions)  # type: ignore[no-any-return]

    def ratios(self, instructions: Sequence[Instruction]) -> Tensor:
        """log p(g | instruction) / p(g), [B, M]."""
        nothing = self.bridge.new_empty(0, len(self.rows))
        return torch.cat([nothing, *(ratio.unsqueeze(0) for ratio, _ in self._known(instructions))])

    def _known(self, instructions: Sequence[Instruction]) -> list[tuple[Tensor, float]]:
        def weigh(new: Sequence[Instruction]) -> list[tuple[Tensor, float]]:
            return [log_ratios(self.agent, parsed, self.bridge) for parsed in self.instructions.parsed(new)]

        return cached(self._ratios, instructions, weigh)

    def draw(self, seen: FixedSeen, log_bc: Tensor, most: int | None = None) -> list[int]:
        """A goal for each episode, of the first `most`; anew where it was ruled out, or something else is asked.

        What is drawn in an episode depends on its key alone.
        """
        chances = log_bc[:, :most].double().cpu()  # [B, M]
        goals = []
        for row, (key, instruction) in enumerate(zip(seen.keys, seen.instructions, strict=True)):
            drawn = self._drawn.get(key) or self._drawn.put(key, Drawn(stream_of(self._seed, key)))
            if drawn.instruction != instruction or chances[row, drawn.goal].isneginf():
                posterior = chances[row].softmax(-1).numpy()  # [M]
                drawn.goal = int(drawn.rng.choice(len(posterior), p=posterior / posterior.sum()))
                drawn.instruction = instruction
            goals.append(drawn.goal)
        return goals

    def values(self, instructions: Sequence[Instruction]) -> Tensor:
        """V [B, M'] of the goals that are planned over."""
        return torch.stack(cached(self._values, instructions, lambda new: map(self._plan, self._wanted(new))))

    def values_towards(self, goals: Sequence[int]) -> Tensor:
        """V [B, M'] where one goal is what counts."""
        single = np.eye(min(PLANNED_GOALS, len(self.rows)))  # [M', M']
        return torch.stack(cached(self._values_towards, goals, lambda new: [self._plan(single[goal]) for goal in new]))

    def _plan(self, weights: NDArray[np.float64]) -> Tensor:
        config = self.agent.policy_config
        values = value_iteration(self._transitions, weights, config.hop_discount, config.max_iterations)
        return torch.as_tensor(values, device=self.bridge.device)

    def _wanted(self, instructions: Sequence[Instruction]) -> list[NDArray[np.float64]]:
        """How much each goal that is planned over is what is asked for, B of [M']."""
        return [goal_weights(ratio[:PLANNED_GOALS].cpu().numpy()) for ratio, _ in self._known(instructions)]

    def distances(self, instructions: Sequence[Instruction]) -> Tensor:
        """How far [B, M'] each goal that is planned over is from what is asked for."""

        def measure(new: Sequence[Instruction]) -> list[Tensor]:
            every = [distances(self.planner.graph, weights) for weights in self._wanted(new)]
            return [torch.as_tensor(away, device=self.bridge.device) for away in every]

        return torch.stack(cached(self._distances, instructions, measure))

    def proposals(self, instructions: Sequence[Instruction], count: int) -> tuple[Tensor, Tensor]:
        """Goals and their log weights, [B, n] each; drawn once for an instruction."""

        def draw(new: Sequence[tuple[Instruction, int]]) -> list[tuple[Tensor, Tensor]]:
            return [propose(ratio, self._order, count, 0.5) for ratio, _ in self._known([one for one, _ in new])]

        which, weights = zip(*cached(self._proposed, [(one, count) for one in instructions], draw), strict=True)
        return torch.stack(which), torch.stack(weights)

    @cached_property
    def _order(self) -> Tensor:
        return torch.as_tensor(space_filling_order(self.rows.cpu().numpy()), device=self.rows.device)

    @cached_property
    def _transitions(self) -> TransitionModel:
        nodes, share = min(PLANNED_GOALS, len(self.rows)), self.agent.policy_config.hop_share
        return find_transitions(self.planner.logits, nodes, len(self.actions), share)


class FixedBatch(ScoringBatch):
    """Episodes that share their goals."""

    def __init__(self, source: FixedGoals, seen: FixedSeen, encoded: Tensor, log_bc: Tensor) -> None:
        self.agent, self.encoded, self.log_bc = source.agent, encoded, log_bc
        self._source, self._seen, self._critic = source, seen, source.agent.critic_ab

    def logits(self) -> Tensor:
        return self._critic(self.encoded, self._source.bridge)  # type: ignore[no-any-return]

    def summed(self, log_bc: Tensor, best_goal: bool = False) -> Tensor:
        return bridge_scores_per_row(self.encoded, log_bc, self._source.bridge, self._critic, best_goal=best_goal)

    def summed_over(self, which: Tensor, log_bc: Tensor) -> Tensor:
        return bridge_scores_per_row(self.encoded, log_bc, self._source.bridge[which], self._critic)

    def towards(self, goals: list[int]) -> Tensor:
        return self._critic.paired(self.encoded, self._source.bridge[goals].unsqueeze(1))

    def language(self) -> Tensor:
        return self._source.instructions.whole([say(one) for one in self._seen.instructions])

    def drawn(self) -> list[int]:
        return self._source.draw(self._seen, self.log_bc)

    def proposed(self, count: int) -> tuple[Tensor, Tensor]:
        return self._source.proposals(self._seen.instructions, count)

    def planned(self, drawn: bool = False) -> Tensor:
        if drawn:
            values = self._source.values_towards(self._source.draw(self._seen, self.log_bc, PLANNED_GOALS))
        else:
            values = self._source.values(self._seen.instructions)
        share = self.agent.policy_config.hop_share
        values = values.masked_fill(self.log_bc[:, :PLANNED_GOALS].isneginf(), 0.0)
        return self._over_nodes(values, lambda logits, worth: log_action_values(logits, worth, share))

    def along_paths(self) -> Tensor:
        away = self._source.distances(self._seen.instructions)  # [B, M']
        away = away.masked_fill(self.log_bc[:, :PLANNED_GOALS].isneginf(), torch.inf)
        nearest = self._source.planner.graph.nearest
        return self._over_nodes(away, lambda logits, values: path_scores(logits, nearest, values))

    def _over_nodes(self, values: Tensor, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Log-scores [B, A] by `score` of logits [b, A, M'] and of what is known of the goals, values [B, M']."""
        parts = [slice(start, start + _STATES_AT_ONCE) for start in range(0, len(values), _STATES_AT_ONCE)]
        bridge = self._source.bridge[:PLANNED_GOALS]  # [M', d]
        scores = torch.cat([score(self._critic(self.encoded[p], bridge), values[p]) for p in parts])
        lost = scores.isneginf().all(dim=1)  # no goal nearby is worth anything: the plain sum sees farther
        if lost.any():
            rest = bridge_scores_per_row(self.encoded[lost], self.log_bc[lost], self._source.bridge, self._critic)
            scores[lost] = rest.to(scores.dtype)
        return scores.to(self.encoded.dtype)


def _checked_goals(agent: Agent, goals: NDArray[np.float32] | None) -> Tensor:
    """[M, G]; ConfigError for what are no goals of the agent's world."""
    rows = agent.bridge_goals
    if goals is not None:
        rows = torch.as_tensor(np.asarray(goals, dtype=np.float32), device=agent.device)
    size = len(agent.world.goal_low)
    if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != size:
        raise ConfigError(f"goals: expected shape [M, {size}], got {tuple(rows.shape)}")
    if not rows.isfinite().all():
        raise ConfigError("goals: expected finite numbers, got NaN or infinity")
    return rows


def _checked_candidates(agent: Agent, candidates: CandidateActions | None) -> tuple[Tensor, Tensor]:
    """Actions [A, D] and what is executed, [A, A]; ConfigError for what are no actions of the agent's world."""
    if candidates is None:
        return agent.candidate_actions, agent.execution
    actions = torch.as_tensor(candidates.actions, device=agent.device)
    if actions.ndim != 2 or actions.shape[1] != agent.world.action_dim:
        raise ConfigError(f"candidates: expected actions [A, {agent.world.action_dim}], got {tuple(actions.shape)}")
    return actions, torch.as_tensor(candidates.execution, dtype=torch.float32, device=agent.device)
