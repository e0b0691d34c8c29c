"""One gradient step on both contrastive pairs: what `train.py` repeats."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn

from agents.agent import Agent
from agents.losses import action_contrast, info_nce
from configs.schema import TrainConfig


class TensorBatch(NamedTuple):
    """What one gradient step sees.

    states [B, S], actions [B, D], goals [B, G]: transitions and a goal reached later from each.
    other_actions: [B, K, D], contrasted with the action taken. caption_goals [B, G], captions [B] (indices of texts),
    duplicates [B, B]: captioned goals, see `data.captions.CaptionBatch`.
    """

    states: Tensor
    actions: Tensor
    goals: Tensor
    other_actions: Tensor
    caption_goals: Tensor
    captions: Tensor
    duplicates: Tensor


class Learner:
    """Optimises an agent's encoders and critics; `averaged` is the exponential moving average that acts.

    config reads: learning_rate, warmup, steps, weight_decay, gradient_clip, ema, action_negatives, action_weight,
    caption_weight, logsumexp_penalty, duplicates, objective, group_size.
    text_features: [distinct captions, T] frozen features. action_pool: [P, D] draws from the action space, from which
    the other actions of `action_contrast` come.
    """

    def __init__(
        self, agent: Agent, config: TrainConfig, text_features: NDArray[np.float32], action_pool: NDArray[np.float32]
    ) -> None:
        self.agent, self.config, self.step = agent, config, 0
        self._texts = torch.as_tensor(text_features, device=agent.device)  # [captions, T]
        self._action_pool = torch.as_tensor(action_pool, device=agent.device)  # [P, D]
        matrices = [p for p in agent.parameters() if p.ndim > 1]
        others = [p for p in agent.parameters() if p.ndim <= 1]  # biases and temperatures are not decayed
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=config.learning_rate,
            fused=True,
        )
        self.averaged = copy.deepcopy(agent, memo={id(agent.text): agent.text})  # the frozen text encoder is shared
        self.averaged.requires_grad_(False).eval()
        # Listed once: walking through the modules at every step costs a few per cent of it.
        self._parameters, self._averages = list(agent.parameters()), list(self.averaged.parameters())
        self._move_average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]

    def learning_rate(self) -> float:
        """Linear warm-up to the peak, then half a cosine to zero at the last step."""
        progress, warmup = self.step / self.config.steps, self.config.warmup
        if progress < warmup:
            return self.config.learning_rate * (self.step + 1) / (warmup * self.config.steps + 1)
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))

    def loss(self, batch: TensorBatch, detailed: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of the three losses, and what to log (the accuracies and logits only where `detailed`)."""
        agent, config = self.agent, self.config
        if config.objective != "bridge":
            return self._end_to_end_loss(batch, detailed)
        weighed = torch.cat([batch.actions.unsqueeze(1), batch.other_actions], dim=1)  # [B, 1 + K, D]
        a = agent.encode_state_actions(batch.states.unsqueeze(1), weighed)  # [B, 1 + K, d]
        b, b_caption = self._encode_goals(batch)  # [B, d] each
        c = agent.encode_language(self._texts[batch.captions])  # [B, d]
        penalty = config.logsumexp_penalty
        goal_logits = agent.critic_ab(self._grouped(a[:, 0]), self._grouped(b))  # [B, B], or [R, n, n] in R groups of n
        text_logits = agent.critic_bc(b_caption, c)  # [B, B]
        goal_loss, goal_info = info_nce(goal_logits, logsumexp_penalty=penalty, detailed=detailed)
        text_loss, text_info = info_nce(text_logits, batch.duplicates, config.duplicates, penalty, detailed)
        loss = goal_loss + config.caption_weight * text_loss
        info = {f"goal/{k}": v for k, v in goal_info.items()} | {f"language/{k}": v for k, v in text_info.items()}
        action_loss, action_info = self._action_contrast(a, b)
        loss = loss + action_loss
        info |= action_info
        info |= {"goal/loss": goal_loss.detach(), "language/loss": text_loss.detach(), "loss": loss.detach()}
        return loss, info

    def _end_to_end_loss(self, batch: TensorBatch, detailed: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The rivals': state-actions against captions of what they led to, by the same networks.

        By behaviour cloning, only the action taken against others, towards the caption: a policy a | s, caption.
        """
        agent, config = self.agent, self.config
        weighed = torch.cat([batch.actions.unsqueeze(1), batch.other_actions], dim=1)  # [B, 1 + K, D]
        a = agent.meets_language(agent.encode_state_actions(batch.states.unsqueeze(1), weighed))  # [B, 1 + K, d]
        c = agent.encode_language(self._texts[batch.captions])  # [B, d]
        loss = a.new_zeros(())
        info: dict[str, Tensor] = {}
        if config.objective == "end_to_end":
            logits = agent.critic_ab(a[:, 0], c)  # [B, B]
            penalty = config.logsumexp_penalty
            loss, info = info_nce(logits, batch.duplicates, config.duplicates, penalty, detailed)
            info = {f"language/{k}": v for k, v in info.items()} | {"language/loss": loss.detach()}
        action_loss, action_info = self._action_contrast(a, c)
        loss = loss + action_loss
        return loss, info | action_info | {"loss": loss.detach()}

    def _action_contrast(self, a: Tensor, towards: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted loss of the action taken against the others, a [B, 1 + K, d], towards what it led to, [B, d]."""
        if a.shape[1] == 1:
            return a.new_zeros(()), {}
        against = self.agent.critic_ab.paired(a, towards.unsqueeze(1))  # [B, 1 + K]
        loss, info = action_contrast(against[:, 0], against[:, 1:])
        return self.config.action_weight * loss, {f"action/{k}": v for k, v in ({"loss": loss.detach()} | info).items()}

    def _encode_goals(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Goals towards state-actions and captioned ones towards language, [B, d] each."""
        agent = self.agent
        if agent.meaning_encoder is not None:
            return agent.encode_goals(batch.goals), agent.encode_meanings(batch.caption_goals)
        b, b_caption = agent.encode_goals(torch.cat([batch.goals, batch.caption_goals])).chunk(2)  # one pass is quicker
        return b, b_caption

    def _grouped(self, rows: Tensor) -> Tensor:
        """[B, d], or [R, n, d] where goals are compared within groups of n."""
        size = self.config.group_size
        return rows.view(-1, size, rows.shape[-1]) if size else rows

    def tensors(self, futures: Any, captions: Any, rng: np.random.Generator) -> TensorBatch:
        """A `FutureBatch` and a `CaptionBatch` on the agent's device; rng draws the other actions."""

        def put(array: NDArray[Any]) -> Tensor:
            return torch.as_tensor(array, device=self.agent.device)

        actions, states = put(futures.actions), futures.states
        if self.config.objective != "bridge":
            actions, states = put(captions.actions), captions.states
        return TensorBatch(
            put(states),
            actions,
            put(futures.goals),
            self._other_actions(actions, rng),
            put(captions.goals),
            put(captions.texts),
            put(captions.duplicates),
        )

    def _other_actions(self, actions: Tensor, rng: np.random.Generator) -> Tensor:
        """[B, K, D] to contrast with the actions taken: draws, or every other one where there are few, at most K."""
        count = self.config.action_negatives
        if self.agent.world.discrete and count:
            shifts = torch.arange(1, min(count, actions.shape[1] - 1) + 1, device=actions.device)  # [K]
            which = (actions.argmax(dim=1, keepdim=True) + shifts) % actions.shape[1]  # [B, K]
            return functional.one_hot(which, actions.shape[1]).to(actions.dtype)
        picked = torch.as_tensor(rng.integers(len(self._action_pool), size=(len(actions), count)))
        return self._action_pool[picked.to(actions.device)]

    def update(self, futures: Any, captions: Any, rng: np.random.Generator, detailed: bool = True) -> dict[str, Tensor]:
        """One gradient step on a `FutureBatch` and a `CaptionBatch`; rng draws the other actions.

        Returns what to log: the losses, and where `detailed` the accuracies and logits too.
        """
        if self.agent.config.text_dropout > 0:  # torch's own generator is drawn from: a resumed run must meet the same
            torch.manual_seed(int(rng.integers(2**62)))
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, info = self.loss(self.tensors(futures, captions, rng), detailed)
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        info["gradient_norm"] = nn.utils.clip_grad_norm_(self._parameters, self.config.gradient_clip)
        info["learning_rate"] = torch.tensor(rate)
        self.optimizer.step()
        with torch.no_grad():
            self._move_average(self._averages, self._parameters, self.step)
        self.step += 1
        return info

    @torch.no_grad()
    def is_finite(self) -> bool:
        """Whether all weights, their average and both temperatures are finite numbers."""
        scales = [self.agent.critic_ab.scale, self.agent.critic_bc.scale]
        values = [*self.agent.parameters(), *self.averaged.parameters(), *scales]
        return all(bool(value.isfinite().all()) for value in values)

    def state_tensors(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as tensors: weights, their average, the optimiser's moments, counters."""
        tensors = {f"agent.{k}": v for k, v in self.agent.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.averaged.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        return tensors

    def load_state_tensors(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Restores what `state_tensors` gave after `step` steps; KeyError or RuntimeError where it does not fit."""
        groups: dict[str, dict[str, Tensor]] = {"agent": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = tensor
        self.agent.load_state_dict(groups["agent"])
        self.averaged.load_state_dict(groups["average"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["optimizer"].items():
            index, key = name.split(".", 1)
            moments.setdefault(int(index), {})[key] = tensor
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = moments
        self.optimizer.load_state_dict(optimizer)
        self.step = step
