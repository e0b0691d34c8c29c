"""How an agent of BabyAI's levels does while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from goalbridge.agents import Agent
from goalbridge.configs.schema import RunConfig
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.levels import level
from goalbridge.evaluation.grid_compare import play_in_parts, reworder
from goalbridge.evaluation.grid_metrics import columns, estimates
from goalbridge.evaluation.grid_watch import record, recording_frames
from goalbridge.evaluation.projector import Projection, project_grids
from goalbridge.evaluation.watch import EVALUATION_SEED, WATCHED_SEED, Watched, gif

ROOMS: Final = 3  # so many small levels are watched, and one of many rooms


class GridWatcher:
    """The same episodes of a few levels each time, and one to look at."""

    def __init__(self, config: RunConfig) -> None:
        self._levels = watched_levels(config.env.levels)
        self._view = config.env.view
        self._episodes = max(1, round(config.train.evaluation_episodes / len(self._levels)))  # of each level
        self._captions = GridCaptions(config.data.lexicon)

    def watch(self, agent: Agent, step: int) -> Watched:
        """Success and steps of each level, success and steps over the optimum of all; an episode of the last level."""
        policy, reword = agent.policy(), reworder(agent, self._captions)
        metrics: dict[str, float] = {}
        played = []
        for name in self._levels:
            outcome = play_in_parts(name, policy, self._episodes, EVALUATION_SEED, self._view, reword)
            metrics |= {f"{name}/success": float(outcome.success.mean()), f"{name}/steps": float(outcome.steps.mean())}
            played.append(columns(outcome))
        metrics |= {name: estimate.mean for name, estimate in estimates(played).items()}
        seen = record(self._levels[-1], policy, 0, WATCHED_SEED + step, self._view, reword)
        return Watched(metrics, {}, gif(recording_frames(seen, policy)))

    def project(self, agent: Agent) -> Projection | None:
        """Situations of the layouts and instructions; None for rivals, which learn no such space."""
        return project_grids(agent, self._captions, agent.text.split()) if agent.has_goal_posterior else None


def watched_levels(names: Sequence[str]) -> tuple[str, ...]:
    """The first three single rooms and the smallest level of many rooms, of those that there are; else the first four.

    Small ones, so that watching costs seconds.
    """
    known = [level(name) for name in dict.fromkeys(names)]
    rooms = [one.name for one in known if one.family == "room"][:ROOMS]
    mazes = sorted((one for one in known if one.family == "maze"), key=lambda one: one.width)[:1]
    return (*rooms, *(one.name for one in mazes)) or tuple(one.name for one in known[: ROOMS + 1])
