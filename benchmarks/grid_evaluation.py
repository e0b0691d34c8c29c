"""Episodes/s of BabyAI's batched evaluation against one environment at a time: `python -m benchmarks.grid_evaluation`.

Both play the same episodes of GoToLocal through minigrid's own step, with the shipped agent's plans and one thread.
The yardstick is the plain loop: one environment, a batch of one, and a forward pass a step, in which the policy reads
the grid's goals and plans anew, for it remembers nothing. Beside it the same loop with a policy that remembers.
"""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.agents import Agent
from goalbridge.agents.policy import Policy
from goalbridge.envs.babyai.levels import level
from goalbridge.evaluation.grid_rollouts import play_level

FOLDER, LEVEL = "pretrained/babyai", "GoToLocal"
EPISODES, REPEATS = 256, 5
SEED: Final = 1_000_000  # of the first episode; used for nothing else


def run() -> list[dict[str, Any]]:
    """Rows with name, value, unit and bound; of several measurements in turns the median ratio."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        batched, plain, remembering = _times(Agent.from_pretrained(FOLDER).policy("planned"), EPISODES, REPEATS)
    finally:
        torch.set_num_threads(threads)
    what = "BabyAI evaluation"
    return [
        {
            "name": f"{what}, episodes/s ({EPISODES} of {LEVEL}, one thread)",
            "value": EPISODES / statistics.median(batched),
            "unit": "/s",
            "bound": None,
        },
        {
            "name": f"{what}, times faster than one at a time with a forward pass a step",
            "value": statistics.median(a / b for a, b in zip(plain, batched, strict=True)),
            "unit": "x",
            "bound": 5.0,
        },
        {
            "name": f"{what}, times faster than one at a time that plans once an episode",
            "value": statistics.median(a / b for a, b in zip(remembering, batched, strict=True)),
            "unit": "x",
            "bound": None,
        },
    ]


def _times(policy: Policy, episodes: int, repeats: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds of the same episodes, `repeats` each, in turns: batched, one at a time without and with memory."""
    times: tuple[list[float], list[float], list[float]] = ([], [], [])
    play_level(LEVEL, policy, episodes, SEED)  # all missions have been read now, which counts for nobody
    for _ in range(repeats):
        begin = time.perf_counter()
        played = play_level(LEVEL, policy, episodes, SEED)
        times[0].append(time.perf_counter() - begin)
        for remembers in (False, True):
            begin = time.perf_counter()
            steps = one_by_one(policy, episodes, SEED, remembers)
            times[1 + remembers].append(time.perf_counter() - begin)
            # Without memory a few episodes differ: what was tried in vain is tried again.
            assert abs(steps.mean() / played.steps.mean() - 1) < 0.1, "the loops did not do the same work"
    return times


def one_by_one(policy: Policy, episodes: int, seed: int, remembers: bool) -> NDArray[np.int64]:
    """Steps [E] of the episodes of `play_level`, one after the other in a single registered environment.

    remembers: whether the policy keeps what it knows of an episode from step to step.
    """
    world = gymnasium.make(level(LEVEL).id)
    policy.reset()
    steps = np.zeros(episodes, dtype=np.int64)
    for episode in range(episodes):
        observation, _ = world.reset(seed=seed + episode)
        over = False
        while not over:
            if not remembers:
                policy.reset()
            seen = {name: value[None] for name, value in observation["observation"].items()}
            action = policy.act(seen, [observation["instruction"]], [episode])[0]
            observation, _, terminated, truncated, _ = world.step(action)
            steps[episode] += 1
            over = terminated or truncated
    world.close()
    return steps


if __name__ == "__main__":
    from goalbridge.benchmarks import show

    show(run())
