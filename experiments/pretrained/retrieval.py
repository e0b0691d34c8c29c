"""Retrieval among few candidates: how often the right one is among the best k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.evaluation.statistics import interval

CANDIDATES: Final = 25  # as in the paper's Section 6.2.1
RANKS: Final = (1, 5, 10)

Recalls = dict[str, NDArray[np.float64]]


def ranks(scores: Tensor) -> Tensor:
    """Place of the right candidate, from 0: scores [..., N, N], query i's right candidate is i -> [..., N].

    Candidates of the same score stand before the right one: scores that tell nothing apart find nothing.
    """
    own = scores.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)  # [..., N, 1]
    return (scores >= own).sum(-1) - 1


def recalls(scores: Tensor) -> Recalls:
    """Recall of trials [T, N, N]: by "R@k", the mean over a trial's queries, [T]."""
    place = ranks(scores)  # [T, N]
    return {f"R@{k}": (place < k).double().mean(-1).numpy() for k in RANKS}


def both_ways(score: Tensor) -> dict[str, Recalls]:
    """Recalls of trials [T, N, N] with rows as queries ("forward") and with columns ("backward")."""
    return {"forward": recalls(score), "backward": recalls(score.transpose(-1, -2))}


def summary(rows: Sequence[Mapping[str, Mapping[str, Recalls]]]) -> dict[str, Any]:
    """Means and 95 % intervals of what each seed found: by row, direction and "R@k".

    rows: one for each seed: by row, by direction, recalls [T].
    """
    return {
        name: {
            way: {k: asdict(interval([seed[name][way][k] for seed in rows])) for k in found}
            for way, found in ways.items()
        }
        for name, ways in rows[0].items()
    }
