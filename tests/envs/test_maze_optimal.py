"""The limit policy: right where the answer is known, and better than the expert with the same directions."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.commands import distinct_regions
from goalbridge.envs.expert import ShortestPaths, expert_directions, grid_shortest
from goalbridge.envs.layouts import LAYOUTS, Layout, LayoutError
from goalbridge.envs.motion import STEP_SIZE
from goalbridge.envs.optimal import MazeValueIteration


def test_without_noise_it_takes_the_fewest_steps() -> None:
    policy = MazeValueIteration(Layout.from_array(np.zeros((1, 9))), 0.0, directions=4)
    region = np.zeros((1, 1, 9), dtype=bool)
    region[0, 0, 8] = True
    positions = np.array([[0.5, 0.3], [0.5, 7.9]])
    np.testing.assert_allclose(policy.act(positions, region, np.zeros(2, dtype=np.int64)), [[0, 1], [0, 1]], atol=1e-7)
    steps = policy.values(region)[0].reshape(9, 5, 5)[:, 2]  # [9, 5] along the corridor's middle
    # Interpolation between nodes blurs the jumps between whole numbers of steps.
    np.testing.assert_allclose(steps[:8, 2], np.ceil((7.5 - np.arange(8)) / STEP_SIZE), atol=1.0)
    assert (steps[8] == 0.0).all()


def test_unreachable_regions_are_no_trouble_and_too_many_cells_are_refused() -> None:
    policy = MazeValueIteration(Layout.from_text("..#..", "parts"), 20.0)
    region = np.zeros((1, 1, 5), dtype=bool)
    region[0, 0, 4] = True
    action = policy.act(np.array([[0.5, 0.5], [0.5, 3.5]]), region, np.zeros(2, dtype=np.int64))
    assert np.isfinite(action).all()
    np.testing.assert_allclose(action[1], [0, 1], atol=1e-7)
    with pytest.raises(LayoutError, match=r"free cells .* got 10000"):
        MazeValueIteration(Layout.from_array(np.zeros((100, 100)), "hall"), 20.0)


def test_it_beats_the_expert_on_the_same_episodes() -> None:
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
