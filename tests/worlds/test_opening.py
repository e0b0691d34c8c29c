"""That an agent is evaluated in the world that it was trained in."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from goalbridge.configs.checks import CheckpointError
from goalbridge.worlds import require_same


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"env_id": "goalbridge/SlitMaze-v0"}, "was trained in goalbridge/SlitMaze-v0, not goalbridge/ForkMaze-v0"),
        ({"fingerprint": "another"}, "was trained on another layout of goalbridge/ForkMaze-v0; give it that layout"),
    ],
)
def test_an_agent_belongs_to_its_world(make_maze: Callable[..., Any], changes: dict[str, str], says: str) -> None:
    world = make_maze()
    require_same(world, world.spec, "runs/x")
    with pytest.raises(CheckpointError, match=f"runs/x: the agent {says}"):
        require_same(world, replace(world.spec, **changes), "runs/x")
