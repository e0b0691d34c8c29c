"""How an agent of a point maze does while it trains."""

from __future__ import annotations

from agents import Agent
from configs.schema import RunConfig
from evaluation.compare import bridge_health
from evaluation.metrics import episode_metrics
from evaluation.rollouts import play
from evaluation.watch import EVALUATION_SEED, WATCHED_SEED, Watched, gif, rollout_frames
from evaluation.worlds import make_world, surface

WATCHING_GOALS = 1000  # a fifth of the bridge is a fifth of the time, and near enough to watch by


class MazeWatcher:
    """The same starts, commands and noise each time, and one episode to look at."""

    def __init__(self, config: RunConfig) -> None:
        split = "label" if config.encoder.kind == "label" else "held_out"
        self._world = make_world(config.env, config.train.evaluation_episodes, split)
        self._one = make_world(config.env, 1, split)

    def watch(self, agent: Agent, step: int) -> Watched:
        """Means of success, SPL and steps; the bridge's health; an episode that is another at each step."""
        policy = agent.policy(goals=agent.bridge_goals[:WATCHING_GOALS].cpu().numpy())
        layout = surface(self._world).layout
        episodes = play(self._world, policy, EVALUATION_SEED)
        metrics = {name: float(values.mean()) for name, values in episode_metrics(layout, episodes).items()}
        health = {f"bridge/{name}": value for name, value in bridge_health(policy, episodes).items()}
        seen = play(self._one, policy, WATCHED_SEED + step)
        return Watched(metrics, health, gif(rollout_frames(layout, seen, 0)))
