"""One gradient step on an objective: what `train.py` repeats."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn

from goalbridge.agents.agent import Agent
from goalbridge.agents.objectives import Objective, TensorBatch
from goalbridge.agents.parallel import ALONE, Processes
from goalbridge.configs.checks import UserError
from goalbridge.configs.registries import objectives
from goalbridge.configs.schema import TrainConfig


class DivergedError(UserError):
    """Training left the finite numbers."""


class Learner:
    """Optimises an agent's encoders and critics; `ema` is the exponential moving average of their weights, which acts.

    config reads: objective, learning_rate, warmup, steps, weight_decay, gradient_clip, ema, action_negatives, compile;
    and what its objective reads.
    text_features: [distinct captions, T] frozen features. action_pool: [P, D] draws from the action space, from which
    the other actions of `action_contrast` come. processes: those that share each batch; all are given the whole of it,
    each encodes its own rows, and all take the same step, which is that of one process with the whole batch.
    Works in the agent's own precision, float32 or float64, but for what `TrainConfig.precision` says.
    """

    def __init__(
        self,
        agent: Agent,
        config: TrainConfig,
        text_features: NDArray[np.float32],
        action_pool: NDArray[np.float32],
        processes: Processes = ALONE,
    ) -> None:
        self.agent, self.config, self.processes, self.step = agent, config, processes, 0
        self._dtype = agent.critic_ab.log_scale.dtype
        self._texts = self._put(text_features)  # [captions, T]
        self._action_pool = self._put(action_pool)  # [P, D]
        self.objective: Objective = objectives.get(config.objective, "train.objective")(
            agent, config, self._texts, processes
        )
        agent.has_goal_posterior = self.objective.has_goal_posterior
        self.loss: Objective = self.objective
        if config.compile:  # fallback: compiled code draws the same random numbers as plain code
            self.loss = cast(Objective, torch.compile(self.objective, options={"fallback_random": True}))
        matrices = [p for p in agent.parameters() if p.ndim > 1]
        others = [p for p in agent.parameters() if p.ndim <= 1]  # biases and temperatures are not decayed
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=config.learning_rate,
            fused=True,
        )
        self.ema = copy.deepcopy(agent, memo={id(agent.text): agent.text})  # the frozen text encoder is shared
        self.ema.requires_grad_(False).eval()
        # Listed once: walking through the modules at every step costs a few per cent of it.
        self._parameters, self._ema_parameters = list(agent.parameters()), list(self.ema.parameters())
        self._move_average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]

    def learning_rate(self) -> float:
        """Linear warm-up to the peak, then half a cosine to zero at the last step."""
        progress, warmup = self.step / self.config.steps, self.config.warmup
        if progress < warmup:
            return self.config.learning_rate * (self.step + 1) / (warmup * self.config.steps + 1)
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))

    def tensors(self, futures: Any, captions: Any, rng: np.random.Generator) -> TensorBatch:
        """This process's rows of a `FutureBatch` and a `CaptionBatch`, on the agent's device.

        rng draws the other actions, for the whole batch: all processes meet the same numbers.
        """
        actions, states = self._put(futures.actions), futures.states
        if self.objective.pairs_captions_with_actions:
            actions, states = self._put(captions.actions), captions.states
        own = self.processes.share(len(actions)) if self.processes.count > 1 else slice(None)
        return TensorBatch(
            self._put(states[own]),
            actions[own],
            self._put(futures.goals[own]),
            self._other_actions(actions, rng)[own],
            self._put(captions.goals[own]),
            self._put(captions.texts[own]),
            self._put(captions.duplicates),
        )

    def _put(self, array: NDArray[Any]) -> Tensor:
        """On the agent's device; fractions in the precision of its weights."""
        tensor = torch.as_tensor(array, device=self.agent.device)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

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
        if self.processes.count > 1:
            self.processes.sum_([p.grad for p in self._parameters if p.grad is not None] + list(info.values()))
        info["gradient_norm"] = nn.utils.clip_grad_norm_(self._parameters, self.config.gradient_clip)
        info["learning_rate"] = torch.tensor(rate)
        self.optimizer.step()
        with torch.no_grad():
            self._move_average(self._ema_parameters, self._parameters, self.step)
        self.step += 1
        return info

    @torch.no_grad()
    def is_finite(self) -> bool:
        """Whether all weights, their average and both temperatures are finite numbers."""
        scales = [self.agent.critic_ab.scale, self.agent.critic_bc.scale]
        values = [*self.agent.parameters(), *self.ema.parameters(), *scales]
        return all(bool(value.isfinite().all()) for value in values)

    def state_tensors(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as tensors: weights, their average, the optimiser's moments, counters."""
        tensors = {f"agent.{k}": v for k, v in self.agent.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.ema.state_dict().items()}
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
        self.ema.load_state_dict(groups["average"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["optimizer"].items():
            index, key = name.split(".", 1)
            moments.setdefault(int(index), {})[key] = tensor
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = moments
        self.optimizer.load_state_dict(optimizer)
        self.step = step
