"""Speed of the batched mazes against stepping single environments: `python -m benchmarks.environments`."""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np

import goalbridge.envs  # noqa: F401  (registers the ids)

ENV, BATCH = "goalbridge/ForkMaze-v0", 1024


def run() -> list[dict[str, Any]]:
    """Rows with name, value, unit and bound; resets of finished episodes are part of both times."""
    batched, single = _batched_rate(steps=300), _single_rate(steps=3000)
    return [
        {"name": f"batched environment, steps/s at {BATCH}", "value": batched, "unit": "/s", "bound": None},
        {
            "name": "batched environment, times faster than single ones",
            "value": batched / single,
            "unit": "x",
            "bound": 100.0,
        },
    ]


def _batched_rate(steps: int) -> float:
    world = gymnasium.make_vec(ENV, num_envs=BATCH)
    world.reset(seed=0)
    world.action_space.seed(0)
    actions = [world.action_space.sample() for _ in range(20)]
    begin = time.perf_counter()
    for step in range(steps):
        world.step(actions[step % len(actions)])
    return steps * BATCH / (time.perf_counter() - begin)


def _single_rate(steps: int) -> float:
    world = gymnasium.make(ENV)
    world.reset(seed=0)
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, steps)
    actions = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    begin = time.perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = world.step(action)
        if terminated or truncated:
            world.reset()
    return steps / (time.perf_counter() - begin)


if __name__ == "__main__":
    from goalbridge.benchmarks import show

    show(run())
