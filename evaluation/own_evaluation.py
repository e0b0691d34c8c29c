"""What evaluate.py does with the agent of a world that a user brought: compares the estimators, or follows words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.schema import PLANNED, POLICIES
from goalbridge.encoders import LabelEncoder, check_instruction
from goalbridge.evaluation.compare import chosen_estimators, estimates, table
from goalbridge.evaluation.own_rollouts import Asked, AtRandom, CustomEpisodes, Playground
from goalbridge.evaluation.own_watch import animation
from goalbridge.evaluation.rollouts import Actor
from goalbridge.evaluation.watch import write_animations
from goalbridge.worlds.gym.world import GymWorld

EPISODES: Final = 200
CATEGORY: Final = "captions"
SHOWN_LENGTH: Final = 100
_OWN: Final = ("logsumexp", "planned", "direct", "max", "sample", "random")
_OTHER_WORLDS: Final = {"suite": "", "levels": (), "view": None, "average_noise": None, "phrasings": "held_out"}


def own_estimators(agent: Agent, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The estimators to compare, the agent's own way to act first; ConfigError for one that it cannot do."""
    possible = tuple(name for name in POLICIES if name not in PLANNED or agent.world.goals_are_states)
    if not agent.world.goals_are_states and (wrong := set(chosen) & set(PLANNED)):
        raise ConfigError(f"estimators={wrong.pop()}: needs goals that are states; {', '.join(possible)} would do")
    own = dict.fromkeys([agent.policy_config.name, *(name for name in _OWN if name in (*possible, "random"))])
    return chosen_estimators(chosen, tuple(own), (*possible, "random"))


def known_texts(agent: Agent, home: GymWorld) -> tuple[str, ...]:
    """The captions of the agent's bridge goals, which are draws from its data, in the order of the alphabet."""
    goals = np.unique(agent.bridge_goals.cpu().numpy(), axis=0)  # [M', G]
    texts = {text for goal in goals for text in home.captions_of(goal)}
    if isinstance(agent.text, LabelEncoder):
        texts &= set(agent.text.labels)
    home.words.require_some(len(texts), len(goals))
    return tuple(sorted(texts))


def metrics_of(episodes: CustomEpisodes) -> dict[str, NDArray[np.float64]]:
    """success, 0 or 1, and steps taken, of each episode [E]."""
    return {"success": episodes.success.astype(np.float64), "steps": episodes.steps.astype(np.float64)}


class OwnEvaluation:
    """One agent in the user's world; all that is written lies in `folder`.

    Raises ConfigError where `config` asks for what this world does not have.
    """

    def __init__(self, agent: Agent, config: EvaluateConfig, home: GymWorld, folder: Path) -> None:
        for name, none in _OTHER_WORLDS.items():
            if getattr(config, name) != none:
                raise ConfigError(f"{name}={getattr(config, name)}: is for other worlds; leave it out")
        if config.bridge_goals is not None and config.bridge_goals > len(agent.bridge_goals):
            most = len(agent.bridge_goals)
            raise ConfigError(f"bridge_goals={config.bridge_goals}: the agent holds {most}; at most that many would do")
        self.agent, self.config, self.home, self.folder = agent, config, home, folder
        self.estimators = own_estimators(agent, config.estimators)
        self.playground = Playground(home)
        self.texts = known_texts(agent, home)

    def actor(self, name: str) -> Actor:
        """The estimator of that name, or chance."""
        config = self.config
        if name == "random":
            return AtRandom(self.home, config.seed)
        goals = self.agent.bridge_goals.cpu().numpy()[: config.bridge_goals]
        weighed = None if config.candidate_actions is None else self.home.candidates(config.candidate_actions)
        policy: Actor = self.agent.policy(name, goals, weighed, escape=config.escape, seed=config.seed)
        return policy

    @property
    def episodes_of(self) -> dict[str, Any]:
        """What decides, beside the settings of the evaluation, which episodes are played: the world and its texts."""
        env = self.home.settings
        return {
            "env": env.id,
            "captions": env.captions,
            "max_episode_steps": env.max_episode_steps,
            "texts": self.texts,
        }

    def measure(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Each estimator's metrics [E]; writes and prints nothing."""
        return {name: metrics_of(played) for name, played in self.play().items()}

    def play(self) -> dict[str, CustomEpisodes]:
        """Each estimator's episodes, on the same starts and commands."""
        asked = self.playground.ask(self.texts, self.config.episodes or EPISODES, self.config.seed)
        return {name: self.playground.play(self.actor(name), asked) for name in self.estimators}

    def compare(self) -> None:
        """Compares the estimators, prints the table, writes evaluation.json, GIFs and TensorBoard animations."""
        console = Console()
        with console.status(f"{self.config.episodes or EPISODES} episodes of {', '.join(self.estimators)}"):
            played = self.play()
            report = summary(played, self.home.settings.id, self.config.seed)
        write_json(self.folder / "evaluation.json", report)
        console.print(table(report))
        first = self.estimators[0]
        self._draw({f"{first}_{i}": (one, i) for i, one in enumerate(played[first].asked[: self.config.rollouts])})
        written = self.folder / "evaluation.json"
        console.print(f"wrote {written}; watch: tensorboard --logdir {self.folder}", soft_wrap=True)

    def _draw(self, episodes: Mapping[str, tuple[Asked, int]]) -> None:
        drawn = {
            name: animation(self.home, self.actor(self.estimators[0]), asked, number)
            for name, (asked, number) in episodes.items()
        }
        if all(drawn.values()):
            write_animations(drawn, self.folder)
        else:
            print(f"no rollouts are drawn: {self.home.settings.id} offers no rgb_array pictures here")

    def follow(self, instruction: str, name: str = "instruction") -> None:
        """Follows one instruction from a few starts, says where it ended, judges it if it can, and draws it."""
        check_instruction(instruction)
        console = Console(markup=False)  # an instruction may hold brackets
        shown = textwrap.shorten(instruction, SHOWN_LENGTH, placeholder=" ...")
        judged = self.home.words.can_judge(instruction, self.texts)
        how = "" if judged else " is no caption: it is followed, but cannot be judged"
        console.print(f"{shown!r}{how}", soft_wrap=True)
        for line in self._understanding(instruction):
            console.print(line, soft_wrap=True)
        asked = [Asked(self.config.seed + i, instruction) for i in range(max(1, self.config.rollouts))]
        played = self.playground.play(self.actor(self.estimators[0]), asked)
        for end, steps, there in zip(played.ends, played.steps, played.success, strict=True):
            outcome = (": there" if there else ": not there") if judged else ""
            console.print(f"ended where {self._said_of(end)}, in {steps} steps{outcome}", soft_wrap=True)
        self._draw({f"{name}_{i}": (one, i) for i, one in enumerate(asked)})

    def _understanding(self, instruction: str) -> list[str]:
        found = self.agent.policy("logsumexp").understand(instruction)
        lines = [f"read as: {found.reading}"] if found.reading else []
        if not found.known:
            lines.append("not understood: unlike any caption")
        elif not found.consistent:
            lines.append("not understood: its parts contradict each other")
        best, chance = found.likeliest[0], float(found.chances[0])
        return [*lines, f"likeliest goal: where {self._said_of(best)} (chance {chance:.2g})"]

    def _said_of(self, goal: NDArray[Any]) -> str:
        texts = self.home.captions_of(goal)
        return textwrap.shorten(", ".join(texts) or "nothing can be said", SHOWN_LENGTH, placeholder=" ...")


def summary(played: Mapping[str, CustomEpisodes], env_id: str, seed: int) -> dict[str, Any]:
    """What evaluation.json holds: success and steps (no world of a user's tells shortest paths, hence no SPL)."""
    metrics = {name: metrics_of(episodes) for name, episodes in played.items()}
    names = list(metrics)
    first = metrics[names[0]]
    every = {name: estimates(found) for name, found in metrics.items()}
    return {
        "env": env_id,
        "episodes": len(played[names[0]].asked),
        "seed": seed,
        "estimators": every,
        "categories": {CATEGORY: every},
        f"paired_difference_from_{names[0]}": {
            name: estimates({one: values - first[one] for one, values in metrics[name].items()}) for name in names[1:]
        },
    }
