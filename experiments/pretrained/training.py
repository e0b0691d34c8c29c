"""Contrastive training of the digits experiment: pairs of towers, each with its critic, by symmetric InfoNCE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from goalbridge.agents.learner import DivergedError
from goalbridge.agents.model import Critic
from goalbridge.agents.objectives import info_nce

# Left and right inputs [B, ...], and which pairs [B, B] off the diagonal say the very same (None: unknown).
Batch = tuple[Tensor, Tensor, Tensor | None]
Draw = Callable[[np.random.Generator, int], Batch]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    steps: of gradient. batch_size: B, pairs a step and modality pair. learning_rate: peak of a cosine with a tenth of
    warm-up. weight_decay: of AdamW.
    """

    steps: int = 600
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.05


class Pair(nn.Module):
    """Two towers into one space, and the critic that scores them: the model of one pair of modalities.

    left, right: modules of outputs [N, d] each. critic: kind, see agents.model.Critic.
    """

    def __init__(self, left: nn.Module, right: nn.Module, critic: str, embedding_dim: int) -> None:
        super().__init__()
        self.left, self.right = left, right
        self.critic = Critic(critic, embedding_dim=embedding_dim)


def train(pairs: Sequence[Pair], draws: Sequence[Draw], schedule: Schedule, seed: int) -> dict[str, float]:
    """Trains all `pairs` together, each on batches of its own; towers that two pairs share learn from both.

    Returns the mean accuracy within the last batch of each pair, as "accuracy 0", ... Raises DivergedError where
    the loss leaves the finite numbers.
    """
    rng = np.random.default_rng([seed, 1])
    model = nn.ModuleList(pairs).train()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, total_steps=schedule.steps, pct_start=0.1, cycle_momentum=False
    )
    info: dict[str, float] = {}
    for step in range(schedule.steps):
        last = step + 1 == schedule.steps
        loss = torch.zeros(())
        for place, (pair, draw) in enumerate(zip(pairs, draws, strict=True)):
            left, right, same = draw(rng, schedule.batch_size)
            part, seen = info_nce(pair.critic(pair.left(left), pair.right(right)), same, detailed=last)
            loss = loss + part
            info |= {f"{name} {place}": float(value) for name, value in seen.items() if name == "accuracy"}
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
    if not torch.isfinite(loss):
        raise DivergedError(f"learning_rate={schedule.learning_rate}: the loss became {float(loss)}; use a lower one")
    model.eval()
    return info


@torch.no_grad()
def embed(tower: nn.Module, inputs: Tensor, at_once: int = 1024) -> Tensor:
    """A tower's representations of all inputs [N, ...], in parts: [N, d]."""
    return torch.cat([tower(part) for part in torch.split(inputs, at_once)])
