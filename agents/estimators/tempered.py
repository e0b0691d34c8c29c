"""LogSumExp with f_BC over a temperature."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("tempered")
class Tempered(Estimator):
    """LogSumExp with f_BC over a temperature."""

    def scores(self, batch: ScoringBatch) -> Tensor:
        """[B, A]."""
        return batch.summed(batch.log_bc / self.agent.policy_config.language_temperature)
