"""The report of a comparison, its table, rollouts that move, and worlds and devices by name."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from goalbridge.agents import Agent, CheckpointError
from goalbridge.agents.device import resolve_device
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import LayoutError
from goalbridge.evaluation.compare import compare, summary, table
from goalbridge.evaluation.metrics import METRICS
from goalbridge.evaluation.rollouts import play
from goalbridge.evaluation.watch import FRAMES_PER_SECOND, LAST_FRAME_HOLDS, gif, rollout_frames
from goalbridge.worlds import require_same
from goalbridge.worlds.maze import MazeWorld
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.vector import make_world, surface

FORK = MazeSettings("goalbridge/ForkMaze-v0", max_episode_steps=20)
NAMES = ("direct", "logsumexp", "limit", "random")


@pytest.fixture(scope="module")
def compared(make_agent: Callable[..., Agent]) -> tuple[dict[str, Any], Any, Any]:
    config = EvaluateConfig("unused", episodes=40, estimators=NAMES, seed=3)
    episodes, metrics = compare(make_agent(), config, FORK, "label")
    return summary(metrics, episodes, FORK.id, config.seed), episodes, metrics


def test_the_report_has_the_promised_layout(compared: Any) -> None:
    report, _, metrics = compared
    assert json.loads(json.dumps(report)) == report
    assert (report["env"], report["episodes"], report["seed"]) == ("goalbridge/ForkMaze-v0", 40, 3)
    assert tuple(report["estimators"]) == NAMES
    assert set(report["categories"]) == {"row", "column"}
    for estimates in [report["estimators"], *report["categories"].values()]:
        assert tuple(estimates) == NAMES
        for name in NAMES:
            assert {"success", "spl", "steps"} <= set(estimates[name])
            for estimate in estimates[name].values():
                assert set(estimate) == {"mean", "low", "high"}
                assert estimate["low"] <= estimate["mean"] <= estimate["high"]
    for name in NAMES:
        for metric in METRICS:
            assert report["estimators"][name][metric]["mean"] == pytest.approx(metrics[name][metric].mean())


def test_categories_are_the_commands_own(compared: Any) -> None:
    report, episodes, metrics = compared
    rows = np.array([command.category == "row" for command in episodes["direct"].commands])
    for category, chosen in (("row", rows), ("column", ~rows)):
        mean = metrics["limit"]["steps"][chosen].mean()
        assert report["categories"][category]["limit"]["steps"]["mean"] == pytest.approx(mean)


def test_differences_are_paired(compared: Any) -> None:
    report, episodes, metrics = compared
    for name in NAMES:
        np.testing.assert_array_equal(episodes[name].starts, episodes["direct"].starts)
        assert [c.text for c in episodes[name].commands] == [c.text for c in episodes["direct"].commands]
    difference = report["paired_difference_from_direct"]
    assert set(difference) == set(NAMES[1:])
    expected = (metrics["limit"]["steps"] - metrics["direct"]["steps"]).mean()
    assert difference["limit"]["steps"]["mean"] == pytest.approx(expected)


def test_commands_of_ones_own_are_played_as_they_are(make_agent: Callable[..., Agent]) -> None:
    """In their order, also one that the world would call by another category; each estimator announces itself."""
    line = np.zeros((15, 15), bool)
    line[2, :] = True
    cell = np.zeros((15, 15), bool)
    cell[4, 4] = True
    walls = surface(make_world(FORK, 1)).layout.walls
    commands = [Command("row 2", "row 2", "mine", line & ~walls), Command("column 3", "odd", "yours", cell)]
    begun: list[str] = []
    config = EvaluateConfig("unused", estimators=("limit", "direct"), episodes=9)
    episodes, metrics = compare(make_agent(), config, FORK, "label", commands, begun.append)
    assert begun == ["limit", "direct"]
    for name in begun:
        assert episodes[name].commands == tuple(commands)
        assert metrics[name]["success"].shape == (2,)
        np.testing.assert_array_equal(episodes[name].starts, episodes["limit"].starts)
        for i, region in enumerate((line, cell)):
            ends = episodes[name].path(i)[-1].astype(int)
            assert region[tuple(ends)] == episodes[name].success[i]
    assert episodes["limit"].success.all()
    report = summary(metrics, episodes, FORK.id, config.seed)
    assert set(report["categories"]) == {"mine", "yours"}


def test_the_table_shows_every_estimator_with_its_interval(compared: Any) -> None:
    report, _, _ = compared
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table(report))
    text = console.export_text()
    lines = text.splitlines()
    for name in NAMES:
        row = next(i for i, line in enumerate(lines) if name in line)
        success = report["estimators"][name]["success"]
        assert f"{success['mean']:.3f}" in lines[row]
        assert f"{success['low']:.3f} to {success['high']:.3f}" in lines[row + 1]


def test_what_one_estimator_cannot_do_shows_before_the_first_is_played(
    make_agent: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    played: list[Any] = []
    monkeypatch.setattr("goalbridge.evaluation.compare.play", lambda *arguments: played.append(arguments))
    (tmp_path / "wide.txt").write_text("\n".join(["." * 80] * 80))
    wide = MazeSettings("goalbridge/PointMaze-v0", layout=str(tmp_path / "wide.txt"))
    with pytest.raises(LayoutError, match="free cells for value iteration"):
        compare(make_agent(), EvaluateConfig("x", episodes=2, estimators=("direct", "limit")), wide, "label")
    assert played == []


def test_a_rollout_is_an_animation_of_its_path() -> None:
    world = make_world(FORK, 1)

    class Right:
        def reset(self) -> None: ...

        def act(self, observation: Any, instructions: Any, episodes: Any = None) -> Any:
            return np.tile(np.array([0.0, 1.0], np.float32), (len(observation), 1))

    episodes = play(world, Right(), 0)
    frames = rollout_frames(surface(world).layout, episodes, 0)
    assert len(frames) == episodes.steps[0] + 1
    assert len({frame.shape for frame in frames}) == 1
    assert any((frames[0] != frame).any() for frame in frames[1:])
    animation = Image.open(io.BytesIO(gif(frames)))
    assert animation.format == "GIF"
    assert 1 < getattr(animation, "n_frames", 1) <= len(frames) + LAST_FRAME_HOLDS
    assert animation.info["loop"] == 0
    assert animation.info["duration"] == 1000 // FRAMES_PER_SECOND
    other = rollout_frames(surface(world).layout, episodes, 0, caption="other words")
    assert (other[0] != frames[0]).any()


def test_devices_are_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    assert resolve_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:0", "mps", "cpu:3"):
        with pytest.raises(ConfigError, match=f"device={name}: expected a device of this machine; try device=auto"):
            resolve_device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match="cuda:2"):
        resolve_device("cuda:2")


def test_a_world_of_the_users_own_needs_captions() -> None:
    with pytest.raises(ConfigError, match=r"env\.captions: is empty; CartPole-v1 is a world of your own, which needs"):
        make_world(MazeSettings("CartPole-v1"), 1)


@pytest.mark.parametrize("name", ["goalbridge/ForkMaze-v1", "CartPole-v9", "fork"])
def test_worlds_of_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is none of this project's worlds; did you mean goalbridge/\w+-v0\?"):
        make_world(MazeSettings(name), 1)


def test_an_agent_belongs_to_its_world() -> None:
    fork, slit = MazeWorld(FORK), MazeWorld(MazeSettings("goalbridge/SlitMaze-v0"))
    spec = fork.spec
    require_same(fork, spec, "runs/x")
    with pytest.raises(CheckpointError, match="was trained in goalbridge/ForkMaze-v0, not goalbridge/SlitMaze-v0"):
        require_same(slit, spec, "runs/x")
    with pytest.raises(CheckpointError, match="was trained on another layout"):
        require_same(fork, replace(spec, fingerprint="another"), "runs/x")
    assert spec.observation_high == tuple(float(side) for side in surface(make_world(FORK, 1)).layout.walls.shape)
    assert (spec.action_dim, len(spec.goal_low)) == (2, 2)
