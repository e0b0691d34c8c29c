"""What is asked in a maze, how it is judged, and against whom an agent is held there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent
from goalbridge.configs.checks import ConfigError
from goalbridge.encoders import LabelEncoder
from goalbridge.envs.commands import CommandError, MazeCommands
from goalbridge.envs.layouts import Layout, resolve_layout
from goalbridge.envs.places import CATEGORIES
from goalbridge.envs.point_maze import PointMaze
from goalbridge.envs.suite import SATISFIABLE, SUITE, UNSATISFIABLE
from goalbridge.evaluation.rollout import play
from goalbridge.evaluation.statistics import estimated
from goalbridge.worlds import Episodes, Task, World, spl
from goalbridge.worlds.maze.pictures import posterior_map
from goalbridge.worlds.maze.settings import MazeEvaluation, MazeSettings
from goalbridge.worlds.maze.words import not_understood, playable, suite_commands
from goalbridge.worlds.maze.world import MazeWorld

SUITE_SETTINGS = MazeEvaluation(suite="ambiguous")


@pytest.fixture(scope="module")
def world(make_maze: Callable[..., MazeWorld]) -> MazeWorld:
    return make_maze()


@pytest.fixture
def agent(make_agent: Callable[..., Agent], fake_text: Any) -> Agent:
    return make_agent(fake_text)


def test_spl_is_the_formula() -> None:
    success = np.array([True, True, False, True, True])
    shortest, path = np.array([3.0, 3.0, 3.0, 0.0, 2.0]), np.array([6.0, 2.5, 3.0, 0.0, 2.0])
    np.testing.assert_allclose(spl(success, shortest, path), [0.5, 1.0, 0.0, 0.0, 1.0])


def test_metrics_of_episodes_by_hand(tmp_path: Any) -> None:
    (tmp_path / "ring.txt").write_text(".....\n.###.\n.....")
    world = MazeWorld(MazeSettings(layout=str(tmp_path / "ring.txt")))
    commands = MazeCommands(Layout.from_text(".....\n.###.\n.....", "ring"))
    row_two = Task("row 2", "row", 0, meant=commands.command(commands.labels.index("row 2")))
    paths = tuple(
        np.array([start, end]) for start, end in (((0.5, 0.5), (2, 0.5)), ((0.5, 2.5),) * 2, ((0.5, 0.5),) * 2)
    )
    played = Episodes((row_two,) * 3, np.array([True, False, True]), np.array([3, 3, 6]), paths, {})
    metrics = world.metrics(played)
    np.testing.assert_allclose(metrics["spl"], [1.5 / 1.5, 0, 1.5 / 3.0], atol=2e-3)  # the face of row 2 is 1.5 away
    np.testing.assert_allclose(metrics["spl_grid"], [1.0, 0, 2.0 / 3.0], atol=2e-3)  # two cells away


@pytest.mark.parametrize(("episodes", "each"), [(1, 4), (28, 4), (29, 5), (1000, 143)])
def test_the_suite_has_as_many_of_each_category(world: MazeWorld, episodes: int, each: int) -> None:
    commands = suite_commands(world.maze, episodes, 0)
    assert [c.category for c in commands] == [name for name in SUITE for _ in range(each)]
    assert {command.category for command in playable(commands)} == set(SATISFIABLE)
    assert all(command.region.any() for command in playable(commands))
    again, other = suite_commands(world.maze, episodes, 0), suite_commands(world.maze, episodes, 1)
    assert [c.text for c in again] == [c.text for c in commands]
    assert [c.text for c in other] != [c.text for c in commands]


def test_what_cannot_be_asked_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Column 4 is a cell that is walled in; and a maze of one row is all row 0."""
    maze = PointMaze(resolve_layout(np.array([[0, 0, 1, 1, 0], [0, 0, 1, 1, 1]])))
    commands = suite_commands(maze, 70, 0)
    labels = {command.label for command in playable(commands)}
    assert {"row 0", "row 1", "column 0"} <= labels
    assert not {"column 4", "row 0, column 4"} & labels
    for command in commands:
        maze.cells_asking(maze.check_command(command))
    line = PointMaze(resolve_layout(np.array([[0, 0]])))
    assert "row 0" not in {command.label for command in suite_commands(line, 70, 0)}
    impossible = [command for command in commands if command.category in UNSATISFIABLE]
    monkeypatch.setattr("goalbridge.worlds.maze.words.draw_suite", lambda *_: impossible)
    with pytest.raises(ConfigError, match="suite=ambiguous: expected a maze in which some of it can be asked"):
        suite_commands(maze, 7, 0)


@pytest.mark.parametrize("settings", [MazeEvaluation(), MazeEvaluation(phrasings="train"), SUITE_SETTINGS])
def test_an_episode_begins_as_it_was_asked(world: MazeWorld, agent: Agent, settings: MazeEvaluation) -> None:
    tasks = world.tasks(agent, settings, 30, 5)
    assert tasks[0].seed == 5
    assert len({task.text for task in tasks}) > 10
    assert {task.category for task in tasks} == (set(SATISFIABLE) if settings.suite else {"row", "column"})
    begun = world.begin(tasks)
    asked = begun.env.current_commands  # type: ignore[attr-defined]
    assert [command.text for command in asked] == [task.text for task in tasks]
    for position, task in zip(begun.observation["achieved_goal"], tasks, strict=True):
        meant = world.satisfied_by(task, position[None])
        assert meant is not None
        assert not meant[0]  # nobody begins where it is sent
    other = world.tasks(agent, replace(settings, suite="", phrasings="train"), 30, 5)
    assert [task.text for task in other] != [task.text for task in tasks] or settings.phrasings == "train"


def test_agents_that_read_labels_are_asked_by_labels(world: MazeWorld, make_agent: Callable[..., Agent]) -> None:
    agent = make_agent(LabelEncoder(world.captions.labels))
    watched = world.watched_tasks(agent, 8, 0)
    assert {task.category for task in watched} == set(CATEGORIES)
    assert {task.text for task in watched} <= set(world.captions.labels)
    assert {task.text for task in world.tasks(agent, MazeEvaluation(), 20, 0)} <= set(world.captions.labels)
    spoken = MazeWorld(replace(world.settings, categories=("line",)))
    assert {task.category for task in spoken.watched_tasks(agent, 8, 0)} == {"line"}
    with pytest.raises(ConfigError, match="suite=ambiguous: expected an agent that reads words, got one of encoder=la"):
        world.tasks(agent, SUITE_SETTINGS, 7, 0)


def test_references_are_ranked_as_they_must_be(world: MazeWorld, agent: Agent) -> None:
    tasks = world.tasks(agent, MazeEvaluation(), 60, 5)
    references = world.references(agent, MazeEvaluation(candidate_actions=16), 0)
    found = {name: play(world, tasks, make)[""] for name, make in references.items()}
    assert set(found) == {"limit", "expert", "random"}
    assert found["limit"].success.all()
    assert found["expert"].success.mean() > 0.95
    assert found["random"].success.mean() < 0.8
    assert found["limit"].steps.mean() < found["expert"].steps.mean() < found["random"].steps.mean()


@pytest.mark.parametrize(
    ("words", "says", "judged"),
    [
        ("go to row 3", "is true of 5 of the 155 free cells", True),
        ("row 3 or column 5", "is true of 13 of the 155 free cells", True),
        ("row 1 and row 5", "is true of no cell of this maze: it is followed, in vain", False),
        ("make me a sandwich", "names no places of this maze: it is followed, but cannot be judged", False),
    ],
)
def test_own_words_are_judged_where_they_name_places(world: MazeWorld, words: str, says: str, judged: bool) -> None:
    task, said = world.follow_task(words, 3, MazeEvaluation())
    assert (said, task.text, task.seed) == (says, words, 3)
    meant = world.satisfied_by(task, np.array([[3.5, 12.5], [0.5, 0.5]]))
    assert (meant is not None) == judged
    everywhere = " or ".join(f"column {number}" for number in range(15))
    with pytest.raises(CommandError, match="holds wherever it is reached"):
        world.follow_task(everywhere, 3, MazeEvaluation())


def test_places_are_cells_and_the_posterior_is_drawn_in_them(world: World) -> None:
    goals = np.array([[0.1, 0.9], [0.8, 0.2], [1.1, 0.9], [0.1, 1.1]], np.float32)
    places = world.places(goals)
    assert places[0] == places[1]
    assert len(set(places.tolist())) == 3
    heat = posterior_map(world.layout, goals, np.array([0.1, 0.2, 0.3, 0.4]))  # type: ignore[attr-defined]
    assert (heat[0, 0], heat[1, 0], heat[0, 1]) == pytest.approx((0.3, 0.3, 0.4))


def test_what_was_not_understood_is_told_of_each_text_once(world: MazeWorld, agent: Agent) -> None:
    commands = suite_commands(world.maze, 7 * 60, 0)  # more than there are unknown sentences
    policy = agent.policy()
    with torch.no_grad():
        agent.least_familiarity.fill_(0.9)
    report = estimated(not_understood(policy, commands))
    assert tuple(report) == SUITE
    for category, found in report.items():
        texts = {command.text for command in commands if command.category == category}
        read = [policy.understand(text) for text in texts]
        assert found["texts"] == len(texts)
        assert found["unknown"]["mean"] == pytest.approx(np.mean([not one.known for one in read]))
        assert found["contradictory"]["mean"] == pytest.approx(np.mean([not one.consistent for one in read]))
        assert found["not_understood"]["mean"] == pytest.approx(np.mean([not one.understood for one in read]))
    assert Counter(found["texts"] for found in report.values())[50] >= 1
    with torch.no_grad():
        agent.least_familiarity.fill_(-1.0)
    assert {found["unknown"].max() for found in not_understood(policy, commands).values()} == {0.0}


def test_what_decides_on_the_episodes_is_told(world: MazeWorld, agent: Agent) -> None:
    about = world.about(MazeEvaluation())
    assert (about["env"], about["layout"]) == ("goalbridge/ForkMaze-v0", agent.world.fingerprint)
    assert about != MazeWorld(replace(world.settings, action_noise_degrees=5.0)).about(MazeEvaluation())
    assert world.about(SUITE_SETTINGS)["suite"] == "ambiguous"
    with pytest.raises(ConfigError, match="bridge_goals=31: expected at most the agent's 30"):
        world.policy_options(agent, MazeEvaluation(bridge_goals=31))
