"""Towers that turn coordinates, actions and text features into representations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


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
