"""The agents that ship with the repository are those of the present code and recipe, and are as good as stated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from goalbridge.agents import Agent
from goalbridge.configs.compose import settings
from goalbridge.configs.run_folder import read_run_config
from goalbridge.configs.schema import RunConfig
from goalbridge.evaluation.metrics import measured
from goalbridge.evaluation.rollout import play
from goalbridge.worlds import World, open_trained

ROOT = Path(__file__).parents[2]
MAZES = ("fork_maze", "island_maze")
SHIPPED = (*MAZES, "babyai")
LEVELS = ("GoToRedBallGrey", "GoToLocal", "GoToObjDoor", "FourRooms", "GoToObjMazeS4")
EPISODES, SEED = 300, 4_000_000
BABYAI_EPISODES = 40
LARGEST = 3_000_000  # bytes


@pytest.mark.parametrize("name", SHIPPED)
def test_was_trained_by_the_present_recipe_and_is_small_without_a_pickle(name: str) -> None:
    folder = ROOT / "pretrained" / name
    command = json.loads((folder / "run.json").read_text())["command"]
    assert command[:2] == ["python", "train.py"]
    present = settings(RunConfig, command[2:])
    assert replace(read_run_config(folder), resume=present.resume) == present

    shipped = [folder / file for file in ("agent.json", "agent.safetensors", "config.json")]
    assert sum(path.stat().st_size for path in shipped) < LARGEST
    weights = shipped[1].read_bytes()
    assert weights[8:9] == b"{", "a safetensors file begins with its header's length and a JSON header"


def opened(name: str) -> tuple[Agent, World]:
    folder = ROOT / "pretrained" / name
    return Agent.from_pretrained(folder), open_trained(read_run_config(folder), folder)


@pytest.mark.parametrize("maze", MAZES)
def test_succeeds_as_stated(maze: str) -> None:
    """Success on fresh episodes is within what chance allows of RESULTS.md's figure for the same recipe."""
    agent, world = opened(maze)
    assert agent.world.fingerprint == world.fingerprint
    tasks = world.tasks(agent, world.EvaluationSettings(), EPISODES, SEED)
    policy = agent.policy()
    metrics = measured(world, play(world, tasks, lambda _: policy)[""], None)
    stated = json.loads((ROOT / "results" / f"{maze}.json").read_text())["policies"]["default"]["logsumexp"]
    assert metrics["success"].mean() >= stated["success"]["mean"] - 0.02
    assert metrics["spl_grid"].mean() >= stated["spl_grid"]["mean"] - 0.02


def test_succeeds_in_babyai_as_stated() -> None:
    stated = json.loads((ROOT / "results" / "babyai_full.json").read_text())["levels"]
    agent, world = opened("babyai")
    policy = agent.policy()
    tasks = world.tasks(agent, world.EvaluationSettings(levels=LEVELS), BABYAI_EPISODES, SEED)  # type: ignore[call-arg]
    for level, episodes in play(world, tasks, lambda _: policy).items():
        found, expected = measured(world, episodes, None), stated[level]["planned"]
        assert found["success"].mean() >= expected["success"]["mean"] - 0.03, level
        assert found["steps"].sum() / found["optimum"].sum() <= expected["against_optimum"]["mean"] + 0.1, level
