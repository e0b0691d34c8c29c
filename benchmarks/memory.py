"""What ever new instructions and episodes cost a policy: `python -m benchmarks.memory`, some minutes on one core.

The shipped fork agent acts for 100 000 distinct instructions, each in an episode of its own. Rows: how much more memory
the process holds at the end than after the first acts, in MB, and how much longer the last acts take than the first.
The text encoder is a stand-in that costs nothing: what MiniLM itself takes is not what is asked here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.benchmarks import show

PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained" / "fork_maze"
INSTRUCTIONS, TOGETHER = 100_000, 50
FEW = 60  # acts that are timed at either end


def features(texts: Sequence[str], dim: int) -> NDArray[np.float32]:
    """Unit vectors [N, dim], another for each text."""
    seeds = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") for text in texts]
    rows = np.stack([np.random.default_rng(seed).normal(size=dim) for seed in seeds])  # [N, dim]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def megabytes() -> float:
    """What the process holds."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def run() -> list[dict[str, Any]]:
    """Rows with name, value, unit and bound."""
    torch.set_num_threads(1)
    agent = Agent.from_pretrained(PRETRAINED)
    dim = agent.text.dim
    encode: Any = lambda texts: features(texts, dim)  # noqa: E731
    agent.text.encode = encode  # type: ignore[method-assign]
    policy = agent.policy("logsumexp")
    rng = np.random.default_rng(0)
    low, high = np.array(agent.world.observation_low), np.array(agent.world.observation_high)
    seconds: list[float] = []
    begun = 0.0
    for first in range(0, INSTRUCTIONS, TOGETHER):
        numbers = range(first, first + TOGETHER)
        observation = rng.uniform(low, high, (TOGETHER, len(low))).astype(np.float32)
        begin = time.perf_counter()
        policy.act(observation, [f"instruction number {n}" for n in numbers], [("episode", n) for n in numbers])
        seconds.append(time.perf_counter() - begin)
        if len(seconds) == FEW:
            begun = megabytes()
    ratio = float(np.median(seconds[-FEW:]) / np.median(seconds[FEW : 2 * FEW]))
    more = megabytes() - begun
    return [
        {
            "name": f"memory: more after {INSTRUCTIONS} distinct instructions",
            "value": more,
            "unit": "MB",
            "bound": 200.0,
        },
        {"name": "memory: the last acts' time over the first's", "value": ratio, "unit": "x", "bound": 1.5},
    ]


if __name__ == "__main__":
    show(run())
