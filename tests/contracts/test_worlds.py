"""Every world keeps the contract, and what one breaks is told in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.registries import worlds
from goalbridge.configs.schema import EnvConfig, RunConfig
from goalbridge.worlds import World, check_world, world_of

CUSTOM = """
def captions(goal):
    return [f"row {goal // 4}", f"column {goal % 4}"]
"""
LINES = [
    {"observations": [[0, 1], [2, 3], [4, 5]], "actions": [[0], [1]], "captions": {"0": "at the start"}},
    {"observations": [[6, 7], [8, 9]], "actions": [[2]], "captions": {"1": "at the end"}},
]
SETTINGS = EvaluateConfig("run", levels=("GoToLocal",))
ENVS = {
    "maze": EnvConfig("goalbridge/ForkMaze-v0"),
    "babyai": EnvConfig("goalbridge/BabyAI", levels=("GoToLocal",)),
    "gym": EnvConfig("FrozenLake-v1", captions="worlds_of_tests:captions", max_episode_steps=8),
    "files": EnvConfig("none"),
}


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], World]:
    """A world by its name."""

    def open_world(name: str) -> World:
        (tmp_path / "worlds_of_tests.py").write_text(CUSTOM)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, LINES)))
        data, dataset = ("files", "lines.jsonl") if name == "files" else ("random", "")
        run = RunConfig(ENVS[name], "run", data=DataConfig(data), dataset=dataset)
        assert world_of(run.env) is worlds.get(name)
        return world_of(run.env).open_training(run, tmp_path / "run" / "trajectories")

    return open_world


@pytest.mark.parametrize("name", worlds.names())
def test_every_world_keeps_the_contract(opened: Callable[[str], World], name: str) -> None:
    assert check_world(opened(name), settings=SETTINGS) == []


@pytest.mark.parametrize(
    ("method", "broken", "says"),
    [
        ("collect", lambda world, data, seed: 1 / 0, "collect: expected trajectories, got ZeroDivisionError"),
        ("action_pool", lambda world, count, rng: np.zeros((count, 3)), "action_pool: expected float32 (16, 2)"),
        ("action_pool", lambda world, *_: np.random.default_rng().random((16, 2), np.float32), "for the same rng"),
        ("candidates", lambda world, count: 1 / 0, "candidates: expected no exception, got ZeroDivisionError"),
        ("places", lambda world, goals: np.zeros(len(goals)), "places: expected whole numbers (16,), got float64"),
        ("tasks", lambda world, *_: (), "tasks: expected at least one"),
        ("satisfied_by", lambda world, task, goals: np.ones(3), "satisfied_by: expected bool (16,) or None"),
        ("describe", lambda world, goal: "", "describe: expected a text, got ''"),
    ],
)
def test_what_a_world_breaks_is_one_line(
    opened: Callable[[str], World], monkeypatch: pytest.MonkeyPatch, method: str, broken: Any, says: str
) -> None:
    world = opened("maze")
    monkeypatch.setattr(type(world), method, broken)
    (line,) = (line for line in check_world(world, settings=SETTINGS) if says in line)
    assert "\n" not in line


def test_bounds_that_the_data_leave_are_told(opened: Callable[[str], World], monkeypatch: pytest.MonkeyPatch) -> None:
    world = opened("maze")
    spec = world.spec
    monkeypatch.setattr(type(world), "spec", replace(spec, observation_high=(1.0, 1.0), action_dim=3))
    lines = check_world(world)
    assert any(line.startswith("collect: expected observations within the bounds of spec") for line in lines)
    assert any(line.startswith("collect: expected actions of 3 numbers, got 2") for line in lines)
