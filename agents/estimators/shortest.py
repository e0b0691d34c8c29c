"""Shortest paths over the bridge."""

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("shortest")
class Shortest(Estimator):
    plans = True
    needs_fixed_goals = True

    def scores(self, batch: ScoringBatch) -> Tensor:
        return batch.along_paths()
