"""One goal drawn from p(g | instruction), kept until it was ruled out."""

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("sample")
class Sample(Estimator):
    def scores(self, batch: ScoringBatch) -> Tensor:
        return batch.towards(batch.drawn())
