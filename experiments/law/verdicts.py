"""What two models' embeddings allow: Direct, LogSumExp with how many goals; each with its figure and threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from goalbridge.agents.bridge import bridge_diagnostics, bridge_scores, direct_scores
from goalbridge.experiments.law.distribution import Finding, gaussian_tests, sphere_tests
from goalbridge.experiments.law.independence import gain_of_pairs
from goalbridge.experiments.law.lemmas import gaussian_gain
from goalbridge.experiments.law.pair_files import PairFile
from goalbridge.experiments.law.smoothing import SmoothedBridge, has_closed_form

# Thresholds, each for the figure of the verdict of that name.
SAME_SPACE = 0.01  # relative distance of the two embeddings of the same goals
CLOSE_MARGINAL = 0.1  # effect sizes of the tests of the marginal, all 0 where the assumption holds
ENOUGH_GOALS = 10.0  # effective goals, below which agents.bridge.BridgeDiagnostics is not to be trusted
AGREEMENT = 0.9  # share of queries for which two estimates name the same best candidate
EXTRA_NATS, RARE = 0.1, 0.01  # what pairs add to the bridge, and how rarely chance does
SCORED = 256  # rows of A and of C that are scored
SMOOTHING = 0.7  # of the bridge that pairs are held against, beside the plain one
_NO_SPREAD = 1e-9
_ASSUMED = {"cosine": "uniform on the sphere (Lemma 2)", "neg_squared_l2": "isotropic Gaussian (Lemma 3)"}


@dataclass(frozen=True)
class Verdict:
    """A question, whether all is well (None: cannot be told), the figure and the threshold it is held against."""

    question: str
    holds: bool | None
    evidence: str


def verdicts(ab: PairFile, bc: PairFile) -> list[Verdict]:
    """All verdicts on A-B and B-C, Direct's own last but for the pairs'."""
    size = effective_size(ab, bc)
    space, shape, goals = same_space(ab, bc), marginal(ab), effective_goals(ab, size)
    found = [space, shape, goals, enough(ab, bc, size), direct(ab, bc, space, shape, goals)]
    return [*found, independence(ab, bc, goals)] if ab.paired else found


def same_space(ab: PairFile, bc: PairFile) -> Verdict:
    """Whether the two models embed goals alike: |b - b'| over the norm of b, root mean squares."""
    question = "one space for both models"
    if ab.right.shape != bc.left.shape:
        return Verdict(question, False, f"dimensions {ab.right.shape[1]} and {bc.left.shape[1]}; the same are needed")
    first, second = (x / x.norm(dim=1, keepdim=True) if ab.critic.kind == "cosine" else x for x in (ab.right, bc.left))
    apart = float((first - second).norm() / first.norm())
    return Verdict(question, apart < SAME_SPACE, f"embeddings of the same goals {apart:.3f} apart; below {SAME_SPACE}")


def marginal(ab: PairFile) -> Verdict:
    """Whether the goals' embeddings are distributed as the lemma of the critic assumes."""
    kind = ab.critic.kind
    if kind not in _ASSUMED:
        return Verdict("marginal as a lemma assumes", False, f"no lemma covers {kind}; cosine or neg_squared_l2 do")
    if float(ab.right.std(0).max()) < _NO_SPREAD:
        return Verdict(f"marginal {_ASSUMED[kind]}", False, "all goals have the same embedding")
    tests = sphere_tests if kind == "cosine" else gaussian_tests
    worst: Finding = max(tests(ab.right.numpy()), key=lambda finding: finding.effect)
    evidence = (
        f"{worst.name}: {worst.effect:.3f} ({worst.effect_means}), p = {worst.p_value:.2g}; below {CLOSE_MARGINAL}"
    )
    return Verdict(f"marginal {_ASSUMED[kind]}", worst.effect < CLOSE_MARGINAL, evidence)


def effective_goals(ab: PairFile, size: float) -> Verdict:
    """Whether enough goals carry the sum: `effective_size`."""
    return Verdict(
        "goals that carry the sum", size >= ENOUGH_GOALS, f"{size:.1f} effective of {len(ab.right)}; {ENOUGH_GOALS:.0f}"
    )


def enough(ab: PairFile, bc: PairFile, size: float) -> Verdict:
    """How many goals are enough: as many as make the best candidate what all of them make it."""
    total = len(ab.right)
    if size < ENOUGH_GOALS:
        needed = int(np.ceil(total * ENOUGH_GOALS / size))
        return Verdict(
            "these goals are enough", False, f"at least {needed} goals for {ENOUGH_GOALS:.0f} effective ones"
        )
    best = _scores(ab, bc, total).argmax(1)
    for count in (2**power for power in range(3, total.bit_length())):
        agreement = float((_scores(ab, bc, count).argmax(1) == best).double().mean())
        if agreement >= AGREEMENT:
            return Verdict(
                "these goals are enough", True, f"{count} agree on the best for {agreement:.2f}; {AGREEMENT}"
            )
    return Verdict("these goals are enough", False, f"half of them change more than {1 - AGREEMENT:.1f} of the best")


def direct(ab: PairFile, bc: PairFile, space: Verdict, shape: Verdict, goals: Verdict) -> Verdict:
    """Whether Direct is safe: one space, and either the marginal of the lemma or the ranking of a sum to be trusted."""
    question = "Direct is safe"
    if not space.holds:
        return Verdict(question, False, "the two models do not share a space")
    sums = _scores(ab, bc, len(ab.right))
    compared = direct_scores(ab.left[:SCORED], bc.right[:SCORED], ab.critic)
    same = float((sums.argmax(1) == compared.argmax(1)).double().mean())
    order = float(
        np.mean([stats.spearmanr(x, y).statistic for x, y in zip(sums.numpy(), compared.numpy(), strict=True)])
    )
    evidence = f"same best as LogSumExp for {same:.2f} (rank correlation {order:.2f}); {AGREEMENT}"
    if shape.holds:
        gain = _gain(ab)
        return Verdict(question, gain >= AGREEMENT, f"the lemma's gain is {gain:.2f}; {AGREEMENT}, where 1 is Direct")
    return Verdict(question, same >= AGREEMENT if goals.holds else None, evidence)


def _gain(ab: PairFile) -> float:
    """How far the marginal pulls a before it is compared with c, 0 to 1: see `experiments.law.lemmas`."""
    if ab.critic.kind == "cosine":
        return 1.0
    return gaussian_gain(float(ab.critic.scale), float(ab.right.var(0).mean()))


def independence(ab: PairFile, bc: PairFile, goals: Verdict) -> Verdict:
    """Whether a tells of c only what goals tell: what a linear-Gaussian model of the pairs adds to the bridge."""
    count = ab.paired
    a, c, pool = ab.left[:count], bc.right[:count], (ab.right, bc.left, ab.critic, bc.critic)
    bridged = [bridge_scores(a, c, *pool).numpy()]
    if has_closed_form(ab.critic, bc.critic):
        bridged.append(SmoothedBridge(*pool, SMOOTHING).scores(a, c).numpy())
    found = gain_of_pairs(bridged, a.numpy(), c.numpy())
    evidence = f"pairs add {found.nats:.3f} nats to the bridge, p = {found.p_value:.2g}; below {EXTRA_NATS}"
    if found.nats < EXTRA_NATS or found.p_value > RARE:
        return Verdict("a and c independent given goals", True, evidence)
    # A bridge of few effective goals is bettered by any model of the pairs: that says nothing of independence.
    return Verdict("a and c independent given goals", False if goals.holds else None, evidence)


def _scores(ab: PairFile, bc: PairFile, goals: int) -> Tensor:
    pool = (ab.right[:goals], bc.left[:goals])
    return bridge_scores(ab.left[:SCORED], bc.right[:SCORED], *pool, ab.critic, bc.critic)


def effective_size(ab: PairFile, bc: PairFile) -> float:
    """How many goals carry the sum at a query's best candidate: lower quartile over the queries."""
    best = _scores(ab, bc, len(ab.right)).argmax(1, keepdim=True)  # [N, 1]
    pool = (ab.right, bc.left)
    found = bridge_diagnostics(ab.left[:SCORED], bc.right[:SCORED], *pool, ab.critic, bc.critic)
    return float(torch.gather(found.effective_sample_size, 1, best).quantile(0.25))
