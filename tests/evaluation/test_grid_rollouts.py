"""Episodes in environments that were played in before are those of new ones."""

from __future__ import annotations

import numpy as np
import pytest

from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.evaluation.grid_actors import Chance
from goalbridge.evaluation.grid_rollouts import _world, play_level


@pytest.mark.parametrize("view", ["full", "partial"])
@pytest.mark.parametrize("name", ["GoToLocal", "GoToRedBlueBall", "GoToObjMazeS4R2", "FourRooms", "GoToSeqS5R2"])
def test_environments_are_used_again_as_if_they_were_new(name: str, view: str) -> None:
    assert name in LEVELS
    _world.cache_clear()
    fresh = play_level(name, Chance(0), 3, 5, view)
    play_level(name, Chance(1), 3, 100, view)
    again = play_level(name, Chance(0), 3, 5, view)
    assert _world.cache_info().misses == 1
    assert again.missions == fresh.missions
    for field in ("success", "steps", "charged", "optimum"):
        np.testing.assert_array_equal(getattr(again, field), getattr(fresh, field))
    for first, second in zip([*fresh.grids, *fresh.paths], [*again.grids, *again.paths], strict=True):
        np.testing.assert_array_equal(first, second)
