"""What every objective is: a loss over a batch that processes may share, and the contrasts that losses are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from goalbridge.agents.agent import Agent
from goalbridge.agents.critics import Critic
from goalbridge.agents.losses import Info, action_contrast, info_nce, info_nce_share
from goalbridge.agents.parallel import ALONE, Processes
from goalbridge.configs.schema import TrainConfig


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


class Objective(ABC):
    """A loss of an agent; one file here, or a plug-in of the entry points' group goalbridge.objectives.

    What it needs of a run and what its agent can do afterwards:
    pairs_captions_with_actions: the states and actions of a batch must be those that led to its captioned goals; data
    that are collected while the agent learns, or that bring their own captions, cannot give them.
    has_goal_posterior: afterwards p(goal | instruction) means something.

    config reads: duplicates, logsumexp_penalty, group_size, action_weight, precision; and what the objective reads.
    texts: [distinct captions, T] frozen features. Where processes share a batch, each computes its share of the loss,
    and the shares sum to it. By "bf16" the towers compute in bfloat16, with weights, critics and losses in the agent's
    own precision: differences of distances would not survive eight bits.
    """

    pairs_captions_with_actions: ClassVar[bool] = False
    has_goal_posterior: ClassVar[bool] = True

    def __init__(self, agent: Agent, config: TrainConfig, texts: Tensor, processes: Processes = ALONE) -> None:
        self.agent, self.config, self.texts, self.processes = agent, config, texts, processes
        # Messages between processes stay outside of what torch.compile makes.
        self._gather = torch.compiler.disable(processes.gather) if config.compile else processes.gather
        self._dropout, dropout = 0.0, getattr(agent.language_head, "dropout", None)
        if processes.count > 1 and isinstance(dropout, nn.Dropout):
            self._dropout, dropout.p = dropout.p, 0.0  # see `text_features`

    @abstractmethod
    def __call__(self, batch: TensorBatch, detailed: bool = True) -> tuple[Tensor, Info]:
        """The loss, and what to log: "loss" always, what costs time (accuracies, logits) only where `detailed`."""

    def contrast(
        self, critic: Critic, x: Tensor, y: Tensor, duplicates: Tensor | None, detailed: bool
    ) -> tuple[Tensor, Info]:
        """Anchors x [n, d] with candidates y [n, d], all B of every process being compared with all."""
        treat, penalty = self.config.duplicates, self.config.logsumexp_penalty
        if self.processes.count == 1:
            return info_nce(critic(x, y), duplicates, treat, penalty, detailed)
        every_x, every_y = self._gather(torch.cat([x, y], dim=1)).chunk(2, dim=1)  # [B, d] each, by one message
        own = self.processes.share(len(every_x))
        rows, columns = critic(x, every_y), critic(every_x, y).T  # [n, B] each
        return info_nce_share(rows, columns, own, duplicates, treat, penalty, detailed)

    def contrast_groups(self, critic: Critic, x: Tensor, y: Tensor, detailed: bool) -> tuple[Tensor, Info]:
        """Anchors x [n, d] with candidates y [n, d] of the same group alone; no group lies in two processes."""
        x, y = (rows.view(-1, self.config.group_size, rows.shape[-1]) for rows in (x, y))  # [R, m, d] each
        loss, info = info_nce(critic(x, y), logsumexp_penalty=self.config.logsumexp_penalty, detailed=detailed)
        return self.share_of_mean(loss, info)

    def contrast_actions(self, a: Tensor, towards: Tensor) -> tuple[Tensor, Info]:
        """Weighted loss of the action taken against the others, a [n, 1 + K, d], towards what it led to, [n, d]."""
        if a.shape[1] == 1:
            return a.new_zeros(()), {}
        against = self.agent.critic_ab.paired(a, towards.unsqueeze(1))  # [n, 1 + K]
        loss, info = self.share_of_mean(*action_contrast(against[:, 0], against[:, 1:]))
        weighted = self.config.action_weight * loss
        return weighted, {f"action/{k}": v for k, v in ({"loss": loss.detach()} | info).items()}

    def share_of_mean(self, loss: Tensor, info: Info) -> tuple[Tensor, Info]:
        """This process's share of a mean over all rows, from the mean over its own."""
        count = self.processes.count
        return (loss, info) if count == 1 else (loss / count, {name: value / count for name, value in info.items()})

    def towers_precision(self) -> AbstractContextManager[Any]:
        """What the towers compute in; `.to(self.texts.dtype)` brings what they give back to the losses' precision."""
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(self.texts.device.type, dtype=torch.bfloat16)

    def encode_state_actions(self, batch: TensorBatch) -> Tensor:
        """The action taken, then the others, [n, 1 + K, d]."""
        weighed = torch.cat([batch.actions.unsqueeze(1), batch.other_actions], dim=1)  # [n, 1 + K, D]
        return self.agent.encode_state_actions(batch.states.unsqueeze(1), weighed)

    def text_features(self, captions: Tensor) -> Tensor:
        """Frozen features of captions [n], [n, T], some of them left out as the text head would.

        Several processes draw what is left out of the whole batch, from one seed, so that it is what one would draw.
        """
        features = self.texts[captions]  # [n, T]
        if self._dropout == 0:
            return features
        size = self.processes.count * len(features)
        kept = functional.dropout(features.new_ones(size, features.shape[1]), self._dropout)  # [B, T]
        return features * kept[self.processes.share(size)]
