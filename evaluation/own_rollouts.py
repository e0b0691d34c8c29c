"""Episodes in a world that a user brings, many at once: every actor meets the same starts and commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.evaluation.rollouts import Actor
from goalbridge.worlds.gym.functions import make_env
from goalbridge.worlds.gym.spaces import RandomPlay
from goalbridge.worlds.gym.world import GymWorld

AT_ONCE: Final = 64  # environments: the user's may be large


@dataclass(frozen=True)
class Asked:
    """One episode: the seed that its environment is reset with, and the instruction."""

    seed: int
    text: str


@dataclass(frozen=True, eq=False)
class CustomEpisodes:
    """E finished episodes.

    asked: E of them. success: [E] bool. steps: [E] taken. ends: E goals reached last, rows [G].
    """

    asked: tuple[Asked, ...]
    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    ends: NDArray[Any]


class Playground:
    """The environments of one world, kept for the next actor: some are slow to make."""

    def __init__(self, home: GymWorld) -> None:
        self.home = home
        self._envs: list[gymnasium.Env[Any, Any]] = []

    def _some(self, count: int) -> list[gymnasium.Env[Any, Any]]:
        while len(self._envs) < count:
            self._envs.append(make_env(self.home.settings, self.home.settings.max_episode_steps))
        return self._envs[:count]

    def ask(self, texts: Sequence[str], episodes: int, seed: int) -> tuple[Asked, ...]:
        """A text for each of so many starts, each as likely that does not hold at the start; the same for a seed.

        ConfigError where all of them hold at every start.
        """
        rng, (env,) = np.random.default_rng([seed, episodes]), self._some(1)
        found = []
        for episode in range(episodes):
            start = self.home.goals.value(self.home.reset(env, seed + episode).goal)
            true = self.home.words.satisfied(start, texts)
            new = [text for text in texts if text not in true]
            if new:
                found.append(Asked(seed + episode, new[rng.integers(len(new))]))
        if not found:
            raise ConfigError(
                f"env.captions={self.home.settings.captions}: all that it says holds wherever an episode begins; "
                "captions that are not true everywhere would do"
            )
        return tuple(found)

    def play(self, actor: Actor, asked: Sequence[Asked]) -> CustomEpisodes:
        """One episode each; it is over once the goal reached satisfies the instruction, or the environment ends it."""
        actor.reset()
        parts = [self._part(actor, asked[i : i + AT_ONCE], i) for i in range(0, len(asked), AT_ONCE)]
        success, steps, ends = (np.concatenate(column) for column in zip(*parts, strict=True))
        return CustomEpisodes(tuple(asked), success, steps, ends)

    def _part(
        self, actor: Actor, asked: Sequence[Asked], first: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[Any]]:
        home, envs = self.home, self._some(len(asked))
        seen = [home.reset(env, one.seed) for env, one in zip(envs, asked, strict=True)]
        success, steps = np.zeros(len(asked), dtype=np.bool_), np.zeros(len(asked), dtype=np.int64)
        going = list(range(len(asked)))
        while going:
            rows = np.stack([seen[i].observation for i in going])  # [B, S]
            actions = actor.act(rows, [asked[i].text for i in going], [first + i for i in going])
            still = []
            for i, action in zip(going, actions, strict=True):
                seen[i], over = home.step(envs[i], action)
                steps[i] += 1
                success[i] = bool(home.words.satisfied(home.goals.value(seen[i].goal), [asked[i].text]))
                if not (over or success[i]):
                    still.append(i)
            going = still
        return success, steps, np.stack([one.goal for one in seen])


class AtRandom:
    """Plays as the data were made, whatever it is told; what it does in an episode depends on that episode alone."""

    def __init__(self, home: GymWorld, seed: int) -> None:
        self._home, self._seed = home, seed
        self.reset()

    def reset(self) -> None:
        """Begins the same play anew."""
        self._plays: dict[int, RandomPlay] = {}

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Actions of B episodes."""
        keys = range(len(instructions)) if episodes is None else episodes
        for key in keys:
            if key not in self._plays:
                self._plays[key] = RandomPlay(self._home.actions, np.random.default_rng([self._seed, key]))
        return self._home.actions.given(np.stack([self._plays[key].act() for key in keys]))
