"""Lemma 1 by a smoothed bridge: the sum over bridge goals where each stands for a small Gaussian around it.

Plain Monte Carlo fails where a pair (a, c) is decided by goals that no sample is near. Here every bridge goal, as its
two representations z_m = (phi_B for A-B, phi_B for B-C), is replaced by a Gaussian of covariance h^2 S around
mean + sqrt(1 - h^2) (z_m - mean), with S the covariance of the z_m: whatever h, the mixture keeps their mean and
covariance (West 1993, "Approximating posterior distributions by mixtures"). Exponentials of linear and of quadratic
logits have closed-form integrals under Gaussians, which split once more into a factor of a, one of c and one term of
the pair: the cost is plain Monte Carlo's.
h = 0 is plain Monte Carlo; h = 1 is the closed form where representations are Gaussian (Lemma 3, without isotropy).

Notation of agents.bridge: a [N, d], c [K, d'], bridge [M, d] for A-B and [M, d'] for B-C.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from goalbridge.agents.bridge import log_matmul_exp
from goalbridge.agents.model import Critic

_CHUNK = 8192  # bridge goals whose logits exist at once
_QUADRATIC, _LINEAR = ("neg_squared_l2",), ("dot", "cosine")


class SmoothedBridge:
    """Bridge goals, prepared once, for any a and c.

    bridge_ab [M, d] and bridge_bc [M, d'], M of at least 2: the same goals for both critics. smoothing: h in [0, 1].
    Both critics are squared distances, or both are linear in the goal's vector (``dot``, ``cosine``).
    Raises ValueError where this does not hold.
    """

    def __init__(
        self, bridge_ab: Tensor, bridge_bc: Tensor, critic_ab: Critic, critic_bc: Critic, smoothing: float
    ) -> None:
        _check(bridge_ab, bridge_bc, critic_ab, critic_bc, smoothing)
        self.critic_ab, self.critic_bc, self.split = critic_ab, critic_bc, bridge_ab.shape[1]
        goals = torch.cat((_vectors(critic_ab, bridge_ab), _vectors(critic_bc, bridge_bc)), dim=1).double()  # [M, D]
        mean, covariance = goals.mean(0), smoothing**2 * goals.T.cov()  # [D], H [D, D]
        goals = math.sqrt(1.0 - smoothing**2) * (goals - mean)  # [M, D], from the mean on
        scales = torch.cat(
            (critic_ab.scale.double().expand(self.split), critic_bc.scale.double().expand(len(bridge_bc[0])))
        )
        # With t = (a, c) - shift, goal m's integral is exp(t' form t / 2 + t' pull + t' towards_m + weight_m).
        if critic_ab.kind in _QUADRATIC:
            # E exp(-(z - t)' D (z - t)) = |I + 2 H D|^(-1/2) exp(-(z_m - t)' (D^-1 + 2 H)^-1 (z_m - t))
            matrix = torch.linalg.inv(torch.diag(1 / scales) + 2 * covariance)  # [D, D]
            self.form, self.towards, self.shift, self.pull = -2 * matrix, 2 * matrix @ goals.T, mean, 0.0 * mean
            self.weights = 0.5 * torch.linalg.slogdet(matrix / scales)[1] - ((goals @ matrix) * goals).sum(1)  # [M]
        else:
            # E exp(t' D z) = exp(t' D z_m + t' D H D t / 2)
            self.form, self.towards = scales.unsqueeze(1) * covariance * scales, scales.unsqueeze(1) * goals.T
            self.shift, self.pull, self.weights = 0.0 * mean, scales * mean, 0.0 * goals[:, 0]

    @torch.no_grad()
    def scores(self, a: Tensor, c: Tensor) -> Tensor:
        """log E_g exp(f_AB(a, g) + f_BC(g, c)) under the smoothed bridge: a [N, d], c [K, d'] -> [N, K], a's dtype."""
        first, second = slice(0, self.split), slice(self.split, None)
        left = _vectors(self.critic_ab, a).double() - self.shift[first]  # [N, d]
        right = _vectors(self.critic_bc, c).double() - self.shift[second]  # [K, d']
        own_a = 0.5 * ((left @ self.form[first, first]) * left).sum(1) + left @ self.pull[first]  # [N]
        own_c = 0.5 * ((right @ self.form[second, second]) * right).sum(1) + right @ self.pull[second]  # [K]
        cross = left @ self.form[first, second] @ right.T  # [N, K]
        parts = []
        for goals in torch.split(torch.arange(len(self.weights)), _CHUNK):
            log_left = left @ self.towards[first, goals]  # [N, m]
            log_right = self.towards[second, goals].T @ right.T + self.weights[goals, None]  # [m, K]
            parts.append(log_matmul_exp(log_left.to(a.dtype), log_right.to(a.dtype)).double())
        total = torch.logsumexp(torch.stack(parts), dim=0) - math.log(len(self.weights))  # [N, K]
        scores: Tensor = total + own_a.unsqueeze(1) + own_c + cross
        return scores.to(a.dtype)


def has_closed_form(critic_ab: Critic, critic_bc: Critic) -> bool:
    """Whether `SmoothedBridge` takes these two critics."""
    kinds = (critic_ab.kind, critic_bc.kind)
    return any(all(kind in family for kind in kinds) for family in (_QUADRATIC, _LINEAR))


def _vectors(critic: Critic, x: Tensor) -> Tensor:
    """The vectors in which the critic is linear or quadratic."""
    return functional.normalize(x, dim=-1) if critic.kind == "cosine" else x


def _check(bridge_ab: Tensor, bridge_bc: Tensor, critic_ab: Critic, critic_bc: Critic, smoothing: float) -> None:
    if not 0.0 <= smoothing <= 1.0:
        raise ValueError(f"smoothing={smoothing} is out of range; 0 to 1 would do")
    if not has_closed_form(critic_ab, critic_bc):
        raise ValueError(
            f"critics {critic_ab.kind} and {critic_bc.kind} have no common closed form; two of {_LINEAR} would do"
        )
    if bridge_ab.ndim != 2 or bridge_bc.ndim != 2 or len(bridge_ab) != len(bridge_bc) or len(bridge_ab) < 2:
        shapes = f"{tuple(bridge_ab.shape)} and {tuple(bridge_bc.shape)}"
        raise ValueError(f"bridge_ab and bridge_bc have shapes {shapes}; need [M, d] and [M, d'], M of at least 2")
