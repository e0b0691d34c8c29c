"""Ways through mazes: the expert's data, the optimal policy, and shortest paths by closed forms and plain searches."""

from collections import deque
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import coo_array, csgraph

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.commands import distinct_regions
from goalbridge.envs.expert import (
    ShortestPaths,
    Trajectories,
    collect_expert,
    collect_random,
    expert_directions,
    grid_shortest,
)
from goalbridge.envs.layouts import LAYOUTS, Layout, LayoutError
from goalbridge.envs.motion import STEP_SIZE, WALL_MARGIN, move
from goalbridge.envs.optimal import MazeValueIteration, geodesic_shortest
from goalbridge.envs.places import MazePlaces

Mask = NDArray[np.bool_]
PEGS = Layout.from_array((np.indices((100, 100)) % 3 == 1).all(axis=0), "pegs")


def plain_search(walls: Mask, goal: Mask) -> NDArray[np.float64]:
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


def mask(layout: Layout, *cells: tuple[int, ...]) -> Mask:
    marked = np.zeros_like(layout.walls)
    marked[tuple(np.transpose(cells))] = True
    return marked


def test_distances_match_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        walls = rng.random((7, 9)) < 0.35
        walls[0, 0] = False
        goal = rng.random((7, 9)) < 0.1
        paths = ShortestPaths(Layout.from_array(walls))
        np.testing.assert_array_equal(paths.cell_distance(goal), plain_search(walls, goal))
    single = mask(paths.layout, (0, 0))
    np.testing.assert_array_equal(paths.distances_to(np.array([0]))[0], plain_search(walls, single)[~walls])


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_expert_data_holds_together(name: str) -> None:
    layout = LAYOUTS[name]
    data, paths, excess = collect_expert(layout, 300, seed=1), ShortestPaths(layout), []
    assert [part.dtype for part in data] == [np.float32, np.float32, np.int64]
    for observations, actions in split(data):
        assert len(observations) == len(actions) + 1 >= 2
        np.testing.assert_allclose(np.linalg.norm(actions, axis=1), 1.0, atol=1e-6)
        led = move(layout, observations[:-1].astype(np.float64), actions)  # each action leads to the next observation
        np.testing.assert_allclose(led, observations[1:], atol=2 * WALL_MARGIN)
        start, goal = (tuple(np.floor(observations[end]).astype(int).tolist()) for end in (0, -1))
        shortest = paths.cell_distance(mask(layout, goal))[start]
        assert shortest >= 1
        excess.append(len(actions) * STEP_SIZE / shortest)
    assert 0.9 < np.mean(excess) < 1.25


def test_expert_starts_and_goals_are_uniform_and_different() -> None:
    layout = Layout.from_text("...#.#..", "row")
    ends = np.array([(o[0], o[-1]) for o, _ in split(collect_expert(layout, 6000, seed=0, noise_degrees=0.0))])
    start, goal = np.floor(ends[..., 1]).astype(int).T
    assert set(zip(start, goal, strict=True)) == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (6, 7), (7, 6)}
    np.testing.assert_allclose(np.bincount(start)[[0, 1, 2, 6, 7]] / 6000, 0.2, atol=0.02)
    assert np.mean(goal[start == 0] == 1) == pytest.approx(0.5, abs=0.05)


def test_ties_are_broken_at_random() -> None:
    through = [np.floor(o).astype(int).tolist() for o, _ in split(collect_expert(LAYOUTS["blank"], 300, 0, 0.0))]
    down_first = [cells for cells in through if cells[0][0] < cells[-1][0] and cells[0][1] < cells[-1][1]]
    first = [next(np.subtract(cell, cells[0]) for cell in cells if cell != cells[0]) for cells in down_first]
    assert 0.25 < np.mean([step[0] == 1 for step in first]) < 0.75


def test_collecting_is_determined_by_the_seed() -> None:
    runs = [(collect_expert(LAYOUTS["island"], 50, s), collect_random(LAYOUTS["island"], 50, 20, s)) for s in (3, 3, 4)]
    for first, again, other in zip(*runs, strict=True):
        for part, same in zip(first, again, strict=True):
            np.testing.assert_array_equal(part, same)
        assert not np.array_equal(first[0][:10], other[0][:10])


def test_random_walks() -> None:
    observations, actions, lengths = collect_random(LAYOUTS["fork"], 40, 30, seed=0)
    assert lengths.tolist() == [30] * 40
    walk = observations.reshape(40, 31, 2).astype(np.float64)
    led = move(LAYOUTS["fork"], walk[:, :-1].reshape(-1, 2), actions)
    np.testing.assert_allclose(led, walk[:, 1:].reshape(-1, 2), atol=2 * WALL_MARGIN)


def test_expert_directions_lead_along_shortest_paths() -> None:
    layout, rng, which = LAYOUTS["slit"], np.random.default_rng(0), np.arange(60) % 2
    paths = ShortestPaths(layout)
    regions = np.stack([mask(layout, *((row, 10) for row in range(11))), mask(layout, (0, 0))])
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
    ("attempt", "error", "says"),
    [
        (lambda: collect_expert(Layout.from_text(".#.", "apart"), 1, 0), LayoutError, "free cells that touch"),
        (lambda: collect_expert(LAYOUTS["fork"], 0, 0), ValueError, "trajectories: .*got 0"),
        (lambda: collect_expert(LAYOUTS["fork"], 1, 0, -1), ValueError, "noise_degrees: .*got -1"),
        (lambda: collect_random(LAYOUTS["fork"], 1, 0, 0), ValueError, "length: .*got 0"),
        (lambda: MazeValueIteration(PEGS, 20.0), LayoutError, "free cells .*got 8911"),
        (lambda: one(PEGS, (0.5, 0.5), (2, 2)), LayoutError, "wall corners .* got 4356"),
    ],
)
def test_what_cannot_be_done(attempt: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        attempt()


def test_without_noise_the_optimal_policy_takes_the_fewest_steps() -> None:
    layout = Layout.from_array(np.zeros((1, 9)))
    policy, region = MazeValueIteration(layout, 0.0, directions=4), mask(layout, (0, 8))[None]
    action = policy.act(np.array([[0.5, 0.3], [0.5, 7.9]]), region, np.zeros(2, dtype=np.int64))
    np.testing.assert_allclose(action, [[0, 1], [0, 1]], atol=1e-7)
    steps = policy.values(region)[0].reshape(9, 5, 5)[:, 2]  # [9, 5] along the corridor's middle
    # Interpolation between nodes blurs the jumps between whole numbers of steps.
    np.testing.assert_allclose(steps[:8, 2], np.ceil((7.5 - np.arange(8)) / STEP_SIZE), atol=1.0)
    assert (steps[8] == 0.0).all()


def test_unreachable_regions_are_no_trouble() -> None:
    layout = Layout.from_text("..#..", "parts")
    region = mask(layout, (0, 4))[None]
    action = MazeValueIteration(layout, 20.0).act(
        np.array([[0.5, 0.5], [0.5, 3.5]]), region, np.zeros(2, dtype=np.int64)
    )
    assert np.isfinite(action).all()
    np.testing.assert_allclose(action[1], [0, 1], atol=1e-7)


def test_the_optimal_policy_beats_the_expert_on_the_same_episodes() -> None:
    count = 400
    batch: Any = gymnasium.make_vec("goalbridge/SlitMaze-v0", num_envs=count)
    observation, _ = batch.reset(seed=0)
    regions, which = distinct_regions(batch.unwrapped.current_commands)
    shortest = grid_shortest(LAYOUTS["slit"], observation["observation"], regions, which)
    limit, paths = MazeValueIteration(LAYOUTS["slit"], 20.0), ShortestPaths(LAYOUTS["slit"])

    def spl(act: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> float:
        observation, _ = batch.reset(seed=0)
        steps, done = np.zeros(count), np.zeros(count, dtype=bool)
        while not done.all():
            observation, _, terminated, truncated, _ = batch.step(act(observation["observation"]))
            steps += ~done
            assert not (truncated & ~terminated & ~done).any()  # both policies always arrive
            done |= terminated
        return float(np.mean(shortest / np.maximum(steps * STEP_SIZE, shortest)))

    def expert(position: NDArray[np.float32]) -> NDArray[np.float32]:
        heading = expert_directions(paths, position, regions, which)
        return np.asarray(limit.directions[(heading @ limit.directions.T).argmax(axis=1)], dtype=np.float32)

    by_limit, by_expert = spl(lambda position: limit.act(position, regions, which)), spl(expert)
    assert by_limit == pytest.approx(0.976, abs=0.015)
    assert by_expert == pytest.approx(0.947, abs=0.02)
    assert by_limit > by_expert


def one(layout: Layout, start: tuple[float, float], *cells: tuple[int, int]) -> float:
    region = mask(layout, *cells)[None]
    return float(geodesic_shortest(layout, np.array([start]), region, np.zeros(1, dtype=np.int64))[0])


def row(layout: Layout, index: int) -> list[tuple[int, int]]:
    return [(index, column) for column in range(layout.walls.shape[1])]


def test_closed_forms() -> None:
    blank, blocker, slit = LAYOUTS["blank"], LAYOUTS["blocker"], LAYOUTS["slit"]
    assert one(blank, (4.25, 3.0), *row(blank, 7)) == pytest.approx(2.75)
    assert one(blank, (4.25, 3.0), (0, 0)) == pytest.approx(np.hypot(3.25, 2.0))
    assert one(blank, (4.25, 3.0), *row(blank, 4)) == 0.0
    # Around the end of the wall: to its two corners, then straight up.
    assert one(blocker, (5.5, 2.5), *row(blocker, 0)) == pytest.approx(np.hypot(1.5, 7.5) + 1.0 + 2.0, abs=1e-6)
    # Through the slit, whose corners are at (5, 5) and (5, 6), or straight if the line passes.
    assert one(slit, (5.5, 0.5), (5, 10)) == pytest.approx(9.5)
    assert one(slit, (2.5, 2.5), (0, 10)) == pytest.approx(np.hypot(2.5, 2.5) + 1.0 + np.hypot(4.0, 4.0), abs=1e-6)
    fork = LAYOUTS["fork"]
    to_the_top = np.hypot(0.5, 9.5) + 11.0  # to the corner (12, 10), then up along the ends of the walls to (1, 10)
    assert one(fork, (12.5, 0.5), *row(fork, 0)) == pytest.approx(to_the_top, abs=1e-6)
    assert one(fork, (12.5, 0.5), (0, 0)) == pytest.approx(to_the_top + 9.0, abs=1e-6)  # and along the wall's face


def test_walls_do_not_leak_and_what_is_beyond_is_unreachable() -> None:
    pinched = Layout.from_text("..#\n.#.\n#..", "pinched")
    assert one(pinched, (0.5, 0.5), (2, 2)) == np.inf
    assert one(pinched, (1 - 1e-9, 1 - 1e-9), (2, 2)) == np.inf
    thick = Layout.from_text("....\n####\n####\n....", "thick")
    for column in (0.5, 1.0, 2.0):  # 1.0 and 2.0 run along the seams between wall cells
        assert one(thick, (0.5, column), *row(thick, 3)) == np.inf
    plug = Layout.from_text("...\n.#.\n...", "plug")
    assert one(plug, (0.5, 1.5), (2, 1)) == pytest.approx(np.hypot(0.5, 0.5) + 1.0, abs=1e-6)
    parts = Layout.from_text("..#.", "parts")
    assert one(parts, (0.5, 0.5), (0, 0)) == 0.0
    assert one(parts, (0.5, 0.5), (0, 3)) == np.inf
    assert one(parts, (0.5, 0.5), (0, 2)) == np.inf  # a region of walls alone
    regions = np.stack([mask(parts, (0, 1)), mask(parts, (0, 3))])
    steps = grid_shortest(parts, np.array([[0.5, 0.5], [0.5, 0.5]]), regions, np.array([0, 1]))
    assert steps.tolist() == [1.0, np.inf]


def fine_grid(layout: Layout, starts: NDArray[np.float64], region: Mask, fine: int) -> NDArray[np.float64]:
    """Shortest 8-connected paths between points `fine` to a cell: at most 8.24 % over the geodesic, never below it."""
    free = np.pad(~layout.walls.repeat(fine, axis=0).repeat(fine, axis=1), 1)
    index, edges = np.arange(free.size).reshape(free.shape), []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        ahead, below, beside = (np.roll(free, (-d, -r), (0, 1)) for d, r in ((down, right), (down, 0), (0, right)))
        heads = index[free & ahead & below & beside]
        tails = heads + down * free.shape[1] + right
        edges.append(np.stack([heads, tails, np.full(len(heads), np.hypot(down, right) / fine)]))
    heads, tails, lengths = np.concatenate(edges, axis=1)
    graph = coo_array((lengths, (heads.astype(int), tails.astype(int))), shape=(free.size, free.size)).tocsr()
    goals = index[free & np.pad(region.repeat(fine, axis=0).repeat(fine, axis=1), 1)]
    distance = csgraph.dijkstra(graph, directed=False, indices=goals, min_only=True)
    return np.asarray(distance[index[tuple(np.floor(starts * fine).astype(int).T + 1)]])


def test_geodesics_lie_between_the_bounds_of_a_fine_grid() -> None:
    rng = np.random.default_rng(0)
    fine = 6
    for trial in range(12):
        walls = rng.random((9, 8)) < (0.15, 0.3, 0.45)[trial % 3]
        walls[0, 0] = False
        layout = Layout.from_array(walls)
        cells = layout.free_cells[rng.integers(len(layout.free_cells), size=40)]
        # Starts on the grid's points, so that only the end of the path can differ, by less than a grid step.
        starts = cells + (rng.integers(fine, size=(40, 2)) + 0.5) / fine
        region = (rng.random(walls.shape) < 0.06) & ~walls
        exact = geodesic_shortest(layout, starts, region[None], np.zeros(40, dtype=np.int64))
        bound = fine_grid(layout, starts, region, fine)
        np.testing.assert_array_equal(np.isinf(exact), np.isinf(bound))
        reached = np.isfinite(exact)
        assert (exact[reached] <= bound[reached] + 1e-6).all()
        # Points keep half a grid step off the walls, which costs at every bend.
        assert (bound[reached] <= 1.0824 * exact[reached] + 4.0 / fine).all()


def test_geodesics_are_at_most_the_paths_over_cell_centres_up_to_a_number_of_corners() -> None:
    layout = LAYOUTS["fork"]
    regions = MazePlaces(layout, ("line",)).regions
    starts = np.tile(layout.free_cells + 0.5, (3, 1))
    which = np.random.default_rng(0).integers(len(regions), size=len(starts))
    exact = geodesic_shortest(layout, starts, regions, which)
    steps = grid_shortest(layout, starts, regions, which)
    assert (exact <= np.maximum(steps - 0.5, 0.0) + 1e-6).all()
    assert (exact >= steps / np.sqrt(2) - 1.0).all()
