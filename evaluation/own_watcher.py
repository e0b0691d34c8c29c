"""How an agent does in a world that a user brought, while it trains."""

from __future__ import annotations

import torch

from goalbridge.agents import Agent
from goalbridge.configs.schema import RunConfig
from goalbridge.evaluation.own_evaluation import known_texts, metrics_of
from goalbridge.evaluation.own_rollouts import Playground
from goalbridge.evaluation.own_watch import animation
from goalbridge.evaluation.own_world import OwnHome
from goalbridge.evaluation.projector import GOALS, Projection
from goalbridge.evaluation.watch import EVALUATION_SEED, WATCHED_SEED, Watched


class OwnWatcher:
    """The same starts and commands each time, and one episode to look at."""

    def __init__(self, config: RunConfig) -> None:
        self._home, self._episodes = OwnHome(config.env), config.train.evaluation_episodes
        self._playground = Playground(self._home)
        self._texts: tuple[str, ...] = ()

    def watch(self, agent: Agent, step: int) -> Watched:
        """Means of success and steps; an episode that is another at each step."""
        self._texts = self._texts or known_texts(agent, self._home)
        policy = agent.policy()
        played = self._playground.play(policy, self._playground.ask(self._texts, self._episodes, EVALUATION_SEED))
        metrics = {name: float(values.mean()) for name, values in metrics_of(played).items()}
        shown = self._playground.ask(self._texts, 1, WATCHED_SEED + step)[0]
        return Watched(metrics, {}, animation(self._home, policy, shown, 0))

    @torch.no_grad()
    def project(self, agent: Agent) -> Projection | None:
        """Goals by what is true of them, and the captions; None for rivals, which learn no such space."""
        if not agent.has_goal_posterior:
            return None
        goals = agent.bridge_goals[:GOALS]  # [M, G]
        texts = list(self._texts[:GOALS])
        rows = [(", ".join(self._home.captions_of(goal)), "goal") for goal in goals.cpu().numpy()]
        rows += [(text, "instruction") for text in texts]
        vectors = torch.cat([agent.encode_meanings(goals), agent.encode_instructions(texts)]).cpu().numpy()
        return Projection(vectors, ("text", "kind"), tuple(rows))
