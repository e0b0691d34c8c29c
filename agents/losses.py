"""Contrastive losses. Each returns (loss, info); info holds what one wants to see while it trains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Info = dict[str, Tensor]


def info_nce(
    logits: Tensor,
    duplicates: Tensor | None = None,
    treat: str = "positives",
    logsumexp_penalty: float = 0.0,
    detailed: bool = True,
) -> tuple[Tensor, Info]:
    """Symmetric InfoNCE over a batch: the mean of the cross-entropies along rows and along columns.

    logits: [..., B, B], entry (i, j) the critic's score of anchor i and candidate j; positives on the diagonal. Leading
    axes are batches apart, whose candidates are not compared with each other's.
    duplicates: [B, B] bool, pairs off the diagonal that are true as well (a caption that fits another goal).
    treat: what becomes of them. "positives": each row's and column's target is spread evenly over its true pairs,
    which is InfoNCE's own expectation over which of them was drawn, without that draw's variance. "masked": they are
    left out of both softmaxes, so that nothing holds true pairs to a common score. "negatives": plain InfoNCE.
    logsumexp_penalty: weight of the mean squared log-partition of the rows, which pins the critic's free constant.
    detailed: whether info is filled; it costs as much as the loss. info: accuracy (a true pair wins its row and,
    separately, its column), mean logits of true pairs and of the others.
    Source: van den Oord et al. 2018, Eq. 4; the symmetric form is that of Radford et al. 2021.
    """
    size = logits.shape[-1]
    diagonal = torch.eye(size, dtype=torch.bool, device=logits.device)  # [B, B]
    true = diagonal if duplicates is None else duplicates | diagonal  # [B, B]
    kept = logits.masked_fill(true & ~diagonal, -torch.inf) if duplicates is not None and treat == "masked" else logits
    rows, columns = kept.logsumexp(dim=-1), kept.logsumexp(dim=-2)  # [..., B] each
    if duplicates is not None and treat == "positives":
        share = true.to(logits.dtype)  # [B, B]
        share = share / share.sum(dim=-1, keepdim=True) + share / share.sum(dim=-2, keepdim=True)
        positives = (logits * share).sum() * (size / (2 * logits.numel()))
    else:
        positives = logits.diagonal(dim1=-2, dim2=-1).mean()
    loss = (rows.mean() + columns.mean()) / 2 - positives
    if logsumexp_penalty > 0:
        loss = loss + logsumexp_penalty * rows.square().mean()
    return loss, _pair_info(logits.detach(), true) if detailed else {}


def info_nce_share(
    rows: Tensor,
    columns: Tensor,
    own: slice,
    duplicates: Tensor | None = None,
    treat: str = "positives",
    logsumexp_penalty: float = 0.0,
    detailed: bool = True,
) -> tuple[Tensor, Info]:
    """What one of several processes adds to `info_nce` of a batch of B that they share: the sum is that loss and info.

    rows: [n, B] scores of its own n anchors with all candidates. columns: [n, B] scores of its own candidates with all
    anchors. own: which of the B they are. duplicates: [B, B], and the rest, as `info_nce` takes them.
    No process ever scores all B x B pairs.
    """
    size = rows.shape[-1]
    diagonal = torch.eye(size, dtype=torch.bool, device=rows.device)  # [B, B]
    true = diagonal if duplicates is None else duplicates | diagonal  # [B, B]
    loss, info = rows.new_zeros(()), {}
    for suffix, logits, pairs in (("", rows, true[own]), ("_columns", columns, true.T[own])):  # [n, B] each
        apart = pairs & ~diagonal[own]  # [n, B]
        kept = logits.masked_fill(apart, -torch.inf) if treat == "masked" else logits
        partition = kept.logsumexp(dim=-1)  # [n]
        target = (pairs if treat == "positives" else diagonal[own]).to(logits.dtype)  # [n, B]
        positive = (logits * (target / target.sum(dim=-1, keepdim=True))).sum(dim=-1)  # [n]
        loss = loss + (partition - positive).sum() / (2 * size)
        if not suffix and logsumexp_penalty > 0:
            loss = loss + logsumexp_penalty * partition.square().sum() / size
        if detailed:
            scores = logits.detach()
            wins = scores.masked_fill(~pairs, -torch.inf).amax(dim=-1) >= scores.amax(dim=-1)  # [n]
            info[f"accuracy{suffix}"] = wins.float().sum() / size
    if detailed:
        scores = rows.detach()
        info["positive_logits"] = scores.masked_fill(~true[own], 0).sum() / true.sum()
        info["negative_logits"] = scores.masked_fill(true[own], 0).sum() / (~true).sum().clamp(min=1)
    return loss, info


def _pair_info(logits: Tensor, true: Tensor) -> Info:
    true = true.expand_as(logits)  # [..., B, B]
    best = logits.masked_fill(~true, -torch.inf)  # [..., B, B]
    return {
        "accuracy": (best.amax(dim=-1) >= logits.amax(dim=-1)).float().mean(),
        "accuracy_columns": (best.amax(dim=-2) >= logits.amax(dim=-2)).float().mean(),
        "positive_logits": logits[true].mean(),
        "negative_logits": logits.masked_fill(true, 0).sum() / (~true).sum().clamp(min=1),
    }


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
