"""Towers that turn coordinates, images, actions and text features into representations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

SMALLEST: Final = 5  # pixels a side, down to which an image is halved
_CHANNELS: Final = (16, 32)  # of the first halving, and of all later ones
_AT_ONCE: Final = 1024  # images: what the first layer makes of more would fill the memory


class Features(nn.Module):
    """What a tower reads instead of rows [..., D] themselves: [..., out_features]."""

    out_features: int


class FourierFeatures(Features):
    """Coordinates scaled to [-1, 1], and sin, cos(2 pi k x) of each for every frequency k (Tancik et al., 2020).

    low, high: bounds of each coordinate. Input [..., D], output [..., D (1 + 2 F)].
    """

    center: Tensor
    half_width: Tensor
    angular: Tensor

    def __init__(self, low: Sequence[float], high: Sequence[float], frequencies: Sequence[float]) -> None:
        super().__init__()
        low_bound, high_bound = torch.tensor(low, dtype=torch.float32), torch.tensor(high, dtype=torch.float32)
        self.register_buffer("center", (low_bound + high_bound) / 2, persistent=False)
        self.register_buffer("half_width", (high_bound - low_bound) / 2, persistent=False)
        self.register_buffer("angular", 2 * math.pi * torch.tensor(list(frequencies)), persistent=False)
        self.out_features = len(low) * (1 + 2 * len(frequencies))

    def forward(self, coordinates: Tensor) -> Tensor:
        scaled = (coordinates - self.center) / self.half_width  # [..., D]
        phase = (scaled.unsqueeze(-1) * self.angular).flatten(-2)  # [..., D F]
        return torch.cat([scaled, phase.sin(), phase.cos()], dim=-1)


class ImageFeatures(Features):
    """Images of one shape (H, W, C), values 0 to 255, halved by convolutions until they are small, then read whole.

    Where something is in the image is kept: nothing is pooled. Input [..., H W C], any dtype; output [..., width].
    Raises ValueError for a shape that is not (H, W, C).
    """

    def __init__(self, shape: Sequence[int], width: int = 128) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"shape: expected (height, width, channels), got {tuple(shape)}; try (64, 64, 3)")
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


def tower(in_features: int, width: int, depth: int, out_features: int) -> nn.Sequential:
    """A multilayer perceptron with `depth` hidden layers of `width` SiLU units."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(in_features, width), nn.SiLU()]
        in_features = width
    layers.append(nn.Linear(in_features, out_features))
    return nn.Sequential(*layers)


class StateActionEncoder(nn.Module):
    """phi_A: states [..., S] and actions [..., D] (leading axes broadcast) to representations [..., d].

    The state alone passes through `depth - 1` hidden layers; the action joins it in the last one. A state with many
    actions (negatives in training, candidates in a policy) therefore costs little more than one.
    """

    def __init__(self, features: Features, action_dim: int, width: int, depth: int, out_features: int) -> None:
        super().__init__()
        self.features = features
        self.state_tower = tower(features.out_features, width, depth - 1, width)
        self.action_layer = nn.Linear(action_dim, width, bias=False)
        self.output_layer = nn.Linear(width, out_features)

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        joined = self.state_tower(self.features(states)) + self.action_layer(actions)  # [..., width]
        output: Tensor = self.output_layer(nn.functional.silu(joined))
        return output


class GoalEncoder(nn.Module):
    """phi_B: goals [..., G] to representations [..., d]."""

    def __init__(self, features: Features, width: int, depth: int, out_features: int) -> None:
        super().__init__()
        self.features = features
        self.tower = tower(features.out_features, width, depth, out_features)

    def forward(self, goals: Tensor) -> Tensor:
        output: Tensor = self.tower(self.features(goals))
        return output


class TextHead(nn.Module):
    """phi_C's trained part: frozen sentence embeddings [..., T] to representations [..., d].

    dropout: chance of leaving out each number of a sentence embedding while training, so that no single one decides.
    """

    def __init__(self, text_dim: int, width: int, depth: int, out_features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        # Sentence embeddings have norm 1, so entries near T^-1/2: bring them to unit scale.
        self.gain = math.sqrt(text_dim)
        self.tower = tower(text_dim, width, depth, out_features)

    def forward(self, sentence_embeddings: Tensor) -> Tensor:
        output: Tensor = self.tower(self.dropout(sentence_embeddings * self.gain))
        return output
