"""Planning over the bridge: crossing it more than once.

A critic with a short horizon is sharp nearby and silent far away. Where a bridge goal can also be stood in, the critic
itself says where an action taken there leads,

    P(m' | m, a) = softmax over m' of f_AB(state m, a, goal m'),

and an instruction's value can be handed on from goal to goal,

    V(m) = max(V_0(m), discount x max_a sum P(m' | m, a) V(m')).

The policy then needs one LogSumExp into the goals around it: Q(s, a) = sum P(m | s, a) V(m).
Nothing here knows a world: bridge goals are rows, and what was learnt says which are neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

_ROWS_AT_ONCE: Final = 1 << 22  # logits of one block: 16 MB in float32
_MOST_SUCCESSORS: Final = 32  # of one action; what an untrained critic takes for likely would fill the memory
_CONVERGED: Final = 1e-6  # relative change of the values below which the iteration ends


@dataclass(frozen=True, eq=False)
class TransitionModel:
    """Where each action leads from each bridge goal.

    chances: sparse [M A, M], row m A + a the chances of reaching each goal; a row may be all zero. actions: A.
    """

    chances: scipy.sparse.csr_array[Any, Any]
    actions: int

    def without(self, rows: NDArray[np.integer]) -> TransitionModel:
        """The same but for some rows of `chances`, which lead nowhere: actions that changed nothing."""
        if not len(rows):
            return self
        kept = np.ones(self.chances.shape[0])
        kept[rows] = 0.0
        return TransitionModel(scipy.sparse.csr_array(scipy.sparse.diags_array(kept) @ self.chances), self.actions)


def likely(logits: Tensor, share: float, own: Tensor | None = None) -> Tensor:
    """Where an action leads, from logits [..., M]: a softmax over what is `share` times as likely as the likeliest.

    The critic's noise, summed over many far goals, would otherwise swamp a distant goal. own: bool [..., M], the goals
    that are the present state itself. Staying is no way forward: an action that most likely changes nothing leads
    nowhere, and its row is all zero. Other rows sum to one.
    """
    kept = logits >= logits.amax(dim=-1, keepdim=True) + math.log(share)  # [..., M]
    if own is not None:
        kept = kept & ~own
    chances = logits.masked_fill(~kept, -torch.inf).softmax(dim=-1)
    return chances.nan_to_num_(0.0)  # where nothing was kept


@torch.no_grad()
def find_transitions(logits: Callable[[int, int], Tensor], goals: int, actions: int, share: float) -> TransitionModel:
    """Where actions lead between M bridge goals.

    logits: rows start to stop of f_AB from goals as states, [stop - start, A, M]. share: see `likely`.
    """
    rows, columns, weights = [], [], []
    at_once = max(1, _ROWS_AT_ONCE // (actions * goals))
    for start in range(0, goals, at_once):
        block = logits(start, min(start + at_once, goals)).flatten(0, 1)  # [m A, M]
        top = block.amax(dim=1, keepdim=True)  # [m A, 1]
        kept = _kept(block, top + math.log(share))
        weights.append((block[kept] - top[kept[0], 0]).double().exp().cpu().numpy())
        rows.append((kept[0] + start * actions).cpu().numpy())
        columns.append(kept[1].cpu().numpy())
    row, column, weight = np.concatenate(rows), np.concatenate(columns), np.concatenate(weights)
    leads = column != row // actions
    row, column, weight = row[leads], column[leads], weight[leads]
    weight = weight / np.bincount(row, weight, minlength=goals * actions)[row]
    chances = scipy.sparse.csr_array((weight, (row, column)), shape=(goals * actions, goals))
    return TransitionModel(chances, actions)


def _kept(block: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of the logits [R, M] that reach their row's floor [R, 1], a few of each row at most."""
    rows, columns = (block >= floor).nonzero(as_tuple=True)
    if len(rows) <= _MOST_SUCCESSORS * len(block):  # as good as always once a critic has learnt anything
        return rows, columns
    values, which = block.topk(min(_MOST_SUCCESSORS, block.shape[1]), dim=1)  # [R, k] each
    rows, places = (values >= floor).nonzero(as_tuple=True)
    return rows, which[rows, places]


def value_iteration(
    transitions: TransitionModel, weights: NDArray[np.float64], discount: float, max_iterations: int
) -> NDArray[np.float64]:
    """Values V [M] of the bridge goals, from how much each is what was asked for, weights [M] in [0, 1].

    discount: of each transition, in (0, 1). max_iterations: at most so many; a far goal needs one for each transition
    on the way to it. Raises ValueError where weights are not [M] of finite numbers in [0, 1].
    """
    goals = transitions.chances.shape[1]
    if weights.shape != (goals,) or not ((weights >= 0) & (weights <= 1)).all():
        raise ValueError(f"weights: expected [M] = ({goals},) in [0, 1], got shape {weights.shape}")
    values: NDArray[np.float64] = weights.astype(np.float64)
    for _ in range(max_iterations):
        reached = (transitions.chances @ values).reshape(-1, transitions.actions).max(axis=1)  # [M]
        better: NDArray[np.float64] = np.maximum(weights, discount * reached)
        converged = bool((better - values <= _CONVERGED * better).all())
        values = better
        if converged:
            break
    return values


def log_action_values(logits: Tensor, values: Tensor, share: float, own: Tensor | None = None) -> Tensor:
    """log Q [..., A] of actions with logits f_AB [..., A, M] towards goals of values [..., M] (float64).

    own: bool [..., M], see `likely`. -inf where nothing likely is worth anything.
    """
    chances = likely(logits, share, None if own is None else own.unsqueeze(-2)).to(values.dtype)  # [..., A, M]
    return (chances @ values.unsqueeze(-1)).squeeze(-1).log()


def goal_weights(log_bc: NDArray[np.floating], best: float | None = None, floor: float = 0.05) -> NDArray[np.float64]:
    """How much each bridge goal is what was asked for, [M] in [0, 1], from f_BC(g, instruction) [M].

    Relative to `best`, the logit of what fits perfectly, or to the best of these; below `floor` nothing.
    """
    logits = np.asarray(log_bc, dtype=np.float64)
    weights = np.exp(np.minimum(logits - (logits.max() if best is None else max(best, logits.max())), 0.0))
    return np.where(weights < floor, 0.0, weights)
