"""A thousand distinct instructions at once against each alone: actions a second of one core."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.agents.policy import Policy
from goalbridge.encoders.text.sentence import SentenceEncoder
from goalbridge.encoders.text_cache import TextCache
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld, make_world

FOLDER: Final = "pretrained/fork_maze"
INSTRUCTIONS, ALONE = 1000, 40
SETTINGS: Final = {"8 directions, 2000 goals": (8, 2000), "as shipped: 32 directions, 5000 goals": (32, 5000)}


def distinct_instructions(count: int) -> tuple[NDArray[np.float32], list[str]]:
    """States [count, 2] of fork and as many different texts, single commands first, then one or another of two."""
    world = make_world(MazeSettings("goalbridge/ForkMaze-v0"), count, "held_out")
    observation, _ = world.reset(seed=60_000_000)
    texts = [command.text for command in world.current_commands]
    found, rng = dict.fromkeys(texts), np.random.default_rng(0)
    while len(found) < count:
        found[" or ".join(rng.choice(texts, 2, replace=False))] = None
    return np.asarray(observation["observation"], dtype=np.float32), list(found)[:count]


def measure() -> list[dict[str, Any]]:
    """Actions/s at once and alone: of instructions heard before, new ones, and new ones that are also encoded anew."""
    states, texts = distinct_instructions(INSTRUCTIONS)
    rows = []
    for name, (directions, goals) in SETTINGS.items():
        for what in ("heard before", "new, text encoded before", "new"):
            agent = Agent.from_pretrained(FOLDER)
            if isinstance(agent.text, SentenceEncoder):
                agent.text.cache = TextCache(agent.text.cache.fingerprint)  # nothing of earlier runs
            world = MazeWorld(MazeSettings("goalbridge/ForkMaze-v0"))
            kept = agent.bridge_goals.numpy()[:goals]
            policies = [agent.policy("logsumexp", kept, world.candidates(directions)) for _ in range(2)]
            agent.encode_instructions(["go to row 3, please"])  # loads the model
            if what != "new":
                agent.encode_instructions([part for text in texts for part in text.split(" or ")])
            if what == "heard before":
                for policy in policies:
                    policy.goal_posterior(texts)
            # Alone first: what it encodes, the batch need not, a few of a thousand.
            alone = _alone(policies[1], states, texts)
            begin = time.process_time()
            policies[0].act(states, texts)
            at_once = len(texts) / (time.process_time() - begin)
            rows.append({"setting": name, "instructions": what, "at_once": at_once, "alone": alone})
    return rows


def _alone(policy: Policy, states: NDArray[np.float32], texts: list[str]) -> float:
    begin = time.process_time()
    for row in range(len(texts) - ALONE, len(texts)):
        policy.act(states[row : row + 1], texts[row : row + 1], [row])
    return ALONE / (time.process_time() - begin)
