"""RESULTS.md's part on own play says what was measured, and what falls short; the search finds better directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent
from goalbridge.agents.bridge import bridge_scores_per_row
from goalbridge.agents.storage import write_json
from goalbridge.experiments.agent import markdown, online_results
from goalbridge.experiments.agent.online_results import PNG
from goalbridge.experiments.agent.online_search import Searching

Write = Callable[..., None]
SOURCE = {
    "command": "python -m evaluation.x",
    "seeds": [0, 1],
    "evaluation_seed": 5,
    "git_commit": "abcdef0123456789",
}
BUDGETS = ("50000", "100000", "250000")


def row(success: float) -> dict[str, Any]:
    spread = {"mean": success, "low": success - 0.01, "high": success + 0.01, "per_seed": [success, success]}
    about = {"cpu_seconds": [40.0, 41.0], "overrides": ["data=online", "data.random_steps_after_goal=16"]}
    return {"success": spread, "spl_grid": spread | {"mean": 0.8}} | about


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setattr(markdown, "RESULTS", tmp_path)
    monkeypatch.chdir(tmp_path)

    def put(part: str, **found: Any) -> None:
        write_json(tmp_path / f"online_{part}.json", SOURCE | found)

    return put


def fork(own: float, walks: float) -> dict[str, Any]:
    titles = {"own play": own, "random walks, logsumexp": walks / 2, "random walks, planned": walks}
    budgets = {"own play": BUDGETS}
    return {title: {steps: row(value) for steps in budgets.get(title, BUDGETS[1:])} for title, value in titles.items()}


def test_nothing_is_said_of_what_was_not_measured(write: Write) -> None:
    assert online_results.sections() == []
    online_results.draw()
    assert not Path(PNG).exists()


@pytest.mark.parametrize(("own", "walks", "short"), [(0.98, 0.95, 0), (0.95, 0.95, 1), (0.85, 0.5, 3)])
def test_what_falls_short_is_said(write: Write, own: float, walks: float, short: int) -> None:
    write("fork_maze", rows=fork(own, walks))
    text = "\n\n".join(online_results.sections())
    assert text.count("**not met**") == short
    assert f"| own play | {own:.3f} [{own - 0.01:.3f}" in text
    assert f"(random walks, planned: {walks:.3f})" in text
    assert "| random walks, planned | - |" in text
    online_results.draw()
    assert Path(PNG).read_bytes().startswith(b"\x89PNG")


def test_corner_search_and_time(write: Write) -> None:
    write(
        "corner",
        rows={title: {"500000": row(0.7)} for title in ("own play, shortest", "own play, random goals, shortest")},
    )
    write("search", rows={"32 directions": row(0.9)})
    costs = {"fork_maze, cold": 70.0, "fork_maze, warm": 50.0}
    write("time", rows={title: {"seconds": cost + 5, "cpu_seconds": cost} for title, cost in costs.items()})
    text = "\n\n".join(online_results.sections())
    assert "Own play at least 0.9 (own play, shortest: 0.700): **not met**" in text
    assert "Own play by `data=online data.random_steps_after_goal=16` and" in text
    assert "| 32 directions | 0.900 [0.890, 0.910] / 0.800 |" in text
    assert "| fork_maze, warm | 55 | 50 |" in text
    assert "all texts encoded in them: **not met**" in text  # the slowest one decides


def test_the_search_is_no_worse_than_the_grid_that_it_starts_from(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent()
    policy = agent.policy("logsumexp", average_noise=False, mask_blocked=False)
    places = np.random.default_rng(0).random((20, 2)).astype(np.float32) * 15
    texts = ["row 3"] * 10 + ["column 12"] * 10
    log_bc = torch.as_tensor(policy.goal_posterior(texts)).log()

    def worth(actions: Any) -> torch.Tensor:
        encoded = agent.encode_state_actions(torch.as_tensor(places)[:, None], torch.as_tensor(actions)[:, None])
        scores = bridge_scores_per_row(encoded, log_bc, agent.encode_goals(policy.goals), agent.critic_ab)
        return scores[:, 0].detach()

    policy.reset()
    coarse = policy.act(places, texts)
    fine = Searching(policy, len(agent.candidate_actions))
    fine.reset()
    found = fine.act(places, texts)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (worth(found) >= worth(coarse) - 1e-4).all()
    assert (worth(found) > worth(coarse) + 1e-4).any()
