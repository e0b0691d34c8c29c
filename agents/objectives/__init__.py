"""What is minimised: one file an objective, each found by its name (`train.objective`); here what all are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from goalbridge.agents.model import Critic
from goalbridge.agents.parallel import ALONE, Processes
from goalbridge.configs.schema import TrainConfig

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent

Info = dict[str, Tensor]


def info_nce(
    logits: Tensor,
    duplicates: Tensor | None = None,
    treat: str = "positives",
    logsumexp_penalty: float = 0.0,
    detailed: bool = True,
) -> tuple[Tensor, Info]:
    """Symmetric InfoNCE over a batch: the mean of the cross-entropies along rows and along columns.

    logits: [..., B, B], entry (i, j) the critic's score of anchor i and candidate j; positives on the diagonal. Leading
    axes are batches apart, whose candidates are not compared with each other's.
    duplicates: [B, B] bool, pairs off the diagonal that are true as well (a caption that fits another goal).
    treat: what becomes of them. "positives": each row's and column's target is spread evenly over its true pairs,
    which is InfoNCE's own expectation over which of them was drawn, without that draw's variance. "masked": they are
    left out of both softmaxes, so that nothing holds true pairs to a common score. "negatives": plain InfoNCE.
    logsumexp_penalty: weight of the mean squared log-partition of the rows, which pins the critic's free constant.
    detailed: whether info is filled; it costs as much as the loss. info: accuracy (a true pair wins its row and,
    separately, its column), mean logits of true pairs and of the others.
    Source: van den Oord et al. 2018, Eq. 4; the symmetric form is that of Radford et al. 2021.
    """
    size = logits.shape[-1]
    diagonal = torch.eye(size, dtype=torch.bool, device=logits.device)  # [B, B]
    true = diagonal if duplicates is None else duplicates | diagonal  # [B, B]
    kept = logits.masked_fill(true & ~diagonal, -torch.inf) if duplicates is not None and treat == "masked" else logits
    rows, columns = kept.logsumexp(dim=-1), kept.logsumexp(dim=-2)  # [..., B] each
    if duplicates is not None and treat == "positives":
        share = true.to(logits.dtype)  # [B, B]
        share = share / share.sum(dim=-1, keepdim=True) + share / share.sum(dim=-2, keepdim=True)
        positives = (logits * share).sum() * (size / (2 * logits.numel()))
    else:
        positives = logits.diagonal(dim1=-2, dim2=-1).mean()
    loss = (rows.mean() + columns.mean()) / 2 - positives
    if logsumexp_penalty > 0:
        loss = loss + logsumexp_penalty * rows.square().mean()
    return loss, _pair_info(logits.detach(), true) if detailed else {}


def info_nce_share(
    rows: Tensor,
    columns: Tensor,
    own: slice,
    duplicates: Tensor | None = None,
    treat: str = "positives",
    logsumexp_penalty: float = 0.0,
    detailed: bool = True,
) -> tuple[Tensor, Info]:
    """What one of several processes adds to `info_nce` of a batch of B that they share: the sum is that loss and info.

    rows: [n, B] scores of its own n anchors with all candidates. columns: [n, B] scores of its own candidates with all
    anchors. own: which of the B they are. duplicates: [B, B], and the rest, as `info_nce` takes them.
    No process ever scores all B x B pairs.
    """
    size = rows.shape[-1]
    diagonal = torch.eye(size, dtype=torch.bool, device=rows.device)  # [B, B]
    true = diagonal if duplicates is None else duplicates | diagonal  # [B, B]
    loss, info = rows.new_zeros(()), {}
    for suffix, logits, pairs in (("", rows, true[own]), ("_columns", columns, true.T[own])):  # [n, B] each
        apart = pairs & ~diagonal[own]  # [n, B]
        kept = logits.masked_fill(apart, -torch.inf) if treat == "masked" else logits
        partition = kept.logsumexp(dim=-1)  # [n]
        target = (pairs if treat == "positives" else diagonal[own]).to(logits.dtype)  # [n, B]
        positive = (logits * (target / target.sum(dim=-1, keepdim=True))).sum(dim=-1)  # [n]
        loss = loss + (partition - positive).sum() / (2 * size)
        if not suffix and logsumexp_penalty > 0:
            loss = loss + logsumexp_penalty * partition.square().sum() / size
        if detailed:
            scores = logits.detach()
            wins = scores.masked_fill(~pairs, -torch.inf).amax(dim=-1) >= scores.amax(dim=-1)  # [n]
            info[f"accuracy{suffix}"] = wins.float().sum() / size
    if detailed:
        scores = rows.detach()
        info["positive_logits"] = scores.masked_fill(~true[own], 0).sum() / true.sum()
        info["negative_logits"] = scores.masked_fill(true[own], 0).sum() / (~true).sum().clamp(min=1)
    return loss, info


def _pair_info(logits: Tensor, true: Tensor) -> Info:
    true = true.expand_as(logits)  # [..., B, B]
    best = logits.masked_fill(~true, -torch.inf)  # [..., B, B]
    return {
        "accuracy": (best.amax(dim=-1) >= logits.amax(dim=-1)).float().mean(),
        "accuracy_columns": (best.amax(dim=-2) >= logits.amax(dim=-2)).float().mean(),
        "positive_logits": logits[true].mean(),
        "negative_logits": logits.masked_fill(true, 0).sum() / (~true).sum().clamp(min=1),
    }


def action_contrast(positive: Tensor, negatives: Tensor) -> tuple[Tensor, Info]:
    """Cross-entropy of the action that was taken against others at the same state and goal.

    positive: [B] scores f(s, a, g+). negatives: [B, K] scores f(s, a', g+) of other actions.
    InfoNCE over goals leaves a free term c(s, a); where actions are compared it would be noise, and this removes it.
    info: accuracy (the taken action wins).
    """
    logits = torch.cat([positive.unsqueeze(1), negatives], dim=1)  # [B, 1 + K]
    target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    with torch.no_grad():
        accuracy = (logits.argmax(dim=1) == 0).float().mean()
    return functional.cross_entropy(logits, target), {"accuracy": accuracy}


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

    config reads: multi_positives, logsumexp_penalty, negatives_per_layout, action_weight, precision; and what the
    objective reads.
    texts: [distinct captions, T] frozen features. Where processes share a batch, each computes its share of the loss,
    and the shares sum to it. By "bf16" the towers compute in bfloat16, with weights, critics and losses in the agent's
    own precision: differences of distances would not survive eight bits.
    """

    pairs_captions_with_actions: ClassVar[bool] = False
    has_goal_posterior: ClassVar[bool] = True

    def __init__(self, agent: Agent, config: TrainConfig, texts: Tensor, processes: Processes = ALONE) -> None:
        self.agent, self.config, self.texts, self.processes = agent, config, texts, processes
        # Messages between processes stay outside of what torch.compile makes.
        self._gather: Callable[[Tensor], Tensor] = processes.gather
        if config.compile:
            self._gather = torch.compiler.disable(processes.gather)  # type: ignore[no-untyped-call]
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
        treat, penalty = self.config.multi_positives, self.config.logsumexp_penalty
        if self.processes.count == 1:
            return info_nce(critic(x, y), duplicates, treat, penalty, detailed)
        every_x, every_y = self._gather(torch.cat([x, y], dim=1)).chunk(2, dim=1)  # [B, d] each, by one message
        own = self.processes.share(len(every_x))
        rows, columns = critic(x, every_y), critic(every_x, y).T  # [n, B] each
        return info_nce_share(rows, columns, own, duplicates, treat, penalty, detailed)

    def contrast_groups(self, critic: Critic, x: Tensor, y: Tensor, detailed: bool) -> tuple[Tensor, Info]:
        """Anchors x [n, d] with candidates y [n, d] of the same group alone; no group lies in two processes."""
        x, y = (rows.view(-1, self.config.negatives_per_layout, rows.shape[-1]) for rows in (x, y))  # [R, m, d] each
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
