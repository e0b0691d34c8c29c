"""Shortest paths over the bridge: planning where a critic's scores serve as distances.

A critic is sharp nearby and may be wrong far away. Where data are random walks, log p(g | s, a) falls off with the
distance that a walk has to go, and elsewhere at least nearby goals are told from others. From the critic,

    d(s, a, g) = max(0, c(g) - f_AB(s, a, g)),    c(g) = max over bridge goals m and actions of f_AB(m, a, g),

is that fall in nats. Bridge goals are the nodes of a graph, with edges to their nearest neighbours of length d + h.
Shortest paths (Dijkstra, 1959) give V(m), how far each bridge goal is from what was asked for, and a soft minimum over
the goals nearby scores the actions:

    Q(s, a) = logsumexp_m [-(d(s, a, m) + h + V(m)) / h].

The cost of each edge, h, keeps paths from being made of countless edges that each look short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent

NODES: Final = 1000  # bridge goals in the graph; time and memory grow with their square
HOP: Final = 0.3  # h: nats that an edge costs beside d
NEIGHBOURS: Final = 20  # of each bridge goal
NEARBY: Final = 200  # bridge goals that the score of an action sums over
_ROWS_AT_ONCE: Final = 1 << 22
_STATES_AT_ONCE: Final = 128


@dataclass(frozen=True, eq=False)
class GoalGraph:
    """The graph of M bridge goals.

    costs: sparse [M, M], from each goal to its neighbours, at least `HOP`. nearest: c(g), [M] float32.
    """

    costs: scipy.sparse.csr_array[Any, Any]
    nearest: Tensor


@torch.no_grad()
def find_graph(logits: Callable[[int, int], Tensor], goals: int, actions: int) -> GoalGraph:
    """The graph of M bridge goals.

    logits: rows start to stop of f_AB from goals as states, [stop - start, A, M]. The best of A actions counts
        for an edge.
    """
    at_once = max(1, _ROWS_AT_ONCE // (actions * goals))
    starts = range(0, goals, at_once)
    best = torch.cat([logits(start, min(start + at_once, goals)).amax(dim=1) for start in starts])  # [M, M]
    nearest = best.amax(dim=0)  # [M]
    apart = (nearest - best).fill_diagonal_(torch.inf)  # [M, M], at least 0
    count = min(NEIGHBOURS, goals - 1)
    cost, neighbour = apart.topk(count, dim=1, largest=False)  # [M, k] each
    rows = np.repeat(np.arange(goals), count)
    costs = cost.double().cpu().numpy().reshape(-1) + HOP
    table = scipy.sparse.csr_array((costs, (rows, neighbour.cpu().numpy().reshape(-1))), shape=(goals, goals))
    return GoalGraph(table, nearest)


def distances(graph: GoalGraph, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """V [M]: how far each bridge goal is from what was asked for; inf where no path leads there.

    weights: [M] in [0, 1], how much each is what was asked for; a goal of weight w is -`HOP` log w away.
    """
    wanted = np.flatnonzero(weights > 0)  # [W]
    goals = len(weights)
    last = scipy.sparse.csr_array(
        # An edge of cost 0 would be none.
        (np.maximum(-HOP * np.log(weights[wanted]), 1e-9), (wanted, np.zeros_like(wanted))),
        shape=(goals, 1),
    )
    end = scipy.sparse.csr_array((1, goals + 1))
    whole = scipy.sparse.vstack([scipy.sparse.hstack([graph.costs, last]), end]).tocsr()  # [M + 1, M + 1]
    backwards: Any = whole.T.tocsr()
    away: NDArray[np.float64] = dijkstra(backwards, indices=[goals])[0, :goals]
    return away


def path_scores(logits: Tensor, nearest: Tensor, away: Tensor) -> Tensor:
    """Q [..., A] of actions with logits f_AB [..., A, M] to bridge goals V [..., M] away from what was asked for.

    -inf where no path leads there.
    """
    apart = (nearest - logits).clamp(min=0)  # [..., A, M]
    count = min(NEARBY, apart.shape[-1])
    near, which = apart.topk(count, dim=-1, largest=False)  # [..., A, n] each
    there = away.to(near.dtype).unsqueeze(-2).expand_as(apart).gather(-1, which)  # [..., A, n]
    return (-(near + HOP + there) / HOP).logsumexp(dim=-1)


class GoalPlanner:
    """Scores actions towards one bridge goal at a time, by paths over the first `NODES` of them.

    goals, bridge: [M, G] and [M, d] of an agent whose goals are states. actions: [A, D], the candidates. The graph is
    built when it is first needed.
    """

    def __init__(self, agent: Agent, goals: Tensor, bridge: Tensor, actions: Tensor) -> None:
        self._agent, self._actions, self._bridge = agent, actions, bridge
        self._goals, self._nodes = goals[:NODES], bridge[:NODES]  # [n, G], [n, d]
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def scores(self, encoded: Tensor, targets: Tensor) -> Tensor:
        """Q [B, A] of actions, phi_A [B, A, d], towards the bridge goals numbered targets [B]."""
        if len(targets) > _STATES_AT_ONCE:
            parts = zip(torch.split(encoded, _STATES_AT_ONCE), torch.split(targets, _STATES_AT_ONCE), strict=True)
            return torch.cat([self.scores(*part) for part in parts])
        critic = self._agent.critic_ab
        known = [self._distances_to(target) for target in targets.tolist()]  # B x ([n], [])
        away, nearest = (torch.stack(part) for part in zip(*known, strict=True))  # [B, n], [B]
        by_path = path_scores(critic(encoded, self._nodes), self.graph.nearest, away)  # [B, A]
        there = critic.paired(encoded, self._bridge[targets].unsqueeze(1))  # [B, A]
        at_once = -((nearest.unsqueeze(1) - there).clamp(min=0) + HOP) / HOP  # [B, A]
        return torch.logaddexp(by_path, at_once)

    @cached_property
    @torch.no_grad()
    def _leaving(self) -> Tensor:  # phi_A of every node and action, [n, A, d]
        return self._agent.encode_state_actions(self._goals.unsqueeze(1), self._actions)

    def logits(self, start: int, stop: int) -> Tensor:
        """f_AB from nodes start to stop, by any action, to all nodes: [m, A, n]."""
        return self._agent.critic_ab(self._leaving[start:stop], self._nodes)  # type: ignore[no-any-return]

    @cached_property
    def graph(self) -> GoalGraph:
        """The graph of the nodes."""
        return find_graph(self.logits, len(self._nodes), len(self._actions))

    @torch.no_grad()
    def _distances_to(self, target: int) -> tuple[Tensor, Tensor]:
        """V of each node, [n], and c of the target, []."""
        if target not in self._known:
            said = self._agent.critic_ab(self._leaving, self._bridge[target : target + 1])[..., 0].amax(dim=1)  # [n]
            last = (said.max() - said).double() + HOP  # [n]: one edge from each node to the target
            closeness = (-last / HOP).exp().cpu().numpy()  # [n]
            if target < len(closeness):
                closeness[target] = 1.0
            away = distances(self.graph, closeness)  # [n]
            self._known[target] = torch.as_tensor(away, dtype=said.dtype, device=said.device), said.max()
        return self._known[target]
