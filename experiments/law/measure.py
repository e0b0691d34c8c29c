"""The measurements behind results/law.json: the table, and the share of the signal that bypasses the bridge."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalbridge.agents.bridge import bridge_scores
from goalbridge.configs.checks import ConfigError
from goalbridge.evaluation.statistics import interval
from goalbridge.experiments.law.exact import ExactEmbeddings, bayes_scores, exact_embeddings, lemma_scores
from goalbridge.experiments.law.laboratory import (
    AB,
    AC,
    BC,
    INDEPENDENT,
    KINDS,
    LARGE,
    SHARED,
    SMALL,
    Bridged,
    Laboratory,
    model_name,
    oracle_scores,
    train_bridged,
)
from goalbridge.experiments.law.retrieval import recall
from goalbridge.experiments.law.smoothing import SmoothedBridge
from goalbridge.experiments.law.store import training_seconds
from goalbridge.experiments.law.training import Recipe
from goalbridge.experiments.report.markdown import load

SEEDS = tuple(range(10, 20))  # 0 to 9 were looked at while the estimators were made
DEVELOPMENT_SEEDS = (100, 101)  # on which recipe and estimators were chosen
FEWER_SEEDS = SEEDS[:5]  # of what is slower or secondary
BYPASSES = (0.0, 0.25, 0.5, 0.75, 1.0)
ESTIMATORS: dict[str, Callable[[Bridged], Tensor]] = {
    "smoothed .05": lambda of: of.smoothed(0.05),
    "smoothed .2": lambda of: of.smoothed(0.2),
    "smoothed .4": lambda of: of.smoothed(0.4),
    "smoothed .6": lambda of: of.smoothed(0.6),
    "smoothed .8": lambda of: of.smoothed(0.8),
    "gaussian": lambda of: of.smoothed(1.0),
    "quadratic": Bridged.quadratic,
    "importance": Bridged.importance,
}
Report = Callable[[], None]


def figure(scores: Sequence[Tensor]) -> dict[str, Any]:
    """Recall over seeds, from each seed's scores [N, N]: mean, 95 % interval over seeds and triplets, each seed's."""
    table = np.stack([recall(of_seed).numpy() for of_seed in scores])  # [S, N]
    return asdict(interval(table)) | {"per_seed": [round(float(row.mean()), 4) for row in table]}


def measure_table(report: Report) -> dict[str, Any]:
    """Every critic, shared and independent, by Direct, Monte Carlo and a better estimator; exact references."""
    labs = [Laboratory(seed) for seed in (*DEVELOPMENT_SEEDS, *SEEDS)]
    fresh = labs[len(DEVELOPMENT_SEEDS) :]
    rows: dict[str, Any] = {kind: {} for kind in KINDS}
    evaluating = 0.0
    for kind in KINDS:
        for sharing in (SHARED, INDEPENDENT):
            models = train_bridged(labs, kind, sharing, Recipe(), report)
            began = time.process_time()
            tuned = choose_estimator(models[: len(DEVELOPMENT_SEEDS)])
            rows[kind][sharing] = estimators(models[len(DEVELOPMENT_SEEDS) :], tuned["estimator"])
            rows[kind][sharing]["development"] = tuned
            evaluating += time.process_time() - began
        rows[kind]["oracle"] = figure(oracle_scores(fresh, kind, Recipe(), report))
    began = time.process_time()
    exact = exact_references(fresh)
    seconds = {
        "training": round(training_seconds(table_models(labs, fresh)), 1),
        "evaluation": round(evaluating + time.process_time() - began, 1),
    }
    return {"rows": rows, "exact": exact, "recipe": asdict(Recipe()), "processor_seconds": seconds}


def table_models(labs: Sequence[Laboratory], fresh: Sequence[Laboratory]) -> list[str]:
    """The names of all models that the table is made of."""
    bridging = [model_name(lab, kind, group) for lab in labs for kind in KINDS for group in ((AB, BC), (AB,), (BC,))]
    return bridging + [model_name(lab, kind, (AC,)) for lab in fresh for kind in KINDS]


def choose_estimator(models: Sequence[Bridged]) -> dict[str, Any]:
    """The estimator with the best recall at M = 5k on the models of development seeds, and all that were tried."""
    tried = {
        name: float(torch.stack([recall(estimate(of.pool(SMALL))) for of in models]).mean())
        for name, estimate in ESTIMATORS.items()
    }
    return {"estimator": max(tried, key=lambda name: tried[name]), "tried": {n: round(r, 4) for n, r in tried.items()}}


def estimators(models: Sequence[Bridged], chosen: str) -> dict[str, Any]:
    """Recall of each estimator over the models of all seeds; chosen: the name of the better one, of ESTIMATORS."""
    return {
        "direct": figure([of.direct() for of in models]),
        "monte carlo 5k": figure([of.pool(SMALL).monte_carlo() for of in models]),
        "monte carlo 100k": figure([of.pool(LARGE).monte_carlo() for of in models]),
        "better 5k": figure([ESTIMATORS[chosen](of.pool(SMALL)) for of in models]),
    }


def exact_references(labs: Sequence[Laboratory]) -> dict[str, Any]:
    """Recall of the exact densities: Bayes-optimal, and Lemma 1 in closed form, by Monte Carlo, and smoothed."""
    found: dict[str, list[Tensor]] = {}
    for lab in labs:
        a, c = lab.held_out.a, lab.held_out.c
        found.setdefault("bayes-optimal", []).append(bayes_scores(lab.world, a, c))
        found.setdefault("lemma 1, closed form", []).append(lemma_scores(lab.world, a, c))
        for name, goals in (("monte carlo 5k", SMALL), ("monte carlo 100k", LARGE)):
            found.setdefault(name, []).append(exact_monte_carlo(lab, goals))
        exact = exact_embeddings(lab.world, a, c, lab.pool[:SMALL])
        smoothed = SmoothedBridge(exact.bridge_ab, exact.bridge_bc, exact.critic_ab, exact.critic_bc, 1.0)
        found.setdefault("gaussian 5k", []).append(smoothed.scores(exact.a, exact.c) + exact.offsets)
    return {name: figure(scores) for name, scores in found.items()}


def exact_monte_carlo(lab: Laboratory, goals: int) -> Tensor:
    """Lemma 1 with exact densities, by Monte Carlo over the first `goals` of the pool: [N, N]."""
    exact: ExactEmbeddings = exact_embeddings(lab.world, lab.held_out.a, lab.held_out.c, lab.pool[:goals])
    embeddings = (exact.a.float(), exact.c.float(), exact.bridge_ab.float(), exact.bridge_bc.float())
    return bridge_scores(*embeddings, exact.critic_ab, exact.critic_bc) + exact.offsets


def measure_bypass(report: Report) -> dict[str, Any]:
    """The share of the signal that bypasses B, for exact and learned Lemma 1 (one encoder of B, squared distance)."""
    rows: dict[str, Any] = {}
    for bypass in BYPASSES:
        labs = [Laboratory(seed, bypass) for seed in FEWER_SEEDS]
        models = train_bridged(labs, "neg_squared_l2", SHARED, Recipe(), report)
        chosen = chosen_estimator("neg_squared_l2", SHARED)
        rows[str(bypass)] = {"learned": estimators(models, chosen), "exact": exact_references(labs)}
    return {"rows": rows, "seeds": list(FEWER_SEEDS)}


def chosen_estimator(kind: str, sharing: str) -> str:
    """What `measure_table` chose on development seeds. Raises ConfigError where the table has not been measured."""
    result = load("law") or {}
    if "table" not in result:
        raise ConfigError("results/law.json: holds no table yet; run `python -m experiments.law table` first")
    return str(result["table"]["rows"][kind][sharing]["development"]["estimator"])
