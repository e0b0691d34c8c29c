"""Is a cloud of representations uniform on the sphere (Lemma 2) or an isotropic Gaussian (Lemma 3)? Tests and effects.

With thousands of points every p-value is small; what decides is the effect size, on a scale where the assumption is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Cloud = NDArray[np.float64]  # [M, d]


@dataclass(frozen=True)
class Finding:
    """A test of an assumption: its statistic, its p-value where it holds, and an effect size that is then 0."""

    name: str
    statistic: float
    p_value: float
    effect: float
    effect_means: str


def sphere_tests(points: Cloud) -> list[Finding]:
    """Tests of uniformity of the directions of `points` [M, d]: Rayleigh, Bingham, and projections on random axes."""
    directions = points / np.linalg.norm(points, axis=1, keepdims=True).clip(1e-12)
    return [rayleigh(directions), bingham(directions), projected(directions)]


def gaussian_tests(points: Cloud) -> list[Finding]:
    """Tests of an isotropic Gaussian: sphericity (John), squared norms against chi-square, Mardia's kurtosis."""
    return [sphericity(points), squared_norms(points), mardia_kurtosis(points)]


def rayleigh(directions: Cloud) -> Finding:
    """Mean direction: d M |mean|^2 is chi-square with d degrees under uniformity. Effect: |mean|, 0 to 1."""
    count, dimension = directions.shape
    length = float(np.linalg.norm(directions.mean(0)))
    statistic = dimension * count * length**2
    p_value = float(stats.chi2.sf(statistic, dimension))
    return Finding("Rayleigh", statistic, p_value, length, "length of the mean direction, 1 if all are the same")


def bingham(directions: Cloud) -> Finding:
    """Second moments T: d (d + 2) / 2 M (tr T^2 - 1/d) is chi-square with (d - 1)(d + 2) / 2 degrees.

    Effect: 1 - participation ratio / d, 0 to 1.
    """
    count, dimension = directions.shape
    moments = directions.T @ directions / count
    square = float((moments**2).sum())
    statistic = dimension * (dimension + 2) / 2 * count * (square - 1 / dimension)
    p_value = float(stats.chi2.sf(statistic, (dimension - 1) * (dimension + 2) / 2))
    effect = 1 - 1 / (square * dimension)
    return Finding("Bingham", statistic, p_value, effect, "share of the dimensions that the directions leave unused")


def projected(directions: Cloud, axes: int = 8, seed: int = 0) -> Finding:
    """Kolmogorov-Smirnov on random axes: (1 + x . u) / 2 is Beta((d - 1) / 2, (d - 1) / 2) under uniformity.

    Bonferroni over the axes. Effect: the largest distance of the distribution functions, 0 to 1.
    """
    rng = np.random.default_rng(seed)
    half = (directions.shape[1] - 1) / 2
    drawn = rng.standard_normal((axes, directions.shape[1]))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    found = [stats.kstest((1 + directions @ axis) / 2, stats.beta(half, half).cdf) for axis in drawn]
    worst = max(found, key=lambda result: float(result.statistic))
    p_value = min(1.0, axes * float(worst.pvalue))
    statistic = float(worst.statistic)
    return Finding(
        "projected KS", statistic, p_value, statistic, "largest gap of the distribution functions on an axis"
    )


def sphericity(points: Cloud) -> Finding:
    """John's test of a covariance proportional to the identity. Effect: 1 - participation ratio / d, 0 to 1."""
    count, dimension = points.shape
    covariance = np.cov(points.T)
    scaled = covariance * (dimension / np.trace(covariance))
    spread = float(((scaled - np.eye(dimension)) ** 2).sum()) / dimension  # John's U
    p_value = float(stats.chi2.sf(count * dimension * spread / 2, dimension * (dimension + 1) / 2 - 1))
    effect = spread / (1 + spread)
    return Finding(
        "John", count * dimension * spread / 2, p_value, effect, "share of the dimensions that the cloud leaves unused"
    )


def squared_norms(points: Cloud) -> Finding:
    """Squared Mahalanobis norms against chi-square with d degrees, by KS: Gaussianity. Effect: KS distance, 0 to 1."""
    whitened = _whitened(points)
    found = stats.kstest((whitened**2).sum(1), stats.chi2(whitened.shape[1]).cdf)
    statistic = float(found.statistic)
    return Finding(
        "norms chi-square", statistic, float(found.pvalue), statistic, "largest gap of the distribution functions"
    )


def mardia_kurtosis(points: Cloud) -> Finding:
    """Mardia's kurtosis b, normal about d (d + 2) with variance 8 d (d + 2) / M. Effect: |b / (d (d + 2)) - 1|."""
    whitened = _whitened(points)
    count, dimension = whitened.shape
    expected = dimension * (dimension + 2)
    kurtosis = float(((whitened**2).sum(1) ** 2).mean())
    statistic = (kurtosis - expected) / np.sqrt(8 * expected / count)
    p_value = float(2 * stats.norm.sf(abs(statistic)))
    return Finding("Mardia", float(statistic), p_value, abs(kurtosis / expected - 1), "relative excess of the kurtosis")


def _whitened(points: Cloud) -> Cloud:
    """Centred and whitened on the directions that carry variance (a cloud may lie in a subspace), [M, d']."""
    centred = points - points.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    kept = sizes > 1e-3 * sizes[0]
    whitened: Cloud = left[:, kept] * np.sqrt(len(points))
    return whitened
