"""How sure one can be of a mean over episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES: Final = 2000
_DRAWN_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def interval(values: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Mean of values [E], or [S, E] of S training seeds, with a percentile bootstrap over seeds, then episodes.

    Each resample draws S seeds with replacement and, within each, E episodes with replacement.
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))  # [S, E]
    rng = np.random.default_rng(seed)
    seeds, episodes = table.shape
    at_once = max(1, _DRAWN_AT_ONCE // table.size)
    means = []
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        seed_drawn = rng.integers(seeds, size=(count, seeds, 1))
        episode_drawn = rng.integers(episodes, size=(count, seeds, episodes))
        means.append(table[seed_drawn, episode_drawn].mean(axis=(1, 2)))  # [count, S, E] -> [count]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return Estimate(float(table.mean()), float(low), float(high))


def estimated(value: Any) -> Any:
    """Nested mappings with every array [N] in them as its mean and interval."""
    if isinstance(value, Mapping):
        return {name: estimated(one) for name, one in value.items()}
    return asdict(interval(value)) if isinstance(value, np.ndarray) else value


Ratios = Mapping[str, tuple[str, str]]
Columns = Mapping[str, NDArray[np.float64]]


def means(groups: Sequence[Columns], ratios: Ratios | None = None) -> dict[str, dict[str, float]]:
    """Each metric's mean with its 95 % interval, as JSON holds them: {"mean", "low", "high"}.

    groups: metrics [E] of one group of episodes, or of several whose means have the same weight. ratios: only for
    groups: metrics that are a mean over another's mean. Episodes of which a metric says nothing (NaN) are left out of
    it, metrics that say nothing at all are left out.
    """
    if ratios is None:
        (values,) = groups
        known = {name: column[np.isfinite(column)] for name, column in values.items()}
        return {name: asdict(interval(column)) for name, column in known.items() if len(column)}
    return {name: asdict(estimate) for name, estimate in _stratified(groups, ratios).items()}


def differences(values: Columns, first: Columns, ratios: Ratios | None = None) -> dict[str, NDArray[np.float64]]:
    """What two actors did in the same episodes, paired: [E] each of the metrics that both have.

    Of ratios, the denominator stays as it is.
    """
    kept = {below for _, below in (ratios or {}).values()}
    return {name: column if name in kept else column - first[name] for name, column in values.items() if name in first}


def _stratified(groups: Sequence[Columns], ratios: Ratios) -> dict[str, Estimate]:
    """The bootstrap draws the episodes of each group anew, never other groups: nobody drew those."""
    # Stream by place: two actors in the same groups meet the same resamples.
    by_group = [_resampled(values, ratios, np.random.default_rng(place)) for place, values in enumerate(groups)]
    found = {}
    for metric in dict.fromkeys(name for resampled in by_group for name in resampled):
        drawn = [resampled[metric] for resampled in by_group if metric in resampled]  # of L groups, [1 + R] each
        overall = np.mean(drawn, axis=0)  # [1 + R]
        low, high = np.quantile(overall[1:], (0.025, 0.975))
        found[metric] = Estimate(float(overall[0]), float(low), float(high))
    return found


def _resampled(values: Columns, ratios: Ratios, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Each metric's mean of one group, [1 + R]: over its episodes, then over R resamples of them."""
    known = {name: column for name, column in values.items() if np.isfinite(column).all()}
    table = np.stack(list(known.values()), axis=1)  # [E, K]
    count = len(table)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)  # [R, E], how often each episode
    resampled = np.concatenate([table.mean(axis=0, keepdims=True), drawn @ table / count])  # [1 + R, K]
    found = dict(zip(known, resampled.T, strict=True))
    for name, (above, below) in ratios.items():
        if below in found:
            found[name] = found[above] / found.pop(below)
    return found
