"""The best single goal instead of the expectation."""

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("max")
class Max(Estimator):
    def scores(self, batch: ScoringBatch) -> Tensor:
        return batch.summed(batch.log_bc, best_goal=True)
