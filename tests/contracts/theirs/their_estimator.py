"""The mean instead of the sum of exponentials, as somebody else would add an estimator."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch


class Average(Estimator):
    """The mean of f_AB over the goals, each with its probability."""

    def scores(self, batch: ScoringBatch) -> Tensor:
        """[B, A]."""
        return (batch.logits() * batch.log_bc.softmax(dim=1)[:, None]).sum(dim=2)
