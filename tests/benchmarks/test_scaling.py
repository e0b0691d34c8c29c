"""The benchmark of many goals measures what it says, on few of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from goalbridge.agents.bridge import bridge_scores
from goalbridge.benchmarks.scaling import proposals, report, runs, sharding, streaming

ANY_RUN = {"git_commit": "0123456789"}


def test_streaming_is_measured_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = streaming.rates(tmp_path, 500, repeats=1)
    assert {(row["towers"], row["dtype"], row["rows"]) for row in rates} >= {(2, "float32", 8), (1, "float16", 32)}
    assert all(row["ns_per_goal"] > 0 and row["ns_copy"] > 0 for row in rates)
    grown = streaming.growth(tmp_path, (100, 2000), (1 << 20,), repeats=1)
    assert grown["store_megabytes"] == pytest.approx(2000 * 520 / 1e6)
    begin, end = report.marks(report.BRIDGE)
    (tmp_path / "SCALING.md").write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    monkeypatch.setattr(report, "TARGET", tmp_path / "SCALING.md")
    for _ in range(2):  # written twice, it stays one
        report.write({"streaming": ANY_RUN | {"result": {"terms": 500, "rates": rates, "growth": grown}}})
    text = (tmp_path / "SCALING.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert text.count("### Reading M goals once") == 1
    assert "old" not in text
    with pytest.raises(ValueError, match="has no part between <!-- the launchers"):
        report.fill(report.LAUNCHERS, "")
    assert (tmp_path / "scaling_bridge.png").is_file()


@pytest.mark.slow
def test_goals_shared_out_give_the_same_scores(tmp_path: Path) -> None:
    found = sharding.measure(tmp_path, 2000)
    assert [(row["processes"], row["actions"]) for row in found["rows"]] == [(p, a) for p in (1, 2) for a in (1, 8, 32)]
    for one, two in zip(found["rows"][:3], found["rows"][3:], strict=True):
        assert two["score"] == pytest.approx(one["score"], abs=1e-5)
    text = report._sharding(found)
    assert text.count("| 2 | ") == 3
    assert "M = 2,000" in text


def test_proposals_are_compared_with_the_sum_over_all_goals() -> None:
    of = proposals.synthetic(3000, 6)
    with torch.no_grad():
        full = proposals._full(of)
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
    text = report._proposals({"synthetic": found})
    assert "| 4096 | instruction: neighbours |" in text


def test_runs_are_told_from_what_was_measured() -> None:
    about = ANY_RUN | {"command": "c", "cores": 2, "load_before": 0.1}
    text = runs.launchers(
        about | {"jobs": 4, "settings": ["s"], "alone": 10.0, "seconds": {"basic": 40.0, "ray": 24.0}}
    )
    assert "| basic | 40.0 | 1.00 |" in text
    assert "| ray | 24.0 | 0.60 |" in text
    rows = [
        {
            "kind": kind,
            "processes": n,
            "batch_size": size,
            "samples_per_second": 1000.0 * n,
            "cpu_seconds_per_step": 0.25,
        }
        for n, kind in ((1, "float32"), (1, "bf16"), (2, "float32"))
        for size in (256, 2048)
    ]
    text = runs.data_parallel(about | {"steps": 30, "rows": rows})
    assert "| 2 | float32 | 2,000 | 0.2500 | 2,000 | 0.2500 |" in text
    assert len(text.splitlines()) == 2 + 2 + 3


def test_agreement() -> None:
    full = torch.tensor([[0.0, 1.0], [2.0, 1.5]])
    scores = torch.tensor([[0.0, 2.0], [1.0, 1.5]])
    found = proposals.agreement(full, scores, torch.full((2, 2), 0.4))
    assert found["same_action"] == 0.5
    assert found["regret"] == 0.25
    assert found["error"] == 0.5
    assert found["covered"] == 0.5
    assert math.isclose(found["stated_error"], 0.4, rel_tol=1e-6)
