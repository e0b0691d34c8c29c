"""Acting where every episode has a layout of its own, and what is remembered of each episode.

The estimators are those of `agents.policies`, over each scene's goals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.bridge import goal_posterior
from agents.composition import parse
from agents.planning import hop_scores
from agents.scenes import FOUND, Known, Plan, Scene
from configs.schema import POLICIES, ConfigError
from encoders.grid import OWN
from encoders.readers import GridView, imaginable, read_grids, states_of

if TYPE_CHECKING:
    from agents.agent import Agent

_TIRED: Final = 0.3  # nats by which each time an action was taken in a situation speaks against taking it again


@dataclass
class _Episode:
    """What is remembered of an episode.

    done: parts of a composed instruction. ruled_out: [M] goals of the scene that were tried, from `visited` states.
    aim: the goal that "sample" drew. last: situation and action before. barred, taken: actions in situations; the first
    changed nothing, and no plan counts on them again.
    """

    instruction: str
    view: GridView
    scene: Scene
    known: Known
    ruled_out: NDArray[np.bool_]
    plan: Plan | None = None
    done: frozenset[int] = frozenset()
    begun: bool = False
    aim: int | None = None
    last: tuple[bytes, int] | None = None
    visited: list[NDArray[np.uint8]] = field(default_factory=list)
    barred: set[tuple[bytes, int]] = field(default_factory=set)
    taken: dict[tuple[bytes, int], int] = field(default_factory=dict)

    def enter(self, scene: Scene, view: GridView) -> None:
        """Goes on in another scene: the grid has changed, or more of it has been seen."""
        self.scene, self.plan, self.aim = scene, None, None
        self.taken.clear()  # there is something new to go by
        self.ruled_out = np.zeros(len(scene.rows), dtype=np.bool_)
        for state in self.visited:
            self.ruled_out |= view.alike(scene.rows, state)

    def bar(self, moment: bytes, action: int) -> None:
        """Notes that the action changed nothing in that situation."""
        if (moment, action) not in self.barred:
            self.barred.add((moment, action))
            self.plan = None

    def blocked(self) -> NDArray[np.int64]:
        """Rows of the scene's hops, goal times action, that have been tried in vain."""
        rows: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        for moment, action in self.barred:
            own = np.frombuffer(moment, dtype=np.uint8)[:OWN]
            goals = np.flatnonzero((self.scene.rows[:, :OWN] == own).all(axis=1))
            rows.append(goals * len(self.scene.agent.candidate_actions) + action)
        return np.concatenate(rows)

    def rule_out(self, state: NDArray[np.uint8]) -> None:
        """Notes that the episode went on after `state`: what means the same is not what was asked for."""
        alike = self.view.alike(self.scene.rows, state)  # [M]
        if (alike & ~self.ruled_out).any():
            self.visited.append(state)
            self.ruled_out = self.ruled_out | alike
            if self.aim is not None and self.ruled_out[self.aim]:
                self.aim = None
            if self.plan is not None and (self.plan.aims[0][alike] > 0).any():
                self.plan = None


class ScenePolicy:
    """Chooses, for each agent in its grid, the action with the highest score.

    agent, name, escape, seed: see `Agent.policy`. Remembers of each episode (tell `act` which is which) its layout,
    what has been done of a composed instruction, and, with `escape`, which actions changed nothing where. That an
    episode goes on tells that it has not been where it was sent: goals that mean the same as those tried are ruled out.
    An episode whose grid or instruction is another than before begins anew.
    """

    def __init__(self, agent: Agent, name: str, escape: bool | None = None, seed: int = 0) -> None:
        if name not in POLICIES:
            raise ConfigError(f"policy.name={name}: must be one of {', '.join(POLICIES)}")
        self.agent, self.name, self._seed = agent, name, seed
        self._escapes = agent.policy_config.escape if escape is None else escape
        self._largest = (int(agent.world.observation_high[3]), int(agent.world.observation_high[4]))
        self._known: dict[tuple[str, bool, tuple[int, ...]], Known] = {}
        self.reset()
        if name == "direct":
            agent.meets_language(torch.empty(1, 2 * agent.config.embedding_dim))

    def reset(self) -> None:
        """Forgets the episodes so far."""
        self._rng = np.random.default_rng(self._seed)
        self._episodes: dict[int, _Episode] = {}

    @torch.no_grad()
    def goal_posterior(self, instructions: Sequence[str], observation: Any) -> list[NDArray[np.float32]]:
        """p(g_m | instruction) over each grid's goals, B arrays [M]; the goals are those of `goals`."""
        views = self._read(observation, instructions)
        posteriors = []
        for view, text in zip(views, instructions, strict=True):
            scene, known = Scene(self.agent, view), self._understand(text, view)
            logits = scene.language(known.language[0])
            posteriors.append(goal_posterior(logits).cpu().numpy())
        return posteriors

    def goals(self, observation: Any) -> list[NDArray[np.uint8]]:
        """The goals that each grid allows, B arrays [M, S]."""
        every = self.agent.policy_config.candidate_goals == "all"
        return [view.goals(every) for view in read_grids(observation, self._largest)]

    def act(
        self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None
    ) -> NDArray[np.int64]:
        """Actions [B] for {"grid": [B, W, H, 3], "pose": [B, 3]} and B instructions.

        episodes: B keys that tell episodes apart (0 ... B - 1 if left out).
        """
        views = self._read(observation, instructions, episodes)
        keys = range(len(views)) if episodes is None else episodes
        states = states_of(views)  # [B, S]
        scores = self._scores(views, states, instructions, keys)  # B x [A]
        chosen = np.empty(len(views), dtype=np.int64)
        for row, key in enumerate(keys):
            episode, moment = self._episodes[key], states[row].tobytes()
            chosen[row] = self._choose(episode, moment, scores[row])
            episode.last, episode.begun = (moment, int(chosen[row])), True
        return chosen

    @torch.no_grad()
    def _scores(
        self, views: list[GridView], states: NDArray[np.uint8], instructions: Sequence[str], keys: Sequence[int]
    ) -> list[NDArray[np.float64]]:
        agent = self.agent
        seen = torch.as_tensor(states, device=agent.device)  # [B, S]
        encoded = agent.encode_state_actions(seen.unsqueeze(1), agent.candidate_actions)  # [B, A, d]
        scores = []
        for row, (view, text, key) in enumerate(zip(views, instructions, keys, strict=True)):
            episode, state, a = self._episode(key, view, text), seen[row], encoded[row]
            if episode.begun:
                self._learn_from_going_on(episode, state)
            if self._escapes and episode.last is not None and episode.last[0] == states[row].tobytes():
                episode.bar(*episode.last)
            scores.append(self._estimate(episode, state, a).double().cpu().numpy())
        return scores

    def _estimate(self, episode: _Episode, state: Tensor, a: Tensor) -> Tensor:
        """Log-scores [A] of the actions by the policy's estimator."""
        scene, known = episode.scene, episode.known
        if self.name == "planned":
            if episode.plan is None:
                episode.plan = Plan.of(scene, known, episode.ruled_out, episode.blocked())
            values = episode.plan.values[episode.done]  # [M]
            own = (scene.goals[:, :OWN] == state[:OWN]).all(dim=-1)  # [M]; doors elsewhere may have swung since
            begins_there = not episode.begun and self._fitting(episode, state)  # any action counts that stays there
            worth = torch.as_tensor(values, device=a.device)
            share = self.agent.policy_config.hop_share
            return hop_scores(scene.logits(a), worth, share, None if begins_there else own)
        part = min(known.task.open_parts(episode.done), default=0)
        language = known.language[part]  # [d]
        if self.name == "direct":
            return self.agent.critic_ab.paired(self.agent.meets_language(a), language)
        logits = scene.logits(a)  # [A, M]
        log_bc = scene.language(language)  # [M]
        if not episode.ruled_out.all():
            log_bc = log_bc.masked_fill(torch.as_tensor(episode.ruled_out, device=a.device), -torch.inf)
        if self.name == "sample":
            if episode.aim is None:
                chances = goal_posterior(log_bc.double()).cpu().numpy()
                episode.aim = int(self._rng.choice(len(chances), p=chances / chances.sum()))
            return logits[:, episode.aim]
        joint = logits + log_bc
        return joint.amax(dim=-1) if self.name == "max" else joint.logsumexp(dim=-1)

    def _choose(self, episode: _Episode, moment: bytes, scores: NDArray[np.float64]) -> int:
        if not self._escapes:
            return int(scores.argmax())
        barred = np.array([(moment, action) in episode.barred for action in range(len(scores))])
        worn = np.array([episode.taken.get((moment, action), 0) for action in range(len(scores))])
        usable = np.maximum(scores, -1e6) - _TIRED * worn - 1e9 * (barred & ~barred.all())
        best = int(usable.argmax())
        episode.taken[moment, best] = episode.taken.get((moment, best), 0) + 1
        return best

    def _learn_from_going_on(self, episode: _Episode, state: Tensor) -> None:
        """Rules out what a single instruction cannot have meant; notes which parts of a composed one are now done."""
        task = episode.known.task
        if len(task.parts) == 1:
            episode.rule_out(state.cpu().numpy())
            return
        while newly := self._fitting(episode, state):
            episode.done |= newly
            episode.taken.clear()
            if episode.done == task.all_parts:  # it went on all the same: something was misjudged
                episode.done = frozenset()
                break

    def _fitting(self, episode: _Episode, state: Tensor) -> set[int]:
        """The parts that may be done next and that the present state does."""
        meaning = self.agent.encode_meanings(state.unsqueeze(0))  # [1, d]
        fits = self.agent.critic_bc(meaning, episode.known.language)[0]  # [P]
        best = torch.tensor(episode.known.best, device=fits.device)
        good = (fits >= best + np.log(FOUND)).tolist()
        return {part for part in episode.known.task.open_parts(episode.done) if good[part]}

    def _episode(self, key: int, view: GridView, instruction: str) -> _Episode:
        episode = self._episodes.get(key)
        if episode is None or episode.instruction != instruction or not view.goes_on_from(episode.view):
            scene = Scene(self.agent, view)
            nothing = np.zeros(len(scene.rows), dtype=np.bool_)
            episode = _Episode(instruction, view, scene, self._understand(instruction, view), nothing)
            self._episodes[key] = episode
        elif view.layout != episode.scene.layout:
            episode.known = self._understand(instruction, view)
            episode.enter(Scene(self.agent, view), view)
        episode.view = view
        return episode

    def _understand(self, instruction: str, view: GridView) -> Known:
        partial = bool((view.grid[..., 0] == 0).any())
        key = (instruction, partial, view.grid.shape[:2])
        if key not in self._known:
            task = parse(instruction)
            language = self.agent.encode_instructions(task.parts)  # [P, d]
            things = torch.as_tensor(imaginable(*view.grid.shape[:2]), device=self.agent.device)  # [K, S]
            best = self.agent.critic_bc(self.agent.encode_meanings(things), language).amax(dim=0)  # [P]
            self._known[key] = Known(task, language, tuple(best.tolist()), partial)
        return self._known[key]

    def _read(
        self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None
    ) -> list[GridView]:
        if isinstance(instructions, str):
            shown = instructions[:60]
            raise ConfigError(f"instructions: is one text, {shown!r}; a list of one for each state would do")
        if episodes is not None and len(episodes) != len(instructions):
            raise ConfigError(f"episodes: {len(episodes)} keys for {len(instructions)} instructions; one each would do")
        views = read_grids(observation, self._largest)
        if len(views) != len(instructions):
            raise ConfigError(
                f"observation: {len(views)} grids for {len(instructions)} instructions; one each would do"
            )
        return views
