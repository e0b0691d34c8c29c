"""Towers: the formulas they state, and batches that equal one at a time."""

import math

import pytest
import torch

from goalbridge.encoders import FourierFeatures, GoalEncoder, StateActionEncoder, TextHead
from goalbridge.encoders.text.label import LabelHead


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def features() -> FourierFeatures:
    return FourierFeatures((0.0, -2.0), (10.0, 2.0), (0.5, 1.0, 3.0))


def test_fourier_features_are_the_formula() -> None:
    points = torch.rand(5, 4, 2) * 10 - 2
    expected = []
    for x, low, high in ((points[..., 0], 0.0, 10.0), (points[..., 1], -2.0, 2.0)):
        scaled = 2 * (x - low) / (high - low) - 1
        expected.append((scaled, [2 * math.pi * k * scaled for k in (0.5, 1.0, 3.0)]))
    rows = [scaled for scaled, _ in expected]
    rows += [phase.sin() for _, phases in expected for phase in phases]
    rows += [phase.cos() for _, phases in expected for phase in phases]
    output = features()(points)
    assert output.shape == (5, 4, features().out_features)
    torch.testing.assert_close(output, torch.stack(rows, dim=-1), rtol=1e-5, atol=1e-5)


def test_bounds_are_scaled_to_one_and_frequencies_may_be_none() -> None:
    corners = torch.tensor([[0.0, -2.0], [10.0, 2.0], [5.0, 0.0]])
    plain = FourierFeatures((0.0, -2.0), (10.0, 2.0), ())
    torch.testing.assert_close(plain(corners), torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]))
    assert plain.out_features == 2


@pytest.mark.parametrize("depth", [1, 3])
def test_many_actions_at_a_state_equal_one_at_a_time(depth: int) -> None:
    encoder = StateActionEncoder(features(), 2, 16, depth, 7)
    states, actions = torch.rand(5, 2), torch.randn(3, 2)
    together = encoder(states.unsqueeze(1), actions.unsqueeze(0))  # [5, 3, 7]
    assert together.shape == (5, 3, 7)
    alone = torch.stack([torch.stack([encoder(s, a) for a in actions]) for s in states])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert (together[:, 0] - together[:, 1]).abs().min() > 0  # the action matters
    assert (together[0] - together[1]).abs().min() > 0  # and so does the state


def test_the_action_matters_differently_in_different_states() -> None:
    encoder = StateActionEncoder(features(), 2, 16, 2, 7)
    states, actions = torch.rand(2, 2) * 5, torch.randn(2, 2)
    output = encoder(states.unsqueeze(1), actions)  # [2, 2, 7]
    assert not torch.allclose(output[0, 0] - output[0, 1], output[1, 0] - output[1, 1], atol=1e-4)


def test_goal_text_and_label_encoders_take_any_leading_axes() -> None:
    goals, texts, labels = torch.rand(4, 3, 2), torch.nn.functional.normalize(torch.randn(4, 3, 12), dim=-1), 5
    for module, batch in (
        (GoalEncoder(features(), 16, 2, 7), goals),
        (TextHead(12, 16, 2, 7), texts),
        (LabelHead(labels, 7), torch.randint(labels, (4, 3, 1)).float()),
    ):
        output = module(batch)
        assert output.shape == (4, 3, 7)
        torch.testing.assert_close(output[2, 1], module(batch[2, 1]), rtol=1e-5, atol=1e-6)
        assert (output[0, 0] - output[2, 1]).abs().max() > 0


def test_each_label_has_an_embedding_of_its_own() -> None:
    head = LabelHead(5, 7)
    torch.testing.assert_close(head(torch.tensor([[3.0], [0.0]])), head.embedding.weight[[3, 0]])


def test_text_head_brings_unit_embeddings_to_unit_scale() -> None:
    head = TextHead(384, 16, 0, 1)  # no hidden layer: its one layer sees what the others would
    seen: list[torch.Tensor] = []
    head.tower.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(torch.nn.functional.normalize(torch.randn(50, 384), dim=-1))
    assert seen[0].std().item() == pytest.approx(1, abs=0.05)
