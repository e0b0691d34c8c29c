"""Shortest paths over the bridge: distances along a corridor, ways around, what cannot be reached."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from goalbridge.agents import shortest_paths
from goalbridge.agents.shortest_paths import HOP, Roads, distances, find_roads, road_scores

GOALS = 30


def corridor(start: int, stop: int) -> Tensor:
    """Logits [stop - start, 2, M]: two actions go up and down a corridor; a nat for each goal that lies between."""
    here, there = torch.arange(start, stop)[:, None, None], torch.arange(GOALS)
    after = here + torch.tensor([1, -1])[:, None]
    return -(after - there).abs().float() + 0.1 * there  # some goals are more likely than others, which says nothing


def roads(neighbours: int = 4) -> Roads:
    kept = shortest_paths.NEIGHBOURS
    try:
        shortest_paths.NEIGHBOURS = neighbours  # type: ignore[misc]
        return find_roads(corridor, GOALS, 2)
    finally:
        shortest_paths.NEIGHBOURS = kept  # type: ignore[misc]


def aim(*goals: int, share: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    aims = np.zeros(GOALS)
    aims[list(goals)] = share
    return aims


def test_hops_join_neighbours_and_cost_something() -> None:
    costs = roads().costs
    assert costs.nnz == GOALS * 4
    assert (costs.diagonal() == 0).all()
    apart = np.abs(np.subtract(*costs.nonzero()))
    assert apart[(costs.nonzero()[0] > 2) & (costs.nonzero()[0] < GOALS - 3)].max() == 2
    np.testing.assert_allclose(costs.data.min(), HOP, atol=1e-5)  # a single step: as near as can be


def test_the_way_is_as_long_as_the_corridor() -> None:
    away = distances(roads(), aim(25))
    assert away.argmin() == 25
    assert (np.diff(away[:26]) < 0).all()
    assert (np.diff(away[25:]) > 0).all()


def test_what_is_asked_for_by_half_lies_farther_off() -> None:
    whole, half = distances(roads(), aim(10)), distances(roads(), aim(10, share=0.5))
    np.testing.assert_allclose(half - whole, HOP * np.log(2), atol=1e-6)
    both = distances(roads(), np.maximum(aim(10), aim(20)))
    np.testing.assert_allclose(both, np.minimum(whole, distances(roads(), aim(20))), atol=1e-6)


def test_actions_that_lead_there_score_higher_from_far_away() -> None:
    found = roads()
    away = torch.as_tensor(distances(found, aim(28)))
    scores = road_scores(corridor(0, GOALS), found.nearest, away)  # [M, 2]
    assert (scores[:27, 0] > scores[:27, 1]).all()
    assert scores.isfinite().all()


def test_where_no_road_leads_there_nothing_is_worth_anything() -> None:
    found = roads()
    scores = road_scores(corridor(0, 3), found.nearest, torch.as_tensor(distances(found, aim())))
    assert scores.isneginf().all()
