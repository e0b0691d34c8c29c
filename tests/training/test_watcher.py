"""What is watched of a maze's agent while it trains: categories, pictures, and that training draws nothing from it.

That watching is the same each time, in every world, is in tests/contracts.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from goalbridge.agents import Agent
from goalbridge.configs.schema import RunConfig, TrainConfig
from goalbridge.envs.suite import SATISFIABLE
from goalbridge.evaluation.watch import record
from goalbridge.training import watcher as watching
from goalbridge.training.watcher import Watcher
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

ENV = MazeSettings("goalbridge/ForkMaze-v0", max_episode_steps=8)
CONFIG = RunConfig(ENV, "unused", train=TrainConfig(steps=40, evaluate_every=10, evaluation_episodes=4))


@pytest.fixture
def agent(make_agent: Callable[..., Agent], fake_text: Any) -> Agent:
    return make_agent(text=fake_text)


def watcher_of(config: RunConfig = CONFIG) -> Watcher:
    return Watcher(MazeWorld(config.env), config)  # type: ignore[arg-type]


def test_watching_draws_nothing_from_training(agent: Agent) -> None:
    torch.manual_seed(5)
    before, numbers = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    metrics = watcher_of().watch(agent, 10).metrics
    assert torch.equal(torch.get_rng_state(), before)
    assert str(np.random.get_state()) == numbers  # noqa: NPY002
    assert {"success", "spl", "spl_grid", "steps", "mass", "first_guess", "wrong_visits"} <= set(metrics)
    for category in SATISFIABLE:
        assert 0 <= metrics[f"{category}/spl_grid"] <= metrics[f"{category}/success"] <= 1
        assert 0 <= metrics[f"{category}/mass"] <= 1


@pytest.mark.parametrize("every", [10, 30, 0])
def test_each_evaluation_animates_another_category(agent: Agent, monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    asked: list[Any] = []

    def recorded(world: Any, task: Any, policy: Any) -> Any:
        asked.append(task)
        return record(world, task, policy)

    monkeypatch.setattr(watching, "record", recorded)
    watcher = watcher_of(replace(CONFIG, train=replace(CONFIG.train, evaluate_every=every)))
    for step in {10: range(10, 80, 10), 30: (30, 40), 0: (40,)}[every]:
        watcher.watch(agent, step)
    assert len({task.category for task in asked}) == len({task.text for task in asked}) == len(asked)
    assert {task.category for task in asked} <= set(SATISFIABLE)


def test_pictures_are_fields_as_large_as_the_rollout_beside_them(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = watcher_of()
    seen = watcher.watch(agent, 10)
    assert list(seen.pictures) == [
        "field/row 3", "field/the top left corner", "field/somewhere on the left", "field/row 3 or column 5",
    ]  # fmt: skip
    animation = Image.open(io.BytesIO(seen.animation))
    assert {Image.open(io.BytesIO(picture)).size for picture in seen.pictures.values()} == {animation.size}
    assert all(picture.startswith(b"\x89PNG") for picture in seen.pictures.values())
    assert len(set(seen.pictures.values())) == 4
    monkeypatch.setattr(agent, "has_goal_posterior", False)  # as of rivals of the bridge
    without = watcher.watch(agent, 10)
    assert set(without.pictures) == set(seen.pictures)
    assert without.pictures != seen.pictures
    assert "mass" not in without.metrics
    assert watcher.project(agent) is None


@pytest.mark.parametrize("text", ["..\n", "....\n.##.\n....\n", "..#..\n..#..\n"])
def test_the_smallest_mazes_can_be_watched(
    make_agent: Callable[..., Agent], fake_text: Any, tmp_path: Path, text: str
) -> None:
    (tmp_path / "maze.txt").write_text(text)
    env = MazeSettings("goalbridge/PointMaze-v0", layout=str(tmp_path / "maze.txt"), max_episode_steps=4)
    watcher, agent = watcher_of(replace(CONFIG, env=env)), make_agent(text=fake_text, env=env)
    seen = watcher.watch(agent, 10)
    assert {name.split("/")[0] for name in seen.pictures} == {"field"}
    assert all(np.isfinite(value) for value in seen.metrics.values())
    assert watcher.project(agent) is not None
