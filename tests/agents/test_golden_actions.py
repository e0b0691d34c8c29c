"""The shipped agents do, bit for bit, what they did at commit efdacfe, before goals and estimators were one policy.

actions.npz was recorded there by a script that is in the history (tests/golden/record_actions.py, until 90a048a). It
holds arrays. Of each run, "AGENT|LEVEL|VIEW|ESTIMATOR": `counts` [T], how many episodes go on at each of T steps, and
of those N rows, step after step, `episodes` [N], `actions` [N] (numbers of the agent's candidate actions) and
`observation` [N, S], or `grid` [N, W, H, 3] and `pose` [N, 3]; `instructions` [E]. "AGENT|texts" [K] and
"AGENT|features" [K, T] are what the text encoder said, rounded to float16: a replay needs no language model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.agents import Agent

ROOT = Path(__file__).parents[2]

with np.load(ROOT / "tests" / "golden" / "actions.npz") as _file:
    GOLDEN = dict(_file)
RUNS = sorted({key.rpartition("|")[0] for key in GOLDEN if key.count("|") == 4})
KEYS: list[Any] = [7 + 13 * episode for episode in range(30)]


def features_of(folder: str) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """The text encoder as it was when the actions were recorded."""
    known = dict(zip(GOLDEN[f"{folder}|texts"].tolist(), GOLDEN[f"{folder}|features"], strict=True))
    return lambda texts: np.stack([known[text] for text in texts]).astype(np.float32)


@cache
def agent_of(folder: str) -> Agent:
    agent = Agent.from_pretrained(ROOT / "pretrained" / folder)
    agent.text.encode = features_of(folder)  # type: ignore[method-assign,assignment]
    return agent


@pytest.mark.parametrize("run", RUNS)
def test_actions_are_those_of_before(run: str) -> None:
    folder, _, _, name = run.split("|")
    policy = agent_of(folder).policy(name)
    instructions, episodes = GOLDEN[f"{run}|instructions"].tolist(), GOLDEN[f"{run}|episodes"]
    parts = {part: GOLDEN[f"{run}|{part}"] for part in ("observation", "grid", "pose") if f"{run}|{part}" in GOLDEN}
    taken, start = [], 0
    for count in GOLDEN[f"{run}|counts"].tolist():
        now = slice(start, start + count)
        rows = episodes[now].tolist()
        seen = {part: values[now] for part, values in parts.items()}
        observation = seen.get("observation", seen)
        taken.append(policy.act(observation, [instructions[row] for row in rows], [KEYS[row] for row in rows]))
        start += count
    actions = GOLDEN[f"{run}|actions"]
    expected = actions if policy.agent.world.discrete else policy.actions.numpy()[actions]
    np.testing.assert_array_equal(np.concatenate(taken), expected)
