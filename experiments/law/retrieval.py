"""Recall at 1 among a few candidates, without the luck of which candidates were drawn."""

from __future__ import annotations

import torch
from scipy.stats import hypergeom
from torch import Tensor

CANDIDATES = 32


def recall(scores: Tensor, candidates: int = CANDIDATES) -> Tensor:
    """Chance that the true partner wins among `candidates`: scores [N, N], truth on the diagonal -> [N].

    The other candidates are drawn from the N - 1 other columns without replacement; the mean over all such draws is
    exact: no column that beats the truth may be among them. Ties are broken at random, by a fixed draw.
    Raises ValueError if scores is not square or N < `candidates`, or if a score is NaN.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or len(scores) < candidates:
        raise ValueError(f"scores has shape {tuple(scores.shape)}; needs [N, N] with N of at least {candidates}")
    if scores.isnan().any():
        raise ValueError("scores holds NaN; needs numbers")
    truth = scores.diagonal().unsqueeze(1)  # [N, 1]
    luck = torch.rand(scores.shape, generator=torch.Generator().manual_seed(0)).to(scores.device)
    wins = (scores > truth) | ((scores == truth) & (luck > luck.diagonal().unsqueeze(1)))  # [N, N]
    chance = hypergeom.pmf(0, len(scores) - 1, wins.sum(1).cpu().numpy(), candidates - 1)
    return torch.as_tensor(chance, dtype=torch.float64)
