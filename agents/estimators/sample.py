"""One goal drawn from p(g | instruction), kept until it was ruled out."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("sample")
class Sample(Estimator):
    """One goal drawn from p(g | instruction), kept until it was ruled out."""

    def scores(self, batch: ScoringBatch) -> Tensor:
        """[B, A]."""
        return batch.towards(batch.drawn())
