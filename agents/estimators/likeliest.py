"""The single goal with the highest p(g | instruction)."""

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("likeliest")
class Likeliest(Estimator):
    def scores(self, batch: ScoringBatch) -> Tensor:
        return batch.towards(batch.log_bc.argmax(dim=1).tolist())
