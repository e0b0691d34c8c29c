"""Means, intervals that cover the truth as often as they say, groups of equal weight, ratios, paired differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import scipy.stats

from goalbridge.evaluation.statistics import (
    Estimate,
    differences,
    estimated,
    interquartile_mean,
    interval,
    means,
    probability_of_improvement,
)

RATIOS = {"against_optimum": ("steps", "optimum")}
RATES = np.linspace(0, 1, 21)


def coverage(draw: Callable[[np.random.Generator, float], tuple[Any, float]], paired: bool = False) -> list[float]:
    """Of each rate, how often the interval of what `draw` gives holds the truth that it gives too."""
    rng, held = np.random.default_rng(0), []
    for rate in RATES:
        drawn = [draw(rng, rate) for _ in range(60)]
        found = [(interval(values, paired), truth) for values, truth in drawn]
        assert all(one.low <= one.mean <= one.high for one, _ in found)
        held.append(float(np.mean([one.low - 1e-9 <= truth <= one.high + 1e-9 for one, truth in found])))
    return held


@pytest.mark.parametrize("seeds", [1, 3, 10])
@pytest.mark.parametrize("episodes", [4, 30, 1000])
def test_intervals_of_shares_cover_the_truth(seeds: int, episodes: int) -> None:
    """Of all rates together 93 to 97 in 100, a little more with few seeds, and of no rate far fewer."""
    held = coverage(lambda rng, rate: (rng.random((seeds, episodes)) < rate, rate))
    assert 0.93 <= np.mean(held) <= (1.0 if seeds == 3 else 0.985)
    assert min(held) > 0.75
    assert held[0] == held[-1] == 1


@pytest.mark.parametrize("seeds", [3, 10])
def test_intervals_over_seeds_count_the_seeds_spread(seeds: int) -> None:
    """Seeds that differ make the interval wide, however many episodes each has."""

    def draw(rng: np.random.Generator, rate: float) -> tuple[Any, float]:
        own = rng.beta(20 * rate + 1e-9, 20 * (1 - rate) + 1e-9, (seeds, 1))
        return rng.random((seeds, 500)) < own, rate

    held = coverage(draw)
    assert 0.9 < np.mean(held[2:-2]) <= 0.99
    apart, together = (interval(values) for values in (np.repeat([[0.0], [1.0], [1.0]], 99, 1), [0.0, 1.0, 1.0] * 99))
    assert apart.high - apart.low > 5 * (together.high - together.low)


@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize("episodes", [4, 100])
def test_intervals_of_paired_differences_and_of_steps_cover_the_truth(seeds: int, episodes: int) -> None:
    shape = (seeds, episodes)
    shares = coverage(lambda r, rate: (1.0 * (r.random(shape) < rate) - (r.random(shape) < 0.4), rate - 0.4), True)
    assert 0.93 < np.mean(shares) < 0.993  # of four episodes they claim a little too little
    steps = coverage(lambda r, rate: (r.gamma(4, 1 + rate, shape), 4 * (1 + rate)))
    assert 0.91 < np.mean(steps) < 0.97


def test_intervals_say_what_a_few_episodes_can() -> None:
    """Against Wilson's formula as statsmodels 0.14 and R's binom give it, and Bonett and Price's example."""
    four = interval([1.0] * 4)
    assert (four.mean, four.low, four.high) == pytest.approx((1, 0.5101, 1), abs=1e-4)
    some = interval([1.0] * 7 + [0.0] * 3)
    assert (some.low, some.high) == pytest.approx((0.3968, 0.8922), abs=1e-4)
    same = interval(np.zeros(10), paired=True)
    assert same.low == -same.high == pytest.approx(-1.96 * (2 / 12 / 12) ** 0.5, abs=1e-3)
    assert interval([0.3]) == Estimate(0.3, 0.3, 0.3)
    assert interval(np.full((3, 4), 1.0)) == interval(np.ones(12))


def test_intervals_of_other_means_are_students_t() -> None:
    values = np.random.default_rng(2).normal(size=40)
    found = interval(values)
    theirs = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert means([{"x": values}], {})["x"] == asdict(found)


def test_ratios_of_means_have_the_interval_of_a_bootstrap() -> None:
    rng = np.random.default_rng(4)
    optimum = rng.integers(3, 20, 400).astype(float)
    steps = optimum * rng.uniform(1, 2, 400)
    found = means([{"steps": steps, "optimum": optimum}], RATIOS)["against_optimum"]
    rows = rng.integers(400, size=(4000, 400))
    low, high = np.quantile(steps[rows].mean(1) / optimum[rows].mean(1), (0.025, 0.975))
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.004)


def test_groups_weigh_the_same_whatever_their_size_and_are_not_drawn_anew() -> None:
    small = {"success": np.ones(2), "steps": np.full(2, 2.0), "optimum": np.full(2, 2.0)}
    large = {"success": np.zeros(200), "steps": np.full(200, 400.0), "optimum": np.full(200, 100.0)}
    unknown = {"success": np.ones(5), "steps": np.full(5, 9.0)}
    nan = unknown | {"optimum": np.full(5, np.nan)}
    found = means([small, large], RATIOS)
    assert found["success"]["mean"] == 0.5
    assert found["success"]["low"] < 0.4 < 0.6 < found["success"]["high"]  # two episodes of a group say little
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
    found = means([differences(other | {"more": optimum}, one, ratios)], ratios, paired=True)
    for name in found:
        apart = means([other], ratios)[name]["mean"] - means([one], ratios)[name]["mean"]
        assert found[name]["mean"] == pytest.approx(apart)
    assert set(found) == ({"steps", "optimum"} if ratios is None else {"steps", "against_optimum"})
    nothing = means([differences(one, one, ratios)], ratios, paired=True)
    assert all(value["mean"] == 0 and value["low"] == pytest.approx(-value["high"]) for value in nothing.values())


def test_arrays_anywhere_become_estimates() -> None:
    found = estimated({"a": {"texts": 3, "share": np.array([1.0, 1.0])}, "b": "said"})
    share = asdict(interval([1.0, 1.0]))
    assert found == {"a": {"texts": 3, "share": share}, "b": "said"}


def test_interquartile_means_and_probabilities_of_improvement_are_those_of_their_definitions() -> None:
    """Agarwal et al. (2021): the mean of the middle half; Mann and Whitney's statistic, meant over tasks."""
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0.5, 1, (8, 3)), rng.normal(0, 1, (6, 3))
    ordered = np.sort(ours.ravel())
    assert interquartile_mean(ours).mean == pytest.approx(ordered[6:18].mean())
    found = probability_of_improvement(ours, theirs)
    by_task = [scipy.stats.mannwhitneyu(x, y).statistic / 48 for x, y in zip(ours.T, theirs.T, strict=True)]
    assert found.mean == pytest.approx(np.mean(by_task))
    assert found.low < found.mean < found.high
    assert probability_of_improvement([1.0, 1.0], [1.0, 0.0]).mean == 0.75  # ties count half
