"""What is minimised: the two contrastive pairs, or a rival's objective, over a batch that processes may share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from goalbridge.agents.agent import Agent
from goalbridge.agents.critics import Critic
from goalbridge.agents.losses import Info, action_contrast, info_nce, info_nce_share
from goalbridge.agents.parallel import Processes
from goalbridge.configs.schema import TrainConfig
from goalbridge.encoders import TextHead


class TensorBatch(NamedTuple):
    """What one gradient step sees; where processes share a batch of B, each its own n rows (otherwise n = B).

    states [n, S], actions [n, D], goals [n, G]: transitions and a goal reached later from each.
    other_actions: [n, K, D], contrasted with the action taken. caption_goals [n, G], captions [n] (indices of texts),
    duplicates [B, B]: captioned goals, see `data.captions.CaptionBatch`.
    """

    states: Tensor
    actions: Tensor
    goals: Tensor
    other_actions: Tensor
    caption_goals: Tensor
    captions: Tensor
    duplicates: Tensor


class Objective:
    """The weighted sum of an agent's losses; of several processes each gives its share, and the shares sum to it.

    config reads: caption_weight, action_weight, logsumexp_penalty, duplicates, objective, group_size, precision.
    texts: [distinct captions, T] frozen features. By "bf16" the towers compute in bfloat16, with weights, critics and
    losses in the agent's own precision: differences of distances would not survive eight bits.
    """

    def __init__(self, agent: Agent, config: TrainConfig, texts: Tensor, processes: Processes) -> None:
        self._agent, self._config, self._texts, self._processes = agent, config, texts, processes
        self._dropout = 0.0
        if processes.count > 1 and isinstance(agent.language_head, TextHead):
            self._dropout, agent.language_head.dropout.p = agent.language_head.dropout.p, 0.0  # see `_features`

    def __call__(self, batch: TensorBatch, detailed: bool = True) -> tuple[Tensor, Info]:
        """The loss, and what to log (the accuracies and logits only where `detailed`)."""
        if self._config.objective == "bridge":
            return self._bridge(batch, detailed)
        return self._end_to_end(batch, detailed)

    def _bridge(self, batch: TensorBatch, detailed: bool) -> tuple[Tensor, Info]:
        agent, config = self._agent, self._config
        with self._precision():
            a = self._encode_state_actions(batch)  # [n, 1 + K, d]
            b, b_caption = self._encode_goals(batch)  # [n, d] each
            c = agent.encode_language(self._features(batch.captions))  # [n, d]
        a, b, b_caption, c = (rows.to(self._texts.dtype) for rows in (a, b, b_caption, c))
        if config.group_size:
            goal_loss, goal_info = self._contrast_groups(a[:, 0], b, detailed)
        else:
            goal_loss, goal_info = self._contrast(agent.critic_ab, a[:, 0], b, None, detailed)
        text_loss, text_info = self._contrast(agent.critic_bc, b_caption, c, batch.duplicates, detailed)
        loss = goal_loss + config.caption_weight * text_loss
        info = {f"goal/{k}": v for k, v in goal_info.items()} | {f"language/{k}": v for k, v in text_info.items()}
        action_loss, action_info = self._contrast_actions(a, b)
        loss = loss + action_loss
        info |= action_info
        info |= {"goal/loss": goal_loss.detach(), "language/loss": text_loss.detach(), "loss": loss.detach()}
        return loss, info

    def _end_to_end(self, batch: TensorBatch, detailed: bool) -> tuple[Tensor, Info]:
        """The rivals': state-actions against captions of what they led to, by the same networks.

        By behaviour cloning, only the action taken against others, towards the caption: a policy a | s, caption.
        """
        agent = self._agent
        with self._precision():
            a = agent.meets_language(self._encode_state_actions(batch))  # [n, 1 + K, d]
            c = agent.encode_language(self._features(batch.captions))  # [n, d]
        a, c = a.to(self._texts.dtype), c.to(self._texts.dtype)
        loss, info = a.new_zeros(()), Info()
        if self._config.objective == "end_to_end":
            loss, info = self._contrast(agent.critic_ab, a[:, 0], c, batch.duplicates, detailed)
            info = {f"language/{k}": v for k, v in info.items()} | {"language/loss": loss.detach()}
        action_loss, action_info = self._contrast_actions(a, c)
        loss = loss + action_loss
        return loss, info | action_info | {"loss": loss.detach()}

    def _contrast(
        self, critic: Critic, x: Tensor, y: Tensor, duplicates: Tensor | None, detailed: bool
    ) -> tuple[Tensor, Info]:
        """Anchors x [n, d] with candidates y [n, d], all B of every process being compared with all."""
        config, processes = self._config, self._processes
        treat, penalty = config.duplicates, config.logsumexp_penalty
        if processes.count == 1:
            return info_nce(critic(x, y), duplicates, treat, penalty, detailed)
        every_x, every_y = processes.gather(torch.cat([x, y], dim=1)).chunk(2, dim=1)  # [B, d] each, by one message
        own = processes.share(len(every_x))
        rows, columns = critic(x, every_y), critic(every_x, y).T  # [n, B] each
        return info_nce_share(rows, columns, own, duplicates, treat, penalty, detailed)

    def _contrast_groups(self, x: Tensor, y: Tensor, detailed: bool) -> tuple[Tensor, Info]:
        """Anchors x [n, d] with candidates y [n, d] of the same group alone; no group lies in two processes."""
        x, y = (rows.view(-1, self._config.group_size, rows.shape[-1]) for rows in (x, y))  # [R, m, d] each
        logits = self._agent.critic_ab(x, y)  # [R, m, m]
        return self._mean(*info_nce(logits, logsumexp_penalty=self._config.logsumexp_penalty, detailed=detailed))

    def _contrast_actions(self, a: Tensor, towards: Tensor) -> tuple[Tensor, Info]:
        """Weighted loss of the action taken against the others, a [n, 1 + K, d], towards what it led to, [n, d]."""
        if a.shape[1] == 1:
            return a.new_zeros(()), {}
        against = self._agent.critic_ab.paired(a, towards.unsqueeze(1))  # [n, 1 + K]
        loss, info = self._mean(*action_contrast(against[:, 0], against[:, 1:]))
        weight = self._config.action_weight
        return weight * loss, {f"action/{k}": v for k, v in ({"loss": loss.detach()} | info).items()}

    def _mean(self, loss: Tensor, info: Info) -> tuple[Tensor, Info]:
        """This process's share of a mean over all rows, from the mean over its own."""
        count = self._processes.count
        return (loss, info) if count == 1 else (loss / count, {name: value / count for name, value in info.items()})

    def _precision(self) -> AbstractContextManager[Any]:
        if self._config.precision == "float32":
            return nullcontext()
        return torch.autocast(self._texts.device.type, dtype=torch.bfloat16)

    def _encode_state_actions(self, batch: TensorBatch) -> Tensor:
        """The action taken, then the others, [n, 1 + K, d]."""
        weighed = torch.cat([batch.actions.unsqueeze(1), batch.other_actions], dim=1)  # [n, 1 + K, D]
        return self._agent.encode_state_actions(batch.states.unsqueeze(1), weighed)

    def _encode_goals(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Goals towards state-actions and captioned ones towards language, [n, d] each."""
        agent = self._agent
        if agent.meaning_encoder is not None:
            return agent.encode_goals(batch.goals), agent.encode_meanings(batch.caption_goals)
        b, b_caption = agent.encode_goals(torch.cat([batch.goals, batch.caption_goals])).chunk(2)  # one pass is quicker
        return b, b_caption

    def _features(self, captions: Tensor) -> Tensor:
        """Frozen features of captions [n], [n, T], some of them left out as the text head would.

        Several processes draw what is left out of the whole batch, from one seed, so that it is what one would draw.
        """
        features = self._texts[captions]  # [n, T]
        if self._dropout == 0:
            return features
        size = self._processes.count * len(features)
        kept = functional.dropout(features.new_ones(size, features.shape[1]), self._dropout)  # [B, T]
        return features * kept[self._processes.share(size)]
