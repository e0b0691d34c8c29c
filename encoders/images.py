"""Images to vectors: a small convolutional reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from goalbridge.encoders.towers import Features

SMALLEST: Final = 5  # pixels a side, down to which an image is halved
_CHANNELS: Final = (16, 32)  # of the first halving, and of all later ones
_AT_ONCE: Final = 1024  # images: what the first layer makes of more would fill the memory


class ImageFeatures(Features):
    """Images of one shape (H, W, C), values 0 to 255, halved by convolutions until they are small, then read whole.

    Where something is in the image is kept: nothing is pooled. Input [..., H W C], any dtype; output [..., width].
    Raises ValueError for a shape that is not (H, W, C).
    """

    def __init__(self, shape: Sequence[int], width: int = 128) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"shape {tuple(shape)}: (height, width, channels) would do")
        self.shape, self.out_features = tuple(shape), width
        height, across, channels = self.shape
        layers: list[nn.Module] = []
        while not layers or max(height, across) > SMALLEST:
            made = _CHANNELS[min(len(layers), 1)]
            layers += [nn.Conv2d(channels, made, 3, stride=2, padding=1), nn.SiLU()]
            channels, height, across = made, (height + 1) // 2, (across + 1) // 2
        self.reader = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * across, width), nn.SiLU())

    def forward(self, images: Tensor) -> Tensor:
        flat = images.reshape(-1, images.shape[-1])  # [N, H W C]
        read = torch.cat([self._read(part) for part in torch.split(flat, _AT_ONCE)])  # [N, width]
        return read.view(*images.shape[:-1], self.out_features)

    def _read(self, flat: Tensor) -> Tensor:
        pictures = flat.view(len(flat), *self.shape).permute(0, 3, 1, 2)  # [n, C, H, W]
        output: Tensor = self.reader(pictures.float() / 127.5 - 1)
        return output
