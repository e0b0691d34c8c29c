"""How unlike the captions of its training a text is: what an agent goes by to say that it did not understand."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

KEPT: Final = 128  # caption features that an agent keeps
_SAME: Final = 1 - 1e-5
FALSE_ALARMS: Final = 0.005  # share of validation texts that may count as not understood


def spread_out(features: Tensor, count: int = KEPT) -> Tensor:
    """`count` of the features [N, T], unit vectors [count, T], such that none of the N is far from all of them.

    Farthest first, from the first one on (Gonzalez, 1985: at most twice the least possible distance). Where there are
    fewer than `count`, some come twice.
    """
    every = functional.normalize(features, dim=1)  # [N, T]
    chosen = [0]
    nearest = every @ every[0]  # [N], cosine of each and the nearest chosen one
    while len(chosen) < count:
        chosen.append(int(nearest.argmin()))
        nearest = torch.maximum(nearest, every @ every[chosen[-1]])
    return every[chosen]


def familiarity(features: Tensor, known: Tensor, but_itself: bool = False) -> Tensor:
    """[N] in [-1, 1]: cosine of text features [N, T] and the nearest of the known ones, unit vectors [K, T].

    The out-of-distribution score is its negative. but_itself: of those that differ from it, as if it were not known.
    """
    alike = functional.normalize(features, dim=1) @ known.T  # [N, K]
    return (alike.masked_fill(alike > _SAME, -1.0) if but_itself else alike).amax(dim=1)
