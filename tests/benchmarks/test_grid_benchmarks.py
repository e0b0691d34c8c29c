"""The benchmarks of BabyAI: what they compare does the same work, and their rows are well-formed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent
from goalbridge.benchmarks import grid, grid_evaluation


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
