"""What RESULTS.md says of the synthetic experiments, from results/law.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goalbridge.experiments.agent.markdown import cell, load, table
from goalbridge.experiments.law.laboratory import INDEPENDENT, KINDS, SHARED
from goalbridge.experiments.law.published import (
    LARGE_COLUMN,
    PUBLISHED,
    PUBLISHED_BYPASS,
    PUBLISHED_EXACT,
    SMALL_COLUMN,
    TITLES,
)

_NAMES = {SHARED: "one encoder of B", INDEPENDENT: "two independent models"}
_COLUMNS = ("direct", SMALL_COLUMN, LARGE_COLUMN, "better 5k")
_HEADER = ["", "critic", "Direct", "LogSumExp, M = 5k", "M = 100k", "better estimator, M = 5k"]


def sections() -> list[str]:
    """The parts of RESULTS.md, as Markdown; empty where nothing has been measured."""
    result = load("law") or {}
    parts = []
    if "table" in result:
        parts += [
            "## The Law on synthetic data",
            _about(result["table"]),
            _table(result["table"]),
            _exact(result["table"]),
        ]
    if "estimators" in result:
        parts += ["### Estimators of Lemma 1", _about_estimators(result["estimators"]), _errors(result["estimators"])]
        parts += ["### The distribution of the representations", _marginals(result["estimators"])]
    if "rho" in result:
        parts += ["### A share of the signal bypasses B", _about_bypass(result["rho"]), _bypass(result["rho"])]
    return parts


def _about(result: Mapping[str, Any]) -> str:
    seconds, recipe = result["processor_seconds"], result["recipe"]
    development = ", ".join(map(str, result["development_seeds"]))
    return (
        f"`{result['command']}`, seeds {result['seeds'][0]} to {result['seeds'][-1]} (development {development}), "
        f"commit {result['git_commit'][:12]}. Recall@1 of 32 held-out candidates, mean and 95 % interval; in brackets "
        f"the authors' corrected figure. Models are trained on 20 000 pairs for {recipe['steps']} steps of batch "
        f"{recipe['batch']} instead of 64 epochs: {seconds['training']:.0f} s of one core for all, and "
        f"{seconds['evaluation']:.0f} s for their evaluation."
    )


def _table(result: Mapping[str, Any]) -> str:
    rows = []
    for sharing in (SHARED, INDEPENDENT):
        for kind in KINDS:
            found = result["rows"][kind][sharing]
            cells = [_beside(found[name], PUBLISHED[kind].get((sharing, name))) for name in _COLUMNS]
            cells[-1] += f", {found['development']['estimator']}"
            rows.append([_NAMES[sharing], TITLES[kind], *cells])
    for kind in KINDS:
        oracle = _beside(result["rows"][kind]["oracle"], PUBLISHED[kind]["", "oracle"])
        rows.append(["oracle, trained on (A, C)", TITLES[kind], oracle, "", "", ""])
    return table(_HEADER, rows)


def _exact(result: Mapping[str, Any]) -> str:
    header = ["exact densities", "recall@1 of 32 (published)"]
    rows = [[name, _beside(found, PUBLISHED_EXACT.get(name))] for name, found in result["exact"].items()]
    return table(header, rows)


def _about_estimators(result: Mapping[str, Any]) -> str:
    return (
        f"`{result['command']}`, seeds {', '.join(map(str, result['seeds']))}, commit {result['git_commit'][:12]}. "
        "Errors of log E exp(f_AB + f_BC) at "
        f"{result['pairs']} true pairs, M = 5k, in nats, over {result['pools']} pools. The reference is importance "
        f"sampling by {result['reference_draws']} goals for each pair, mean and covariance of goals taken from "
        f"{result['reference_goals']:,}: as good as exact here, where goals are Gaussian. Monte Carlo over all "
        "of those stands beside it. *extrapolated* removes the bias of order 1 / M by its halves; *gaussian* is the "
        "closed form with the pool's mean and covariance, whose values for cosine and dot are useless; *better* is the "
        "table's, chosen by recall on development seeds. Importance sampling draws 64 further goals for each pair; "
        "the pool gives it their mean and covariance alone."
    )


def _errors(result: Mapping[str, Any]) -> str:
    names = ("monte carlo", "extrapolated", "gaussian", "better")
    header = [
        "",
        "critic",
        *(f"{name}: bias, spread" for name in names),
        "monte carlo over all: bias",
        "reference known to",
        "effective goals, 5k / 100k",
    ]
    rows = []
    for sharing in (SHARED, INDEPENDENT):
        for kind in KINDS:
            found = result["rows"][kind][sharing]
            errors, sizes = found["against_reference"], found["effective_sample_size"]
            cells = [f"{errors[name]['bias']:+.2f}, {errors[name]['spread']:.2f}" for name in names]
            cells.append(f"{errors['monte carlo, all']['bias']:+.2f}")
            size = " / ".join(f"{value:.1f}" for value in sizes.values())
            rows.append([_NAMES[sharing], TITLES[kind], *cells, f"{errors['reference_error']:.2f}", size])
    return table(header, rows)


def _marginals(result: Mapping[str, Any]) -> str:
    rows = []
    for kind in KINDS:
        found = result["rows"][kind][SHARED]["marginal"]
        rows.append([TITLES[kind], *(f"{of['effect']:.3f} (p = {of['p_value']:.1g})" for of in found)])
    names = [of["name"] for of in result["rows"][KINDS[0]][SHARED]["marginal"]]
    intro = (
        "Effect sizes of tests of phi_B (5000 goals, one encoder, first seed), 0 where the assumption holds: the first "
        "three of uniformity on the sphere (Lemma 2), then of isotropy, and of Gaussianity after whitening (Lemma 3)."
    )
    return intro + "\n\n" + table(["critic", *names], rows)


def _about_bypass(result: Mapping[str, Any]) -> str:
    cells = [(found["exact"][LARGE_COLUMN], found["learned"][LARGE_COLUMN]) for found in result["rows"].values()]
    gap = max(abs(exact["mean"] - learned["mean"]) for exact, learned in cells)
    return (
        f"`{result['command']}`, seeds {', '.join(map(str, result['seeds']))}, commit {result['git_commit'][:12]}; "
        "squared distance, one encoder of B. Exact Lemma 1 is given the true densities of both pairs; on the same "
        f"triplets and M = 100k, the learned one is at most {gap:.3f} from it."
    )


def _bypass(result: Mapping[str, Any]) -> str:
    header = ["share", "Bayes-optimal", "exact Lemma 1", "exact, M = 100k", "learned, M = 100k", "learned, better, 5k"]
    columns = [("exact", "bayes-optimal"), ("exact", "lemma 1, closed form"), ("exact", LARGE_COLUMN)]
    columns += [("learned", LARGE_COLUMN), ("learned", "better 5k")]
    rows = []
    for share, found in result["rows"].items():
        cells = [cell(found[family][name]) for family, name in columns]
        cells[2] = _beside(found["exact"][LARGE_COLUMN], PUBLISHED_BYPASS[share])
        rows.append([share, *cells])
    return table(header, rows)


def _beside(found: Mapping[str, float], published: float | None) -> str:
    """Our figure, and the published one in brackets."""
    return cell(found) + (f" ({published:.3g})" if published is not None else "")
