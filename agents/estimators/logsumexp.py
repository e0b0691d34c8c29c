"""Lemma 1: the expectation over all goals."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("logsumexp")
class LogSumExp(Estimator):
    """Lemma 1: the expectation over all goals."""

    def scores(self, batch: ScoringBatch) -> Tensor:
        """[B, A]."""
        return batch.summed(batch.log_bc)
