"""Estimators of Lemma 1 held against each other: recall over the number of bridge goals, and bias and spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from goalbridge.agents.bridge import bridge_diagnostics
from goalbridge.experiments.law.distribution import gaussian_tests, sphere_tests
from goalbridge.experiments.law.laboratory import (
    INDEPENDENT,
    KINDS,
    LARGE,
    SHARED,
    SMALL,
    Bridged,
    Laboratory,
    train_bridged,
)
from goalbridge.experiments.law.measure import ESTIMATORS, SEEDS, chosen_estimator, figure
from goalbridge.experiments.law.training import Recipe

CURVE_SEEDS = SEEDS[:3]
GOALS = (300, 1000, SMALL, 20_000, LARGE)
Estimator = Callable[[Bridged], Tensor]
REFERENCE, PAIRS, POOLS = 500_000, 64, 8  # goals of the large pool; pairs scored; pools of SMALL goals each
REFERENCE_DRAWS = 2048  # for each pair, twice


def measure_estimators(report: Callable[[], None]) -> dict[str, Any]:
    """Recall over M of every critic, and bias and spread at M = 5k against a reference that is as good as exact."""
    labs = [Laboratory(seed) for seed in CURVE_SEEDS]
    reference = Laboratory(CURVE_SEEDS[0], pool=REFERENCE)
    rows: dict[str, Any] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for sharing in (SHARED, INDEPENDENT):
            better = ESTIMATORS[chosen_estimator(kind, sharing)]
            models = train_bridged(labs, kind, sharing, Recipe(), report)
            wide = train_bridged([reference], kind, sharing, Recipe(), report)[0]
            rows[kind][sharing] = {
                "curve": curve(models, better),
                "against_reference": against_reference(wide, better),
                "effective_sample_size": effective_sizes(models),
                "marginal": marginal(models[0]),
            }
    return {
        "rows": rows,
        "seeds": list(CURVE_SEEDS),
        "reference_goals": REFERENCE,
        "reference_draws": 2 * REFERENCE_DRAWS,
        "pools": POOLS,
        "pairs": PAIRS,
    }


def curve(models: Sequence[Bridged], better: Estimator) -> dict[str, Any]:
    """Recall by the number of goals: plain Monte Carlo, extrapolated in 1 / M, and the better one."""
    rows = {}
    for goals in GOALS:
        parts = [of.pool(goals) for of in models]
        rows[str(goals)] = {"monte carlo": figure([part.monte_carlo() for part in parts])}
        if goals < LARGE:  # the others are there to do with fewer
            rows[str(goals)]["extrapolated"] = figure([extrapolated(part) for part in parts])
            rows[str(goals)]["better"] = figure([better(part) for part in parts])
    return rows


def extrapolated(of: Bridged) -> Tensor:
    """Monte Carlo over all goals, its bias of order 1 / M removed by what the two halves of the pool say: [N, K]."""
    first, second = halves(of)
    return 2 * (torch.logaddexp(first, second) - math.log(2)) - (first + second) / 2


def halves(of: Bridged) -> tuple[Tensor, Tensor]:
    """Monte Carlo over each half of the pool, [N, K] each."""
    half = len(of.bridge_ab) // 2
    return of.pool(half).monte_carlo(), of.pool(half, half).monte_carlo()


def against_reference(wide: Bridged, better: Estimator) -> dict[str, Any]:
    """Errors at true pairs, in nats, of small parts of the pool, and of all of it.

    bias: mean error over parts and pairs; spread: standard deviation over parts, root mean square over pairs. The
    reference is importance sampling by many draws, with mean and covariance of all goals, which are Gaussian here: the
    exact value, but for what it is known to: half the difference of two such, root mean square.
    """
    of = wide.pairs(PAIRS)
    first, second = (of.importance(REFERENCE_DRAWS, seed).diagonal() for seed in (1, 2))  # [P] each
    exact = torch.logaddexp(first, second) - math.log(2)  # [P]
    methods: dict[str, Estimator] = {
        "monte carlo": Bridged.monte_carlo,
        "extrapolated": extrapolated,
        "gaussian": ESTIMATORS["gaussian"],
        "better": better,
    }
    found: dict[str, Any] = {"reference_error": _root_mean_square((first - second) / 2)}
    found["monte carlo, all"] = {"bias": float((of.monte_carlo().diagonal() - exact).mean())}
    parts = [of.pool(SMALL, place * SMALL) for place in range(POOLS)]
    for name, method in methods.items():
        errors = torch.stack([method(part).diagonal() for part in parts]) - exact  # [pools, P]
        found[name] = {"bias": float(errors.mean()), "spread": _root_mean_square(errors.std(0))}
    return found


def effective_sizes(models: Sequence[Bridged]) -> dict[str, float]:
    """Median over true pairs of the effective number of goals, by the size of the pool."""
    found = {}
    for goals in (SMALL, LARGE):
        parts = [of.pool(goals) for of in models]
        reports = [
            bridge_diagnostics(of.a, of.c, of.bridge_ab, of.bridge_bc, of.critic_ab, of.critic_bc) for of in parts
        ]
        found[str(goals)] = float(torch.cat([of.effective_sample_size.diagonal() for of in reports]).median())
    return found


def marginal(of: Bridged) -> list[dict[str, Any]]:
    """Tests of the distribution of phi_B for A-B: uniform on the sphere, isotropic Gaussian, and Gaussian at all."""
    points = of.pool(SMALL).bridge_ab.double().numpy()
    return [asdict(finding) for finding in (*sphere_tests(points), *gaussian_tests(points))]


def _root_mean_square(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
