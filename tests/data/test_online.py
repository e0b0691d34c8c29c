"""Online data: rounds when due, goals that were reached, captions at a set rate, starts as asked; grids by layout."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.data.online import Frontier, OnlineData
from goalbridge.envs.maze import PointMazeVectorEnv
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld
from goalbridge.worlds.maze.collect import MazeSelfPlay
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

BOUNDS = ((0.0, 0.0), (15.0, 15.0))
CORNER: dict[str, Any] = {"start": "corner", "episode_segments": 3}
SETTINGS: dict[str, Any] = {
    "kind": "online",
    "environments": 6,
    "walk_length": 10,
    "environment_steps": 480,
    "labelled_goals": 100,
    "capacity": 240,
}


GRID_SETTINGS: dict[str, Any] = {
    "kind": "online",
    "environments": 12,
    "walk_length": 8,
    "environment_steps": 768,
    "labelled_goals": 80,
    "capacity": 768,
}


class Wanderer:
    """Heads straight for the goal, whatever is in the way, or in grids plays at random; remembers what it was told."""

    told: list[NDArray[Any]]

    def __init__(self) -> None:
        self.told = []

    def act(self, observation: NDArray[Any], goals: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float32]:
        assert observation.dtype == goals.dtype
        self.told.append(goals.copy())
        if goals.dtype == np.uint8:
            return np.eye(4, dtype=np.float32)[rng.integers(4, size=len(goals))]
        away = goals - observation + 1e-3
        return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True), dtype=np.float32)


def home() -> MazeWorld:
    return MazeWorld(MazeSettings("goalbridge/ForkMaze-v0"))


def online(steps: int = 8, seed: int = 0, **settings: Any) -> OnlineData:
    own = {name: settings.pop(name) for name in CORNER if name in settings}
    world, config = MazeWorld(MazeSettings("goalbridge/ForkMaze-v0", **own)), DataConfig(**(SETTINGS | settings))
    return OnlineData(world.self_play(config, seed), world.captions, BOUNDS, config, steps, "label", seed)


def on_grids(layouts: int = 4, seed: int = 0, **settings: Any) -> OnlineData:
    world = BabyAIWorld(BabyAISettings(levels=("GoToLocal",), layouts=layouts))
    config, bounds = DataConfig(**(GRID_SETTINGS | settings)), (world.spec.goal_low, world.spec.goal_high)
    return OnlineData(world.self_play(config, seed), world.captions, bounds, config, 8, "label", seed, np.uint8)


def test_rounds_are_played_when_they_are_due_at_random_at_first() -> None:
    data, wanderer = online(warmup=0.5), Wanderer()
    assert data.rounds == 8
    played, told = [], []
    for step in range(8):
        data.advance(step, lambda: wanderer)
        played.append(data.played)
        told.append(len(wanderer.told))
    assert played == [1, 2, 3, 4, 5, 6, 7, 8]
    assert told == [0, 0, 0, 0, 10, 20, 30, 40]  # ten steps each from the share 4 / 7 on
    assert data.environment_steps == 480


def test_goals_have_been_reached_before_and_change_once_they_are_reached() -> None:
    data, wanderer = online(frontier=0.5, walk_length=60, environment_steps=2880, capacity=2880), Wanderer()
    before = {tuple(state) for state in data.replay.states}
    data.advance(1, lambda: wanderer)
    told = np.stack(wanderer.told)  # [T, E, 2]
    assert told.shape == (60, 6, 2)
    assert {tuple(goal) for goal in told.reshape(-1, 2)} <= before
    assert (told[0] != told[-1]).any()
    assert data.figures["online/goals_reached"] > 0


def test_who_has_reached_a_goal_roams_for_a_while_before_it_goes_to_the_next() -> None:
    settings: dict[str, Any] = {"walk_length": 60, "environment_steps": 2880, "capacity": 2880}
    directed, roaming = online(**settings), online(random_steps_after_goal=20, **settings)
    for data in (directed, roaming):
        data.advance(1, Wanderer)
    assert 0 < roaming.reached < directed.reached
    assert roaming.replay.added == directed.replay.added == 12


def test_uniform_goals_know_only_the_bounds() -> None:
    wanderer, data = Wanderer(), online(goals="uniform")
    data.advance(1, lambda: wanderer)
    told = np.concatenate(wanderer.told)
    assert told.min() >= 0
    assert told.max() <= 15
    assert not {tuple(goal) for goal in told} & {tuple(state) for state in data.replay.states}


def test_captions_come_at_a_set_rate_and_are_true() -> None:
    data = online()
    counts = []
    for step in range(8):
        data.advance(step, Wanderer)
        counts.append(len(data.captions.goals))
    assert counts == [100 * (n + 1) // 8 for n in range(8)]
    pairs, truth = data.captions, home().captions.true_labels(data.captions.goals)
    assert (truth == pairs.label[:, None]).any(axis=1).all()
    assert pairs.states is None
    assert pairs.actions is None
    assert len(np.unique(pairs.label)) > 10  # not the same draws in every round


@pytest.mark.parametrize("make", [online, partial(online, **CORNER), on_grids])
def test_play_depends_on_the_seed_alone_and_goes_on_where_it_was(make: Callable[..., OnlineData]) -> None:
    whole, halted, other = make(), make(), make(seed=5)
    for data in (whole, halted):
        data.advance(5, Wanderer)
    assert not np.array_equal(other.replay.states, halted.replay.states[: len(other.replay.states)])
    other = make()
    other.load_state_arrays({name: array.copy() for name, array in halted.state_arrays().items()})
    for data in (whole, other):
        data.advance(7, Wanderer)
    expected, found = whole.state_arrays(), other.state_arrays()
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)
    first, second = (data.sample(np.random.default_rng(0), 20) for data in (whole, other))
    np.testing.assert_array_equal(first.texts, second.texts)
    np.testing.assert_array_equal(first.duplicates, second.duplicates)


def test_no_step_of_a_segment_is_longer_than_one_can_go() -> None:
    """A reset amidst a segment would be a jump."""
    for settings in ({}, CORNER | {"episode_segments": 2}):
        data = online(**settings)
        data.advance(7, Wanderer)
        batch = data.sample_futures(np.random.default_rng(0), 5000, 1e-9)  # the next step that moved
        assert np.linalg.norm(batch.goals - batch.states, axis=1).max() < 1.2  # at most one that did not lies between


def test_starts_at_the_corner_go_on_over_segments() -> None:
    config = DataConfig(**SETTINGS)
    settings = MazeSettings("goalbridge/ForkMaze-v0", start="corner", episode_segments=3)
    playground = MazeWorld(settings).self_play(config, 0)
    rng = np.random.default_rng(0)
    begun, ended = [], []
    for turn in range(4):
        begun.append(playground.begin(turn))
        for _ in range(config.walk_length):
            last = playground.step(playground.random_actions(rng))
        ended.append(last)
    np.testing.assert_allclose(begun[0], np.full((6, 2), 0.5))
    for turn in range(1, 4):
        fresh = (np.arange(6) + turn) % 3 == 0
        np.testing.assert_allclose(begun[turn][fresh], 0.5)
        np.testing.assert_allclose(begun[turn][~fresh], ended[turn - 1][~fresh], atol=1e-6)


def test_starts_anywhere_cover_the_maze() -> None:
    playground = home().self_play(
        DataConfig(**(SETTINGS | {"environments": 400, "environment_steps": 4000, "capacity": 4000})), 0
    )
    assert len(np.unique(playground.begin(0).astype(int), axis=0)) > 120  # of 155


def test_a_self_play_env_that_begins_anew_by_itself_is_refused() -> None:
    env = PointMazeVectorEnv(2, "fork", autoreset_mode=AutoresetMode.NEXT_STEP)
    with pytest.raises(ValueError, match="expected autoreset_mode=DISABLED"):
        MazeSelfPlay(env, None)


def test_the_frontier_is_what_was_seldom_visited() -> None:
    rng = np.random.default_rng(0)
    crowd, lonely = rng.random((990, 2)) * 0.9, np.full((10, 2), 14.5)
    frontier = Frontier(np.concatenate([crowd, lonely]).astype(np.float32), *BOUNDS)
    seldom, usual = (frontier.sample(rng, 4000, share)[:, 0] > 10 for share in (1.0, 0.0))
    assert seldom.mean() > 0.9  # one over the visits: 99 to 1
    assert usual.mean() < 0.03


def test_a_random_round_is_followed_by_a_directed_one_in_the_same_layouts() -> None:
    data = on_grids()
    assert data.rounds == 8
    told = [Wanderer() for _ in range(8)]
    for step in range(8):
        before = data.replay.states
        data.advance(step, lambda step=step: told[step])  # type: ignore[misc]
        goals = np.concatenate(told[step].told) if told[step].told else np.empty((0, before.shape[1]), np.uint8)
        assert len(goals) == (12 * 8 if step % 2 else 0)
        assert {goal.tobytes() for goal in goals} <= {state.tobytes() for state in before}
    groups = data.replay.state_arrays()["groups"]
    assert set(groups) == {0, 1, 2, 3}
    assert len(data.captions.goals) <= 80  # of some poses nothing can be said


def test_goals_of_a_batch_are_compared_within_a_layout() -> None:
    data = on_grids()
    data.advance(7, Wanderer)
    batch = data.sample_futures(np.random.default_rng(0), 64, 0.5, group_size=16, nearby=0.5)
    assert batch.states.dtype == np.uint8
    assert set(np.unique(batch.actions.sum(axis=1))) == {1.0}


def test_numbers_that_do_not_fit_are_named() -> None:
    with pytest.raises(ConfigError, match=r"data\.environments=14: must be a multiple of 6"):
        on_grids(environments=14, environment_steps=900, capacity=900)
    with pytest.raises(ConfigError, match=r"at most that times env\.layouts=1"):
        on_grids(layouts=1)
