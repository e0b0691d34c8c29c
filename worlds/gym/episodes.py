"""A user's environment as tasks: the half of `GymWorld` that evaluation uses."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.worlds._base import Begun, Belief, Moment, Projection, Reference, Task, World

if TYPE_CHECKING:
    from goalbridge.agents import Agent
    from goalbridge.worlds.gym.functions import Words
    from goalbridge.worlds.gym.spaces import Actions, Reading

EPISODES: Final = 200
CATEGORY: Final = "captions"
GOALS: Final = 500  # of the projector
_SHOWN_LENGTH: Final = 100
_LONGEST_PATH: Final = 1024  # numbers of a goal: of larger ones, as of pictures, an episode keeps the two ends


class GymEpisodes(World):
    """Commands are captions, and an episode is over once its command holds where it is."""

    at_once = 64  # environments: the user's may be large
    words: Words
    goals: Reading
    observations: Reading
    actions: Actions
    _asked: tuple[str, ...] = ()  # the captions that there are, once an agent's have been drawn

    def tasks(self, agent: Agent, settings: Any, episodes: int | None, seed: int) -> tuple[Task, ...]:
        """A caption for each start, each as likely that does not hold there."""
        return self._ask(self.known_texts(agent), episodes or EPISODES, seed)

    def watched_tasks(self, agent: Agent, episodes: int, seed: int) -> tuple[Task, ...]:
        """The same."""
        return self._ask(self.known_texts(agent), episodes, seed)

    def known_texts(self, agent: Agent) -> tuple[str, ...]:
        """The captions of the agent's bridge goals, which are draws from its data, in the order of the alphabet."""
        goals = np.unique(agent.bridge_goals.cpu().numpy(), axis=0)  # [M', G]
        texts = {text for goal in goals for text in self.captions_of(goal)}
        readable = agent.text.readable(sorted(texts))
        self.words.require_some(len(readable), len(goals))
        self._asked = readable
        return readable

    def _ask(self, texts: Sequence[str], episodes: int, seed: int) -> tuple[Task, ...]:
        rng, env = np.random.default_rng([seed, episodes]), self.make_env()
        found = []
        for episode in range(episodes):
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

    def make_env(self, render: bool = False) -> Any:
        """One of the user's environments."""
        raise NotImplementedError

    def reset(self, env: Any, seed: int) -> Any:
        """Resets one of them; what is seen then."""
        raise NotImplementedError

    def captions_of(self, goal: NDArray[Any]) -> list[str]:
        """All that is true of a goal's row [G]."""
        raise NotImplementedError

    def begin(self, tasks: Sequence[Task], render: bool = False) -> Begun:
        """Environments that are kept for the next actor: some are slow to make."""
        from goalbridge.worlds.gym.vector import GymVectorEnv

        env = GymVectorEnv(self, len(tasks), render=True) if render else self._environments(len(tasks))
        observation, _ = env.reset(seed=[task.seed for task in tasks], options={"texts": [t.meant for t in tasks]})
        return Begun(env, observation, tuple(tasks))

    def _environments(self, count: int) -> Any:
        from goalbridge.worlds.gym.vector import GymVectorEnv

        kept = self.__dict__.setdefault("_kept", {})
        if count not in kept:
            kept.clear()
            kept[count] = GymVectorEnv(self, count)
        return kept[count]

    def references(self, agent: Agent, settings: Any, seed: int) -> Mapping[str, Reference]:
        """random: plays as the data were made."""
        from goalbridge.worlds.gym.vector import AtRandom

        return {"random": lambda _tasks: AtRandom(self, seed)}

    def default_estimators(self, agent: Agent, settings: Any) -> tuple[str, ...]:
        """The agent's own way to act first, planning where goals are states."""
        planned = ("planned",) if agent.world.goals_are_states else ()
        return tuple(
            dict.fromkeys([agent.policy_config.name, "logsumexp", *planned, "direct", "max", "sample", "random"])
        )

    def policy_options(self, agent: Agent, settings: Any) -> dict[str, Any]:
        """Bridge goals and candidate actions, as the settings say."""
        held, count = len(agent.bridge_goals), settings.candidate_actions
        if settings.bridge_goals is not None and settings.bridge_goals > held:
            raise ConfigError(f"bridge_goals={settings.bridge_goals}: expected at most the agent's {held}")
        return {
            "goals": agent.bridge_goals.cpu().numpy()[: settings.bridge_goals],
            "candidates": None if count is None else self.candidates(count),
        }

    def about(self, settings: Any) -> dict[str, Any]:
        """Id, captions and limit of steps."""
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
        """All that is true of it."""
        texts = ", ".join(self.captions_of(goal)) or "nothing can be said"
        return f"where {textwrap.shorten(texts, _SHOWN_LENGTH, placeholder=' ...')}"

    def follow_task(self, instruction: str, seed: int, settings: Any) -> tuple[Task, str]:
        """Judged where the user's functions know the words."""
        judged = self.words.can_judge(instruction, self._asked)
        said = "is judged by the world's functions" if judged else "is no caption: it is followed, but cannot be judged"
        return Task(instruction, "instruction", seed, meant=instruction if judged else None), said

    def frame(self, moment: Moment, belief: Belief | None, title: str) -> NDArray[np.uint8] | None:
        """What the environment renders, below the instruction."""
        from goalbridge.worlds.gym.drawing import framed

        return None if moment.picture is None else framed(moment.picture, title)

    def project(self, agent: Agent) -> Projection:
        """Goals by what is true of them, and the captions."""
        goals = agent.bridge_goals[:GOALS].cpu().numpy()  # [M, G]
        texts = self.known_texts(agent)[:GOALS]
        rows = [(", ".join(self.captions_of(goal)), "goal") for goal in goals]
        return Projection(goals, texts, ("text", "kind"), (*rows, *((text, "instruction") for text in texts)))
