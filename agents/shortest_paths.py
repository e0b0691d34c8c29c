"""Shortest ways over the bridge: from goal to goal by what the critic calls near, towards one that is far.

A critic is sharp nearby and may be wrong far away. How much less it says of a goal than the best that it says of it
anywhere is taken for a distance,

    d(s, a, g) = max(0, c(g) - f_AB(s, a, g)),    c(g) = max over bridge goals m and actions of f_AB(m, a, g),

and Dijkstra's algorithm over each bridge goal's nearest ones, a step costing d + `STEP`, gives the length of the way
V(m) from any of them to the aim. An action is then worth what lies near after it:
log sum_m exp(-(d(s, a, m) + STEP + V(m)) / STEP). Needs goals that are states. Nothing here knows a world.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

if TYPE_CHECKING:
    from agents.agent import Agent

NODES: Final = 1000  # of the bridge goals, how many ways lead over
NEAREST: Final = 20  # from each, how many others a step leads to
STEP: Final = 0.3  # nats that a step costs besides: without it, ways of many tiny steps look short
_ROWS_AT_ONCE: Final = 64


class ShortestPaths:
    """Ways over the first `NODES` bridge goals of an agent; worked out when the first is asked for.

    goals, bridge: [M, G] and [M, d]. actions: [A, D], those that lead from goal to goal.
    """

    def __init__(self, agent: Agent, goals: Tensor, bridge: Tensor, actions: Tensor) -> None:
        self._agent, self._actions, self._every = agent, actions, bridge
        self._goals, self._nodes = goals[:NODES], bridge[:NODES]  # [n, G], [n, d]
        self._ways: dict[int, tuple[Tensor, Tensor]] = {}

    def scores(self, encoded: Tensor, aims: Tensor) -> Tensor:
        """Log-scores [B, A] of actions, phi_A [B, A, d], towards the bridge goals numbered aims [B]."""
        critic = self._agent.critic_ab
        near = self._distance(critic(encoded, self._nodes), self._best)  # [B, A, n]
        ways = [self._way(aim) for aim in aims.tolist()]  # B x ([n], [])
        values, best = (torch.stack(part) for part in zip(*ways, strict=True))  # [B, n], [B]
        by_way = -(near + STEP + values.unsqueeze(1)) / STEP  # [B, A, n]
        there = critic.paired(encoded, self._every[aims].unsqueeze(1))  # [B, A]
        at_once = -(self._distance(there, best.unsqueeze(1)) + STEP) / STEP  # [B, A]
        return torch.logaddexp(by_way.logsumexp(dim=2), at_once)

    @staticmethod
    def _distance(scores: Tensor, best: Tensor) -> Tensor:
        return (best - scores).clamp(min=0.0)

    @cached_property
    @torch.no_grad()
    def _leaving(self) -> Tensor:
        """phi_A of every node and action, [n, A, d]."""
        return self._agent.encode_state_actions(self._goals.unsqueeze(1), self._actions)

    @cached_property
    @torch.no_grad()
    def _reach(self) -> Tensor:
        """The best that is said of node j from node i by any action, [n, n]."""
        critic = self._agent.critic_ab
        blocks = [critic(block, self._nodes).amax(dim=1) for block in torch.split(self._leaving, _ROWS_AT_ONCE)]
        return torch.cat(blocks)

    @cached_property
    def _best(self) -> Tensor:
        """c of each node, [n]."""
        return self._reach.amax(dim=0)

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """The length of the shortest way from node i to node j, [n, n]; infinite where there is none."""
        cost = (self._distance(self._reach, self._best).double() + STEP).cpu().numpy()  # [n, n]
        np.fill_diagonal(cost, np.inf)
        count = len(cost)
        kept = min(NEAREST, count - 1)
        near = np.argpartition(cost, kept - 1, axis=1)[:, :kept] if kept else np.empty((count, 0), dtype=np.int64)
        rows = np.repeat(np.arange(count), kept)  # [n k]
        columns = near.reshape(-1)
        graph: Any = scipy.sparse.csr_array((cost[rows, columns], (rows, columns)), shape=(count, count))
        found: NDArray[np.float64] = dijkstra(graph)
        return found

    @torch.no_grad()
    def _way(self, aim: int) -> tuple[Tensor, Tensor]:
        """V of each node, [n], by way of the nodes from which a goal is nearest, and its c, []."""
        if aim not in self._ways:
            said = self._agent.critic_ab(self._leaving, self._every[aim : aim + 1])[..., 0].amax(dim=1)  # [n]
            last = (self._distance(said, said.max()).double() + STEP).cpu().numpy()  # [n]
            if aim < len(last):
                last[aim] = 0.0
            near = np.argsort(last, kind="stable")[:NEAREST]
            way = (self.lengths[:, near] + last[near]).min(axis=1)  # [n]
            self._ways[aim] = torch.as_tensor(way, dtype=said.dtype, device=said.device), said.max()
        return self._ways[aim]
