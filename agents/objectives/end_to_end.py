"""The rival that needs what the bridge does without: state-actions against captions of what they led to."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.objectives import Info, Objective, TensorBatch
from goalbridge.configs.registries import objectives


@objectives.register("end_to_end")
class EndToEnd(Objective):
    """InfoNCE of state-actions and captions, by the same networks, and the action taken against others."""

    pairs_captions_with_actions = True
    has_goal_posterior = False

    def __call__(self, batch: TensorBatch, detailed: bool = True) -> tuple[Tensor, Info]:
        a, c = self.encode(batch)
        text_loss, text_info = self.contrast(self.agent.critic_ab, a[:, 0], c, batch.duplicates, detailed)
        action_loss, action_info = self.contrast_actions(a, c)
        loss = text_loss + action_loss
        info = {f"language/{k}": v for k, v in text_info.items()} | {"language/loss": text_loss.detach()}
        return loss, info | action_info | {"loss": loss.detach()}

    def encode(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """The action taken and the others [n, 1 + K, d], and the captions of what the first led to [n, d]."""
        with self.towers_precision():
            a = self.agent.language_part(self.encode_state_actions(batch))
            c = self.agent.encode_language(self.text_features(batch.captions))
        return a.to(self.texts.dtype), c.to(self.texts.dtype)
