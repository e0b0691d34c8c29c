"""Shortest paths over the bridge."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("shortest")
class Shortest(Estimator):
    """Shortest paths over the bridge."""

    plans = True
    needs_fixed_goals = True

    def scores(self, batch: ScoringBatch) -> Tensor:
        """[B, A]."""
        return batch.along_paths()
