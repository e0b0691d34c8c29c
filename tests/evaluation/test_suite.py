"""The ambiguous suite: what is played and what is only heard, what evaluation.json and episodes.npz say of it."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.envs.layouts import resolve_layout
from goalbridge.envs.motion import STEP_SIZE
from goalbridge.envs.point_maze import PointMaze
from goalbridge.envs.suite import SATISFIABLE, SUITE, UNSATISFIABLE
from goalbridge.evaluation.compare import compare
from goalbridge.evaluation.metrics import METRICS, interval
from goalbridge.evaluation.suite import episodes_file, playable, suite_commands, suite_summary, understood
from goalbridge.worlds.maze.settings import MazeSettings

FORK = MazeSettings("goalbridge/ForkMaze-v0", max_episode_steps=20)
NAMES = ("direct", "logsumexp", "limit", "random")
COUNT = 33


@pytest.fixture(scope="module")
def world() -> PointMaze:
    return PointMaze("fork")


@pytest.fixture(scope="module")
def agent(make_agent: Callable[..., Agent], fake_text: Any) -> Agent:
    return make_agent(fake_text)


@pytest.fixture(scope="module")
def compared(agent: Agent, world: PointMaze) -> tuple[dict[str, Any], Any, Any, list[str]]:
    config = EvaluateConfig("unused", estimators=NAMES, seed=3)
    begun: list[str] = []
    played = playable(suite_commands(world, COUNT, 3))
    episodes, metrics = compare(agent, config, FORK, "held_out", played, begun.append)
    return suite_summary(metrics, episodes, FORK.id, 3), episodes, metrics, begun


@pytest.mark.parametrize(("episodes", "each"), [(1, 4), (28, 4), (29, 5), (1000, 143)])
def test_as_many_of_each_category_and_no_fewer_in_all(world: PointMaze, episodes: int, each: int) -> None:
    commands = suite_commands(world, episodes, 0)
    assert Counter(command.category for command in commands) == dict.fromkeys(SUITE, each)
    assert [c.category for c in commands] == [name for name in SUITE for _ in range(each)]
    assert {command.category for command in playable(commands)} == set(SATISFIABLE)
    assert all(command.region.any() for command in playable(commands))
    again, other = suite_commands(world, episodes, 0), suite_commands(world, episodes, 1)
    assert [c.text for c in again] == [c.text for c in commands]
    assert [c.text for c in other] != [c.text for c in commands]


def test_what_cannot_be_asked_is_left_out() -> None:
    """Column 4 is a cell that is walled in; and a maze of one row is all row 0."""
    world = PointMaze(resolve_layout(np.array([[0, 0, 1, 1, 0], [0, 0, 1, 1, 1]])))
    commands = suite_commands(world, 70, 0)
    labels = {command.label for command in playable(commands)}
    assert {"row 0", "row 1", "column 0"} <= labels
    assert not {"column 4", "row 0, column 4"} & labels
    for command in commands:
        world.cells_asking(world.check_command(command))
    line = PointMaze(resolve_layout(np.array([[0, 0]])))
    assert "row 0" not in {command.label for command in suite_commands(line, 70, 0)}


def test_a_maze_in_which_nothing_can_be_asked(world: PointMaze, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "goalbridge.evaluation.suite._can_be_asked", lambda world, command: command.category in UNSATISFIABLE
    )
    with pytest.raises(ConfigError, match="suite=ambiguous: nothing of it can be asked in this maze; a larger"):
        suite_commands(world, 7, 0)


def test_the_report_has_the_promised_layout(compared: Any) -> None:
    report, _, metrics, begun = compared
    assert json.loads(json.dumps(report)) == report
    assert list(report)[:4] == ["env", "suite", "episodes", "seed"]
    assert (report["suite"], report["episodes"], report["seed"]) == ("ambiguous", 35, 3)
    assert tuple(report["estimators"]) == NAMES == tuple(begun)
    assert tuple(report["categories"]) == SATISFIABLE
    for found in report["categories"].values():
        assert set(found) == {*NAMES, "region_cells"}
    for name in NAMES:
        for metric in METRICS:
            assert report["estimators"][name][metric]["mean"] == pytest.approx(metrics[name][metric].mean())


def test_categories_and_regions_are_the_commands_own(compared: Any, world: PointMaze) -> None:
    report, episodes, metrics, _ = compared
    asked = playable(suite_commands(world, COUNT, 3))
    for name in NAMES:
        # Also of lines, which the world calls rows and columns.
        assert [(c.text, c.category) for c in episodes[name].commands] == [(c.text, c.category) for c in asked]
    for turn, category in enumerate(SATISFIABLE):
        rows = slice(5 * turn, 5 * turn + 5)
        cells = sum(int(command.region.sum()) for command in asked[rows]) / 5
        assert report["categories"][category]["region_cells"] == pytest.approx(cells)
        for name in NAMES:
            mean = metrics[name]["spl_grid"][rows].mean()
            assert report["categories"][category][name]["spl_grid"]["mean"] == pytest.approx(mean)
    assert report["categories"]["exact"]["region_cells"] == 1


def test_differences_are_paired_also_by_category(compared: Any) -> None:
    report, episodes, metrics, _ = compared
    for name in NAMES:
        np.testing.assert_array_equal(episodes[name].starts, episodes["direct"].starts)
    difference = report["paired_difference_from_direct"]
    assert set(difference) == {*NAMES[1:], "categories"}
    gap = metrics["limit"]["steps"] - metrics["direct"]["steps"]
    assert difference["limit"]["steps"]["mean"] == pytest.approx(gap.mean())
    assert tuple(difference["categories"]) == SATISFIABLE
    found = difference["categories"]["region"]["limit"]["steps"]
    assert (found["mean"], found["low"]) == pytest.approx((gap[10:15].mean(), interval(gap[10:15]).low))


def test_every_episode_is_in_the_file(compared: Any) -> None:
    _, episodes, metrics, _ = compared
    with np.load(io.BytesIO(episodes_file(episodes, metrics)), allow_pickle=False) as file:
        saved = {name: file[name] for name in file.files}
    assert {array.dtype.kind for array in saved.values()} <= set("Ufbi")
    assert saved["estimator"].tolist() == list(NAMES)
    count = len(saved["text"])
    assert (count, saved["path"].shape[:2], saved["path"].shape[3]) == (35, (4, 35), 2)
    for turn, name in enumerate(NAMES):
        one = episodes[name]
        np.testing.assert_array_equal(saved["start"], one.starts)
        np.testing.assert_array_equal(saved["success"][turn], one.success)
        np.testing.assert_array_equal(saved["steps"][turn], one.steps)
        np.testing.assert_array_equal(saved["spl"][turn], metrics[name]["spl"])
        for i in range(count):
            path, length = saved["path"][turn, i], int(one.steps[i])
            np.testing.assert_array_equal(path[: length + 1], one.path(i))
            assert (path[length:] == path[length]).all()
            assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() <= STEP_SIZE + 1e-5
            row, column = path[-1].astype(int)
            assert saved["region"][i, row, column] == saved["success"][turn, i]
    for i, command in enumerate(episodes["direct"].commands):
        assert (saved["text"][i], saved["label"][i], saved["category"][i]) == (
            command.text,
            command.label,
            command.category,
        )


def test_what_was_not_understood_is_told_of_each_text_once(agent: Agent, world: PointMaze) -> None:
    commands = suite_commands(world, 7 * 60, 0)  # more than there are unknown sentences
    policy = agent.policy()
    with torch.no_grad():
        agent.least_familiarity.fill_(0.9)
    report = understood(policy, commands)
    assert tuple(report) == SUITE
    for category, found in report.items():
        texts = {command.text for command in commands if command.category == category}
        heard = [policy.understand(text) for text in texts]
        assert found["texts"] == len(texts)
        unknown, contradictory = ([not getattr(one, how) for one in heard] for how in ("known", "consistent"))
        assert found["unknown"]["mean"] == pytest.approx(np.mean(unknown))
        assert found["contradictory"]["mean"] == pytest.approx(np.mean(contradictory))
        either = [a or b for a, b in zip(unknown, contradictory, strict=True)]
        assert found["not_understood"]["mean"] == pytest.approx(np.mean(either))
        assert found["not_understood"]["low"] <= found["not_understood"]["mean"] <= found["not_understood"]["high"]
    assert report["unknown"]["texts"] == 50
    with torch.no_grad():
        agent.least_familiarity.fill_(-1.0)
    assert {found["unknown"]["mean"] for found in understood(policy, commands).values()} == {0.0}
