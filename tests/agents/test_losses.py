"""Losses against brute force in float64, and their gradients."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from goalbridge.agents.objectives import action_contrast, info_nce, info_nce_share
from goalbridge.configs.schema import DUPLICATES

B = 7
every_setting = pytest.mark.parametrize(
    ("treat", "penalty", "with_duplicates"), list(product(DUPLICATES, (0.0, 0.3), (True, False)))
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def some_duplicates() -> Tensor:
    duplicates = torch.rand(B, B) < 0.25
    duplicates[0] = True  # the first goal makes all captions true
    duplicates[1] = False
    return duplicates | torch.eye(B, dtype=torch.bool)


def brute_force(logits: Tensor, duplicates: Tensor | None, treat: str, penalty: float) -> float:
    """The definition, one anchor and one direction at a time."""
    values, total = logits.tolist(), 0.0
    true = torch.eye(B, dtype=torch.bool) if duplicates is None else duplicates | torch.eye(B, dtype=torch.bool)
    for direction in ("rows", "columns"):
        for i in range(B):

            def at(j: int, table: list[list[float]] | Tensor, i: int = i, direction: str = direction) -> float:
                return float(table[i][j] if direction == "rows" else table[j][i])

            others = [j for j in range(B) if treat != "masked" or j == i or not at(j, true)]
            partition = math.log(sum(math.exp(at(j, values)) for j in others))
            right = [j for j in range(B) if at(j, true)] if treat == "positives" else [i]
            total += sum(partition - at(j, values) for j in right) / len(right) / (2 * B)
            if direction == "rows":
                total += penalty * partition**2 / B
    return total


@every_setting
def test_info_nce_equals_brute_force(treat: str, penalty: float, with_duplicates: bool) -> None:
    logits = 3 * torch.randn(B, B, dtype=torch.float64)
    duplicates = some_duplicates() if with_duplicates else None
    loss, _ = info_nce(logits, duplicates, treat, penalty)
    assert loss.item() == pytest.approx(brute_force(logits, duplicates, treat, penalty), rel=1e-10)
    single, _ = info_nce(logits.float(), duplicates, treat, penalty)
    assert single.item() == pytest.approx(loss.item(), rel=1e-5)


def test_duplicates_make_a_difference_and_the_diagonal_need_not_be_told() -> None:
    logits, duplicates = torch.randn(B, B), some_duplicates()
    losses = {treat: info_nce(logits, duplicates, treat)[0].item() for treat in DUPLICATES}
    assert len(set(losses.values())) == 3
    off_diagonal = duplicates & ~torch.eye(B, dtype=torch.bool)
    for treat in DUPLICATES:
        assert info_nce(logits, off_diagonal, treat)[0].item() == pytest.approx(losses[treat])


@pytest.mark.parametrize("treat", DUPLICATES)
def test_info_nce_gradients(treat: str) -> None:
    logits = torch.randn(2, 1, B, B, dtype=torch.float64, requires_grad=True)
    duplicates = some_duplicates()
    assert torch.autograd.gradcheck(lambda x: info_nce(x, duplicates, treat, 0.2)[0], logits)


def test_uniform_logits_cost_log_b_and_a_sure_diagonal_nothing() -> None:
    loss, info = info_nce(torch.full((B, B), 2.5))
    assert loss.item() == pytest.approx(math.log(B), rel=1e-5)
    loss, info = info_nce(50 * torch.eye(B))
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert {info["accuracy"].item(), info["accuracy_columns"].item()} == {1.0}
    assert (info["positive_logits"].item(), info["negative_logits"].item()) == (50.0, 0.0)


def test_info_tells_rows_from_columns_and_counts_any_true_pair() -> None:
    logits = torch.eye(3) + torch.tensor([[0.0, 5.0, 0.0], [0.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    _, info = info_nce(logits)
    assert info["accuracy"].item() == pytest.approx(1 / 3)
    assert info["accuracy_columns"].item() == pytest.approx(2 / 3)
    duplicates = torch.tensor([[False, True, False], [False, False, False], [False, True, False]])
    _, info = info_nce(logits, duplicates)
    assert info["accuracy"].item() == info["accuracy_columns"].item() == 1
    assert info["positive_logits"].item() == pytest.approx((1 + 5 + 1 + 5 + 1) / 5)
    assert info["negative_logits"].item() == 0


def test_extreme_logits_stay_finite() -> None:
    for treat in DUPLICATES:
        logits = (1e4 * torch.randn(B, B)).requires_grad_()
        loss, info = info_nce(logits, some_duplicates(), treat)
        loss.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert all(bool(value.isfinite().all()) for value in (loss, logits.grad, *info.values()))


def test_action_contrast_is_the_cross_entropy_of_the_action_taken() -> None:
    positive, negatives = torch.randn(B, dtype=torch.float64), torch.randn(B, 4, dtype=torch.float64)
    loss, info = action_contrast(positive, negatives)
    expected = [
        math.log(math.exp(p) + sum(math.exp(n) for n in others)) - p
        for p, others in zip(positive.tolist(), negatives.tolist(), strict=True)
    ]
    assert loss.item() == pytest.approx(sum(expected) / B, rel=1e-10)
    assert info["accuracy"].item() == pytest.approx((positive > negatives.amax(1)).double().mean().item())
    inputs = positive.requires_grad_(), negatives.requires_grad_()
    assert torch.autograd.gradcheck(lambda p, n: action_contrast(p, n)[0], inputs)


def test_action_contrast_ignores_what_all_actions_of_a_state_share() -> None:
    """But not c(s, a), which InfoNCE over goals leaves free: that is what it is for."""
    positive, negatives, shared = torch.randn(B), torch.randn(B, 4), torch.randn(B)
    loss = action_contrast(positive, negatives)[0]
    torch.testing.assert_close(action_contrast(positive + shared, negatives + shared.unsqueeze(1))[0], loss)
    assert abs(action_contrast(positive, negatives + torch.randn(B, 4))[0].item() - loss.item()) > 1e-3
    logits = torch.randn(B, B)
    free = info_nce(logits)[0] - info_nce(logits + 0.1 * torch.randn(B, 1))[0]
    assert abs(free.item()) < 0.1


@every_setting
def test_batches_apart_are_the_mean_of_each_alone(treat: str, penalty: float, with_duplicates: bool) -> None:
    logits = 3 * torch.randn(2, 5, B, B, dtype=torch.float64)
    duplicates = some_duplicates() if with_duplicates else None
    loss, info = info_nce(logits, duplicates, treat, penalty)
    assert loss.shape == ()
    alone = [info_nce(one, duplicates, treat, penalty) for one in logits.flatten(0, 1)]
    assert loss.item() == pytest.approx(sum(each.item() for each, _ in alone) / 10, rel=1e-10)
    for name, value in info.items():
        assert value.item() == pytest.approx(sum(each[name].item() for _, each in alone) / 10, rel=1e-6), name


@every_setting
def test_shares_sum_to_the_whole(treat: str, penalty: float, with_duplicates: bool) -> None:
    logits = (3 * torch.randn(B, B, dtype=torch.float64)).requires_grad_()
    duplicates = some_duplicates() if with_duplicates else None
    whole, info = info_nce(logits, duplicates, treat, penalty)
    owners = (slice(0, 3), slice(3, 4), slice(4, B))
    shares = [info_nce_share(logits[own], logits.T[own], own, duplicates, treat, penalty) for own in owners]
    total = torch.stack([loss for loss, _ in shares]).sum()
    assert total.item() == pytest.approx(whole.item(), rel=1e-12)
    gradients = (torch.autograd.grad(loss, logits)[0] for loss in (whole, total))
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)
    for name, value in info.items():
        assert sum(share[name].item() for _, share in shares) == pytest.approx(value.item(), rel=1e-6), name
    assert all(share.keys() == info.keys() for _, share in shares)
    assert info_nce_share(logits, logits.T, slice(0, B), duplicates, treat, penalty, detailed=False)[1] == {}
