"""Contrastive losses. Each returns (loss, info); info holds what one wants to see while it trains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Info = dict[str, Tensor]


def info_nce(
    logits: Tensor, duplicates: Tensor | None = None, treat: str = "positives", logsumexp_penalty: float = 0.0
) -> tuple[Tensor, Info]:
    """Symmetric InfoNCE over a batch: the mean of the cross-entropies along rows and along columns.

    logits: [B, B], entry (i, j) the critic's score of anchor i and candidate j; positives on the diagonal.
    duplicates: [B, B] bool, pairs off the diagonal that are true as well (a caption that fits another goal).
    treat: what becomes of them. "positives": each row's and column's target is spread evenly over its true pairs,
    which is InfoNCE's own expectation over which of them was drawn, without that draw's variance. "masked": they are
    left out of both softmaxes, so that nothing holds true pairs to a common score. "negatives": plain InfoNCE.
    logsumexp_penalty: weight of the mean squared log-partition of the rows, which pins the critic's free constant.
    info: accuracy (a true pair wins its row and, separately, its column), mean logits of true pairs and of the others.
    Source: van den Oord et al. 2018, Eq. 4; the symmetric form is that of Radford et al. 2021.
    """
    diagonal = torch.eye(len(logits), dtype=torch.bool, device=logits.device)  # [B, B]
    true = diagonal if duplicates is None else duplicates | diagonal  # [B, B]
    kept = logits.masked_fill(true & ~diagonal, -torch.inf) if treat == "masked" else logits
    positive = (logits * true) if treat == "positives" else (logits * diagonal)  # [B, B]
    shares = true if treat == "positives" else diagonal
    rows, columns = kept.logsumexp(dim=1), kept.logsumexp(dim=0)  # [B] each
    by_row = (rows - positive.sum(dim=1) / shares.sum(dim=1)).mean()
    by_column = (columns - positive.sum(dim=0) / shares.sum(dim=0)).mean()
    loss = (by_row + by_column) / 2
    if logsumexp_penalty > 0:
        loss = loss + logsumexp_penalty * rows.square().mean()
    with torch.no_grad():
        best = logits.masked_fill(~true, -torch.inf)  # [B, B]
        info = {
            "accuracy": (best.amax(dim=1) >= logits.amax(dim=1)).float().mean(),
            "accuracy_columns": (best.amax(dim=0) >= logits.amax(dim=0)).float().mean(),
            "positive_logits": (logits * true).sum() / true.sum(),
            "negative_logits": (logits * ~true).sum() / (~true).sum().clamp(min=1),
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
