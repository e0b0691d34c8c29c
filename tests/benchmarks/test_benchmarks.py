"""The benchmarks measure what they say, on little; of BabyAI, what they compare does the same work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent
from goalbridge.agents.bridge import bridge_scores
from goalbridge.benchmarks import grid, grid_evaluation
from goalbridge.benchmarks.scaling import proposals, sharding, streaming


def check_rows(rows: list[dict[str, Any]], bounds: list[float | None]) -> None:
    for row in rows:
        assert set(row) == {"name", "value", "unit", "bound"}
        assert np.isfinite(row["value"])
        assert row["value"] > 0
    assert [row["bound"] for row in rows] == bounds
    assert all(("faster" in row["name"]) == (row["bound"] is not None) for row in rows if "once" not in row["name"])


def test_the_simulator_is_measured_in_a_small_and_a_large_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BATCH": 8, "STEPS": 3, "SINGLE_STEPS": 80, "REPEATS": 1}.items():
        monkeypatch.setattr(grid, name, value)
    check_rows(grid.run(), [None, 100.0, None, 100.0])


@pytest.mark.parametrize("remembers", [False, True])
def test_one_at_a_time_plays_the_episodes_of_the_batch(perfect_agent: Agent, remembers: bool) -> None:
    policy = perfect_agent.policy("planned")
    together = grid_evaluation.together(policy, 6, 3)
    assert together.success.all()
    np.testing.assert_array_equal(grid_evaluation.one_by_one(policy, 6, 3, remembers), together.steps)


def test_evaluation_is_measured_both_ways(perfect_agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Agent, "from_pretrained", lambda _folder: perfect_agent)
    for name, value in {"EPISODES": 4, "REPEATS": 1}.items():
        monkeypatch.setattr(grid_evaluation, name, value)
    try:
        check_rows(grid_evaluation.run(), [None, 5.0, None])
    finally:
        torch.set_flush_denormal(False)  # which the benchmark sets for its process, here the tests' own


def test_streaming_is_measured(tmp_path: Path) -> None:
    rates = streaming.rates(tmp_path, 500, repeats=1)
    assert {(row["towers"], row["dtype"], row["rows"]) for row in rates} >= {(2, "float32", 8), (1, "float16", 32)}
    assert all(row["ns_per_goal"] > 0 and row["ns_copy"] > 0 for row in rates)
    grown = streaming.growth(tmp_path, (100, 2000), (1 << 20,), repeats=1)
    assert grown["store_megabytes"] == pytest.approx(2000 * 520 / 1e6)


@pytest.mark.slow
def test_goals_shared_out_give_the_same_scores(tmp_path: Path) -> None:
    found = sharding.measure(tmp_path, 2000)
    assert [(row["processes"], row["actions"]) for row in found["rows"]] == [(p, a) for p in (1, 2) for a in (1, 8, 32)]
    for one, two in zip(found["rows"][:3], found["rows"][3:], strict=True):
        assert two["score"] == pytest.approx(one["score"], abs=1e-5)


def test_proposals_are_compared_with_the_sum_over_all_goals() -> None:
    of = proposals.synthetic(3000, 6)
    with torch.no_grad():
        full = proposals.full_scores(of)
        wanted = [
            bridge_scores(a, c.unsqueeze(0), of.goals, of.goals, of.critic_ab, of.critic_bc)[:, 0]
            for a, c in zip(of.a, of.c, strict=True)
        ]
    torch.testing.assert_close(full, torch.stack(wanted), rtol=1e-4, atol=1e-4)
    found = proposals.measure(of, repeats=1)
    assert len(found["rows"]) == len(proposals.COUNTS) * len(proposals.WAYS)
    best = next(row for row in found["rows"] if row["way"] == "instruction: neighbours" and row["goals"] == 4096)
    assert best["same_action"] == 1.0  # all goals there are
    assert best["error"] < 1e-3


def test_agreement() -> None:
    full = torch.tensor([[0.0, 1.0], [2.0, 1.5]])
    scores = torch.tensor([[0.0, 2.0], [1.0, 1.5]])
    found = proposals.agreement(full, scores, torch.full((2, 2), 0.4))
    known = {"same_action": 0.5, "regret": 0.25, "error": 0.5, "covered": 0.5, "stated_error": 0.4}
    assert {name: found[name] for name in known} == pytest.approx(known)
