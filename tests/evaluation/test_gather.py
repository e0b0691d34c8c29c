"""What gathering asks of an evaluation: metrics of each episode, in episodes that only the world decides on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from goalbridge.agents import Agent
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.evaluation.gather import is_pattern, root_of
from goalbridge.evaluation.grid_evaluation import GridEvaluation
from goalbridge.evaluation.maze_evaluation import MazeEvaluation
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld
from goalbridge.worlds.maze.settings import MazeSettings


def test_patterns_and_the_folder_that_they_name(tmp_path: Path) -> None:
    assert root_of("runs/sweep/*") == Path("runs/sweep")
    assert root_of("/a/b*/c/*") == Path("/a")
    assert root_of("*") == Path(".")
    assert is_pattern("runs/sweep/*")
    assert not is_pattern("runs/fork")
    (tmp_path / "seed=[1]").mkdir()
    assert not is_pattern(str(tmp_path / "seed=[1]"))  # a folder of that name


def test_a_grid_agents_metrics_are_of_every_episode_of_all_levels(
    make_grid_agent: Callable[..., Agent], tmp_path: Path
) -> None:
    levels = ("GoToObj", "GoToRedBallGrey")
    home = BabyAIWorld(BabyAISettings(levels=("GoToLocal",)))
    config = EvaluateConfig(run_dir=str(tmp_path), episodes=2, estimators=("planned", "random"), levels=levels)
    evaluation = GridEvaluation(make_grid_agent(), config, home, tmp_path)
    found = evaluation.measure()
    assert list(found) == ["planned", "random"]
    for metrics in found.values():
        assert set(metrics) == {"success", "steps", "spl"}
        assert all(values.shape == (4,) and np.isfinite(values).all() for values in metrics.values())
    assert evaluation.episodes_of == {"env": "goalbridge/BabyAI", "levels": levels, "view": "full"}
    again = evaluation.measure()
    for name in found:
        np.testing.assert_array_equal(found[name]["steps"], again[name]["steps"])
    assert list(tmp_path.iterdir()) == []


def test_a_maze_agents_metrics_are_of_every_episode_of_its_layout(
    make_agent: Callable[..., Agent], tmp_path: Path
) -> None:
    env = MazeSettings("goalbridge/ForkMaze-v0")
    config = EvaluateConfig(run_dir=str(tmp_path), episodes=3, estimators=("logsumexp",))
    evaluation = MazeEvaluation(make_agent(), config, env, tmp_path, "label")
    assert evaluation.episodes_of["layout"] == evaluation.agent.world.fingerprint
    assert evaluation.measure()["logsumexp"]["success"].shape == (3,)
    assert list(tmp_path.iterdir()) == []
