"""Is there anything in pairs (a, c) that a bridge over goals does not say? A test of A independent of C given B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize
from scipy.special import logsumexp

from goalbridge.configs.checks import ConfigError

FEWEST = 96
_RIDGE = 0.1  # of the standardised covariance: keeps the model of the pairs tame where rows are few
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """What pairs add to the bridge on rows not learned from: nats a row, and how rarely chance gives as much."""

    nats: float
    p_value: float


def gain_of_pairs(bridged: Sequence[Matrix], a: Matrix, c: Matrix) -> Gain:
    """bridged: one or more estimates [P, P] of the bridge's scores, for rows a [P, d], c [P, d'] that belong together.

    A linear-Gaussian log p(c | a) / p(c) is fitted on a third of the rows, weights of all scores on the second, and
    the log-likelihood of picking the right c among the last third's is compared with and without it (one-sided t-test).
    Raises ConfigError if P is below 96.
    """
    if len(a) < FEWEST:
        raise ConfigError(f"paired={len(a)}: too few rows to tell anything; {FEWEST} or more would do")
    learn, weigh, judge = np.array_split(np.random.default_rng(0).permutation(len(a)), 3)
    alone, both = tuple(bridged), (*bridged, _pair_scores(a, c, learn))
    before = _log_likelihood(alone, judge, _weights(alone, weigh))  # [n]
    gains = _log_likelihood(both, judge, _weights(both, weigh)) - before  # [n]
    if np.ptp(gains) == 0.0:
        return Gain(float(gains.mean()), 1.0)
    test = stats.ttest_1samp(gains, 0.0, alternative="greater")
    return Gain(float(gains.mean()), float(test.pvalue))


def _pair_scores(a: Matrix, c: Matrix, rows: NDArray[np.intp]) -> Matrix:
    """log p(c | a) / p(c), [P, P], of a Gaussian fitted to the given rows."""
    x, y = ((v - v[rows].mean(0)) / v[rows].std(0).clip(1e-9) for v in (a, c))
    covariance_x = x[rows].T @ x[rows] / len(rows) + _RIDGE * np.eye(x.shape[1])
    covariance_y = y[rows].T @ y[rows] / len(rows) + _RIDGE * np.eye(y.shape[1])
    cross = x[rows].T @ y[rows] / len(rows)
    expected = x @ np.linalg.solve(covariance_x, cross)  # [P, d']
    given = covariance_y - cross.T @ np.linalg.solve(covariance_x, cross)
    precision = np.linalg.inv((given + given.T) / 2)
    own = 0.5 * ((y @ np.linalg.inv(covariance_y)) * y).sum(1) - 0.5 * ((y @ precision) * y).sum(1)  # [P]
    scores: Matrix = expected @ precision @ y.T + own
    return scores


def _weights(parts: tuple[Matrix, ...], rows: NDArray[np.intp]) -> Matrix:
    """The weights >= 0 of the score matrices that best pick the right c among the given rows'."""
    scales = np.array([max(1.0, float(part.std())) for part in parts])

    def loss(weights: Matrix) -> float:
        return -float(_log_likelihood(parts, rows, weights / scales).mean())

    found = minimize(loss, np.ones(len(parts)), bounds=[(0.0, None)] * len(parts))
    weights: Matrix = found.x / scales
    return weights


def _log_likelihood(parts: tuple[Matrix, ...], rows: NDArray[np.intp], weights: Matrix) -> Matrix:
    """Log-probability of each row's own c among the rows', [n]."""
    logits = sum(weight * part[np.ix_(rows, rows)] for weight, part in zip(weights, parts, strict=True))
    found: Matrix = np.diagonal(logits) - logsumexp(logits, axis=1)
    return found
