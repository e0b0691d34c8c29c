"""A custom world, as a `World`: any Gymnasium environment, and functions that say what is true of goals."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

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
from goalbridge.worlds.gym.episodes import GymEpisodes
from goalbridge.worlds.gym.functions import Words, make_env, said
from goalbridge.worlds.gym.settings import GymEvaluation, GymSettings
from goalbridge.worlds.gym.spaces import Actions, RandomPlay, read_space

_PROBED: Final = 32  # steps of play before anything is written, in which mistakes of the user's functions show


@dataclass(frozen=True, eq=False)
class StateAndGoal:
    """One moment: the observation's row [S] and that of the goal reached, [G]."""

    observation: NDArray[Any]
    goal: NDArray[Any]


@worlds.register("gym")
class GymWorld(GymEpisodes):
    """The user's world.

    The environment is tried for a few steps first. settings: reads id, captions, success, max_episode_steps. Raises
    ConfigError for an id, space or function that cannot be used.
    """

    Settings = GymSettings
    EvaluationSettings = GymEvaluation
    settings: GymSettings

    late_captions = True

    def __init__(self, settings: GymSettings) -> None:
        self.settings, self.words = settings, Words(settings)
        made = make_env(settings, settings.max_episode_steps)
        space, what = made.observation_space, f"env.id={settings.id}: observation"
        self._in_dict = isinstance(space, spaces.Dict)
        goal_space = space
        if isinstance(space, spaces.Dict):
            if "observation" not in space.spaces:
                raise ConfigError(f"{what} space has {list(space)}; a Dict with 'observation' would do")
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
        rng, texts = np.random.default_rng(0), 0
        try:
            seen = self.reset(made, 0)
            play = RandomPlay(self.actions, rng)
            for _ in range(_PROBED):
                texts += len(self.words.captions(self.goals.value(seen.goal)))
                seen, over, _ = self.step(made, self.actions.given(play.act()[None])[0])
                if over:
                    seen = self.reset(made, int(rng.integers(2**31)))
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"env.id={self.settings.id}: raised {said(error)} when tried for a few steps") from error
        made.close()

    def make_env(self, render: bool = False) -> gymnasium.Env[Any, Any]:
        """One of the user's environments."""
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
        """Of its spaces."""
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
        """Uniform actions."""
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
