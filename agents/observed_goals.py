"""Goals that are read off each observation, where every episode has a layout of its own.

A `GoalSet` is what one layout allows, with its representations; it lasts as long as the layout looks the same. A `Plan`
is what each of its goals is worth to an instruction (`agents.planning`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from goalbridge.agents.estimators import ScoringBatch
from goalbridge.agents.expressions import Instruction
from goalbridge.agents.goals import GoalSource, stream_of
from goalbridge.agents.instructions import (
    InstructionEncoder,
    ParsedInstruction,
    Understanding,
    log_fits,
    log_ratios,
    understanding,
)
from goalbridge.agents.lru import LRU
from goalbridge.agents.memory import EPISODES_KEPT
from goalbridge.agents.planning import (
    TransitionModel,
    find_transitions,
    goal_weights,
    log_action_values,
    value_iteration,
)
from goalbridge.configs.checks import ConfigError
from goalbridge.encoders.grid import OWN
from goalbridge.encoders.readers import GridView, imaginable, read_grids, states_of

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent

# A goal fits an instruction if it does so at least so well beside the best imaginable one: what is asked for lies
# within about 3 nats of it wherever it stands, all else below (measured with combinations held out from training).
FOUND: Final = 0.05
FITS_KEPT: Final = 2048  # instructions for which it is known what fits them best
_WORN: Final = 0.3  # nats by which each time an action was taken in a situation speaks against taking it again
_AT_ONCE: Final = 1500  # goals that are read together


class GoalSet:
    """The goals of one layout.

    rows: [M, S]. bridge: [M, d] and meaning: [M, d'], their representations towards actions and language. frontier:
    [M], 1 where a goal looks at what has not been seen. transitions: where actions lead from each, if that was asked.
    """

    def __init__(
        self,
        agent: Agent,
        view: GridView,
        rows: NDArray[np.uint8],
        bridge: Tensor,
        meaning: Tensor,
        left: Tensor | None,
    ) -> None:
        self._critic, self.layout = agent.critic_ab, view.layout
        self.rows, self.bridge, self.meaning = rows, bridge, meaning
        self.frontier = view.frontier(rows).astype(np.float64)  # [M]
        self.transitions: TransitionModel | None = None
        if left is not None:
            share = agent.policy_config.hop_share
            self.transitions = find_transitions(
                lambda start, stop: self.logits_of(left[start:stop]), len(left), left.shape[1], share
            )

    @cached_property
    def _right(self) -> Tensor:  # [d', M]
        return self._critic.right_vectors(self.bridge).T.contiguous()

    def logits_of(self, left: Tensor) -> Tensor:
        """f_AB of state-actions and the goals, [..., M], from the left side of f_AB, [..., d']."""
        return self._critic.logits_from_products(left @ self._right)

    def logits(self, a: Tensor) -> Tensor:
        """f_AB of state-actions [A, d] and the goals, [A, M]."""
        return self._critic(a, self.bridge)  # type: ignore[no-any-return]


def read_goal_sets(agent: Agent, views: Sequence[GridView], plans: bool) -> list[GoalSet]:
    """The goal sets of several views, with their transitions where one `plans`.

    Small ones are read together, which saves calls, but no more than stay in a processor's cache.
    """
    everywhere = agent.policy_config.candidate_goals == "all"
    every = [view.goals(everywhere) for view in views]  # [M, S] each
    found: list[GoalSet] = []
    while len(found) < len(views):
        first = len(found)
        fitting = int(np.searchsorted(np.cumsum([len(rows) for rows in every[first:]]), _AT_ONCE, "right"))
        part = slice(first, first + max(1, fitting))
        counts = [len(rows) for rows in every[part]]
        goals = torch.as_tensor(np.concatenate(every[part]), device=agent.device)  # [sum of M, S]
        bridge, meaning = (torch.split(encode(goals), counts) for encode in (agent.encode_goals, agent.encode_meanings))
        left: Sequence[Tensor | None] = [None] * len(counts)
        if plans:
            a = agent.encode_state_actions(goals.unsqueeze(1), agent.candidate_actions)  # [sum of M, A, d]
            left = torch.split(agent.critic_ab.left_vectors(a), counts)
        read = zip(views[part], every[part], bridge, meaning, left, strict=True)
        found += [GoalSet(agent, *one) for one in read]
    return found


@dataclass(frozen=True, eq=False)
class Grounded:
    """An instruction in layouts of one size.

    best: of each text in it, the f_BC of what fits it best of all that can be imagined. partial: whether a layout is
    seen in part.
    """

    parsed: ParsedInstruction
    best: dict[str, float]
    partial: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """weights: [P, M], how much each goal is what each part asks for. values: [M], for every set of parts done."""

    weights: NDArray[np.float64]
    values: dict[frozenset[int], NDArray[np.float64]]


@dataclass
class ObservedEpisode:
    """What is remembered of an episode.

    done: parts of a composed instruction. ruled_out: [M] goals that were visited in vain, from `visited` states.
    drawn: each part's goal, for who draws one. last: situation and action before. masked, taken: actions in situations;
    the first changed nothing, and no plan counts on them again.
    """

    instruction: Instruction
    view: GridView
    goals: GoalSet
    grounded: Grounded
    rng: np.random.Generator
    ruled_out: NDArray[np.bool_] = field(init=False)
    plan: Plan | None = None
    done: frozenset[int] = frozenset()
    begun: bool = False
    drawn: dict[int, int] = field(default_factory=dict)
    last: tuple[bytes, int] | None = None
    visited: list[NDArray[np.uint8]] = field(default_factory=list)
    masked: set[tuple[bytes, int]] = field(default_factory=set)
    taken: dict[tuple[bytes, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ruled_out = np.zeros(len(self.goals.rows), dtype=np.bool_)

    def enter(self, goals: GoalSet, grounded: Grounded, view: GridView) -> None:
        """Goes on with other goals: the layout has changed, or more of it has been seen."""
        self.goals, self.grounded, self.plan = goals, grounded, None
        self.drawn.clear()
        self.taken.clear()  # there is something new to go by
        self.ruled_out = np.zeros(len(goals.rows), dtype=np.bool_)
        for state in self.visited:
            self.ruled_out |= view.alike(goals.rows, state)

    def blocked(self, actions: int) -> NDArray[np.int64]:
        """Rows of the transitions, goal times action, that have been tried in vain."""
        rows = np.zeros((len(self.goals.rows), actions), dtype=np.bool_)
        for situation, action in self.masked:
            own = np.frombuffer(situation, dtype=np.uint8)[:OWN]
            rows[:, action] |= (self.goals.rows[:, :OWN] == own).all(axis=1)
        return np.flatnonzero(rows)

    def rule_out(self, state: NDArray[np.uint8]) -> None:
        """Notes that the episode went on after `state`: what means the same is not what was asked for."""
        alike = self.view.alike(self.goals.rows, state)  # [M]
        if (alike & ~self.ruled_out).any():
            self.visited.append(state)
            self.ruled_out = self.ruled_out | alike
            self.drawn = {part: goal for part, goal in self.drawn.items() if not self.ruled_out[goal]}
            if self.plan is not None and (self.plan.weights[0][alike] > 0).any():
                self.plan = None

    @property
    def part(self) -> int:
        """The part that is to be done now."""
        return min(self.grounded.parsed.composition.open_parts(self.done), default=0)


@dataclass(frozen=True, eq=False)
class ObservedSeen:
    """Views of B episodes, their states [B, S], instructions and keys."""

    views: list[GridView]
    states: NDArray[np.uint8]
    instructions: Sequence[Instruction]
    keys: Sequence[Hashable]


class ObservedGoals(GoalSource):
    """Goals of grids.

    mask_blocked, seed: see `Agent.policy`. plans: whether the estimator needs to know where actions lead.

    An episode whose layout or instruction is another than before begins anew.
    """

    fixed = False

    def __init__(self, agent: Agent, mask_blocked: bool | None, seed: int, plans: bool) -> None:
        self.agent, self.actions, self._seed, self._plans = agent, agent.candidate_actions, seed, plans
        self._masks = agent.policy_config.mask_blocked if mask_blocked is None else mask_blocked
        self._largest = (int(agent.world.observation_high[3]), int(agent.world.observation_high[4]))
        self.instructions = InstructionEncoder(agent, in_time=True)
        self._grounded: LRU[Any, Grounded] = LRU(FITS_KEPT)
        self.reset()

    def reset(self) -> None:
        self.episodes: LRU[Hashable, ObservedEpisode] = LRU()

    def read(self, observation: Any, instructions: Sequence[Instruction], keys: Sequence[Hashable]) -> ObservedSeen:
        views = self._views(observation, len(instructions))
        return ObservedSeen(views, states_of(views), instructions, keys)

    def _views(self, observation: Any, count: int) -> list[GridView]:
        if observation is None:
            raise ConfigError("observation: expected one for each instruction, for goals are read off it, got none")
        views = read_grids(observation, self._largest)
        if len(views) != count:
            raise ConfigError(f"observation: expected a grid for each of {count} instructions, got {len(views)}")
        return views

    def note(self, seen: ObservedSeen) -> None:
        for episode, state in zip(self._episodes_of(seen), seen.states, strict=True):
            if episode.begun:
                self._learn_from_going_on(episode, state)
            last = episode.last
            if self._masks and last is not None and last[0] == state.tobytes() and last not in episode.masked:
                episode.masked.add(last)  # it changed nothing
                episode.plan = None

    def batch(self, seen: ObservedSeen) -> ObservedBatch:
        states = torch.as_tensor(seen.states, device=self.agent.device)  # [B, S]
        encoded = self.agent.encode_state_actions(states.unsqueeze(1), self.actions)  # [B, A, d]
        return ObservedBatch(self, self._episodes_of(seen), seen, encoded)

    def choose(self, seen: ObservedSeen, scores: Tensor) -> Tensor:
        rows = scores.double().cpu().numpy()  # [B, A]
        chosen = [
            self._choose(episode, state.tobytes(), row)
            for episode, state, row in zip(self._episodes_of(seen), seen.states, rows, strict=True)
        ]
        return torch.tensor(chosen, dtype=torch.long, device=self.agent.device)

    def _choose(self, episode: ObservedEpisode, situation: bytes, scores: NDArray[np.float64]) -> int:
        best = int(scores.argmax())
        if self._masks:
            masked = np.array([(situation, action) in episode.masked for action in range(len(scores))])
            worn = np.array([episode.taken.get((situation, action), 0) for action in range(len(scores))])
            usable = np.maximum(scores, -1e6) - _WORN * worn - 1e9 * (masked & ~masked.all())
            best = int(usable.argmax())
            episode.taken[situation, best] = episode.taken.get((situation, best), 0) + 1
        episode.last, episode.begun = (situation, best), True
        return best

    def goals(self, observation: Any) -> list[NDArray[np.uint8]]:
        every = self.agent.policy_config.candidate_goals == "all"
        return [view.goals(every) for view in read_grids(observation, self._largest)]

    def posterior(self, instructions: Sequence[Instruction], observation: Any) -> list[NDArray[np.float32]]:
        views = self._views(observation, len(instructions))
        sets = read_goal_sets(self.agent, views, plans=False)
        return [
            self.fits(self._ground(text, view), goals.meaning, 0).softmax(-1).cpu().numpy()
            for text, view, goals in zip(instructions, views, sets, strict=True)
        ]

    def understand(self, instruction: Instruction, observation: Any, likeliest: int) -> Understanding:
        (view,) = self._views(observation, 1)
        (goals,) = read_goal_sets(self.agent, [view], plans=False)
        grounded = self._ground(instruction, view)
        agreement = log_ratios(self.agent, grounded.parsed, goals.meaning)[1]
        fits = self.fits(grounded, goals.meaning, 0)  # [M]
        return understanding(self.agent, grounded.parsed, goals.rows, fits, agreement, likeliest)

    def log_terms(self, seen: ObservedSeen, actions: Tensor) -> Tensor:
        states = torch.as_tensor(seen.states, device=self.agent.device)
        a = self.agent.encode_state_actions(states, actions)  # [B, d]
        rows = []
        for one, text, view in zip(a, seen.instructions, seen.views, strict=True):
            (goals,) = read_goal_sets(self.agent, [view], plans=False)
            rows.append(goals.logits(one.unsqueeze(0))[0] + self.fits(self._ground(text, view), goals.meaning, 0))
        return pad_sequence(rows, batch_first=True, padding_value=-torch.inf)

    def fulfilment(self, instruction: str) -> Callable[[Any], bool]:
        """Whether an agent that follows an instruction has come where, by its own reading, the instruction leads.

        A state is there if it fits at least `FOUND` times as well as the best goal that is seen (and, where not all is
        seen, as the best imaginable one). Parts of a composed instruction are ticked off in their order.
        """
        done: frozenset[int] = frozenset()

        @torch.no_grad()
        def arrived(observation: Any) -> bool:
            nonlocal done
            (view,) = self._views(observation, 1)
            grounded, goals = self._ground(instruction, view), view.goals()
            composition = grounded.parsed.composition
            imagined = [imaginable(*view.grid.shape[:2])] if grounded.partial else []
            meaning = self._meaning(np.concatenate([goals, states_of([view]), *imagined]))  # [M + 1 + I, d']
            here = set()
            for part in composition.all_parts:
                fits = self.fits(grounded, meaning, part).double().cpu().numpy()  # [M + 1 + I]
                if goal_weights(fits[len(goals)], fits.max()) >= FOUND:
                    here.add(part)
            while newly := here.intersection(composition.open_parts(done)):
                done |= newly
            return done == composition.all_parts

        return arrived

    def fits(self, grounded: Grounded, meaning: Tensor, part: int) -> Tensor:
        """How much worse goals, meaning [M, d'], fit a part than what fits it best, in nats, [M]."""
        return log_fits(self.agent, grounded.parsed, meaning, part, grounded.best)

    def _ground(self, instruction: Instruction, view: GridView) -> Grounded:
        partial = bool((view.grid[..., 0] == 0).any())
        key = (instruction, partial, view.grid.shape[:2])
        found = self._grounded.get(key)
        if found is None:
            agent, (parsed,) = self.agent, self.instructions.parsed([instruction])
            language = torch.stack([encoded.language for encoded in parsed.texts.values()])  # [K, d']
            things = torch.as_tensor(imaginable(*view.grid.shape[:2]), device=agent.device)  # [I, S]
            best = agent.critic_bc(agent.encode_meanings(things), language).amax(dim=0).tolist()  # K
            found = self._grounded.put(key, Grounded(parsed, dict(zip(parsed.texts, best, strict=True)), partial))
        return found

    def _learn_from_going_on(self, episode: ObservedEpisode, state: NDArray[np.uint8]) -> None:
        """Rules out what a single instruction cannot have meant; notes which parts of a composed one are now done."""
        composition = episode.grounded.parsed.composition
        if len(composition.parts) == 1:
            episode.rule_out(state)
            return
        meaning = self._meaning(state[None])  # [1, d']
        while newly := self.fitting(episode, meaning):
            episode.done |= newly
            episode.taken.clear()
            if episode.done == composition.all_parts:  # it went on all the same: something was misjudged
                episode.done = frozenset()
                break

    def _meaning(self, states: NDArray[np.uint8]) -> Tensor:
        return self.agent.encode_meanings(torch.as_tensor(states, device=self.agent.device))

    def fitting(self, episode: ObservedEpisode, meaning: Tensor) -> set[int]:
        """The parts that may be done next and that a state of that meaning [1, d'] does."""
        waiting = episode.grounded.parsed.composition.open_parts(episode.done)
        return {part for part in waiting if float(self.fits(episode.grounded, meaning, part)) >= np.log(FOUND)}

    def _episodes_of(self, seen: ObservedSeen) -> list[ObservedEpisode]:
        """The episodes, begun anew where what is seen or asked for cannot be a later moment of what is remembered."""
        known = [self.episodes.get(key) for key in seen.keys]
        going = [
            episode if episode and episode.instruction == text and view.goes_on_from(episode.view) else None
            for episode, view, text in zip(known, seen.views, seen.instructions, strict=True)
        ]
        unread = [
            row
            for row, (episode, view) in enumerate(zip(going, seen.views, strict=True))
            if episode is None or episode.goals.layout != view.layout
        ]
        sets = read_goal_sets(self.agent, [seen.views[row] for row in unread], self._plans)
        for row, goals in zip(unread, sets, strict=True):
            view, text, key = seen.views[row], seen.instructions[row], seen.keys[row]
            grounded, episode = self._ground(text, view), going[row]
            if episode is not None:
                episode.enter(goals, grounded, view)
                continue
            if key not in self.episodes and len(self.episodes) >= max(EPISODES_KEPT, len(going)):
                self.episodes.forget_oldest()
            rng = stream_of(self._seed, key)
            going[row] = self.episodes.put(key, ObservedEpisode(text, view, goals, grounded, rng))
        found = [episode for episode in going if episode is not None]
        for episode, view in zip(found, seen.views, strict=True):
            episode.view = view
        return found

    def draw(self, episode: ObservedEpisode, part: int, chances: NDArray[np.float64]) -> int:
        """The goal drawn for one part, of chances [M] in any scale; kept until it is ruled out."""
        if part not in episode.drawn:
            episode.drawn[part] = int(episode.rng.choice(len(chances), p=chances / chances.sum()))
        return episode.drawn[part]

    def plan(self, episode: ObservedEpisode, drawn: bool) -> Plan:
        """What each goal is worth at each stage, worked out from the end backwards; kept while it holds.

        A part's goals are worth as much as what remains from there. drawn: of each part one goal counts.
        """
        if episode.plan is None:
            goals, composition, config = episode.goals, episode.grounded.parsed.composition, self.agent.policy_config
            assert goals.transitions is not None
            transitions = goals.transitions.without(episode.blocked(len(self.actions)))
            weights = np.stack([self._wanted(episode, part) for part in range(len(composition.parts))])  # [P, M]
            if drawn:
                chosen = [self.draw(episode, part, chances) for part, chances in enumerate(weights)]  # P
                weights = np.eye(weights.shape[1])[chosen]
            values: dict[frozenset[int], NDArray[np.float64]] = {composition.all_parts: np.ones(len(goals.rows))}
            for done in composition.stages()[1:]:
                options = [weights[part] * values[done | {part}] for part in composition.open_parts(done)]  # each [M]
                best = np.maximum.reduce(options)
                values[done] = value_iteration(transitions, best, config.hop_discount, config.max_iterations)
            episode.plan = Plan(weights, values)
        return episode.plan

    def _wanted(self, episode: ObservedEpisode, part: int) -> NDArray[np.float64]:
        """How much each goal is what one part asks for, [M] in [0, 1]; the frontier where nothing seen fits.

        Where there is no frontier either, what fits best.
        """
        goals, grounded = episode.goals, episode.grounded
        fits = self.fits(grounded, goals.meaning, part).cpu().numpy()  # [M]
        if not episode.ruled_out.all():
            fits = np.where(episode.ruled_out, -np.inf, fits)
        weights = goal_weights(fits, 0.0 if grounded.partial else None, FOUND)  # [M]
        if grounded.partial and weights.max(initial=0.0) < FOUND:
            return goals.frontier if goals.frontier.any() else goal_weights(fits)
        return weights

    def begins_where_sent(self, episodes: Sequence[ObservedEpisode], states: NDArray[np.uint8]) -> list[int]:
        """Rows of episodes that have not begun and stand where they are sent."""
        rows = [row for row, episode in enumerate(episodes) if not episode.begun]
        meanings = self._meaning(states[rows]) if rows else ()
        return [row for row, one in zip(rows, meanings, strict=True) if self.fitting(episodes[row], one.unsqueeze(0))]


class ObservedBatch(ScoringBatch):
    """Episodes with goals of their own, [B, M] with M of the largest set."""

    def __init__(
        self, source: ObservedGoals, episodes: list[ObservedEpisode], seen: ObservedSeen, encoded: Tensor
    ) -> None:
        self.agent, self.encoded = source.agent, encoded
        self._source, self._episodes, self._seen = source, episodes, seen

    @cached_property
    def log_bc(self) -> Tensor:  # type: ignore[override]
        rows = []
        for episode in self._episodes:
            fits = self._source.fits(episode.grounded, episode.goals.meaning, episode.part)  # [M]
            if not episode.ruled_out.all():
                fits = fits.masked_fill(torch.as_tensor(episode.ruled_out, device=fits.device), -torch.inf)
            rows.append(fits)
        return pad_sequence(rows, batch_first=True, padding_value=-torch.inf)

    def logits(self) -> Tensor:
        every = [episode.goals.logits(a).T for episode, a in zip(self._episodes, self.encoded, strict=True)]  # [M, A]
        return pad_sequence(every, batch_first=True).transpose(1, 2).contiguous()

    def language(self) -> Tensor:
        parts = [episode.grounded.parsed.composition.parts[episode.part] for episode in self._episodes]
        return self._source.instructions.whole(parts)

    def drawn(self) -> list[int]:
        found = []
        for episode, log_bc in zip(self._episodes, self.log_bc, strict=True):
            own = log_bc[: len(episode.goals.rows)].double()  # [M]
            found.append(self._source.draw(episode, episode.part, own.softmax(-1).cpu().numpy()))
        return found

    def planned(self, drawn: bool = False) -> Tensor:
        """All at once: of tensors this small it is the calls that cost."""
        agent, states = self.agent, self._seen.states[:, :OWN]
        left = agent.critic_ab.left_vectors(self.encoded)  # [B, A, d']
        most = max(len(episode.goals.rows) for episode in self._episodes)  # M
        logits = left.new_full((*left.shape[:2], most), -torch.inf)  # [B, A, M]
        worth = np.zeros((len(self._episodes), most))  # [B, M]
        own = np.zeros((len(self._episodes), most), dtype=np.bool_)  # [B, M]
        for row, episode in enumerate(self._episodes):
            goals, count = episode.goals, len(episode.goals.rows)
            logits[row, :, :count] = goals.logits_of(left[row])
            worth[row, :count] = self._source.plan(episode, drawn).values[episode.done]
            own[row, :count] = (goals.rows[:, :OWN] == states[row]).all(axis=1)  # doors elsewhere may have swung since
        own[self._source.begins_where_sent(self._episodes, self._seen.states)] = False  # any action counts that stays
        here, values = (torch.as_tensor(array, device=logits.device) for array in (own, worth))
        return log_action_values(logits, values, agent.policy_config.hop_share, here)
