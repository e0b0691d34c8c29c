"""A custom world, as a `World`: any Gymnasium environment, and functions that say what is true of goals."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.registries import worlds
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.captions import TRAJECTORIES, stream
from goalbridge.data.free_captions import FreeCaptions
from goalbridge.worlds._base import (
    Begun,
    Belief,
    Moment,
    Projection,
    RandomActor,
    Reference,
    Task,
    World,
    first_goals,
)
from goalbridge.worlds.gym.functions import Words, make_env
from goalbridge.worlds.gym.settings import GymEvaluation, GymSettings
from goalbridge.worlds.gym.spaces import Actions, RandomPlay, read_space
from goalbridge.worlds.gym.vector import GymVectorEnv, framed

if TYPE_CHECKING:
    from goalbridge.agents import Agent

EPISODES: Final = 200
CATEGORY: Final = "captions"
GOALS: Final = 500  # of the projector
_SHOWN_LENGTH: Final = 100
_PROBED: Final = 32  # steps of play before anything is written, in which mistakes of the user's functions show


@dataclass(frozen=True, eq=False)
class StateAndGoal:
    """One moment: the observation's row [S] and that of the goal reached, [G]."""

    observation: NDArray[Any]
    goal: NDArray[Any]


@worlds.register("gym")
class GymWorld(World):
    """The user's world: commands are captions, and an episode is over once its command holds where it is.

    The environment is tried for a few steps first. settings: reads id, captions, success, max_episode_steps. Raises
    ConfigError for an id, space or function that cannot be used.
    """

    Settings = GymSettings
    EvaluationSettings = GymEvaluation
    settings: GymSettings

    late_captions = True
    at_once = 64  # environments: the user's may be large
    _asked: tuple[str, ...] = ()  # the captions that there are, once an agent's have been drawn
    _kept: GymVectorEnv | None = None

    @classmethod
    def code_of(cls, env: GymSettings) -> dict[str, str]:
        return env.code

    def __init__(self, settings: GymSettings) -> None:
        self.settings, self.words = settings, Words(settings)
        made = make_env(settings, settings.max_episode_steps)
        space, what = made.observation_space, f"env.id={settings.id}: observation"
        self._in_dict = isinstance(space, spaces.Dict)
        goal_space = space
        if isinstance(space, spaces.Dict):
            if "observation" not in space.spaces:
                raise ConfigError(f"{what} space: expected a Dict with 'observation', got one of {list(space)}")
            goal_space = space.spaces.get("achieved_goal", space["observation"])
            space = space["observation"]
        self.observations, self.actions = read_space(space, what), Actions(made.action_space, f"env.id={settings.id}")
        self.goals_apart = goal_space is not space
        self.goals = self.observations
        if self.goals_apart:
            self.goals = read_space(goal_space, f"env.id={settings.id}: achieved_goal")
        self._bounds = (self.observations.bounds(), self.goals.bounds())
        self._probe(made)

    def _probe(self, made: gymnasium.Env[Any, Any]) -> None:
        rng = np.random.default_rng(0)
        seen = self.reset(made, 0)
        play = RandomPlay(self.actions, rng)
        for _ in range(_PROBED):
            self.words.captions(self.goals.value(seen.goal))
            seen, over, _ = self.step(made, play.given())
            if over:
                seen = self.reset(made, int(rng.integers(2**31)))
        made.close()

    def make_env(self, render: bool = False) -> gymnasium.Env[Any, Any]:
        return make_env(self.settings, self.settings.max_episode_steps, "rgb_array" if render else None)

    def reset(self, env: gymnasium.Env[Any, Any], seed: int) -> StateAndGoal:
        """Resets one of these environments."""
        return self._seen(env.reset(seed=seed)[0])

    def step(self, env: gymnasium.Env[Any, Any], action: Any) -> tuple[StateAndGoal, bool, dict[str, Any]]:
        """One step of an environment, with an action as policies give it; whether the episode is over; its info."""
        observation, _, terminated, truncated, info = env.step(self.actions.to_env(action))
        return self._seen(observation), bool(terminated or truncated), info

    def _seen(self, observation: Any) -> StateAndGoal:
        if not self._in_dict:
            row = self.observations.row(observation)
            return StateAndGoal(row, row)
        row = self.observations.row(observation["observation"])
        return StateAndGoal(row, self.goals.row(observation["achieved_goal"]) if self.goals_apart else row)

    def captions_of(self, goal: NDArray[Any]) -> list[str]:
        """All that is true of a goal's row [G]."""
        return self.words.captions(self.goals.value(goal))

    @cached_property
    def fingerprint(self) -> str:
        parts = [(one.kind, one.size, one.shape) for one in (self.observations, self.goals)]
        known = repr((parts, self.goals_apart, self.actions.discrete, self.actions.size))
        return hashlib.sha256(known.encode()).hexdigest()[:16]

    @property
    def spec(self) -> WorldSpec:
        """Bounds that its spaces do not tell are the range of the data, which it must have met."""
        seen, goal = self.observations, self.goals
        return WorldSpec(
            self.settings.id,
            self.fingerprint,
            *self._bounds[0],
            *self._bounds[1],
            self.actions.size,
            kind=seen.kind,
            discrete=self.actions.discrete,
            shape=seen.shape,
            goal_kind=goal.kind,
            goal_shape=goal.shape,
            goals_apart=self.goals_apart,
        )

    def meet(self, trajectories: TrajectoryBuffer, goals: NDArray[Any]) -> None:
        """Bounds, and what is true of the goals [N, G]; ConfigError where nothing is."""
        seen = self.observations.bounds(trajectories.observations)
        self._bounds = (seen, self.goals.bounds(trajectories.goals) if self.goals_apart else seen)
        known: dict[bytes, list[str]] = {}
        texts = []
        for goal in goals:
            key = goal.tobytes()
            if key not in known:
                known[key] = self.captions_of(goal)
            texts.append(known[key])
        self.words.require_some(sum(map(len, known.values())), len(goals))
        self.captions = FreeCaptions(goals, texts)

    def candidates(self, count: int) -> CandidateActions:
        """All actions, or `count` of a Box, which do what they say."""
        actions = self.actions.candidates(count)
        return CandidateActions(actions, np.eye(len(actions)))

    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return self.actions.draw(count, rng)

    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        """Random play, one episode of at most `data.walk_length` steps a trajectory."""
        rng, env = stream(seed, TRAJECTORIES), make_env(self.settings, data.walk_length)
        seen: list[StateAndGoal] = []
        actions: list[NDArray[np.float32]] = []
        lengths = np.zeros(data.trajectories, dtype=np.int64)
        for episode in range(data.trajectories):
            seen.append(self.reset(env, int(rng.integers(2**31))))
            play, over = RandomPlay(self.actions, rng), False
            while not over:
                actions.append(play.act())
                moment, over, _ = self.step(env, self.actions.given(actions[-1][None])[0])
                seen.append(moment)
                lengths[episode] += 1
        env.close()
        observations = np.stack([moment.observation for moment in seen])  # [states, S]
        goals = np.stack([moment.goal for moment in seen]) if self.goals_apart else observations  # [states, G]
        return TrajectoryBuffer(observations, goals, np.stack(actions), lengths)

    # Episodes

    def tasks(self, agent: Agent, settings: Any, episodes: int | None, seed: int) -> tuple[Task, ...]:
        """A caption for each start, each as likely that does not hold there."""
        texts, count = self.known_texts(agent), episodes or EPISODES
        rng, env = np.random.default_rng([seed, count]), self.make_env()
        found = []
        for episode in range(count):
            start = self.goals.value(self.reset(env, seed + episode).goal)
            true = self.words.satisfied(start, texts)
            new = [text for text in texts if text not in true]
            if new:
                text = new[rng.integers(len(new))]
                found.append(Task(text, CATEGORY, seed + episode, meant=text))
        env.close()
        if not found:
            raise ConfigError(
                f"env.captions={self.settings.captions}: expected captions that are not true everywhere, got only ones "
                "that hold wherever an episode begins"
            )
        return tuple(found)

    def known_texts(self, agent: Agent) -> tuple[str, ...]:
        """The captions of the agent's bridge goals, which are draws from its data, in the order of the alphabet."""
        goals = np.unique(agent.bridge_goals.cpu().numpy(), axis=0)  # [M', G]
        texts = {text for goal in goals for text in self.captions_of(goal)}
        readable = agent.text.readable(sorted(texts))
        self.words.require_some(len(readable), len(goals))
        self._asked = readable
        return readable

    def begin(self, tasks: Sequence[Task], render: bool = False) -> Begun:
        """Environments that are kept for the next actor: some are slow to make."""
        env = GymVectorEnv(self, len(tasks), render=True) if render else self._environments(len(tasks))
        observation, _ = env.reset(seed=[task.seed for task in tasks], options={"texts": [t.meant for t in tasks]})
        return Begun(env, observation, tuple(tasks))

    def _environments(self, count: int) -> GymVectorEnv:
        if self._kept is None or self._kept.num_envs != count:
            self._kept = GymVectorEnv(self, count)
        return self._kept

    def references(self, agent: Agent, settings: Any, seed: int) -> Mapping[str, Reference]:
        """random: plays as the data were made."""
        return {"random": lambda _tasks: RandomActor(lambda rng: RandomPlay(self.actions, rng).given, seed)}

    def default_estimators(self, agent: Agent, settings: Any) -> tuple[str, ...]:
        """The agent's own way to act first, planning where goals are states."""
        planned = ("planned",) if agent.world.goals_are_states else ()
        return tuple(
            dict.fromkeys([agent.policy_config.name, "logsumexp", *planned, "direct", "max", "sample", "random"])
        )

    def policy_options(self, agent: Agent, settings: Any) -> dict[str, Any]:
        count = settings.candidate_actions
        return {
            "goals": first_goals(agent, settings.bridge_goals),
            "candidates": None if count is None else self.candidates(count),
        }

    def about(self, settings: Any) -> dict[str, Any]:
        return {
            "env": self.settings.id,
            "captions": self.settings.captions,
            "max_episode_steps": self.settings.max_episode_steps,
        }

    def satisfied_by(self, task: Task, goals: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which goals [M, G] the user's functions take to satisfy the text; None for words that they do not know."""
        if task.meant is None:
            return None
        return np.array([bool(self._satisfied(goal.tobytes(), goal.dtype.str, task.meant)) for goal in goals])

    @lru_cache(maxsize=100_000)  # noqa: B019 (a world lives as long as its evaluation)
    def _satisfied(self, goal: bytes, dtype: str, text: str) -> bool:
        row = np.frombuffer(goal, dtype=dtype)
        return bool(self.words.satisfied(self.goals.value(row), [text]))

    def describe(self, goal: NDArray[Any]) -> str:
        texts = ", ".join(self.captions_of(goal)) or "nothing can be said"
        return f"where {textwrap.shorten(texts, _SHOWN_LENGTH, placeholder=' ...')}"

    def follow_task(self, instruction: str, seed: int, settings: Any) -> tuple[Task, str]:
        """Judged where the user's functions know the words."""
        judged = self.words.can_judge(instruction, self._asked)
        said = "is judged by the world's functions" if judged else "is no caption: it is followed, but cannot be judged"
        return Task(instruction, "instruction", seed, meant=instruction if judged else None), said

    def frame(self, moment: Moment, belief: Belief | None, title: str) -> NDArray[np.uint8] | None:
        return None if moment.picture is None else framed(moment.picture, title)

    def project(self, agent: Agent) -> Projection:
        goals = agent.bridge_goals[:GOALS].cpu().numpy()  # [M, G]
        texts = self.known_texts(agent)[:GOALS]
        rows = [(", ".join(self.captions_of(goal)), "goal") for goal in goals]
        return Projection(goals, texts, ("text", "kind"), (*rows, *((text, "instruction") for text in texts)))
