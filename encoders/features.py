"""Which features belong to which kind of observation or goal."""

from __future__ import annotations

from collections.abc import Sequence

from goalbridge.encoders.images import ImageFeatures
from goalbridge.encoders.towers import Features, FourierFeatures


def features_of(
    kind: str, low: Sequence[float], high: Sequence[float], frequencies: Sequence[float], shape: Sequence[int]
) -> Features:
    """The features of one kind ("box", "number", "image"; see `agents.spec.WorldSpec`).

    low, high: bounds of each coordinate. frequencies: of the Fourier features of coordinates; a vector that stands for
    a number has none. shape: of images.
    """
    if kind == "image":
        return ImageFeatures(shape)
    return FourierFeatures(low, high, frequencies if kind == "box" else ())
