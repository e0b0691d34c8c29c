"""LogSumExp with f_BC over a temperature."""

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register


@register("tempered")
class Tempered(Estimator):
    def scores(self, batch: ScoringBatch) -> Tensor:
        return batch.summed(batch.log_bc / self.agent.policy_config.language_temperature)
