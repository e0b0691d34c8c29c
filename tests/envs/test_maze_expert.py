"""The expert: distances against a plain search, data that holds together, and arrival."""

from collections import deque
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs.expert import ShortestPaths, Trajectories, collect_expert, collect_random, expert_directions
from goalbridge.envs.layouts import LAYOUTS, Layout, LayoutError
from goalbridge.envs.motion import STEP_SIZE, WALL_MARGIN, move


def plain_search(walls: NDArray[np.bool_], goal: NDArray[np.bool_]) -> NDArray[np.float64]:
    distance = np.where(goal & ~walls, 0.0, np.inf)
    queue = deque(map(tuple, np.argwhere(goal & ~walls).tolist()))
    while queue:
        row, column = queue.popleft()
        for near in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            inside = 0 <= near[0] < walls.shape[0] and 0 <= near[1] < walls.shape[1]
            if inside and not walls[near] and np.isinf(distance[near]):
                distance[near] = distance[row, column] + 1
                queue.append(near)
    return distance


def split(data: Trajectories) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    observations, actions, lengths = data
    assert len(observations) == (lengths + 1).sum()
    assert len(actions) == lengths.sum()
    pieces = np.split(observations, np.cumsum(lengths + 1)[:-1]), np.split(actions, np.cumsum(lengths)[:-1])
    return list(zip(*pieces, strict=True))


def test_distances_match_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        walls = rng.random((7, 9)) < 0.35
        walls[0, 0] = False
        goal = rng.random((7, 9)) < 0.1
        paths = ShortestPaths(Layout.from_array(walls))
        np.testing.assert_array_equal(paths.cell_distance(goal), plain_search(walls, goal))
    cell = paths.layout.cell_index[~walls][0]
    single = np.zeros_like(walls)
    single[0, 0] = True
    np.testing.assert_array_equal(paths.distances_to(np.array([cell]))[0], plain_search(walls, single)[~walls])


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_expert_data_holds_together(name: str) -> None:
    layout = LAYOUTS[name]
    data = collect_expert(layout, 300, seed=1)
    assert [part.dtype for part in data] == [np.float32, np.float32, np.int64]
    paths = ShortestPaths(layout)
    excess = []
    for observations, actions in split(data):
        assert len(observations) == len(actions) + 1 >= 2
        np.testing.assert_allclose(np.linalg.norm(actions, axis=1), 1.0, atol=1e-6)
        # Each recorded action leads from its observation to the next.
        led = move(layout, observations[:-1].astype(np.float64), actions)
        np.testing.assert_allclose(led, observations[1:], atol=2 * WALL_MARGIN)
        goal = np.zeros_like(layout.walls)
        goal[tuple(np.floor(observations[-1]).astype(int))] = True
        shortest = paths.cell_distance(goal)[tuple(np.floor(observations[0]).astype(int))]
        assert shortest >= 1
        excess.append(len(actions) * STEP_SIZE / shortest)
    assert 0.9 < np.mean(excess) < 1.25


def test_expert_starts_and_goals_are_uniform_and_different() -> None:
    layout = Layout.from_text("...#.#..", "row")
    ends = np.array([(o[0], o[-1]) for o, _ in split(collect_expert(layout, 6000, seed=0, noise_degrees=0.0))])
    start, goal = np.floor(ends[..., 1]).astype(int).T
    assert (start != goal).all()
    assert set(zip(start, goal, strict=True)) == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (6, 7), (7, 6)}
    np.testing.assert_allclose(np.bincount(start)[[0, 1, 2, 6, 7]] / 6000, 0.2, atol=0.02)
    assert np.mean(goal[start == 0] == 1) == pytest.approx(0.5, abs=0.05)


def test_ties_are_broken_at_random() -> None:
    through = [np.floor(o).astype(int).tolist() for o, _ in split(collect_expert(LAYOUTS["blank"], 300, 0, 0.0))]
    down_first = [cells for cells in through if cells[0][0] < cells[-1][0] and cells[0][1] < cells[-1][1]]
    first = [next(np.subtract(cell, cells[0]) for cell in cells if cell != cells[0]) for cells in down_first]
    assert 0.25 < np.mean([step[0] == 1 for step in first]) < 0.75


def test_collecting_is_determined_by_the_seed() -> None:
    layout = LAYOUTS["island"]
    runs = [(collect_expert(layout, 50, seed), collect_random(layout, 50, 20, seed)) for seed in (3, 3, 4)]
    for first, again, other in zip(*runs, strict=True):
        for part, same in zip(first, again, strict=True):
            np.testing.assert_array_equal(part, same)
        assert not np.array_equal(first[0][:10], other[0][:10])


def test_random_walks() -> None:
    layout = LAYOUTS["fork"]
    observations, actions, lengths = collect_random(layout, 40, 30, seed=0)
    assert lengths.tolist() == [30] * 40
    assert observations.shape == (40 * 31, 2)
    walk = observations.reshape(40, 31, 2).astype(np.float64)
    led = move(layout, walk[:, :-1].reshape(-1, 2), actions)
    np.testing.assert_allclose(led, walk[:, 1:].reshape(-1, 2), atol=2 * WALL_MARGIN)


def test_expert_directions_lead_along_shortest_paths() -> None:
    layout = LAYOUTS["slit"]
    paths = ShortestPaths(layout)
    regions = np.zeros((2, 11, 11), dtype=bool)
    regions[0, :, 10] = True
    regions[1, 0, 0] = True
    rng = np.random.default_rng(0)
    which = np.arange(60) % 2
    cells = layout.free_cells[rng.integers(len(layout.free_cells), size=60)]
    position = cells + rng.uniform(0.05, 0.95, size=(60, 2))
    distance = np.stack([paths.cell_distance(region) for region in regions])
    budget = 2 * distance[which, cells[:, 0], cells[:, 1]] + 2
    for step in range(int(budget.max())):
        row, column = np.floor(position).astype(int).T
        here = distance[which, row, column]
        assert (here[budget <= step] == 0).all()
        direction = expert_directions(paths, position, regions, which)
        np.testing.assert_allclose(np.linalg.norm(direction, axis=1), here > 0, atol=1e-12)
        position = move(layout, position, direction)


@pytest.mark.parametrize(
    ("collect", "arguments", "error", "says"),
    [
        (collect_expert, (Layout.from_text(".#.", "apart"), 1, 0), LayoutError, "two free cells that touch"),
        (collect_expert, (LAYOUTS["fork"], 0, 0), ValueError, r"trajectories: .* got 0"),
        (collect_expert, (LAYOUTS["fork"], 1, 0, -1), ValueError, r"noise_degrees: .* got -1"),
        (collect_random, (LAYOUTS["fork"], 1, 0, 0), ValueError, r"length: .* got 0"),
    ],
)
def test_what_cannot_be_collected(collect: Any, arguments: tuple[Any, ...], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        collect(*arguments)
