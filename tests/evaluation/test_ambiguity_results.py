"""RESULTS.md's part on ambiguous commands says what was measured, and what falls short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goalbridge.agents.storage import write_json
from goalbridge.envs.suite import SATISFIABLE
from goalbridge.experiments.agent import ambiguity_results, markdown
from goalbridge.experiments.agent.ambiguity_results import FLOORS, GOALS_PNG, SCARCITY_PNG

Write = Callable[..., None]
SOURCE = {
    "command": "python -m evaluation.x",
    "seeds": [0, 1],
    "evaluation_seed": 5,
    "git_commit": "abcdef0123456789",
}


def estimate(mean: float, spread: float = 0.01) -> dict[str, float]:
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


def group(success: float, spl: float, gap: float = 0.0) -> dict[str, Any]:
    row = {"success": estimate(success), "spl_grid": estimate(spl), "steps": estimate(10.0)}
    return row | {f"first_minus_this_{metric}": estimate(gap) for metric in ("success", "spl_grid")}


def estimator(success: float, spl: float, gap: float = 0.0) -> dict[str, Any]:
    return {name: group(success, spl, gap) for name in ("all", *SATISFIABLE)}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setattr(markdown, "RESULTS", tmp_path)
    monkeypatch.chdir(tmp_path)

    def put(part: str, **found: Any) -> None:
        write_json(tmp_path / f"ambiguity_{part}.json", SOURCE | found)

    return put


def suite(**estimators: Any) -> dict[str, Any]:
    return {
        "estimators": estimators,
        "region_cells": dict.fromkeys(SATISFIABLE, 12.3),
        "not_understood": {"unknown": {"texts": 50, "unknown": estimate(0.96), "contradictory": estimate(0.0)}},
        "recipes": {"end to end": ["train.objective=end_to_end"]},
    }


def test_nothing_is_said_of_what_was_not_measured(write: Write) -> None:
    assert ambiguity_results.sections() == []
    ambiguity_results.draw()
    assert not Path(SCARCITY_PNG).exists()


def test_floors_that_are_met_are_met(write: Write) -> None:
    write("fork_maze", **suite(logsumexp=estimator(0.99, 0.95), limit=estimator(1.0, 0.98)))
    text = "\n".join(ambiguity_results.sections())
    assert text.count(": met.") == 2
    assert "not met" not in text
    assert "| line (12 cells) |" in text
    assert "| unknown | 50 | 0.960 [0.950, 0.970] |" in text
    assert "*end to end*: `train.objective=end_to_end`" in text


def test_what_falls_short_is_named(write: Write) -> None:
    ours = estimator(0.99, 0.95) | {"line": group(FLOORS["line"] - 0.01, 0.80)}
    write("fork_maze", **suite(logsumexp=ours, limit=estimator(1.0, 0.98)))
    text = "\n".join(ambiguity_results.sections())
    assert "**not met: line (0.970)**" in text
    assert "**not met: line (0.816)**" in text


def test_a_rival_that_wins_is_named_with_its_category(write: Write) -> None:
    rival = estimator(0.9, 0.9, 0.05) | {"vague": group(0.999, 0.97, -0.02)}
    write("fork_maze", **suite(logsumexp=estimator(0.99, 0.95), limit=estimator(1.0, 0.98, -0.1), max=rival))
    text = "\n".join(ambiguity_results.sections())
    assert "excludes 0: max in vague (success +0.020), max in vague (spl_grid +0.020)." in text


def test_curves_are_written_and_drawn(write: Write) -> None:
    metrics = {"success": estimate(0.9), "spl_grid": estimate(0.8)}
    both = {"bridge": metrics, "end to end": metrics}
    write("scarcity", captions={"300": both, "1000": both})
    rows = {"logsumexp 16": estimator(0.5, 0.4) | {"effective_sample_size": 3.21, "standard_error": 0.5}}
    write("goals", rows=rows | {"resampled 16": estimator(0.9, 0.8)})
    text = "\n".join(ambiguity_results.sections())
    assert "| 300 | 0.900 [0.890, 0.910] / 0.800 | 0.900 [0.890, 0.910] / 0.800 | 0.95 |" in text
    assert "| 3.2 | 0.50 |" in text
    ambiguity_results.draw()
    assert Path(SCARCITY_PNG).stat().st_size > 1000
    assert Path(GOALS_PNG).stat().st_size > 1000
