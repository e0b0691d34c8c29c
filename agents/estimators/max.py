"""The best single goal instead of the expectation."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("max")
class Max(Estimator):
    """The best single goal instead of the expectation."""

    def scores(self, batch: ScoringBatch) -> Tensor:
        """[B, A]."""
        return batch.summed(batch.log_bc, best_goal=True)
