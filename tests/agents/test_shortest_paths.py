"""Shortest paths over goals: against brute force, along a corridor, and around what the critic sees through."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents import shortest_paths
from goalbridge.agents.shortest_paths import (
    HOP,
    NODES,
    GoalGraph,
    GoalPlanner,
    distances,
    find_graph,
    path_scores,
)

GOALS = 30
DIRECTIONS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # [A, 2]


def corridor(start: int, stop: int) -> Tensor:
    """Logits [stop - start, 2, M]: two actions go up and down a corridor; a nat for each goal that lies between."""
    here, there = torch.arange(start, stop)[:, None, None], torch.arange(GOALS)
    after = here + torch.tensor([1, -1])[:, None]
    return -(after - there).abs().float() + 0.1 * there  # some goals are more likely than others, which says nothing


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> GoalGraph:
    """The corridor's, each goal with four neighbours."""
    monkeypatch.setattr(shortest_paths, "NEIGHBOURS", 4)
    return find_graph(corridor, GOALS, 2)


def weight(*goals: int, share: float = 1.0) -> NDArray[np.float64]:
    weights = np.zeros(GOALS)
    weights[list(goals)] = share
    return weights


def test_edges_join_neighbours_and_cost_something(graph: GoalGraph) -> None:
    costs = graph.costs
    assert costs.nnz == GOALS * 4
    assert (costs.diagonal() == 0).all()
    starts, ends = costs.nonzero()
    assert np.abs(starts - ends)[(starts > 2) & (starts < GOALS - 3)].max() == 2
    np.testing.assert_allclose(costs.data.min(), HOP, atol=1e-5)  # a single step: as near as can be


def test_distances_grow_along_the_corridor_and_with_what_a_goal_lacks(graph: GoalGraph) -> None:
    away = distances(graph, weight(25))
    assert away.argmin() == 25
    assert (np.diff(away[:26]) < 0).all()
    assert (np.diff(away[25:]) > 0).all()
    whole, half = distances(graph, weight(10)), distances(graph, weight(10, share=0.5))
    np.testing.assert_allclose(half - whole, HOP * np.log(2), atol=1e-6)
    both = distances(graph, weight(10, 20))
    np.testing.assert_allclose(both, np.minimum(whole, distances(graph, weight(20))), atol=1e-6)


def test_actions_that_lead_there_score_higher_and_without_a_path_nothing_does(graph: GoalGraph) -> None:
    scores = path_scores(corridor(0, GOALS), graph.nearest, torch.as_tensor(distances(graph, weight(28))))  # [M, 2]
    assert (scores[:27, 0] > scores[:27, 1]).all()
    assert scores.isfinite().all()
    nowhere = torch.as_tensor(distances(graph, weight()))
    assert path_scores(corridor(0, 3), graph.nearest, nowhere).isneginf().all()


class Nearness:
    """A critic of places: -2 times the squared distance."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return -2.0 * torch.cdist(x, y).square()

    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        """Of rows that belong together."""
        return -2.0 * (x - y).square().sum(dim=-1)


def planner(places: Tensor) -> GoalPlanner:
    """Paths over places [M, 2] of an agent that an action takes one step along its direction."""
    agent: Any = SimpleNamespace(
        encode_state_actions=lambda states, moves: (states + moves).contiguous(), critic_ab=Nearness()
    )
    return GoalPlanner(agent, places, places, DIRECTIONS)


def u_turn() -> Tensor:
    """Places [25, 2] along a corridor that comes back beside itself, five cells away."""
    there = [(float(row), 0.0) for row in range(10)]
    across = [(9.0, float(column)) for column in range(1, 6)]
    back = [(float(row), 5.0) for row in range(8, -2, -1)]
    return torch.tensor(there + across + back)


def test_the_path_leads_around_what_the_critic_sees_through() -> None:
    places, at = u_turn(), torch.zeros(2)
    found, goal = planner(places), torch.tensor([len(places) - 1])  # (-1, 5), from (0, 0) straight across
    assert Nearness().paired(at + DIRECTIONS, places[goal]).argmax() == 2  # what the critic says: across
    for expected in (*[0] * 9, *[2] * 5, *[1] * 10):
        assert int(found.scores((at + DIRECTIONS)[None], goal).argmax()) == expected, at
        at = at + DIRECTIONS[expected]


def test_rows_have_goals_of_their_own() -> None:
    places = u_turn()
    encoded = (places[[3, 12, 20]].unsqueeze(1) + DIRECTIONS).contiguous()  # [3, A, 2]
    goals = torch.tensor([24, 0, 7])
    alone = [planner(places).scores(encoded[[row]], goals[[row]])[0] for row in range(3)]
    torch.testing.assert_close(planner(places).scores(encoded, goals), torch.stack(alone))


def test_a_goal_that_is_no_node_can_be_gone_to() -> None:
    generator = torch.Generator().manual_seed(1)
    places = torch.cat([8 * torch.rand(NODES, 2, generator=generator), torch.tensor([[4.2, 7.9]])])
    scores = planner(places).scores((torch.tensor([4.0, 0.5]) + DIRECTIONS)[None], torch.tensor([NODES]))
    assert int(scores.argmax()) == 2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_goals_are_enough(count: int) -> None:
    scores = planner(u_turn()[:count]).scores((torch.zeros(2) + DIRECTIONS)[None], torch.tensor([count - 1]))
    assert scores.isfinite().all()
    assert int(scores.argmax()) == 0 or count == 1
