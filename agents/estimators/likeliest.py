"""The single goal with the highest p(g | instruction)."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("likeliest")
class Likeliest(Estimator):
    """The single goal with the highest p(g | instruction)."""

    def scores(self, batch: ScoringBatch) -> Tensor:
        """[B, A]."""
        return batch.towards(batch.log_bc.argmax(dim=1).tolist())
