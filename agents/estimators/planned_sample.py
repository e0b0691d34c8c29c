"""One goal drawn from p(g | instruction), and planned towards."""

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("planned_sample")
class PlannedSample(Estimator):
    plans = True

    def scores(self, batch: ScoringBatch) -> Tensor:
        return batch.planned(drawn=True)
