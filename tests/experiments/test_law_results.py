"""RESULTS.md's part on the synthetic experiments, from the results that ship; nothing from none."""

from __future__ import annotations

from pathlib import Path

import pytest

from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.law.measure import ESTIMATORS, chosen_estimator
from goalbridge.experiments.law.published import PUBLISHED
from goalbridge.experiments.law.results import sections

ROOT = Path(__file__).parents[2]


def test_every_cell_of_the_published_table_is_set_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = "\n".join(sections())
    assert "nan" not in text.lower()
    for cells in PUBLISHED.values():
        assert all(f"({value:.3g})" in text for value in cells.values())
    for kind in PUBLISHED:
        for sharing in ("shared", "independent"):
            assert chosen_estimator(kind, sharing) in ESTIMATORS


def test_nothing_measured_nothing_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sections() == []
    with pytest.raises(ConfigError, match="holds no table yet"):
        chosen_estimator("dot", "shared")
