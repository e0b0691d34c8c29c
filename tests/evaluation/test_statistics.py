"""Means, intervals that cover the truth as often as they say, groups of equal weight, ratios, paired differences."""

from __future__ import annotations

import numpy as np
import pytest

from goalbridge.evaluation.statistics import differences, estimated, interval, means

RATIOS = {"against_optimum": ("steps", "optimum")}


@pytest.mark.parametrize("kind", ["success", "steps"])
def test_intervals_cover_the_truth_about_19_times_in_20(kind: str) -> None:
    rng, covered, runs = np.random.default_rng(0), 0, 400
    for _ in range(runs):
        values = rng.random(120) < 0.7 if kind == "success" else rng.exponential(10, 120)
        estimate = interval(values, resamples=400)
        covered += estimate.low <= (0.7 if kind == "success" else 10) <= estimate.high
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


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    values = np.random.default_rng(2).normal(size=400)
    rng = np.random.default_rng(3)
    plain = [values[rng.integers(400, size=400)].mean() for _ in range(4000)]
    found = interval(values)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(plain, (0.025, 0.975))), abs=0.01)
    assert interval(np.ones(50)) == interval(np.ones(50), seed=3)
    assert (interval([1.0, 1.0]).low, interval([1.0, 1.0]).high) == (1.0, 1.0)
    in_groups = means([{"x": values}], {})["x"]
    assert in_groups["mean"] == pytest.approx(found.mean)
    assert (in_groups["low"], in_groups["high"]) == pytest.approx((found.low, found.high), abs=0.02)


def test_groups_weigh_the_same_whatever_their_size_and_are_not_drawn_anew() -> None:
    small = {"success": np.ones(2), "steps": np.full(2, 2.0), "optimum": np.full(2, 2.0)}
    large = {"success": np.zeros(200), "steps": np.full(200, 400.0), "optimum": np.full(200, 100.0)}
    unknown = {"success": np.ones(5), "steps": np.full(5, 9.0)}
    nan = unknown | {"optimum": np.full(5, np.nan)}
    found = means([small, large], RATIOS)
    assert found["success"] == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert (found["steps"]["mean"], found["against_optimum"]["mean"]) == (201, 2.5)
    assert "optimum" not in found
    for left_out in (unknown, nan):
        assert means([small, large, left_out], RATIOS)["against_optimum"]["mean"] == 2.5
        assert "against_optimum" not in means([left_out], RATIOS)


def test_intervals_over_groups_cover_the_truth() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        drawn = [{"success": (rng.random(50) < rate).astype(float)} for rate in (0.5, 0.8)]
        found = means(drawn, {})["success"]
        held += found["low"] <= 0.65 <= found["high"]
    assert 0.89 <= held / 200 <= 0.99


def test_episodes_of_which_a_metric_says_nothing_are_left_out_of_it() -> None:
    found = means([{"mass": np.array([np.nan, 0.5, 0.5]), "success": np.array([1.0, 0, 0]), "x": np.full(3, np.nan)}])
    assert set(found) == {"mass", "success"}
    assert (found["mass"]["mean"], found["success"]["mean"]) == pytest.approx((0.5, 1 / 3))


@pytest.mark.parametrize("ratios", [None, RATIOS])
def test_differences_are_paired(ratios: dict[str, tuple[str, str]] | None) -> None:
    rng = np.random.default_rng(0)
    optimum = rng.integers(2, 9, size=40).astype(float)
    one, other = ({"steps": optimum * rng.uniform(1, k, 40), "optimum": optimum} for k in (2, 5))
    found = means([differences(other | {"more": optimum}, one, ratios)], ratios)
    for name in found:
        apart = means([other], ratios)[name]["mean"] - means([one], ratios)[name]["mean"]
        assert found[name]["mean"] == pytest.approx(apart)
    assert set(found) == ({"steps", "optimum"} if ratios is None else {"steps", "against_optimum"})
    nothing = means([differences(one, one, ratios)], ratios)
    assert all(value == {"mean": 0, "low": 0, "high": 0} for value in nothing.values())


def test_arrays_anywhere_become_estimates() -> None:
    found = estimated({"a": {"texts": 3, "share": np.array([1.0, 1.0])}, "b": "said"})
    assert found == {"a": {"texts": 3, "share": {"mean": 1.0, "low": 1.0, "high": 1.0}}, "b": "said"}
