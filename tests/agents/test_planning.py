"""Planning over the bridge: transitions and values against brute force, dense value iteration and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.planning import (
    TransitionModel,
    find_transitions,
    goal_weights,
    likely,
    log_action_values,
    value_iteration,
)

Floats = NDArray[np.float64]


def random_logits(seed: int, goals: int = 13, actions: int = 3, spread: float = 3.0) -> Tensor:
    """f_AB [M, A, M], each start likeliest to stay where it is or to move a little."""
    return spread * torch.randn(goals, actions, goals, generator=torch.Generator().manual_seed(seed))


def brute_chances(logits: Tensor, share: float) -> Floats:
    """The definition, one entry at a time: [M, A, M]."""
    starts, actions, goals = logits.shape
    chances = np.zeros((starts, actions, goals))
    for m in range(starts):
        for a in range(actions):
            weights = np.exp(logits[m, a].double().numpy() - float(logits[m, a].max()))
            kept = [g for g in range(goals) if g != m and weights[g] >= share]
            for g in kept:
                chances[m, a, g] = weights[g] / sum(weights[k] for k in kept)
    return chances


def transitions_of(chances: Floats) -> TransitionModel:
    """The model with chances [M, A, M]."""
    goals, actions, _ = chances.shape
    return TransitionModel(scipy.sparse.csr_array(chances.reshape(goals * actions, goals)), actions)


def values_of(chances: Floats, weights: Floats, discount: float, iterations: int) -> Floats:
    return value_iteration(transitions_of(chances), weights, discount, iterations)


def chain(goals: int, chance: float = 1.0) -> Floats:
    """Chances [M, 2, M] of a corridor: action 0 goes to the goal before, action 1 to the one after."""
    chances = np.zeros((goals, 2, goals))
    for m in range(goals):
        if m > 0:
            chances[m, 0, m - 1] = chance
        if m < goals - 1:
            chances[m, 1, m + 1] = chance
    return chances


def test_likely_is_the_softmax_over_what_is_not_below_the_share_of_its_best() -> None:
    weights = torch.tensor([[0.5, 0.36, 0.34, 0.1], [0.4, 0.4, 0.29, 0.01]], dtype=torch.float64)
    expected = weights * torch.tensor([[True, True, False, False], [True, True, True, False]])
    expected /= expected.sum(dim=1, keepdim=True)
    torch.testing.assert_close(likely(weights.log() + torch.tensor([[5.0], [-700.0]]), 0.7), expected)


@pytest.mark.parametrize("share", [1e-6, 0.3, 0.7, 0.999])
def test_likely_keeps_the_best_and_sums_to_one(share: float) -> None:
    logits = random_logits(0)
    before = logits.clone()
    chances, softmax = likely(logits, share), logits.softmax(dim=-1)
    assert torch.equal(logits, before)
    torch.testing.assert_close(chances.sum(dim=-1), torch.ones(13, 3))
    assert torch.equal(chances.argmax(dim=-1), softmax.argmax(dim=-1))
    ratio = softmax / softmax.amax(dim=-1, keepdim=True)
    assert (ratio[chances > 0] >= share * (1 - 1e-5)).all()
    assert (ratio[chances == 0] < share * (1 + 1e-5)).all()
    torch.testing.assert_close(chances / chances.amax(dim=-1, keepdim=True), ratio * (chances > 0))


def test_an_action_that_most_likely_changes_nothing_leads_nowhere() -> None:
    logits, own = torch.tensor([[5.0, 0.0, 0.0], [4.0, 3.9, 0.0], [0.0, 5.0, 4.9]]), torch.tensor([True, False, False])
    stays, wavers, goes = likely(logits, 0.7, own)
    assert stays.tolist() == [0, 0, 0]
    assert wavers.tolist() == [0, 1, 0]  # what else is likely enough is all that is left
    torch.testing.assert_close(goes[1:], torch.tensor([5.0, 4.9]).softmax(0))
    assert goes[0] == 0


@pytest.mark.parametrize("share", [0.05, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_transitions_equal_brute_force(seed: int, share: float) -> None:
    logits = random_logits(seed)
    model = find_transitions(lambda start, stop: logits[start:stop], 13, 3, share)
    assert model.actions == 3
    assert model.chances.dtype == np.float64
    np.testing.assert_allclose(model.chances.toarray().reshape(13, 3, 13), brute_chances(logits, share), rtol=1e-5)


def test_transitions_are_found_in_pieces_that_fit_in_memory() -> None:
    goals, actions, share, asked = 600, 20, 0.3, list[tuple[int, int]]()
    logits = random_logits(7, goals, actions, spread=10.0)

    def rows(start: int, stop: int) -> Tensor:
        asked.append((start, stop))
        return logits[start:stop]

    found = find_transitions(rows, goals, actions, share)
    assert [row for start, stop in asked for row in range(start, stop)] == list(range(goals))
    assert len(asked) > 1
    own = torch.eye(goals, dtype=torch.bool).unsqueeze(1)  # [M, 1, M]
    expected = likely(logits, share, own).reshape(goals * actions, goals).numpy()
    np.testing.assert_allclose(found.chances.toarray(), expected, rtol=1e-4)


@pytest.mark.parametrize("goal", [0, 3, 11])
@pytest.mark.parametrize("chance", [1.0, 0.8])
def test_values_of_a_chain_are_products_of_discount_and_chance(goal: int, chance: float) -> None:
    weights = np.zeros(12)
    weights[goal] = 0.6
    values = values_of(chain(12, chance), weights, 0.9, 100)
    np.testing.assert_allclose(values, 0.6 * (0.9 * chance) ** np.abs(np.arange(12) - goal), rtol=1e-12)


@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_an_iteration_hands_values_on_by_one_transition(iterations: int) -> None:
    values = values_of(chain(12), np.eye(12)[0], 0.5, iterations)
    np.testing.assert_allclose(values, [0.5**m if m <= iterations else 0.0 for m in range(12)])


class Counted:
    """A sparse matrix that counts its products."""

    def __init__(self, chances: Floats) -> None:
        self.matrix, self.products = transitions_of(chances).chances, 0
        self.shape = self.matrix.shape

    def __matmul__(self, values: Floats) -> Any:
        self.products += 1
        return self.matrix @ values


@pytest.mark.parametrize(("goals", "needed"), [(1, 1), (30, 30)])
def test_iterations_end_where_values_have_settled(goals: int, needed: int) -> None:
    counted: Any = Counted(chain(goals))
    values = value_iteration(TransitionModel(counted, 2), np.eye(goals)[0], 0.9, 10_000)
    assert counted.products == needed  # as many as there are transitions, and one that changes nothing
    np.testing.assert_allclose(values, 0.9 ** np.arange(goals))


@pytest.mark.parametrize(
    "weights",
    [
        np.zeros(4),
        np.zeros((5, 1)),
        np.array([0, 0, -0.1, 0, 0]),
        np.array([0, 0, 1.01, 0, 0]),
        np.array([0, 0, np.nan, 0, 0]),
        np.array([np.inf, 0, 0, 0, 0]),
    ],
)
def test_weights_that_cannot_be_are_refused(weights: Floats) -> None:
    with pytest.raises(ValueError, match=r"weights: expected \[M\] = \(5,\) in \[0, 1\], got") as caught:
        values_of(chain(5), weights, 0.9, 10)
    assert "\n" not in str(caught.value)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Floats, Floats, float]:
    """Chances [M, A, M] whose rows sum to at most one, weights [M] and a discount."""
    goals, actions = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    chances = rng.random((goals, actions, goals)) * (rng.random((goals, actions, goals)) < draw(st.floats(0, 1)))
    chances /= np.maximum(chances.sum(axis=-1, keepdims=True), 1.0)
    weights = rng.random(goals) * (rng.random(goals) < 0.5)
    return chances, weights, draw(st.floats(0.01, 0.99))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_values_solve_their_equation_and_lie_between_own_and_best_weight(
    problem: tuple[Floats, Floats, float],
) -> None:
    chances, weights, discount = problem
    values = values_of(chances, weights, discount, 10_000)
    assert (values >= weights).all()
    assert values.max() <= weights.max() + 1e-12
    fixed = np.maximum(weights, discount * (chances @ values).max(axis=1))
    np.testing.assert_allclose(values, fixed, rtol=2e-6, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(1, 30))
def test_more_iterations_larger_weights_and_a_higher_discount_never_make_values_smaller(
    problem: tuple[Floats, Floats, float], iterations: int
) -> None:
    chances, weights, discount = problem
    values = values_of(chances, weights, discount, iterations)
    slack = 1e-4 * values + 1e-12  # what counts as settled
    assert (values_of(chances, weights, discount, iterations + 1) >= values - slack).all()
    assert (values_of(chances, np.minimum(1.5 * weights, 1), discount, iterations) >= values - slack).all()
    assert (values_of(chances, weights, min(1.1 * discount, 0.99), iterations) >= values - slack).all()


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_scores_are_the_log_of_the_sum_of_chances_times_values(share: float) -> None:
    logits, values = random_logits(2), torch.rand(13, 13, dtype=torch.float64)  # [13, A, M], [13, M]
    for own in (None, torch.rand(13, 13) < 0.3):
        scores = log_action_values(logits, values, share, own)
        assert scores.dtype == torch.float64
        chances = likely(logits.double(), share, None if own is None else own.unsqueeze(1))
        expected = [[sum(chances[m, a] * values[m]) for a in range(3)] for m in range(13)]
        np.testing.assert_allclose(scores.exp().numpy(), np.array(expected), rtol=1e-5)


def test_an_action_that_leads_to_nothing_of_worth_is_out_of_the_question() -> None:
    logits = torch.tensor([[0.0, -40.0], [-40.0, 0.0]])
    scores = log_action_values(logits, torch.tensor([0.0, 1e-300], dtype=torch.float64), 0.5)
    assert scores[0] == -torch.inf
    assert scores[1].item() == pytest.approx(np.log(1e-300), rel=1e-6)  # far away, but not nothing


def test_weights_are_relative_to_the_best_and_nothing_below_the_floor() -> None:
    logits = np.log([0.2, 0.1, 0.0101, 0.0099, 1e-9])
    np.testing.assert_allclose(goal_weights(logits), [1, 0.5, 0.0505, 0, 0])
    np.testing.assert_allclose(goal_weights(logits - 800), [1, 0.5, 0.0505, 0, 0])
    np.testing.assert_allclose(goal_weights(logits, best=np.log(0.4)), [0.5, 0.25, 0, 0, 0])
    np.testing.assert_allclose(goal_weights(logits, best=np.log(0.1)), goal_weights(logits))  # no fit is above the best
    np.testing.assert_allclose(goal_weights(logits, floor=0.6), [1, 0, 0, 0, 0])
