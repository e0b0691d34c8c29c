"""Contrastive losses. Each returns (loss, info); info holds what one wants to see while it trains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Info = dict[str, Tensor]


def info_nce(
    logits: Tensor, duplicates: Tensor | None = None, logsumexp_penalty: float = 0.0
) -> tuple[Tensor, Info]:
    """Symmetric InfoNCE over a batch: the mean of the cross-entropies along rows and along columns.

    logits: [B, B], entry (i, j) the critic's score of anchor i and candidate j; positives on the diagonal.
    duplicates: [B, B] bool, pairs off the diagonal that are positives too; they are left out of both softmaxes.
    logsumexp_penalty: weight of the mean squared log-partition of the rows, which pins the critic's free constant.
    info: accuracy (the diagonal wins its row and, separately, its column), mean positive and negative logits.
    Source: van den Oord et al. 2018, Eq. 4; the symmetric form is that of Radford et al. 2021.
    """
    size = len(logits)
    diagonal = torch.eye(size, dtype=torch.bool, device=logits.device)  # [B, B]
    masked = logits
    if duplicates is not None:
        masked = logits.masked_fill(duplicates & ~diagonal, -torch.inf)
    target = torch.arange(size, device=logits.device)
    loss = (functional.cross_entropy(masked, target) + functional.cross_entropy(masked.T, target)) / 2
    if logsumexp_penalty > 0:
        loss = loss + logsumexp_penalty * masked.logsumexp(dim=1).square().mean()
    with torch.no_grad():
        positives = logits.diagonal()
        negatives = masked.isfinite() & ~diagonal
        info = {
            "accuracy": (masked.argmax(dim=1) == target).float().mean(),
            "accuracy_columns": (masked.argmax(dim=0) == target).float().mean(),
            "positive_logits": positives.mean(),
            "negative_logits": logits.masked_fill(~negatives, 0).sum() / negatives.sum().clamp(min=1),
        }
    return loss, info


def action_contrast(positive: Tensor, negatives: Tensor) -> tuple[Tensor, Info]:
    """Cross-entropy of the action that was taken against others at the same state and goal.

    positive: [B] scores f(s, a, g+). negatives: [B, K] scores f(s, a', g+) of other actions.
    InfoNCE over goals leaves a free term c(s, a); where actions are compared it would be noise, and this removes it.
    info: accuracy (the taken action wins).
    """
    logits = torch.cat([positive.unsqueeze(1), negatives], dim=1)  # [B, 1 + K]
    target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    with torch.no_grad():
        accuracy = (logits.argmax(dim=1) == 0).float().mean()
    return functional.cross_entropy(logits, target), {"accuracy": accuracy}
