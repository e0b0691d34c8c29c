"""f_AB's own similarity of phi_A(s, a) and phi_C(instruction), without goals: a baseline (Lemmas 2, 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from goalbridge.agents.estimators import Estimator, ScoringBatch, register
from goalbridge.configs.checks import ConfigError

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent


@register("direct")
class Direct(Estimator):
    needs_goals = False

    @classmethod
    def check(cls, name: str, agent: Agent, fixed_goals: bool) -> None:
        if not agent.has_language_part:
            raise ConfigError(
                f"policy.name={name}: expected an agent trained with agent.language_in_actions=true; try logsumexp"
            )

    def scores(self, batch: ScoringBatch) -> Tensor:
        agent = self.agent
        return agent.critic_ab.paired(agent.language_part(batch.encoded), batch.language().unsqueeze(1))
