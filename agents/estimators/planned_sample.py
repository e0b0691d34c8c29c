"""One goal drawn from p(g | instruction), and planned towards."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("planned_sample")
class PlannedSample(Estimator):
    """One goal drawn from p(g | instruction), and planned towards."""

    plans = True

    def scores(self, batch: ScoringBatch) -> Tensor:
        """[B, A]."""
        return batch.planned(drawn=True)
