"""Metrics by hand, and intervals that cover the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from goalbridge.envs.commands import MazeCommands
from goalbridge.envs.layouts import Layout
from goalbridge.evaluation.metrics import METRICS, episode_metrics, interval, spl
from goalbridge.evaluation.rollouts import Episodes


@pytest.mark.parametrize("kind", ["success", "steps"])
def test_intervals_cover_the_truth_about_19_times_in_20(kind: str) -> None:
    rng, covered, runs = np.random.default_rng(0), 0, 400
    for _ in range(runs):
        values = rng.random(120) < 0.7 if kind == "success" else rng.exponential(10, 120)
        estimate = interval(values, resamples=400)
        truth = 0.7 if kind == "success" else 10
        covered += estimate.low <= truth <= estimate.high
        assert estimate.low <= estimate.mean <= estimate.high
    assert 0.91 < covered / runs < 0.98


def test_intervals_over_seeds_count_the_seeds_spread() -> None:
    """Seeds that differ make the interval wide, however many episodes each has."""
    rng, covered, runs = np.random.default_rng(1), 0, 300
    for _ in range(runs):
        values = rng.normal(rng.normal(0, 1, size=(12, 1)), 0.5, size=(12, 30))
        estimate = interval(values, resamples=300)
        covered += estimate.low <= 0 <= estimate.high
        flat = interval(values.ravel(), resamples=300)
        assert estimate.high - estimate.low > 2 * (flat.high - flat.low)
    assert 0.87 < covered / runs < 0.98  # a little short with twelve seeds, as percentile bootstraps are


def test_intervals_narrow_with_the_root_of_the_episodes() -> None:
    rng = np.random.default_rng(2)
    widths = []
    for count in (100, 1600):
        estimate = interval(rng.normal(size=count))
        widths.append(estimate.high - estimate.low)
        assert widths[-1] == pytest.approx(2 * 1.96 / np.sqrt(count), rel=0.2)
    assert interval(np.ones(50)) == interval(np.ones(50), seed=3)
    assert interval([1.0, 1.0]).low == interval([1.0, 1.0]).high == 1.0


def test_spl_is_the_formula() -> None:
    success = np.array([True, True, False, True, True])
    shortest, path = np.array([3.0, 3.0, 3.0, 0.0, 2.0]), np.array([6.0, 2.5, 3.0, 0.0, 2.0])
    np.testing.assert_allclose(spl(success, shortest, path), [0.5, 1.0, 0.0, 0.0, 1.0])


def test_metrics_of_episodes_by_hand() -> None:
    layout = Layout.from_text(".....\n.###.\n.....", "ring")
    commands = MazeCommands(layout)
    row_two = commands.command(commands.labels.index("row 2"))
    down = np.array([[0.5, 0.5], [1.0, 0.5], [1.5, 0.5], [2.0, 0.5]])
    stay = np.tile([0.5, 2.5], (4, 1))
    detour = np.array([[0.5, 0.5], [0.5, 0.5], [1.2, 0.5], [2.2, 0.5]])
    paths = np.stack([down, stay, detour]).astype(np.float32)
    steps = np.array([3, 3, 6])
    episodes = Episodes((row_two,) * 3, paths, np.array([True, False, True]), steps)
    metrics = episode_metrics(layout, episodes)
    assert set(metrics) == set(METRICS)
    np.testing.assert_array_equal(metrics["success"], [1, 0, 1])
    np.testing.assert_array_equal(metrics["steps"], steps)
    np.testing.assert_allclose(metrics["spl"], [1.5 / 1.5, 0, 1.5 / 3.0], atol=2e-3)  # the face of row 2 is 1.5 away
    np.testing.assert_allclose(metrics["spl_grid"], [1.0, 0, 2.0 / 3.0], atol=2e-3)  # two cells away
