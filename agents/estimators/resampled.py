"""Fewer goals for the same sum: draws in proportion to p(g | instruction), with their importance weights."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("resampled")
class Resampled(Estimator):
    """LogSumExp over `PolicyConfig.proposals` goals."""

    needs_fixed_goals = True

    def scores(self, batch: ScoringBatch) -> Tensor:
        which, weights = batch.proposed(self.agent.policy_config.proposals)  # [B, n] each
        log_bc = batch.log_bc.gather(1, which) + weights
        scores = batch.summed_over(which, log_bc)
        tried = log_bc.isneginf().all(dim=1)  # all that was drawn: only the whole bridge can tell what remains
        if tried.any():
            scores[tried] = batch.summed(batch.log_bc)[tried]
        return scores


def space_filling_order(points: NDArray[np.floating]) -> NDArray[np.int64]:
    """An order [M] of points [M, G] in which neighbours lie close: halves at the median of the widest coordinate."""
    order: list[NDArray[np.int64]] = []
    waiting = [np.arange(len(points))]
    while waiting:
        part = waiting.pop()
        spread = np.ptp(points[part], axis=0)  # [G]
        if len(part) < 3 or not spread.any():
            order.append(part)
            continue
        ranked = part[np.argsort(points[part, spread.argmax()], kind="stable")]
        waiting += [ranked[len(part) // 2 :], ranked[: len(part) // 2]]
    return np.concatenate(order)


def propose(log_ratio: Tensor, order: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Draws `count` of M goals in proportion to their posterior: rows [count] and log weights log p(g) - log q(g).

    log_ratio: [M], log p(g | instruction) / p(g) of goals that are draws from p(g), up to a constant. order: [M], of
    `space_filling_order`: the draws are systematic along it, every 1 / count of the posterior from a `share` in [0, 1)
    of that on, and thus spread over all of it. The weights undo the preference: the log ratio plus the weight is the
    same for every draw, and a sum over the draws is unbiased for the sum over all goals.
    """
    posterior = log_ratio.double().softmax(dim=0)  # [M]
    places = (torch.arange(count, dtype=torch.float64, device=order.device) + share) / count  # [count]
    drawn = torch.searchsorted(posterior[order].cumsum(0), places).clamp(max=len(order) - 1)  # [count]
    rows = order[drawn]
    weights = -(posterior[rows].log() + np.log(len(order)))  # log of (1 / M) / posterior
    return rows, weights.to(log_ratio.dtype)
