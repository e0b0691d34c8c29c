"""Lemma 1: the expectation over all goals."""

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("logsumexp")
class LogSumExp(Estimator):
    def scores(self, batch: ScoringBatch) -> Tensor:
        return batch.summed(batch.log_bc)
