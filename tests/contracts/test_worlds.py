"""Every registered world: its contract, an evaluation, own words that are followed, and watching in training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goalbridge.agents import Agent
from goalbridge.configs.checks import CheckpointError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.registries import worlds
from goalbridge.configs.schema import AgentConfig, PolicyConfig, RunConfig, TrainConfig
from goalbridge.evaluation.evaluation import Evaluation
from goalbridge.evaluation.follow import follow
from goalbridge.training.watcher import Watcher
from goalbridge.worlds import World, check_world, require_same, world_of
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.files.settings import FilesSettings
from goalbridge.worlds.gym.settings import GymSettings
from goalbridge.worlds.maze.settings import MazeSettings

CUSTOM = """
def captions(goal):
    return [f"row {goal // 4}", f"column {goal % 4}"]
"""
LINES = [
    {"observations": [[0, 1], [2, 3], [4, 5]], "actions": [[0], [1]], "captions": {"0": "at the start"}},
    {"observations": [[6, 7], [8, 9]], "actions": [[2]], "captions": {"1": "at the end"}},
]
ENVS = {
    "maze": MazeSettings("goalbridge/ForkMaze-v0", max_episode_steps=12),
    "babyai": BabyAISettings(levels=("GoToLocal", "GoToObjMazeS4R2")),
    "gym": GymSettings("FrozenLake-v1", captions="evaluated_worlds:captions", max_episode_steps=8),
    "files": FilesSettings(),
}
SETTINGS: dict[str, dict[str, Any]] = {"babyai": {"levels": ("GoToLocalS5N2", "GoToSeqS5R2")}}
WORDS = {"maze": "row 3 or column 5", "babyai": "go to a red ball", "gym": "row 1"}
Opened = tuple[World, Agent, RunConfig]
Open = Callable[[str], Opened]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_text: Any) -> Open:
    """A world by its name, with an agent that has learnt nothing."""

    def open_world(name: str) -> Opened:
        (tmp_path / "evaluated_worlds.py").write_text(CUSTOM)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, LINES)))
        data, dataset = ("files", "lines.jsonl") if name == "files" else ("random", "")
        config = DataConfig(data, trajectories=12, walk_length=12)
        train = TrainConfig(steps=20, evaluate_every=10, evaluation_episodes=4)
        run = RunConfig(ENVS[name], "run", data=config, dataset=dataset, train=train)
        assert world_of(run.env) is worlds.get(name)
        world = world_of(run.env).open_training(run, tmp_path / "run" / "trajectories")
        data_of = world.collect(config, 0)
        goals = np.array(data_of.goals[:40])
        world.meet(data_of, goals)
        networks = AgentConfig(width=16, depth=2, embedding_dim=8, bridge_goals=len(goals))
        policy = PolicyConfig(candidate_actions=4, average_noise=False)
        agent = Agent(world.spec, networks, policy, fake_text, world.candidates(4), goals)
        return world, agent.eval(), run

    return open_world


@pytest.mark.parametrize("name", worlds.names())
def test_every_world_keeps_the_contract(opened: Open, name: str) -> None:
    world, *_ = opened(name)
    assert check_world(world, settings=world.EvaluationSettings(**SETTINGS.get(name, {}))) == []


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
    opened: Open, monkeypatch: pytest.MonkeyPatch, method: str, broken: Any, says: str
) -> None:
    world, *_ = opened("maze")
    monkeypatch.setattr(type(world), method, broken)
    (line,) = (line for line in check_world(world) if says in line)
    assert "\n" not in line


def test_bounds_that_the_data_leave_are_told(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    world, *_ = opened("maze")
    spec = world.spec
    monkeypatch.setattr(type(world), "spec", replace(spec, observation_high=(1.0, 1.0), action_dim=3))
    lines = check_world(world)
    assert any(line.startswith("collect: expected observations within the bounds of spec") for line in lines)
    assert any(line.startswith("collect: expected actions of 3 numbers, got 2") for line in lines)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"env_id": "goalbridge/SlitMaze-v0"}, "was trained in goalbridge/SlitMaze-v0, not goalbridge/ForkMaze-v0"),
        ({"fingerprint": "another"}, "was trained on another layout of goalbridge/ForkMaze-v0; give it that layout"),
    ],
)
def test_an_agent_belongs_to_its_world(opened: Open, changes: dict[str, Any], says: str) -> None:
    world, *_ = opened("maze")
    require_same(world, world.spec, "runs/x")
    with pytest.raises(CheckpointError, match=f"runs/x: the agent {says}"):
        require_same(world, replace(world.spec, **changes), "runs/x")


@pytest.mark.parametrize("name", [name for name in worlds.names() if worlds.get(name).playable])
def test_an_evaluation_of_every_world(
    opened: Open, evaluate: Callable[..., Evaluation], tmp_path: Path, name: str, capsys: Any
) -> None:
    world, agent, _ = opened(name)
    chosen = {"episodes": 4, "rollouts": 1, "estimators": ("logsumexp", "random"), **SETTINGS.get(name, {})}
    evaluation = evaluate(agent, world, **chosen)
    evaluation.compare()
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert (report["env"], report["episodes"], report["seed"]) == (world.spec.env_id, 4, 1_000_000)
    assert list(report["estimators"]) == ["logsumexp", "random"]
    assert set(report["categories"]) == {task.category for task in evaluation.tasks}
    for metric in ("mass", "first_guess", "wrong_visits"):  # success never stands alone
        assert metric in report["estimators"]["logsumexp"]
        assert metric not in report["estimators"]["random"]  # which believes nothing
    assert 0 <= report["estimators"]["logsumexp"]["mass"]["mean"] <= 1
    assert {"goals", "effective_sample_size", "standard_error"} == set(report["bridge"])
    printed = capsys.readouterr().out
    for word in ("success", "mass", "wrong", "logsumexp", "random", "bridge: "):
        assert word in printed
    with np.load(tmp_path / "episodes.npz", allow_pickle=False) as file:
        saved = {key: file[key] for key in file.files}
    count = len(evaluation.tasks)
    assert {array.dtype.kind for array in saved.values()} <= set("Ufbi")
    assert saved["estimator"].tolist() == ["logsumexp", "random"]
    assert {saved[key].shape for key in ("group", "category", "text", "seed")} == {(count,)}
    assert {saved[key].shape for key in ("success", "steps", "mass")} == {(2, count)}
    assert np.isnan(saved["mass"][1]).all()
    if not world.grouped:
        assert saved["path"].shape[:2] == (2, count)
        assert saved["success"][0].mean() == pytest.approx(report["estimators"]["logsumexp"]["success"]["mean"])
    again = evaluate(agent, world, **chosen)
    again.compare()
    assert json.loads((tmp_path / "evaluation.json").read_text()) == report
    other = evaluate(agent, world, **chosen | {"seed": 5})
    assert [task.seed for task in other.tasks] != [task.seed for task in evaluation.tasks]


@pytest.mark.parametrize("name", WORDS)
def test_own_words_are_followed_in_every_world(
    opened: Open, evaluate: Callable[..., Evaluation], tmp_path: Path, name: str, capsys: Any
) -> None:
    world, agent, _ = opened(name)
    follow(evaluate(agent, world, rollouts=2), WORDS[name], "mine")
    printed = capsys.readouterr().out
    assert printed.startswith(f"{WORDS[name]!r} ")
    assert "likeliest goals: " in printed
    assert "meant: about " in printed
    assert len([line for line in printed.splitlines() if line.startswith("from ")]) == 2
    assert {path.name for path in (tmp_path / "rollouts").iterdir()} == {
        "mine_0.gif", "mine_1.gif", "mine_posterior.png",
    }  # fmt: skip


@pytest.mark.parametrize("name", worlds.names())
def test_every_world_is_watched_the_same_each_time(opened: Open, name: str) -> None:
    world, agent, run = opened(name)
    watcher = Watcher(world, run)
    one, again, later = watcher.watch(agent, 10), Watcher(world, run).watch(agent, 10), watcher.watch(agent, 20)
    assert one == again  # to the byte, also by another watcher, as after resuming
    assert one.metrics == later.metrics
    assert one.pictures == later.pictures
    assert all(np.isfinite(value) for value in one.metrics.values())
    if not world.playable:
        assert ({"goal_of_text", "text_of_goal"} - set(one.metrics), one.animation) == (set(), b"")
        return
    assert {"success", "steps", "mass", "first_guess", "wrong_visits"} <= set(one.metrics)
    assert one.animation.startswith(b"GIF8")
    assert one.animation != later.animation  # another episode
    projection = watcher.project(agent)
    assert projection is not None
    assert len(projection.rows) == len(projection.goals) + len(projection.texts)
    assert all(len(row) == len(projection.columns) for row in projection.rows)
