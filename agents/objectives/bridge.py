"""Both contrastive pairs: state-actions with goals reached later, goals with captions true of them."""

from __future__ import annotations

import torch
from torch import Tensor

from goalbridge.agents.objectives import Info, Objective, TensorBatch
from goalbridge.configs.registries import objectives


@objectives.register("bridge")
class Bridge(Objective):
    """InfoNCE of each pair, and the action taken against others at the same state and goal.

    config reads, beside what `Objective` does: caption_weight.
    """

    def __call__(self, batch: TensorBatch, detailed: bool = True) -> tuple[Tensor, Info]:
        agent, config = self.agent, self.config
        with self.towers_precision():
            a = self.encode_state_actions(batch)  # [n, 1 + K, d]
            b, b_caption = self._encode_goals(batch)  # [n, d] each
            c = agent.encode_language(self.text_features(batch.captions))  # [n, d]
        a, b, b_caption, c = (rows.to(self.texts.dtype) for rows in (a, b, b_caption, c))
        if config.negatives_per_layout:
            goal_loss, goal_info = self.contrast_groups(agent.critic_ab, a[:, 0], b, detailed)
        else:
            goal_loss, goal_info = self.contrast(agent.critic_ab, a[:, 0], b, None, detailed)
        text_loss, text_info = self.contrast(agent.critic_bc, b_caption, c, batch.duplicates, detailed)
        loss = goal_loss + config.caption_weight * text_loss
        action_loss, action_info = self.contrast_actions(a, b)
        loss = loss + action_loss
        info = {f"goal/{k}": v for k, v in goal_info.items()} | {f"language/{k}": v for k, v in text_info.items()}
        info |= action_info
        return loss, info | {
            "goal/loss": goal_loss.detach(),
            "language/loss": text_loss.detach(),
            "loss": loss.detach(),
        }

    def _encode_goals(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Goals towards state-actions and captioned ones towards language, [n, d] each."""
        agent = self.agent
        if agent.meaning_encoder is not None:
            return agent.encode_goals(batch.goals), agent.encode_meanings(batch.caption_goals)
        b, b_caption = agent.encode_goals(torch.cat([batch.goals, batch.caption_goals])).chunk(2)  # one pass is quicker
        return b, b_caption
