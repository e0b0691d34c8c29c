"""What an evaluation refuses, and that it does so before anybody plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goalbridge.agents import Agent
from goalbridge.configs.checks import ConfigError
from goalbridge.envs.layouts import LayoutError
from goalbridge.evaluation.evaluation import Evaluation
from goalbridge.worlds import World
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

Evaluate = Callable[..., Evaluation]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The episodes that were begun."""
    found: list[Any] = []
    monkeypatch.setattr("goalbridge.evaluation.evaluation.play", lambda *arguments: found.append(arguments))
    return found


def test_what_the_last_estimator_cannot_do_shows_before_the_first_is_played(
    make_agent: Callable[..., Agent], evaluate: Evaluate, begun: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "wide.txt").write_text("\n".join(["." * 80] * 80))
    world = MazeWorld(MazeSettings(layout=str(tmp_path / "wide.txt")))
    evaluation = evaluate(make_agent(), world, episodes=2, estimators=("direct", "limit"))
    with pytest.raises(LayoutError, match="free cells for value iteration, got 6400"):
        evaluation.play()
    assert begun == []


def test_groups_that_nobody_plays_are_named(
    make_grid_agent: Callable[..., Agent], make_babyai: Callable[..., World], evaluate: Evaluate, begun: list[Any]
) -> None:
    evaluation = evaluate(make_grid_agent(), make_babyai(), episodes=1, estimators=("bot",), levels=("FourRooms",))
    with pytest.raises(ConfigError, match="estimators=bot: expected one that can play FourRooms; try random"):
        evaluation.play()
    assert begun == []


def test_estimators_are_compared_once_each_in_the_order_asked(
    make_agent: Callable[..., Agent], make_maze: Callable[..., World], evaluate: Evaluate
) -> None:
    said: list[str] = []
    names = ("random", "max", "random")
    evaluation = evaluate(make_agent(), make_maze(max_episode_steps=3), episodes=2, estimators=names)
    assert list(evaluation.play(said.append)) == ["random", "max"]
    assert said == ["2 episodes of random", "2 episodes of max"]
    with pytest.raises(ConfigError, match=r"estimators=maxx: .*; did you mean max\?"):
        evaluate(make_agent(), make_maze(), estimators=("random", "maxx"))
