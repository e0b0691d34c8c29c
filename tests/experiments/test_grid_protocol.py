"""The figures of the BabyAI protocol, on outcomes made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.experiments.agent.grid_protocol import FOUR, LARGE, MOST, SIX, beside, episodes_of, figures, ratio
from goalbridge.experiments.agent.trials import Outcome
from goalbridge.worlds import Episodes, Task
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld

WORLD = BabyAIWorld(BabyAISettings(levels=("GoToLocal",)))
MISSIONS = ("go to a red ball", "go to the red key", "go to the blue ball", "go to a box")


def outcome(success: list[bool], steps: list[float], optimum: list[float]) -> Outcome:
    tasks = tuple(Task(mission, "GoToLocal", 0) for mission in MISSIONS)
    metrics = {"success": np.array(success, dtype=np.float64), "steps": np.array(steps, dtype=np.float64)}
    episodes = Episodes(tasks, np.array(success), np.array(steps, dtype=np.int64), (), {})
    return Outcome(episodes, metrics, np.array(optimum, dtype=np.float64), WORLD.slices(tasks))


def test_the_ratio_is_that_of_the_means() -> None:
    steps, optimum = np.array([[2.0, 6.0], [4.0, 4.0]]), np.array([[2.0, 2.0], [2.0, 2.0]])
    found = ratio(steps, optimum)
    assert found["mean"] == pytest.approx(2.0)
    assert 1.0 <= found["low"] <= found["mean"] <= found["high"] <= 3.0
    assert ratio(optimum * 1.5, optimum) == pytest.approx({"mean": 1.5, "low": 1.5, "high": 1.5})


def test_figures_are_means_over_seeds_and_by_slices() -> None:
    first = outcome([True, True, True, False], [2, 4, 6, 64], [2, 4, 6, 8])
    second = outcome([True, True, True, True], [2, 4, 6, 8], [2, 4, 6, 8])
    found = figures([first, second])
    assert found["episodes"] == 4
    assert found["success"]["mean"] == pytest.approx(7 / 8)
    assert found["success_per_seed"] == [0.75, 1.0]
    assert found["against_optimum"]["mean"] == pytest.approx((76 + 20) / 40)
    assert found["ambiguous"]["episodes"] == 2
    assert found["ambiguous"]["success"]["mean"] == pytest.approx(3 / 4)
    assert found["held_out_things"]["episodes"] == 1  # "red key"
    assert found["held_out_things"]["success"]["mean"] == 1.0


def test_sequences_have_no_optimum() -> None:
    assert "against_optimum" not in figures([outcome([True] * 4, [1, 2, 3, 4], [np.nan] * 4)])


def test_rivals_are_compared_in_pairs() -> None:
    ours, theirs = outcome([True] * 4, [2] * 4, [2] * 4), outcome([True, True, False, False], [4] * 4, [2] * 4)
    found = beside("planned", [ours], [theirs])
    assert found["planned_minus_this"]["mean"] == pytest.approx(0.5)
    assert found["planned_minus_this_ambiguous"]["mean"] == pytest.approx(0.5)
    assert found["steps_more_than_planned"]["mean"] == pytest.approx(2.0)


def test_levels_that_are_named_exist_and_the_four_play_most() -> None:
    assert {*FOUR, *LARGE, *SIX} <= set(LEVELS)
    assert all(episodes_of(name) == MOST for name in FOUR)
