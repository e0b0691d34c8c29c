"""Compositions: what composes at the bridge, against loops over goals in float64 and against set algebra."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.expressions import TOLERANCE, AllOf, AnyOf, Instruction, Not, log_ratio, log_truth, say

Floats = NDArray[np.float64]
Sets = dict[str, frozenset[int]]
ABSENT = -30.0  # nats: what is not so, beside what is
GOALS = 60


def brute_ratio(instruction: Instruction, logits: dict[str, Floats], prior: Floats) -> tuple[Floats, float]:
    """r(g) = p(g | instruction) / p(g) and agreement by the definitions, in plain sums over goals."""
    if isinstance(instruction, str):
        r = np.exp(logits[instruction])
        return r / sum(prior[g] * r[g] for g in range(len(r))), 0.0
    if isinstance(instruction, Not):
        r, agreement = brute_ratio(instruction.part, logits, prior)
        usual = usual_fit(r, prior)
        true = np.array([1 / (1 + math.exp(usual - TOLERANCE - math.log(x))) for x in r])  # p(part | g)
        return (1 - true) / float(prior @ (1 - true)), agreement
    parts = [brute_ratio(part, logits, prior) for part in instruction.parts]
    least = min(agreement for _, agreement in parts)
    if isinstance(instruction, AnyOf):
        chances = [math.exp(-usual_fit(r, prior)) for r, _ in parts]
        mixed = sum(chance * r for chance, (r, _) in zip(chances, parts, strict=True)) / sum(chances)
        return np.asarray(mixed), least
    product = np.prod([r for r, _ in parts], axis=0)
    return product / float(prior @ product), min(least, math.log(float(prior @ product)))


def usual_fit(r: Floats, prior: Floats) -> float:
    return math.fsum(prior[g] * r[g] * math.log(r[g]) for g in range(len(r)))


def heard(logits: dict[str, Floats]) -> Callable[[str], Tensor]:
    return lambda text: torch.as_tensor(logits[text])


LEAVES = st.sampled_from(["a", "b", "c", "d"])
TREES: st.SearchStrategy[Instruction] = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(lambda several: AnyOf(*several)),
        st.lists(parts, min_size=1, max_size=3).map(lambda several: AllOf(*several)),
        parts.map(Not),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TREES, st.integers(0, 2**31), st.booleans())
def test_nested_compositions_equal_the_definitions(tree: Instruction, seed: int, uniform: bool) -> None:
    rng = np.random.default_rng(seed)
    logits = {name: rng.normal(scale=2.0, size=GOALS) + rng.normal(scale=20.0) for name in "abcd"}
    prior = np.full(GOALS, 1 / GOALS) if uniform else rng.dirichlet(np.full(GOALS, 2.0))
    ratio, agreement = log_ratio(tree, heard(logits), torch.as_tensor(prior).log())
    expected, together = brute_ratio(tree, logits, prior)
    np.testing.assert_allclose(ratio.exp().numpy(), expected, rtol=1e-8)
    assert float(agreement) == pytest.approx(together, abs=1e-8)
    assert float(prior @ ratio.exp().numpy()) == pytest.approx(1)


def table(sets: Sets) -> dict[str, Floats]:
    """f_BC where p(part | g) is 1 or (all but) 0."""
    return {name: np.array([0.0 if g in true else ABSENT for g in range(GOALS)]) for name, true in sets.items()}


def truth(instruction: Instruction, sets: Sets) -> frozenset[int]:
    if isinstance(instruction, str):
        return sets[instruction]
    if isinstance(instruction, Not):
        return frozenset(range(GOALS)) - truth(instruction.part, sets)
    parts = [truth(part, sets) for part in instruction.parts]
    return frozenset.union(*parts) if isinstance(instruction, AnyOf) else frozenset.intersection(*parts)


def posterior(instruction: Instruction, sets: Sets) -> Floats:
    prior = torch.full((GOALS,), -math.log(GOALS), dtype=torch.float64)
    return np.asarray(log_ratio(instruction, heard(table(sets)), prior)[0].softmax(0).numpy())


def agreement_of(instruction: Instruction, sets: Sets) -> float:
    prior = torch.full((GOALS,), -math.log(GOALS), dtype=torch.float64)
    return float(log_ratio(instruction, heard(table(sets)), prior)[1])


ROWS: Sets = {f"row {r}": frozenset(range(10 * r, 10 * r + 10)) for r in range(6)}
COLUMNS: Sets = {f"column {c}": frozenset(range(c, GOALS, 10)) for c in range(10)}
GRID = ROWS | COLUMNS | {"left": frozenset(g for g in range(GOALS) if g % 10 < 5), "cell": frozenset({55})}
LEAK = 1 / (1 + math.exp(TOLERANCE))  # of what is to be avoided, beside what is not


@pytest.mark.parametrize(
    ("tree", "weight"),
    [
        (AnyOf("row 0", "row 3"), lambda r, c: r in (0, 3)),
        (AnyOf("row 0", "cell"), lambda r, c: r == 0 or (r, c) == (5, 5)),  # however large each part is
        (AnyOf("cell", "row 1", "row 2"), lambda r, c: r in (1, 2) or (r, c) == (5, 5)),
        (AnyOf("row 0", "column 3"), lambda r, c: (r == 0) + (c == 3)),  # what both mean counts twice
        (AllOf("row 2", "column 7"), lambda r, c: (r, c) == (2, 7)),
        (AllOf("row 2", "left", "column 4"), lambda r, c: (r, c) == (2, 4)),
        (Not("row 2"), lambda r, c: LEAK if r == 2 else 1),
        (Not("left"), lambda r, c: LEAK if c < 5 else 1),
    ],
)
def test_goals_weigh_by_set_algebra(tree: Instruction, weight: Callable[[int, int], float]) -> None:
    weights = np.array([float(weight(*divmod(g, 10))) for g in range(GOALS)])
    np.testing.assert_allclose(posterior(tree, GRID), weights / weights.sum(), rtol=1e-6, atol=1e-9)


POSITIVE: st.SearchStrategy[Instruction] = st.one_of(
    LEAVES,
    st.builds(AnyOf, LEAVES, LEAVES),
    st.builds(AllOf, LEAVES, LEAVES),
    st.builds(AnyOf, st.builds(AllOf, LEAVES, LEAVES), LEAVES),
    st.builds(AllOf, st.builds(AnyOf, LEAVES, LEAVES), LEAVES),
)
LITERAL: st.SearchStrategy[Instruction] = st.one_of(POSITIVE, st.builds(Not, POSITIVE))
NESTED: st.SearchStrategy[Instruction] = st.one_of(
    LITERAL, st.builds(AnyOf, LITERAL, LITERAL), st.builds(AllOf, LITERAL, LITERAL), st.builds(AllOf, POSITIVE, LITERAL)
)
SUBSETS = st.frozensets(st.integers(0, GOALS - 1), min_size=GOALS // 6, max_size=GOALS // 2)


def shares(instruction: Instruction, sets: Sets) -> list[float]:
    """Of the goals, how many each part of a composition is true of."""
    own = len(truth(instruction, sets)) / GOALS
    if isinstance(instruction, str):
        return [own]
    parts = (instruction.part,) if isinstance(instruction, Not) else instruction.parts
    return [own, *(share for part in parts for share in shares(part, sets))]


@settings(max_examples=120, deadline=None, derandomize=True)
@given(NESTED, SUBSETS, SUBSETS, SUBSETS, SUBSETS)
def test_nested_compositions_are_set_algebra(
    tree: Instruction, a: frozenset[int], b: frozenset[int], c: frozenset[int], d: frozenset[int]
) -> None:
    """Every goal that the sets contain weighs far more than every goal that they do not."""
    sets = {"a": a, "b": b, "c": c, "d": d}
    assume(all(0.1 <= share <= 0.9 for share in shares(tree, sets)))
    found, meant = posterior(tree, sets), truth(tree, sets)
    outside = [g for g in range(GOALS) if g not in meant]
    assert found[list(meant)].min() > 3 * found[outside].max()
    if "not" not in say(tree):
        assert found[outside].max() < 1e-9


def test_agreement_is_none_for_independent_parts_and_low_for_contradictions() -> None:
    assert agreement_of("row 1", GRID) == 0
    for tree in (AnyOf("row 1", "row 5"), Not("row 1"), AllOf("row 1"), AllOf("row 1", "column 5")):
        assert agreement_of(tree, GRID) == pytest.approx(0, abs=1e-6)
    assert agreement_of(AllOf("row 1", "left"), GRID) == pytest.approx(0, abs=1e-6)
    for tree in (AllOf("row 1", "row 5"), AllOf("left", "column 7"), AllOf("row 1", "column 1", "column 2")):
        assert agreement_of(tree, GRID) < -20
    # Wherever in a composition it is.
    for tree in (Not(AllOf("row 1", "row 5")), AnyOf("left", AllOf("row 1", "row 5"))):
        assert agreement_of(tree, GRID) < -20
    assert agreement_of(AllOf("row 1", Not("row 1")), GRID) < -2
    # Parts that go together better than by chance are no worse than those that have nothing to do with each other.
    assert agreement_of(AllOf("row 1", "row 1"), GRID) == 0


def test_float32_and_goals_far_from_everything_stay_finite() -> None:
    logits = {"a": np.array([0.0, -300.0, -80.0]), "b": np.array([-300.0, 0.0, -90.0])}
    prior = torch.full((3,), -math.log(3), dtype=torch.float32)
    for tree in (AnyOf("a", "b"), AllOf("a", "b"), Not("a"), AllOf("a", Not("b")), Not(AllOf("a", "b"))):
        ratio, agreement = log_ratio(tree, lambda text: torch.tensor(logits[text], dtype=torch.float32), prior)
        assert ratio.isfinite().all(), tree
        assert agreement.isfinite(), tree


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TREES, st.integers(0, 2**31))
def test_truth_equals_its_definition(tree: Instruction, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = {name: -rng.exponential(2.0, size=GOALS) for name in "abcd"}

    def chance(instruction: Instruction, g: int) -> float:
        if isinstance(instruction, str):
            return math.exp(logits[instruction][g])
        if isinstance(instruction, Not):
            odds = chance(instruction.part, g) * math.exp(TOLERANCE)
            return 1 - odds / (1 + odds)
        parts = [chance(part, g) for part in instruction.parts]
        return min(1.0, sum(parts)) if isinstance(instruction, AnyOf) else math.prod(parts)

    found = log_truth(tree, heard(logits)).exp().numpy()
    np.testing.assert_allclose(found, [chance(tree, g) for g in range(GOALS)], rtol=1e-9)
