"""Trains the same small model on several worlds at once, as one batched model: one column of the table in a minute."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from goalbridge.agents.model import Critic
from goalbridge.agents.objectives import info_nce
from goalbridge.encoders.towers import tower

Pair = tuple[str, str]
Pairs = Mapping[Pair, tuple[Tensor, Tensor]]  # [n, D] each: rows belong together


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Choices were made on development seeds.

    embedding_dim: d. width, depth: of the hidden layers beside the linear map. steps, batch, learning_rate: of Adam,
    with a linear warm-up over `warm_up` steps and a cosine to zero.
    """

    embedding_dim: int = 32
    width: int = 64
    depth: int = 1
    steps: int = 1600
    batch: int = 256
    learning_rate: float = 5e-3
    warm_up: int = 50


class Encoder(nn.Module):
    """Inputs [..., D] to representations [..., d]: standardised, then a linear map plus a multilayer perceptron."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, sample: Tensor, recipe: Recipe) -> None:
        super().__init__()
        self.register_buffer("mean", sample.mean(0))
        self.register_buffer("deviation", sample.std(0))
        self.linear = nn.Linear(sample.shape[1], recipe.embedding_dim)
        self.tower = tower(sample.shape[1], recipe.width, recipe.depth, recipe.embedding_dim)

    def forward(self, inputs: Tensor) -> Tensor:
        scaled = (inputs - self.mean) / self.deviation
        output: Tensor = self.linear(scaled) + self.tower(scaled)
        return output


class ContrastiveModel(nn.Module):
    """One encoder a modality and one critic a pair; a modality of two pairs has one encoder for both.

    pairs: their samples, by the names of the two modalities, e.g. {("A", "B"): (a, b)}. kind: of all critics.
    """

    def __init__(self, pairs: Pairs, kind: str, recipe: Recipe) -> None:
        super().__init__()
        samples = {name: x for names, values in pairs.items() for name, x in zip(names, values, strict=True)}
        self.encoders = nn.ModuleDict({name: Encoder(x, recipe) for name, x in samples.items()})
        self.critics = nn.ModuleDict({"".join(p): Critic(kind, embedding_dim=recipe.embedding_dim) for p in pairs})

    def encode(self, name: str, inputs: Tensor) -> Tensor:
        """Representations of one modality, [n, D] -> [n, d]."""
        output: Tensor = self.encoders[name](inputs)
        return output

    def critic(self, pair: Pair) -> Critic:
        """The critic of a pair, with its own learned temperature."""
        critic = self.critics["".join(pair)]
        assert isinstance(critic, Critic)
        return critic

    def forward(self, batch: Pairs) -> Tensor:
        """Symmetric InfoNCE summed over the pairs of `batch`, rows of one pair being each other's negatives."""
        losses = [
            info_nce(self.critic(pair)(self.encode(pair[0], x), self.encode(pair[1], y)), detailed=False)[0]
            for pair, (x, y) in batch.items()
        ]
        return torch.stack(losses).sum()


def train(
    data: Sequence[Pairs], kind: str, recipe: Recipe, seed: int = 0, report: Callable[[], None] = lambda: None
) -> list[ContrastiveModel]:
    """One model for each world of `data`, whose pairs bear the same names and sizes.

    The models share nothing but the loop: parameters are stacked, and Adam treats each number by itself.
    report: called after every step.
    """
    torch.manual_seed(seed)
    models = [ContrastiveModel(pairs, kind, recipe) for pairs in data]
    parameters, buffers = stack_module_state(list(models))  # each [E, ...]
    skeleton = copy.deepcopy(models[0]).to("meta")
    losses = vmap(lambda weights, fixed, batch: functional_call(skeleton, (weights, fixed), (batch,)))
    optimiser = torch.optim.Adam(parameters.values(), lr=recipe.learning_rate, fused=True)
    batches = _Batches(data, recipe.batch, seed)
    for step in range(recipe.steps):
        warm, done = min(1.0, (step + 1) / recipe.warm_up), step / recipe.steps
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * done))
        optimiser.zero_grad()
        losses(parameters, buffers, batches.next()).sum().backward()
        optimiser.step()
        report()
    for place, model in enumerate(models):
        model.load_state_dict({name: value[place] for name, value in (parameters | buffers).items()})
        model.requires_grad_(False)
    return models


class _Batches:
    """Batches [E, batch, D] of all worlds, every pair once an epoch, in an order drawn anew for each epoch."""

    def __init__(self, data: Sequence[Pairs], batch: int, seed: int) -> None:
        self.stacked = {
            names: (torch.stack([pairs[names][0] for pairs in data]), torch.stack([pairs[names][1] for pairs in data]))
            for names in data[0]
        }
        self.batch, self.at, self.order = batch, 0, torch.empty(0, dtype=torch.long)
        self.count = next(iter(self.stacked.values()))[0].shape[1]
        self.generator = torch.Generator().manual_seed(seed)

    def next(self) -> Pairs:
        if self.at + self.batch > len(self.order):
            self.order, self.at = torch.randperm(self.count, generator=self.generator), 0
        rows = self.order[self.at : self.at + self.batch]
        self.at += self.batch
        return {names: (x[:, rows], y[:, rows]) for names, (x, y) in self.stacked.items()}
