"""The factors of Lemma 1's sum, made from embeddings chunk by chunk, and what arguments must fit."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from goalbridge.agents.log_factors import LogFactors
from goalbridge.agents.model import Critic


class BridgeFactors:
    """The factors exp(f_AB) and exp(f_BC) as `LogFactors`; to be used without gradient.

    a: [N, d]. c: [K, d']. goals: gives goals start to stop as [m, d], [m, d'] and log weights [m] or None. terms: M.
    power: multiplies all logits.
    """

    def __init__(
        self,
        a: Tensor,
        c: Tensor,
        goals: Callable[[int, int], tuple[Tensor, Tensor, Tensor | None]],
        terms: int,
        critic_ab: Critic,
        critic_bc: Critic,
        power: float = 1.0,
    ) -> None:
        dtype = torch.promote_types(torch.promote_types(a.dtype, c.dtype), torch.float32)
        self.goals, self.critic_ab, self.critic_bc, self.power = goals, critic_ab, critic_bc, power
        self.rows, self.columns, self.terms = len(a), len(c), terms
        self.dtype, self.device = dtype, a.device
        self.left = critic_ab.left_vectors(a.to(dtype))  # [N, d'']
        self.right = critic_bc.right_vectors(c.to(dtype)).T  # [d'', K]

    def chunk(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        ab, bc, log_weights = self.goals(start, stop)
        goals_ab = self.critic_ab.right_vectors(ab.to(self.device, self.dtype))
        goals_bc = self.critic_bc.left_vectors(bc.to(self.device, self.dtype))
        log_left = self.critic_ab.logits_from_products(self.left @ goals_ab.T)  # [N, m]
        log_right = self.critic_bc.logits_from_products(goals_bc @ self.right)  # [m, K]
        if log_weights is not None:
            log_right = log_right + log_weights.to(self.device, self.dtype).unsqueeze(-1)
        return (log_left, log_right) if self.power == 1.0 else (log_left * self.power, log_right * self.power)

    def select(self, rows: Tensor, columns: Tensor) -> LogFactors:
        selection = copy.copy(self)
        selection.dtype = torch.float64
        selection.rows, selection.columns = len(rows), len(columns)
        selection.left, selection.right = self.left[rows].double(), self.right[:, columns].double()
        return selection


def check_bridge(a: Tensor, c: Tensor, bridge_ab: Tensor, bridge_bc: Tensor, log_weights: Tensor | None) -> None:
    """ValueError unless a [N, d], c [K, d'], bridge_ab [M, d], bridge_bc [M, d'] and log_weights [M] fit."""
    for name, value in (("a", a), ("c", c), ("bridge_ab", bridge_ab), ("bridge_bc", bridge_bc)):
        if value.ndim != 2:
            raise ValueError(f"{name}: expected shape [count, d], got {tuple(value.shape)}")
        if not value.is_floating_point():
            raise ValueError(f"{name}: expected a floating dtype, got {value.dtype}")
    if len(bridge_ab) == 0 or len(bridge_ab) != len(bridge_bc):
        raise ValueError(
            f"bridge_ab, bridge_bc: expected as many goals, at least 1, got {len(bridge_ab)} and {len(bridge_bc)}"
        )
    for name, value, other, partner in (("bridge_ab", bridge_ab, "a", a), ("bridge_bc", bridge_bc, "c", c)):
        if value.shape[1] != partner.shape[1]:
            raise ValueError(f"{name}: expected {other}'s dimension, {partner.shape[1]}, got {value.shape[1]}")
    if log_weights is not None and log_weights.shape != (len(bridge_ab),):
        raise ValueError(f"log_weights: expected shape ({len(bridge_ab)},), got {tuple(log_weights.shape)}")
