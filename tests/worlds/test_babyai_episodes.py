"""BabyAI's levels as tasks: the optimum, the bot, slices, places, and words that no verifier judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.agents import Agent
from goalbridge.encoders import LabelEncoder
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.levels import LEVELS, LevelError
from goalbridge.envs.babyai.optimum import bot_steps
from goalbridge.evaluation.metrics import measured
from goalbridge.evaluation.rollout import play
from goalbridge.worlds import Task
from goalbridge.worlds.babyai.episodes import Bot, ambiguous, names_held_out, random_actions, watched_levels
from goalbridge.worlds.babyai.settings import BabyAIEvaluation
from goalbridge.worlds.babyai.world import BabyAIWorld

EMPTY, KEY, BALL, RED, BLUE = 1, 5, 6, 0, 2
OPTIONS = {"view": "full", "canonical": False}


@pytest.fixture(scope="module")
def world(make_babyai: Callable[..., BabyAIWorld]) -> BabyAIWorld:
    return make_babyai()


def asked(name: str, count: int, seed: int, view: str = "full") -> list[Task]:
    return [Task("", name, seed + i, name, OPTIONS | {"view": view}) for i in range(count)]


@pytest.mark.parametrize("name", ["GoToLocal", "GoToObjMazeS4R2", "GoToSeqS5R2"])
def test_the_optimum_is_what_nobody_beats_and_the_bot_finds_its_way(world: BabyAIWorld, name: str) -> None:
    tasks = asked(name, 6, 11)
    makers: dict[str, Any] = {"bot": lambda _: Bot(), "random": lambda _: random_actions(0)}
    found = {who: play(world, tasks, make)[name] for who, make in makers.items()}
    assert [task.text for task in found["bot"].tasks] == [task.text for task in found["random"].tasks]
    np.testing.assert_array_equal(found["bot"].info["optimum"], found["random"].info["optimum"])
    assert found["bot"].success.all()
    for episodes in found.values():
        metrics = measured(world, episodes, None)
        assert not any(name[0] == "_" for name in metrics)
        failed = ~episodes.success
        np.testing.assert_array_equal(metrics["steps"][failed], episodes.info["_limit"][failed])  # the level's own
        if name == "GoToSeqS5R2":
            assert "spl" not in metrics
            assert np.isnan(metrics["optimum"]).all()
        else:
            assert (metrics["steps"] >= metrics["optimum"]).all()
            np.testing.assert_allclose(metrics["spl"], np.where(failed, 0, metrics["optimum"] / metrics["steps"]))


def test_the_bot_plays_minigrids_own_environment(world: BabyAIWorld, make_grid_agent: Callable[..., Agent]) -> None:
    episodes = Bot().play(asked("GoToObjMazeS4R2", 3, 40))
    for i in range(3):
        env: Any = gymnasium.make("BabyAI-GoToObjMazeS4R2-v0", disable_env_checker=True).unwrapped
        env.reset(seed=40 + i)
        assert env.mission == episodes.tasks[i].text
        assert bot_steps(env) == (episodes.success[i], episodes.steps[i])
    bot = world.references(make_grid_agent(), BabyAIEvaluation(), 0)["bot"]
    assert bot(asked("FourRooms", 1, 0)) is None  # which it cannot read
    assert isinstance(bot(asked("GoToLocal", 1, 0)), Bot)


@pytest.mark.parametrize("view", ["full", "partial"])
@pytest.mark.parametrize("name", ["GoToLocal", "GoToRedBlueBall", "GoToObjMazeS4R2", "FourRooms", "GoToSeqS5R2"])
def test_environments_are_used_again_as_if_they_were_new(
    make_babyai: Callable[..., BabyAIWorld], name: str, view: str
) -> None:
    played = []
    for seed, chance in ((5, 0), (100, 1), (5, 0)):
        make = partial(lambda drawn, _: random_actions(drawn), chance)
        played.append(play(make_babyai(), asked(name, 3, seed, view), make)[name])
    first, _, again = played
    assert [task.text for task in first.tasks] == [task.text for task in again.tasks]
    for name in ("success", "steps"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    for one, two in zip(first.goals, again.goals, strict=True):
        np.testing.assert_array_equal(one, two)


def test_chance_is_uniform_and_each_episodes_own() -> None:
    chance = random_actions(3)
    drawn = np.array([chance.act({}, ["x"] * 50) for _ in range(80)])  # [80, 50]
    assert (np.abs(np.bincount(drawn.reshape(-1), minlength=4) / drawn.size - 0.25) < 0.03).all()
    assert not (drawn[:, 0] == drawn[:, 1]).all()
    chance.reset()
    np.testing.assert_array_equal(chance.act({}, ["x"] * 2, [7, 4]), drawn[0, [7, 4]])


@pytest.mark.parametrize(
    ("mission", "is_ambiguous", "held_out"),
    [
        ("go to a red ball", True, False),
        ("go to the red ball", False, False),
        ("go to the green ball", False, True),
        ("go to a yellow key", True, True),
        ("go to the purple door", False, False),
        ("go to the blue key and go to a blue box", True, True),
        ("go to a door", True, None),
        ("the top left room is where you should be", False, None),
    ],
)
def test_missions_belong_to_slices(world: BabyAIWorld, mission: str, is_ambiguous: bool, held_out: bool | None) -> None:
    assert ambiguous(mission) is is_ambiguous
    assert names_held_out(mission) is held_out
    found = {name for name, rows in world.slices([Task(mission, "c", 0)]).items() if rows[0]}
    expected = {"ambiguous" if is_ambiguous else "unambiguous"}
    if held_out is not None:
        expected.add("held_out_things" if held_out else "seen_things")
    assert found == expected


@pytest.mark.parametrize("name", ["GoToLocal", "FourRooms", "GoToObjMazeS4R2"])
def test_a_success_ends_where_the_mission_was_meant(world: BabyAIWorld, name: str) -> None:
    episodes = play(world, asked(name, 12, 3), lambda _: random_actions(1))[name]
    assert episodes.success.any()
    for task, path, success in zip(episodes.tasks, episodes.goals, episodes.success, strict=True):
        meant = world.satisfied_by(task, path)
        assert meant is not None
        assert meant[-1] or not success
    (sequence,) = world.begin(asked("GoToSeqS5R2", 1, 0)).tasks
    assert world.satisfied_by(sequence, episodes.goals[0]) is None


def test_places_are_things_or_cells(world: BabyAIWorld) -> None:
    goals = np.array([
        (3, 4, 0, 6, 6, BALL, RED), (4, 3, 1, 6, 6, BALL, RED), (1, 2, 3, 6, 6, KEY, BLUE), (2, 2, 0, 6, 6, EMPTY, 0),
    ])  # fmt: skip
    said = ["red ball at (4, 4)", "red ball at (4, 4)", "blue key at (1, 1)", "floor at (2, 2)"]
    assert [world.describe(goal) for goal in goals] == said
    places = world.places(goals)
    assert places[0] == places[1]
    assert len(set(places.tolist())) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("go to a red ball", "words the caption 'red ball'; no verifier judges it"),
        ("fly to the moon", "is in no caption; no verifier judges it"),
        ("pick up the red ball", "asks to pick up, a mission of other levels"),
    ],
)
def test_own_words_are_followed_and_not_judged(world: BabyAIWorld, words: str, says: str) -> None:
    task, said = world.follow_task(words, 4, BabyAIEvaluation(("GoToObjS4",)))
    assert said.startswith(says)
    assert "in layouts of GoToObjS4" in said
    begun = world.begin([task])
    assert begun.tasks[0].text == words
    assert world.satisfied_by(begun.tasks[0], np.asarray(begun.observation["achieved_goal"])) is None
    assert world.ends_where_meant()
    episodes = play(world, [task], lambda _: random_actions(0))["GoToObjS4"]
    assert (episodes.success[0], episodes.steps[0]) == (False, episodes.info["_limit"][0])  # whatever it met


def test_levels_are_those_that_can_be_read(world: BabyAIWorld, make_grid_agent: Callable[..., Agent]) -> None:
    tasks = world.tasks(make_grid_agent(), BabyAIEvaluation(("GoToLocal", "GoToLocal")), 2, 7)
    assert [(task.group, task.seed) for task in tasks] == [("GoToLocal", 7), ("GoToLocal", 8)]
    everything = {task.group for task in world.tasks(make_grid_agent(), BabyAIEvaluation(), 1, 0)}
    assert everything == set(LEVELS)
    labels = make_grid_agent(LabelEncoder(GridCaptions().labels))
    readable = {task.group for task in world.tasks(labels, BabyAIEvaluation(), 1, 0)}
    assert readable == {name for name, level in LEVELS.items() if level.family != "sequence"}
    with pytest.raises(LevelError, match=r"^levels: expected a navigation level, got 'Unlock'"):
        world.tasks(make_grid_agent(), BabyAIEvaluation(("Unlock",)), 1, 0)
    with pytest.raises(LevelError, match=r"^env\.levels: expected a navigation level, got 'Unlock'"):
        BabyAIWorld(replace(world.settings, levels=("Unlock",)))


def test_few_small_levels_are_watched_in_training() -> None:
    many = ("GoTo", "GoToLocal", "FourRooms", "GoToObjMazeS4", "GoToObj", "GoToLocal", "GoToRedBall", "GoToObjS4")
    assert watched_levels(many) == ("GoToLocal", "GoToObj", "GoToRedBall", "GoToObjMazeS4")
    assert watched_levels(("GoTo", "GoToObjMaze")) == ("GoTo",)
    assert watched_levels(("GoToDoor", "FourRooms")) == ("GoToDoor", "FourRooms")
