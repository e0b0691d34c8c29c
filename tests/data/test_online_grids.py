"""Own play in BabyAI's layouts: random rounds, then directed ones towards what was reached in the same layout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.data.online import OnlineData
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld

WORLD = BabyAIWorld(BabyAISettings(levels=("GoToLocal",), layouts=4))
CONFIG: dict[str, Any] = {
    "kind": "online",
    "environments": 12,
    "walk_length": 8,
    "environment_steps": 768,
    "capacity": 768,
    "labelled_goals": 80,
}


class Told:
    """Plays at random and remembers what it was told."""

    goals: list[NDArray[np.uint8]]

    def __init__(self) -> None:
        self.goals = []

    def act(self, observation: NDArray[Any], goals: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float32]:
        assert observation.dtype == goals.dtype == np.uint8
        self.goals.append(goals.copy())
        return np.eye(4, dtype=np.float32)[rng.integers(4, size=len(goals))]


def online(layouts: int = 4, **settings: Any) -> OnlineData:
    config, world = DataConfig(**(CONFIG | settings)), BabyAIWorld(replace(WORLD.settings, layouts=layouts))
    bounds = (world.spec.goal_low, world.spec.goal_high)
    return OnlineData(world.self_play(config, 0), world.captions, bounds, config, 8, "label", 0, np.uint8)


def test_a_random_round_is_followed_by_a_directed_one_in_the_same_layouts() -> None:
    data = online()
    assert data.rounds == 8
    told = [Told() for _ in range(8)]
    for step in range(8):
        before = data.replay.states
        data.advance(step, lambda step=step: told[step])  # type: ignore[misc]
        goals = np.concatenate(told[step].goals) if told[step].goals else np.empty((0, before.shape[1]), np.uint8)
        assert len(goals) == (12 * 8 if step % 2 else 0)
        assert {goal.tobytes() for goal in goals} <= {state.tobytes() for state in before}
    groups = data.replay.state_arrays()["groups"]
    assert set(groups) == {0, 1, 2, 3}
    assert len(data.captions.goals) <= 80  # of some poses nothing can be said


def test_goals_of_a_batch_are_compared_within_a_layout() -> None:
    data = online()
    data.advance(7, Told)
    batch = data.sample_futures(np.random.default_rng(0), 64, 0.5, group_size=16, nearby=0.5)
    assert batch.states.dtype == np.uint8
    assert set(np.unique(batch.actions.sum(axis=1))) == {1.0}


def test_play_goes_on_where_it_was() -> None:
    whole, halted = online(), online()
    for data in (whole, halted):
        data.advance(2, Told)
    other = online()
    other.load_state_arrays({name: array.copy() for name, array in halted.state_arrays().items()})
    for data in (whole, other):
        data.advance(5, Told)
    expected, found = whole.state_arrays(), other.state_arrays()
    for name, array in expected.items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)


def test_numbers_that_do_not_fit_are_named() -> None:
    with pytest.raises(ConfigError, match=r"data\.environments=14: must be a multiple of 6"):
        online(environments=14, environment_steps=900, capacity=900)
    with pytest.raises(ConfigError, match=r"at most that times env\.layouts=1"):
        online(layouts=1)
