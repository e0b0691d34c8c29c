"""How sure one can be of a mean over episodes, or over training seeds and their episodes.

A mean of values in [0, 1] gets Wilson's score interval (JASA 1927), which says what few episodes can say even at 0 and
1, with as many episodes as would vary as much (Korn & Graubard, Survey Methodology 1998; seeds are the clusters of a
survey). A difference of shares in pairs gets that of Bonett & Price (J. Educ. Behav. Stat. 2012), all else Student's t.
How often they cover the truth: tests/evaluation/test_statistics.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES: Final = 2000

Values = NDArray[np.float64]
Ratios = Mapping[str, tuple[str, str]]
Columns = Mapping[str, Values]


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval; low = mean = high where one value says nothing of others."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class _Sample:
    """What independent values say of their mean.

    centre: of the interval, beside `mean`. variance: of the mean, with so many degrees of freedom. count: of values.
    bounded: whether they lie in [0, 1] and are no differences.
    """

    mean: float
    centre: float
    variance: float
    freedom: float
    count: float
    bounded: bool


def interval(values: ArrayLike, paired: bool = False) -> Estimate:
    """Mean of values [E], or [S, E] of S training seeds, with its interval.

    Of several seeds it is one of the mean over all seeds that might have been drawn; of one, of this seed's mean over
    episodes. paired: the values are differences of what two did in the same episodes.
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))  # [S, E]
    own = table.mean(axis=1)  # [S]
    if (own == own[0]).all():  # seeds that agree say no more of other seeds than their episodes do
        return _estimate([_sample(table.ravel(), paired)])
    return _estimate([_sample(own, paired, seeds=True)])


def _sample(values: Values, paired: bool, seeds: bool = False) -> _Sample:
    """Of values [E], or of the means of seeds; of shares, known by their values, the variance follows from the mean."""
    mean, count = float(values.mean()), len(values)
    if not seeds and np.isin(values, (-1, 0, 1) if paired else (0, 1)).all():
        more = np.append(values, (1.0, -1.0)) if paired else values  # Bonett & Price: one more pair each way
        return _Sample(mean, float(more.mean()), float(more.var() / len(more)), np.inf, count, not paired)
    bounded = not paired and values.min() >= 0 and values.max() <= 1
    variance = float(values.var(ddof=1) / count) if count > 1 else 0.0
    return _Sample(mean, mean, variance, max(count - 1, 1), count, bounded)


def _estimate(groups: Sequence[_Sample]) -> Estimate:
    """The mean of groups of equal weight; degrees of freedom by Welch and Satterthwaite."""
    from scipy.special import stdtrit  # only where there are figures to print

    mean, centre = (float(np.mean([getattr(one, name) for one in groups])) for name in ("mean", "centre"))
    parts = np.array([one.variance for one in groups]) / len(groups) ** 2
    variance = float(parts.sum())
    below = float((parts**2 / [one.freedom for one in groups]).sum())
    quantile = float(stdtrit(min(variance**2 / below, 1e9) if below > 0 else 1e9, 0.975))
    half = quantile * variance**0.5
    shares = all(np.isinf(one.freedom) for one in groups)
    if all(one.bounded for one in groups) and (variance > 0 or shares):
        count = len(groups) ** 2 / sum(1 / one.count for one in groups)
        varying = mean * (1 - mean) / variance if variance > 0 else np.inf
        count = min(count, varying) if shares else varying
        spread = mean * (1 - mean) / count + quantile**2 / (4 * count**2)
        centre = (mean + quantile**2 / (2 * count)) / (1 + quantile**2 / count)
        half = quantile * spread**0.5 / (1 + quantile**2 / count)
    return Estimate(mean, min(mean, centre - half), max(mean, centre + half))


def estimated(value: Any) -> Any:
    """Nested mappings with every array [N] in them as its mean and interval."""
    if isinstance(value, Mapping):
        return {name: estimated(one) for name, one in value.items()}
    return asdict(interval(value)) if isinstance(value, np.ndarray) else value


def means(groups: Sequence[Columns], ratios: Ratios | None = None, paired: bool = False) -> dict[str, dict[str, float]]:
    """Each metric's mean with its 95 % interval, as JSON holds them: {"mean", "low", "high"}.

    groups: metrics [E] of one group of episodes, or of several whose means have the same weight. ratios: metrics that
    are a mean over another's mean within a group. paired: as in `interval`. Episodes of which a metric says nothing
    (NaN) are left out of it, and so are groups in which it says nothing of any.
    """
    by_group = [_samples(group, ratios or {}, paired) for group in groups]
    found = dict.fromkeys(name for samples in by_group for name in samples)
    return {name: asdict(_estimate([samples[name] for samples in by_group if name in samples])) for name in found}


def _samples(group: Columns, ratios: Ratios, paired: bool) -> dict[str, _Sample]:
    known = {name: column[np.isfinite(column)] for name, column in group.items()}
    found = {name: _sample(column, paired) for name, column in known.items() if len(column)}
    for name, (above, below) in ratios.items():
        if found.pop(below, None) is not None:
            both = np.isfinite(group[above]) & np.isfinite(group[below])  # [E]
            ratio = group[above][both].mean() / group[below][both].mean()
            # Its first-order variance: that of the mean of these values (the delta method).
            linear = ratio + (group[above][both] - ratio * group[below][both]) / group[below][both].mean()
            found[name] = _sample(linear, paired=True)
    return found


def differences(values: Columns, first: Columns, ratios: Ratios | None = None) -> dict[str, Values]:
    """What two actors did in the same episodes, paired: [E] each of the metrics that both have.

    Of ratios, the denominator stays as it is.
    """
    kept = {below for _, below in (ratios or {}).values()}
    return {name: column if name in kept else column - first[name] for name, column in values.items() if name in first}


def interquartile_mean(scores: ArrayLike) -> Estimate:
    """Mean of the middle half of scores [S, T] of S seeds in T tasks (Agarwal et al., NeurIPS 2021).

    The interval is their percentile bootstrap: the seeds of each task are drawn anew.
    """
    from scipy.stats import trim_mean

    table = np.asarray(scores, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table  # [S, T]
    return _bootstrap(lambda drawn: np.asarray(trim_mean(drawn[0].reshape(len(drawn[0]), -1), 0.25, axis=1)), table)


def probability_of_improvement(scores: ArrayLike, others: ArrayLike) -> Estimate:
    """How probably a seed of the first has a higher score than one of the others, ties half, mean over T tasks.

    scores: [S, T]. others: [S', T]. As Agarwal et al. (NeurIPS 2021) define it, with their bootstrap.
    """

    def share(drawn: Sequence[Values]) -> Values:
        ours, theirs = drawn  # [R, S, T], [R, S', T]
        apart = np.sign(ours[:, :, None] - theirs[:, None])  # [R, S, S', T]
        return np.asarray((apart.mean(axis=(1, 2, 3)) + 1) / 2)

    tables = [np.asarray(one, dtype=np.float64) for one in (scores, others)]
    return _bootstrap(share, *(one[:, None] if one.ndim == 1 else one for one in tables))


def _bootstrap(statistic: Callable[[Sequence[Values]], Values], *tables: Values) -> Estimate:
    """A statistic of tables [S, T], given as [R, S, T], with the interval of its resamples of seeds within tasks."""
    rng = np.random.default_rng(0)
    drawn = [
        np.take_along_axis(table[None], rng.integers(len(table), size=(RESAMPLES, *table.shape)), axis=1)
        for table in tables
    ]
    low, high = np.quantile(statistic(drawn), (0.025, 0.975))
    return Estimate(float(statistic([table[None] for table in tables])[0]), float(low), float(high))
