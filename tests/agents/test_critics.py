"""Critics: both forms against the definition, finite gradients, and the temperature in every score."""

import math

import pytest
import torch
from torch import Tensor

from goalbridge.agents.model import Critic
from goalbridge.configs.schema import CRITICS


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def definition(kind: str, scale: float, x: Tensor, y: Tensor) -> Tensor:
    difference, product = (x.unsqueeze(-2) - y.unsqueeze(-3)).norm(dim=-1), x @ y.mT
    norms = x.norm(dim=-1).unsqueeze(-1) * y.norm(dim=-1).unsqueeze(-2)
    similarities: dict[str, Tensor] = {
        "neg_squared_l2": -difference.square(),
        "neg_l2": -difference,
        "dot": product,
        "cosine": product / norms,
    }
    return scale * similarities[kind]


@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_all_pairs_and_given_pairs_equal_the_definition(kind: str, batch: tuple[int, ...]) -> None:
    critic = Critic(kind, initial_log_scale=math.log(0.7))
    x, y = torch.randn(*batch, 5, 16), torch.randn(*batch, 8, 16)
    expected = definition(kind, 0.7, x, y)  # [..., 5, 8]
    torch.testing.assert_close(critic(x, y), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(critic.paired(x.unsqueeze(-2), y.unsqueeze(-3)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", CRITICS)
def test_initial_logits_spread_by_about_one(kind: str) -> None:
    logits = Critic(kind, embedding_dim=128)(torch.randn(300, 128), torch.randn(300, 128))
    assert 0.5 < logits.std().item() < 2.0


@pytest.mark.parametrize("kind", CRITICS)
def test_temperature_is_part_of_both_forms_and_learned(kind: str) -> None:
    critic, x, y = Critic(kind), torch.randn(4, 8), torch.randn(4, 8)
    before = critic(x, y), critic.paired(x, y)
    with torch.no_grad():
        critic.log_scale.add_(math.log(3.0))
    torch.testing.assert_close(critic(x, y), 3 * before[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(critic.paired(x, y), 3 * before[1], rtol=1e-4, atol=1e-4)
    (gradient,) = torch.autograd.grad(critic(x, y).sum(), critic.log_scale)
    assert gradient.item() == pytest.approx(critic(x, y).sum().item(), rel=1e-4)


@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("value", [0.0, 2.0])
def test_gradients_are_finite_where_embeddings_coincide(kind: str, value: float) -> None:
    critic = Critic(kind)
    for form in (critic.forward, critic.paired):
        x, y = (torch.full((2, 8), value, requires_grad=True) for _ in range(2))
        (gradient,) = torch.autograd.grad(form(x, y).sum(), x)
        assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("kind", CRITICS)
def test_gradcheck(kind: str) -> None:
    critic = Critic(kind, embedding_dim=3).double()
    x, y = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(critic, (x, y))
    assert torch.autograd.gradcheck(critic.paired, (x, y))


def test_given_pairs_do_not_cancel_for_large_embeddings() -> None:
    x = torch.randn(10, 8) + 1e4
    y = x + 0.125
    expected = -(x.double() - y.double()).square().sum(-1)
    result = Critic("neg_squared_l2", initial_log_scale=0.0).paired(x, y)
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)


def test_squared_distances_are_never_negative() -> None:
    x = torch.randn(50, 8) * 100
    assert Critic("neg_squared_l2")(x, x).max() <= 0


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"kind=cosin: .*cosine"):
        Critic("cosin")
    with pytest.raises(ValueError, match="embedding_dim=0"):
        Critic(embedding_dim=0)
    with pytest.raises(ValueError, match="initial_log_scale=nan: expected a finite"):
        Critic(initial_log_scale=math.nan)
    with pytest.raises(ValueError, match="y: expected x's last axis"):
        Critic()(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"x: expected shape \[..., count, d\]"):
        Critic()(torch.zeros(3), torch.zeros(2, 3))
