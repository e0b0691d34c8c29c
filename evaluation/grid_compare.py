"""Estimators and rivals in the same episodes of BabyAI's levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.envs.babyai.bot import bot_steps
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.levels import level
from goalbridge.envs.babyai.navigation import Navigation
from goalbridge.evaluation.grid_actors import BOT, Numbered, grid_actor
from goalbridge.evaluation.grid_rollouts import Reword, optimum_of, play_level
from goalbridge.evaluation.rollouts import Actor

AT_ONCE = 128  # environments; each keeps its scene and its plans


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of E episodes of one level.

    missions: E texts, the level's own. success: [E] bool, reward > 0. steps: [E], the level's own limit where it
    failed. optimum: [E], the fewest on the full map; NaN where nobody knows (sequences).
    """

    missions: tuple[str, ...]
    success: NDArray[np.bool_]
    steps: NDArray[np.float64]
    optimum: NDArray[np.float64]


Outcomes = dict[str, Outcome]  # by estimator


def reworder(agent: Agent, captions: GridCaptions) -> Reword | None:
    """How missions are told to an agent without language: as the label that they word. None where it reads words."""
    if not agent.text.canonical:
        return None

    def label_of(mission: str) -> str:
        known = captions.label_id(mission)
        return mission if known is None else captions.labels[known]

    return label_of


def compare_level(
    name: str,
    estimators: Sequence[str],
    agent: Agent,
    config: EvaluateConfig,
    episodes: int,
    view: str,
    reword: Reword | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Outcomes:
    """Each estimator in the same episodes: environment i of the level has the seed `config.seed` + i.

    reword: see `play_level`. report: is told which estimator is about to play. The bot is left out of levels whose
    missions it does not read (FourRooms).
    """
    outcomes: Outcomes = {}
    for estimator in estimators:
        report(estimator)
        if estimator == BOT:
            if level(name).family != "four_rooms":
                outcomes[BOT] = play_bot(name, episodes, config.seed)
        else:
            actor = grid_actor(estimator, agent, config)
            outcomes[estimator] = play_in_parts(name, actor, episodes, config.seed, view, reword)
    missions = {outcome.missions for outcome in outcomes.values()}
    assert len(missions) <= 1, f"{name}: the estimators met different missions"
    return outcomes


def play_in_parts(
    name: str,
    actor: Actor,
    episodes: int,
    seed: int,
    view: str = "full",
    reword: Reword | None = None,
    at_once: int = AT_ONCE,
) -> Outcome:
    """As `play_level`, at most `at_once` episodes at a time, which changes nothing but memory."""
    missions: list[str] = []

    def told(mission: str) -> str:
        missions.append(mission)
        return mission if reword is None else reword(mission)

    parts = [
        play_level(name, Numbered(actor, first), min(at_once, episodes - first), seed + first, view, told)
        for first in range(0, episodes, at_once)
    ]
    return Outcome(
        tuple(missions),
        np.concatenate([part.success for part in parts]),
        np.concatenate([part.charged for part in parts]),
        np.concatenate([part.optimum for part in parts]),
    )


def play_bot(name: str, episodes: int, seed: int) -> Outcome:
    """minigrid's own bot in the same episodes, each in an environment of its own; ValueError in FourRooms."""
    missions, success = [], np.empty(episodes, dtype=np.bool_)
    steps, optimum = np.empty(episodes), np.empty(episodes)
    for episode in range(episodes):
        env = Navigation(name)
        env.begin(seed + episode)
        missions.append(env.mission)
        optimum[episode] = optimum_of(env)
        success[episode], steps[episode] = bot_steps(env.unwrapped)
        env.close()
    return Outcome(tuple(missions), success, steps, optimum)
