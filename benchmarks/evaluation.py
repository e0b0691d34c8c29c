"""Episodes/s of batched evaluation against stepping one episode at a time: `python -m benchmarks.evaluation`."""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
import torch

from goalbridge.agents import Agent
from goalbridge.agents.policy import Policy
from goalbridge.configs.schema import EnvConfig
from goalbridge.evaluation.rollouts import play
from goalbridge.worlds.maze.vector import candidates, make_world

FOLDER, EPISODES, GOALS, DIRECTIONS, ONE_BY_ONE, REPEATS = "pretrained/fork_maze", 1000, 2000, 8, 20, 4


def run() -> list[dict[str, Any]]:
    """Rows with name, value, unit and bound: the shipped agent, the same policy, the same starts."""
    torch.set_flush_denormal(True)
    env = EnvConfig("goalbridge/ForkMaze-v0")
    agent = Agent.from_pretrained(FOLDER)
    world = make_world(env, EPISODES, "held_out")
    goals = agent.bridge_goals.numpy()[:GOALS]
    policy = agent.policy("logsumexp", goals, candidates(world, DIRECTIONS), average_noise=False)
    world.reset(seed=0)
    policy.goal_posterior([command.text for command in world.unwrapped.current_commands])  # type: ignore[attr-defined]
    batched = single = 0.0
    for _ in range(REPEATS):  # in turns, so that both meet the same machine; the best of each
        begin = time.perf_counter()
        play(world, policy, seed=0)
        batched = max(batched, EPISODES / (time.perf_counter() - begin))
        single = max(single, _one_by_one(policy, env.id))
    return [
        {
            "name": f"evaluation, episodes/s ({EPISODES} on fork, M = {GOALS}, {torch.get_num_threads()} threads)",
            "value": batched,
            "unit": "/s",
            "bound": None,
        },
        {"name": "evaluation, times faster than one at a time", "value": batched / single, "unit": "x", "bound": 50.0},
    ]


def _one_by_one(policy: Policy, env_id: str) -> float:
    """Episodes/s of the same policy in a single environment; its instructions have been read already."""
    world = gymnasium.make(env_id, phrasings="held_out")
    policy.reset()
    begin = time.perf_counter()
    for episode in range(ONE_BY_ONE):
        observation, _ = world.reset(seed=episode)
        over = False
        while not over:
            action = policy.act(np.asarray(observation["observation"])[None], [observation["instruction"]])[0]
            observation, _, terminated, truncated, _ = world.step(action)
            over = terminated or truncated
    return ONE_BY_ONE / (time.perf_counter() - begin)


if __name__ == "__main__":
    from goalbridge.benchmarks import show

    show(run())
