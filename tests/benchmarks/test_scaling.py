"""The benchmark of many goals measures what it says, on few of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from goalbridge.agents.bridge import bridge_scores
from goalbridge.benchmarks.scaling import proposals, sharding, streaming


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
    assert found["same_action"] == 0.5
    assert found["regret"] == 0.25
    assert found["error"] == 0.5
    assert found["covered"] == 0.5
    assert math.isclose(found["stated_error"], 0.4, rel_tol=1e-6)
