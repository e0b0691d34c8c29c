"""The model: three encoders, a critic for each contrastive pair, and the goals that bridge them.

Notation: d = embedding dimension, N and M = number of vectors on either side.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.checks import ConfigError, one_of, require
from goalbridge.configs.schema import CRITICS, AgentConfig
from goalbridge.encoders import TextEncoder
from goalbridge.encoders.networks import networks_of

# Below this squared distance two embeddings count as equal: sqrt is flat there, so its gradient stays finite.
_SMALLEST_SQUARED_DISTANCE = 1e-12
_SMALLEST_NORM = 1e-6


class Critic(nn.Module):
    """score(x, y) = exp(log_scale) * similarity(x, y): the logit of one pair of modalities.

    Every trained pair (A-B, B-C) owns one critic, and every estimator must score with that very object: the
    temperature is learned, and LogSumExp with another one is a different (wrong) distribution.

    Settings:
        kind: the similarity. ``neg_squared_l2`` -|x-y|^2, ``neg_l2`` -|x-y|, ``dot`` x.y, ``cosine`` x.y / (|x| |y|).
        embedding_dim: d of the encoders' outputs; used for the initial temperature only.
        initial_log_scale: log of the initial temperature's inverse. By default such that logits of standard normal
            embeddings spread by about 1 (``cosine``: 1 / 0.07, as in CLIP).

    Raises ConfigError if ``kind`` is unknown, ``embedding_dim`` < 1 or ``initial_log_scale`` is not finite.
    """

    def __init__(
        self, kind: str = "neg_squared_l2", *, embedding_dim: int = 64, initial_log_scale: float | None = None
    ) -> None:
        super().__init__()
        one_of("kind", kind, CRITICS)
        require(embedding_dim >= 1, "embedding_dim", embedding_dim, "must be at least 1")
        if initial_log_scale is None:
            # One over the standard deviation of the similarity of two standard normal vectors (cosine: CLIP's choice).
            initial_log_scale = {
                "neg_squared_l2": -0.5 * math.log(8 * embedding_dim),
                "neg_l2": 0.0,
                "dot": -0.5 * math.log(embedding_dim),
                "cosine": -math.log(0.07),
            }[kind]
        require(math.isfinite(initial_log_scale), "initial_log_scale", initial_log_scale, "expected a finite number")
        self.kind = kind
        self.log_scale = nn.Parameter(torch.tensor(float(initial_log_scale), dtype=torch.float32))

    @property
    def scale(self) -> Tensor:
        """The inverse temperature exp(log_scale) > 0, a scalar tensor that carries gradient."""
        return self.log_scale.exp()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Scores of all pairs by one matrix product: x [N, d], y [M, d] -> [N, M]; batched [..., N, d], [..., M, d].

        Distances come from |x|^2 - 2 x.y + |y|^2, which in float32 loses about 1e-7 |x|^2: keep embeddings bounded, or
        use ``paired``. Raises ValueError if either has fewer than two axes or the dimensions differ.
        """
        for name, value in (("x", x), ("y", y)):
            if value.ndim < 2:
                raise ValueError(f"{name}: expected shape [..., count, d], got {tuple(value.shape)}")
        _check_same_dim(x, y)
        # [..., N, d'] @ [..., d', M] -> [..., N, M]
        scores = self.logits_from_products(self.left_vectors(x) @ self.right_vectors(y).transpose(-1, -2))
        # Rounding may leave a squared distance slightly below zero.
        return scores.clamp(max=0.0) if self.kind == "neg_squared_l2" else scores

    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        """Scores of given pairs, x [..., d], y [..., d] -> [...], from differences: no cancellation."""
        _check_same_dim(x, y)
        scale = self.scale.to(x.dtype)
        if self.kind == "dot":
            return scale * (x * y).sum(-1)
        if self.kind == "cosine":
            return scale * (_normalised(x) * _normalised(y)).sum(-1)
        squared = (x - y).square().sum(-1)
        return -scale * (_safe_sqrt(squared) if self.kind == "neg_l2" else squared)

    # The bilinear form: score(x, y) = logits_from_products(left_vectors(x) . right_vectors(y)). Scale, |x|^2 and |y|^2
    # sit in the vectors, so estimators prepare each side once and get any block of scores by a single matrix product.

    def left_vectors(self, x: Tensor) -> Tensor:
        """First argument's side of the bilinear form: x [..., d] -> [..., d'], d' = d, or d + 2 for distances."""
        scale = self.scale.to(x.dtype)
        if self.kind == "dot":
            return scale * x
        if self.kind == "cosine":
            return scale * _normalised(x)
        squared = x.square().sum(-1, keepdim=True)
        factor = -scale if self.kind == "neg_squared_l2" else torch.ones_like(scale)
        return torch.cat((-2 * factor * x, factor * squared, factor * torch.ones_like(squared)), dim=-1)

    def right_vectors(self, y: Tensor) -> Tensor:
        """Second argument's side of the bilinear form: y [..., d] -> [..., d']."""
        if self.kind == "dot":
            return y
        if self.kind == "cosine":
            return _normalised(y)
        squared = y.square().sum(-1, keepdim=True)
        return torch.cat((y, torch.ones_like(squared), squared), dim=-1)

    @property
    def is_bilinear(self) -> bool:
        """Whether the products left . right are the logits themselves: all kinds but ``neg_l2``."""
        return self.kind != "neg_l2"

    def logits_from_products(self, products: Tensor) -> Tensor:
        """Turns products left . right [...] into logits [...]; the identity for bilinear kinds."""
        if self.is_bilinear:
            return products
        return -self.scale.to(products.dtype) * _safe_sqrt(products)


def _normalised(x: Tensor) -> Tensor:
    return nn.functional.normalize(x, dim=-1, eps=_SMALLEST_NORM)


def _safe_sqrt(squared: Tensor) -> Tensor:
    return squared.clamp(min=_SMALLEST_SQUARED_DISTANCE).sqrt()


def _check_same_dim(x: Tensor, y: Tensor) -> None:
    if x.shape[-1:] != y.shape[-1:]:
        raise ValueError(f"y: expected x's last axis, of shape {tuple(x.shape)}, got {tuple(y.shape)}")


class Model(nn.Module):
    """State-action, goal and language encoders with a critic for each contrastive pair.

    world: the spaces it acts in. config: see `configs.schema`. text: the frozen text encoder, whose head is trained.
    candidates: the actions that policies weigh unless told otherwise.
    bridge_goals: [M, G] draws from the goals' marginal p(g), which policies sum over unless given others.
    """

    bridge_goals: Tensor
    candidate_actions: Tensor
    execution: Tensor

    def __init__(
        self,
        world: WorldSpec,
        config: AgentConfig,
        text: TextEncoder,
        candidates: CandidateActions,
        bridge_goals: NDArray[np.float32],
    ) -> None:
        super().__init__()
        self.world, self.config = world, config
        networks = networks_of(world, config)
        self.rotary = networks.rotary
        self.state_action_encoder, self.goal_encoder = networks.state_action, networks.goal
        self.meaning_encoder = networks.meaning  # None: the goal encoder serves both pairs
        self.language_head = text.head(config)
        self.critic_ab = Critic(config.critic, embedding_dim=config.embedding_dim)
        self.critic_bc = Critic(config.language_critic or config.critic, embedding_dim=config.embedding_dim)
        self.register_buffer("candidate_actions", torch.as_tensor(candidates.actions))
        self.register_buffer("execution", torch.as_tensor(candidates.execution, dtype=torch.float32))
        self.register_buffer("bridge_goals", torch.as_tensor(bridge_goals))

    @property
    def device(self) -> torch.device:
        return self.bridge_goals.device

    def encode_state_actions(self, states: Tensor, actions: Tensor) -> Tensor:
        """phi_A: states [..., S], actions [..., D] to [..., d]."""
        output: Tensor = self.state_action_encoder(states, actions)
        return output if self.rotary is None else self.rotary.turn(output, states)

    def encode_goals(self, goals: Tensor) -> Tensor:
        """phi_B towards state-actions: goals [..., G] to [..., d]; [..., 2 d] with `language_in_actions`."""
        output: Tensor = self.goal_encoder(goals)
        if self.rotary is not None:
            output = self.rotary.turn(output, goals)
        if self.meaning_encoder is not None and self.config.language_in_actions:
            output = torch.cat([output, self.meaning_encoder(goals)], dim=-1)
        return output

    def encode_meanings(self, goals: Tensor) -> Tensor:
        """phi_B towards language: goals [..., G] to [..., d]; where both pairs share one tower, the same as goals'."""
        return (self.meaning_encoder or self.goal_encoder)(goals)  # type: ignore[no-any-return]

    @property
    def has_language_part(self) -> bool:
        """Whether a part of phi_A may be compared with language."""
        return self.meaning_encoder is None or self.config.language_in_actions

    def language_part(self, a: Tensor) -> Tensor:
        """The part of phi_A [..., d or 2 d] that may be compared with language, [..., d]; ConfigError without one."""
        if not self.has_language_part:
            raise ConfigError(
                "agent.language_in_actions=false: expected state-actions that see things; train with true"
            )
        return a[..., -self.config.embedding_dim :]

    def encode_language(self, features: Tensor) -> Tensor:
        """phi_C from frozen text features: [..., T] to [..., d]."""
        return self.language_head(features)  # type: ignore[no-any-return]

    def observation_extent(self) -> Tensor:
        """The range of each observed coordinate, [S]."""
        low, high = torch.tensor(self.world.observation_low), torch.tensor(self.world.observation_high)
        return (high - low).to(self.device)
