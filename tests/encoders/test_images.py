"""Images to vectors."""

from __future__ import annotations

import pytest
import torch

from goalbridge.encoders.features import features_of
from goalbridge.encoders.images import ImageFeatures
from goalbridge.encoders.towers import FourierFeatures


@pytest.mark.parametrize("shape", [(16, 16, 3), (84, 60, 4), (8, 9, 1), (4, 4, 3)])
def test_any_shape_and_leading_axes(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    features = ImageFeatures(shape, width=12)
    size = shape[0] * shape[1] * shape[2]
    images = torch.randint(256, (2, 3, size), dtype=torch.uint8)
    read = features(images)
    assert read.shape == (2, 3, 12)
    assert torch.allclose(read[1, 2], features(images[1, 2]), atol=1e-5)
    assert torch.allclose(features(images.float()), read)


def test_parts_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    features = ImageFeatures((8, 8, 1))
    images = torch.randint(256, (7, 64), dtype=torch.uint8)
    whole = features(images)
    monkeypatch.setattr("goalbridge.encoders.images._AT_ONCE", 3)
    assert torch.allclose(features(images), whole, atol=1e-6)


def test_tells_where_something_is() -> None:
    torch.manual_seed(0)
    features, images = ImageFeatures((16, 16, 1)), torch.zeros(2, 16, 16, 1)
    images[0, 2, 3], images[1, 2, 4] = 255, 255
    one, other = features(images.flatten(1))
    assert not torch.allclose(one, other, atol=1e-4)


def test_a_shape_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(16, 16\): \(height, width, channels\) would do"):
        ImageFeatures((16, 16))


def test_features_by_kind() -> None:
    assert isinstance(features_of("image", (0.0,) * 64, (255.0,) * 64, (1.0,), (8, 8, 1)), ImageFeatures)
    box, number = (features_of(kind, (0.0, 0.0), (1.0, 1.0), (1.0, 2.0), ()) for kind in ("box", "number"))
    assert isinstance(box, FourierFeatures)
    assert (box.out_features, number.out_features) == (10, 2)  # a number's row has nothing between 0 and 1
    assert torch.equal(number(torch.eye(2)), 2 * torch.eye(2) - 1)
