"""Towers: the formulas they state, batches that equal one at a time, and what is read of images."""

import math

import pytest
import torch

from goalbridge.encoders import FourierFeatures, GoalEncoder, StateActionEncoder, TextHead
from goalbridge.encoders.networks import features_of
from goalbridge.encoders.text.label import LabelHead
from goalbridge.encoders.towers import ImageFeatures


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
    assert (together[0] - together[1]).abs().min() > 0  # the state matters
    by_action = together[:, 0] - together[:, 1]  # and so does the action, differently in different states
    assert by_action.abs().min() > 0
    assert not torch.allclose(by_action[0], by_action[1], atol=1e-4)


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


@pytest.mark.parametrize("shape", [(16, 16, 3), (84, 60, 4), (8, 9, 1), (4, 4, 3)])
def test_images_of_any_shape_and_leading_axes(shape: tuple[int, ...]) -> None:
    features = ImageFeatures(shape, width=12)
    size = shape[0] * shape[1] * shape[2]
    images = torch.randint(256, (2, 3, size), dtype=torch.uint8)
    read = features(images)
    assert read.shape == (2, 3, 12)
    assert torch.allclose(read[1, 2], features(images[1, 2]), atol=1e-5)
    assert torch.allclose(features(images.float()), read)


def test_parts_of_many_images_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    features = ImageFeatures((8, 8, 1))
    images = torch.randint(256, (7, 64), dtype=torch.uint8)
    whole = features(images)
    monkeypatch.setattr("goalbridge.encoders.towers._AT_ONCE", 3)
    assert torch.allclose(features(images), whole, atol=1e-6)


def test_images_tell_where_something_is() -> None:
    features, images = ImageFeatures((16, 16, 1)), torch.zeros(2, 16, 16, 1)
    images[0, 2, 3], images[1, 2, 4] = 255, 255
    one, other = features(images.flatten(1))
    assert not torch.allclose(one, other, atol=1e-4)


def test_what_is_no_shape_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(height, width, channels\), got \(16, 16\)"):
        ImageFeatures((16, 16))


def test_features_by_kind() -> None:
    assert isinstance(features_of("image", (0.0,) * 64, (255.0,) * 64, (1.0,), (8, 8, 1)), ImageFeatures)
    box, number = (features_of(kind, (0.0, 0.0), (1.0, 1.0), (1.0, 2.0), ()) for kind in ("box", "number"))
    assert isinstance(box, FourierFeatures)
    assert (box.out_features, number.out_features) == (10, 2)  # a number's row has nothing between 0 and 1
    assert torch.equal(number(torch.eye(2)), 2 * torch.eye(2) - 1)
