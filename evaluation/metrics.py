"""What an episode is worth, and how sure one can be of a mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.envs.commands import distinct_regions
from goalbridge.envs.geodesic import geodesic_shortest, grid_shortest
from goalbridge.envs.layouts import Layout
from goalbridge.envs.motion import STEP_SIZE
from goalbridge.evaluation.rollouts import Episodes

METRICS = ("success", "spl", "spl_grid", "steps")
_DRAWN_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def interval(values: ArrayLike, resamples: int = 2000, seed: int = 0) -> Estimate:
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


def spl(success: NDArray[np.bool_], shortest: NDArray[np.floating], path: NDArray[np.floating]) -> NDArray[np.float64]:
    """Success weighted by path length, [E]: success x shortest / max(path, shortest) (Anderson et al., 2018)."""
    longest = np.maximum(path, shortest)
    return np.where(success, shortest / np.where(longest > 0, longest, 1), 0.0)


def episode_metrics(layout: Layout, episodes: Episodes) -> dict[str, NDArray[np.float64]]:
    """Each metric of each episode, [E].

    success: 0 or 1. steps: those taken; a failure counts all of its own. spl: against the true any-angle shortest path,
    spl_grid: against the 4-connected cells to the nearest satisfying one, less 1 (for comparison with published
    figures); the path is steps x 0.5 cells in both.
    """
    regions, which = distinct_regions(episodes.commands)  # [K, H, W], [E]
    path = episodes.steps * STEP_SIZE  # [E]
    any_angle = geodesic_shortest(layout, episodes.starts, regions, which)  # [E]
    by_cells = grid_shortest(layout, episodes.starts, regions, which)  # [E]
    return {
        "success": episodes.success.astype(np.float64),
        "spl": spl(episodes.success, any_angle, path),
        "spl_grid": spl(episodes.success, by_cells, path),
        "steps": episodes.steps.astype(np.float64),
    }
