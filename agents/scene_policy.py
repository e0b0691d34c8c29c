"""Acting where every episode has a layout of its own.

The estimators are those of `agents.policies`, over each scene's goals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.bridge import goal_posterior
from goalbridge.agents.episodes import Episode
from goalbridge.agents.planning import hop_scores
from goalbridge.agents.scenes import FOUND, Known, Plan, read_scenes
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.schema import PLANNED, POLICIES
from goalbridge.encoders.grid import OWN
from goalbridge.encoders.readers import GridView, read_grids, states_of

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent

_TIRED: Final = 0.3  # nats by which each time an action was taken in a situation speaks against taking it again


class ScenePolicy:
    """Chooses, for each agent in its grid, the action with the highest score.

    agent, name, escape, seed: see `Agent.policy`. Remembers of each episode (tell `act` which is which) its layout,
    what has been done of a composed instruction, and, with `escape`, which actions changed nothing where. That an
    episode goes on tells that it has not been where it was sent: goals that mean the same as those tried are ruled out.
    An episode whose grid or instruction is another than before begins anew.
    """

    def __init__(self, agent: Agent, name: str, escape: bool | None = None, seed: int = 0) -> None:
        possible = [one for one in POLICIES if one not in ("resampled", "shortest")]  # a grid's goals are few
        if name not in possible:
            raise ConfigError(f"policy.name={name}: must be one of {', '.join(possible)} in grids")
        self.agent, self.name, self._seed = agent, name, seed
        self._escapes = agent.policy_config.escape if escape is None else escape
        self._largest = (int(agent.world.observation_high[3]), int(agent.world.observation_high[4]))
        self._known: dict[tuple[str, bool, tuple[int, ...]], Known] = {}
        self.reset()
        if name == "direct":
            agent.language_part(torch.empty(1, 2 * agent.config.embedding_dim))

    def reset(self) -> None:
        """Forgets the episodes so far."""
        self._rng = np.random.default_rng(self._seed)
        self._episodes: dict[int, Episode] = {}

    @torch.no_grad()
    def goal_posterior(self, instructions: Sequence[str], observation: Any) -> list[NDArray[np.float32]]:
        """p(g_m | instruction) over each grid's goals, B arrays [M]; the goals are those of `goals`."""
        views = self._read(observation, instructions)
        posteriors = []
        for view, text in zip(views, instructions, strict=True):
            (scene,) = read_scenes(self.agent, [view])
            fits = self._understand(text, view).fits(scene.meaning, 0)  # [M]
            posteriors.append(goal_posterior(fits).cpu().numpy())
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
        episodes = self._episodes_of(keys, views, instructions)
        for row, episode in enumerate(episodes):
            if episode.begun:
                self._learn_from_going_on(episode, seen[row])
            if self._escapes and episode.last is not None and episode.last[0] == states[row].tobytes():
                episode.bar(*episode.last)
        if self.name in PLANNED:
            return list(self._planned(episodes, seen, encoded).cpu().numpy())
        rows = zip(episodes, encoded, strict=True)
        return [self._estimate(episode, a).double().cpu().numpy() for episode, a in rows]

    def _planned(self, episodes: Sequence[Episode], seen: Tensor, encoded: Tensor) -> Tensor:
        """Log-scores [B, A] by each episode's plan, all at once: of tensors this small it is the calls that cost."""
        states = seen[:, :OWN].cpu().numpy()
        left = self.agent.critic_ab.left_vectors(encoded)  # [B, A, d']
        most = max(len(episode.scene.rows) for episode in episodes)  # M
        logits = left.new_full((*left.shape[:2], most), -torch.inf)  # [B, A, M]
        worth, own = np.zeros((len(episodes), most)), np.zeros((len(episodes), most), dtype=np.bool_)  # [B, M] each
        for row, episode in enumerate(episodes):
            scene, count = episode.scene, len(episode.scene.rows)
            if episode.plan is None:
                episode.plan = self._plan(episode)
            logits[row, :, :count] = scene.logits_of(left[row])
            worth[row, :count] = episode.plan.values[episode.done]
            own[row, :count] = (scene.rows[:, :OWN] == states[row]).all(axis=1)  # doors elsewhere may have swung since
        begins = [row for row, episode in enumerate(episodes) if not episode.begun]
        for row, meaning in zip(begins, self.agent.encode_meanings(seen[begins]) if begins else (), strict=True):
            if self._fitting(episodes[row], meaning):
                own[row] = False  # it begins where it is sent: any action counts that stays there
        here, values = (torch.as_tensor(array, device=logits.device) for array in (own, worth))
        return hop_scores(logits, values, self.agent.policy_config.hop_share, here)

    def _estimate(self, episode: Episode, a: Tensor) -> Tensor:
        """Log-scores [A] of the actions by an estimator that does not plan."""
        scene, known = episode.scene, episode.known
        part = min(known.task.open_parts(episode.done), default=0)
        if self.name == "direct":
            language = self.agent.encode_instructions([known.task.parts[part]])[0]  # [d]
            return self.agent.critic_ab.paired(self.agent.language_part(a), language)
        logits = scene.logits(a)  # [A, M]
        log_bc = known.fits(scene.meaning, part)  # [M]
        if not episode.ruled_out.all():
            log_bc = log_bc.masked_fill(torch.as_tensor(episode.ruled_out, device=a.device), -torch.inf)
        if self.name == "sample":
            return logits[:, self._draw(episode, part, goal_posterior(log_bc.double()).cpu().numpy())]
        if self.name == "likeliest":
            return logits[:, int(log_bc.argmax())]
        if self.name == "tempered":
            log_bc = log_bc / self.agent.policy_config.language_temperature
        joint = logits + log_bc
        return joint.amax(dim=-1) if self.name == "max" else joint.logsumexp(dim=-1)

    def _draw(self, episode: Episode, part: int, chances: NDArray[np.float64]) -> int:
        """The goal drawn for one part of an episode's task, of chances [M] in any scale; kept until it is ruled out."""
        if part not in episode.drawn:
            episode.drawn[part] = int(self._rng.choice(len(chances), p=chances / chances.sum()))
        return episode.drawn[part]

    def _plan(self, episode: Episode) -> Plan:
        scene, known, blocked = episode.scene, episode.known, episode.blocked()
        if self.name == "planned":
            return Plan.of(scene, known, episode.ruled_out, blocked)

        def one_goal(part: int, aim: NDArray[np.float64]) -> NDArray[np.float64]:
            chosen = np.zeros_like(aim)  # [M]
            chosen[self._draw(episode, part, aim)] = 1.0
            return chosen

        return Plan.of(scene, known, episode.ruled_out, blocked, one_goal)

    def _choose(self, episode: Episode, moment: bytes, scores: NDArray[np.float64]) -> int:
        if not self._escapes:
            return int(scores.argmax())
        barred = np.array([(moment, action) in episode.barred for action in range(len(scores))])
        worn = np.array([episode.taken.get((moment, action), 0) for action in range(len(scores))])
        usable = np.maximum(scores, -1e6) - _TIRED * worn - 1e9 * (barred & ~barred.all())
        best = int(usable.argmax())
        episode.taken[moment, best] = episode.taken.get((moment, best), 0) + 1
        return best

    def _learn_from_going_on(self, episode: Episode, state: Tensor) -> None:
        """Rules out what a single instruction cannot have meant; notes which parts of a composed one are now done."""
        task = episode.known.task
        if len(task.parts) == 1:
            episode.rule_out(state.cpu().numpy())
            return
        meaning = self.agent.encode_meanings(state)  # [d']
        while newly := self._fitting(episode, meaning):
            episode.done |= newly
            episode.taken.clear()
            if episode.done == task.all_parts:  # it went on all the same: something was misjudged
                episode.done = frozenset()
                break

    def _fitting(self, episode: Episode, meaning: Tensor) -> set[int]:
        """The parts that may be done next and that a state of that meaning [d'] does."""
        known, waiting = episode.known, episode.known.task.open_parts(episode.done)
        return {part for part in waiting if float(known.fits(meaning.unsqueeze(0), part)) >= np.log(FOUND)}

    def _episodes_of(self, keys: Sequence[int], views: list[GridView], instructions: Sequence[str]) -> list[Episode]:
        """The episodes of those keys, begun anew where what is seen or asked for cannot be a later moment."""
        goes_on = [
            key in self._episodes and self._episodes[key].goes_on(view, text)
            for key, view, text in zip(keys, views, instructions, strict=True)
        ]
        unread = [
            row
            for row, (key, view) in enumerate(zip(keys, views, strict=True))
            if not goes_on[row] or view.layout != self._episodes[key].scene.layout
        ]
        scenes = read_scenes(self.agent, [views[row] for row in unread], with_hops=self.name in PLANNED)
        for row, scene in zip(unread, scenes, strict=True):
            known = self._understand(instructions[row], views[row])
            if goes_on[row]:
                self._episodes[keys[row]].enter(scene, known, views[row])
            else:
                self._episodes[keys[row]] = Episode.of(instructions[row], views[row], scene, known)
        found = [self._episodes[key] for key in keys]
        for episode, view in zip(found, views, strict=True):
            episode.view = view
        return found

    def _understand(self, instruction: str, view: GridView) -> Known:
        partial = bool((view.grid[..., 0] == 0).any())
        key = (instruction, partial, view.grid.shape[:2])
        if key not in self._known:
            self._known[key] = Known.of(self.agent, instruction, view)
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
