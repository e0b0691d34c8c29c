"""Shortest ways over the bridge: against brute force, and around a corner that the critic does not see."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from goalbridge.agents import Agent
from goalbridge.agents.shortest_paths import HOP, NEIGHBOURS, NODES, Ways, distances

DIRECTIONS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # [A, 2]


class Nearness:
    """A critic of places: -2 times the squared distance."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return -2.0 * torch.cdist(x, y).square()

    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        """Of rows that belong together."""
        return -2.0 * (x - y).square().sum(dim=-1)


def ways(places: Tensor, actions: Tensor = DIRECTIONS) -> Ways:
    """Ways over places [M, 2] of an agent that an action takes one step along its direction."""
    agent: Any = SimpleNamespace(
        encode_state_actions=lambda states, moves: (states + moves).contiguous(), critic_ab=Nearness()
    )
    return Ways(agent, places, places, actions)


def u_turn() -> Tensor:
    """Places [25, 2] along a corridor that comes back beside itself, five cells away."""
    there = [(float(row), 0.0) for row in range(10)]
    across = [(9.0, float(column)) for column in range(1, 6)]
    back = [(float(row), 5.0) for row in range(8, -2, -1)]
    return torch.tensor(there + across + back)


def brute_lengths(places: Tensor) -> np.ndarray[Any, Any]:
    """Bellman and Ford's rule on the definition."""
    count = len(places)
    said = torch.stack([-2.0 * torch.cdist(places + move, places).square() for move in DIRECTIONS]).amax(dim=0)
    cost = ((said.amax(dim=0) - said).clamp(min=0) + HOP).numpy()
    length = np.full((count, count), np.inf)
    np.fill_diagonal(length, 0.0)
    others = ~np.eye(count, dtype=bool)
    kept = np.zeros((count, count), dtype=bool)
    for row in range(count):
        nearest = sorted(np.flatnonzero(others[row]), key=lambda column: cost[row, column])
        kept[row, nearest[:NEIGHBOURS]] = True
    edges = np.where(kept, cost, np.inf)
    for _ in range(count):
        length = np.minimum(length, (edges[:, :, None] + length[None]).min(axis=1))
    return length


def test_lengths_are_those_of_brute_force() -> None:
    places = 6 * torch.rand(30, 2, generator=torch.Generator().manual_seed(0))
    found, expected = ways(places).roads, brute_lengths(places)
    for aim, wanted in enumerate(np.eye(30)):
        np.testing.assert_allclose(distances(found, wanted), expected[:, aim], rtol=1e-5, atol=1e-6)


def test_the_way_leads_around_what_the_critic_sees_through() -> None:
    places = u_turn()
    found = ways(places)
    aim = len(places) - 1  # (-1, 5), from (0, 0) straight across
    at = torch.zeros(2)
    assert Nearness().paired(at + DIRECTIONS, places[aim]).argmax() == 2  # what the critic says: across
    for expected in (*[0] * 9, *[2] * 5, *[1] * 9):
        scores = found.scores((at + DIRECTIONS)[None], torch.tensor([aim]))  # [1, A]
        assert int(scores.argmax()) == expected, at
        at = at + DIRECTIONS[expected]
    assert int(found.scores((at + DIRECTIONS)[None], torch.tensor([aim])).argmax()) == 1  # the last step


def test_rows_have_aims_of_their_own() -> None:
    places = u_turn()
    found = ways(places)
    encoded = (places[[3, 12, 20]].unsqueeze(1) + DIRECTIONS).contiguous()  # [3, A, 2]
    aims = torch.tensor([24, 0, 7])
    together = found.scores(encoded, aims)
    alone = [ways(places).scores(encoded[[row]], aims[[row]])[0] for row in range(3)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_an_aim_that_is_no_node_can_be_gone_to() -> None:
    generator = torch.Generator().manual_seed(1)
    places = torch.cat([8 * torch.rand(NODES, 2, generator=generator), torch.tensor([[4.2, 7.9]])])
    start = torch.tensor([4.0, 0.5])
    scores = ways(places).scores((start + DIRECTIONS)[None], torch.tensor([NODES]))
    assert int(scores.argmax()) == 2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_goals_are_enough(count: int) -> None:
    scores = ways(u_turn()[:count]).scores((torch.zeros(2) + DIRECTIONS)[None], torch.tensor([count - 1]))
    assert scores.isfinite().all()
    assert int(scores.argmax()) == 0 or count == 1


def test_who_has_settled_follows_the_way(make_agent: Callable[..., Agent]) -> None:
    """After going to and fro, a policy acts by the way to the goal that it settled on, not by its estimator."""
    agent = make_agent()
    policy = agent.policy("logsumexp", average_noise=False, mask_blocked=False)
    spot = np.array([[3.0, 3.0]], dtype=np.float32)
    for step in range(13):
        policy.act(spot + 0.1 * (step % 2), ["row 5"])
    assert policy._commitment is not None
    aim = policy._commitment._goal[:1]
    assert int(aim[0]) >= 0
    encoded = agent.encode_state_actions(torch.as_tensor(spot).unsqueeze(1), policy.actions)
    expected = Ways(agent, policy.goals, policy._bridge, policy.actions).scores(encoded, aim)
    torch.testing.assert_close(policy.scores(spot, ["row 5"], [0]), expected)
