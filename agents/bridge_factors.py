"""The factors of Lemma 1's sum, made from embeddings chunk by chunk, and what arguments must fit."""

from collections.abc import Callable

import torch
from torch import Tensor

from goalbridge.agents.log_factors import LogFactors
from goalbridge.agents.model import Critic


class BridgeFactors:
    """The factors exp(f_AB) and exp(f_BC) as `LogFactors`, without gradient.

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
        with torch.no_grad():
            self.left = critic_ab.left_vectors(a.detach().to(dtype))  # [N, d'']
            self.right = critic_bc.right_vectors(c.detach().to(dtype)).T  # [d'', K]

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
        selection = object.__new__(BridgeFactors)
        selection.__dict__.update(self.__dict__)
        selection.dtype = torch.float64
        selection.rows, selection.columns = len(rows), len(columns)
        selection.left, selection.right = self.left[rows].double(), self.right[:, columns].double()
        return selection


def goals_in_memory(
    bridge_ab: Tensor, bridge_bc: Tensor, log_weights: Tensor | None
) -> Callable[[int, int], tuple[Tensor, Tensor, Tensor | None]]:
    """What `BridgeFactors` asks for goals: bridge_ab [M, d], bridge_bc [M, d'], log_weights [M], without gradient."""

    def goals(start: int, stop: int) -> tuple[Tensor, Tensor, Tensor | None]:
        weights = None if log_weights is None else log_weights[start:stop].detach()
        return bridge_ab[start:stop].detach(), bridge_bc[start:stop].detach(), weights

    return goals


def check_bridge(a: Tensor, c: Tensor, bridge_ab: Tensor, bridge_bc: Tensor, log_weights: Tensor | None) -> None:
    for name, value in (("a", a), ("c", c), ("bridge_ab", bridge_ab), ("bridge_bc", bridge_bc)):
        if value.ndim != 2:
            raise ValueError(f"{name} has shape {tuple(value.shape)}; needs [count, d]")
        if not value.is_floating_point():
            raise ValueError(f"{name} has dtype {value.dtype}; needs a floating one")
    if len(bridge_ab) == 0 or len(bridge_ab) != len(bridge_bc):
        raise ValueError(f"bridge_ab has {len(bridge_ab)} goals, bridge_bc {len(bridge_bc)}; needs as many, at least 1")
    for name, value, other, partner in (("bridge_ab", bridge_ab, "a", a), ("bridge_bc", bridge_bc, "c", c)):
        if value.shape[1] != partner.shape[1]:
            raise ValueError(f"{name} has dimension {value.shape[1]}; needs {other}'s, {partner.shape[1]}")
    if log_weights is not None:
        check_weights(log_weights, len(bridge_ab))


def check_weights(log_weights: Tensor, terms: int) -> None:
    if log_weights.shape != (terms,):
        raise ValueError(f"log_weights has shape {tuple(log_weights.shape)}; needs [M] = ({terms},)")
