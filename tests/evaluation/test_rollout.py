"""The one rollout: paired between actors, frozen once over, the same in parts and groups; and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.encoders import LabelEncoder
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.evaluation.metrics import measured
from goalbridge.evaluation.rollout import by_group, play, rollout
from goalbridge.worlds import Begun, Episodes, Task, World
from goalbridge.worlds.babyai.episodes import random_actions
from goalbridge.worlds.babyai.settings import BabyAIEvaluation
from goalbridge.worlds.maze.settings import MazeEvaluation

E, STEPS = 25, 30


class Scripted:
    """Acts by a table of angles [E, T]; remembers what it was shown."""

    def __init__(self, seed: int = 0) -> None:
        self.angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, size=(E, STEPS))
        self.reset()

    def reset(self) -> None:
        self.clock = 0
        self.shown: list[tuple[list[int], NDArray[Any], list[str]]] = []

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        assert episodes is not None
        assert len(observation) == len(instructions) == len(episodes)
        self.shown.append((list(episodes), observation.copy(), list(instructions)))
        angle = self.angles[list(episodes), self.clock]
        self.clock += 1
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def world(make_maze: Callable[..., World]) -> World:
    return make_maze(max_episode_steps=STEPS)


@pytest.fixture(scope="module")
def tasks(world: World, make_agent: Callable[..., Agent]) -> tuple[Task, ...]:
    return world.tasks(make_agent(), MazeEvaluation(), E, 7)


def same(one: Episodes, other: Episodes) -> bool:
    pairs = [(one.success, other.success), (one.steps, other.steps), *zip(one.goals, other.goals, strict=True)]
    pairs += [(one.info[name], other.info[name]) for name in one.info]
    told = [[task.text for task in episodes.tasks] for episodes in (one, other)]
    return told[0] == told[1] and all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def test_every_actor_meets_the_same_starts_commands_and_noise(
    make_maze: Callable[..., World], world: World, tasks: tuple[Task, ...], make_agent: Callable[..., Agent]
) -> None:
    one, other = (rollout(world, tasks, Scripted(seed)) for seed in (0, 1))
    assert same(one, rollout(make_maze(max_episode_steps=STEPS), tasks, Scripted(0)))  # in a world made anew, too
    assert [task.text for task in one.tasks] == [task.text for task in other.tasks]
    turns = []
    for episodes, seed in ((one, 0), (other, 1)):
        moves = np.stack([np.diff(path[:3], axis=0)[:2] for path in episodes.goals])  # [E, 2, 2]
        turn = np.arctan2(moves[..., 1], moves[..., 0]) - Scripted(seed).angles[:, :2]
        turns.append(np.angle(np.exp(1j * turn)))
    np.testing.assert_array_equal([path[0] for path in one.goals], [path[0] for path in other.goals])
    assert not same(one, other)
    assert (np.abs(turns[0] - turns[1]) < 0.02).mean() > 0.4  # all but those at walls
    later = world.tasks(make_agent(), MazeEvaluation(), E, 8)
    assert not np.array_equal(rollout(world, later, Scripted()).goals[0][0], one.goals[0][0])


def test_a_finished_episode_is_frozen_and_no_longer_shown(world: World, tasks: tuple[Task, ...]) -> None:
    actor = Scripted()
    episodes = rollout(world, tasks, actor)
    assert 0 < (episodes.steps < STEPS).sum() < E
    assert episodes.success[episodes.steps < STEPS].all()  # nothing but success ends an episode early
    for i, (task, path) in enumerate(zip(episodes.tasks, episodes.goals, strict=True)):
        assert len(path) == episodes.steps[i] + 1 <= STEPS + 1
        assert sum(i in keys for keys, _, _ in actor.shown) == episodes.steps[i]
        held = world.satisfied_by(task, path)
        assert held is not None
        assert held[-1] == episodes.success[i]
        assert not held[:-1].any()
    for step, (keys, seen, texts) in enumerate(actor.shown):
        np.testing.assert_array_equal(seen, [episodes.goals[key][step] for key in keys])
        assert texts == [episodes.tasks[key].text for key in keys]


def test_keys_words_and_starts_are_what_the_actor_is_told(world: World, tasks: tuple[Task, ...]) -> None:
    actor, begun = Scripted(), list[Begun]()
    episodes = rollout(world, tasks[:3], actor, 20, lambda text: f"please {text}", begun.append)
    assert actor.shown[0][0] == [20, 21, 22]
    told = [f"please {task.text}" for task in tasks[:3]]
    assert actor.shown[0][2] == told == [task.text for task in begun[0].tasks] == [t.text for t in episodes.tasks]


def test_watching_sees_every_moment_and_may_stop(world: World, tasks: tuple[Task, ...]) -> None:
    seen: list[NDArray[Any]] = []

    def watch(begun: Begun, now: Any) -> bool:
        seen.append(now["achieved_goal"][0])
        return len(seen) == 4

    episodes = rollout(world, tasks[:1], Scripted(), watch=watch)
    assert (len(seen), episodes.steps.tolist(), episodes.success.tolist()) == (4, [3], [False])
    np.testing.assert_array_equal(episodes.goals[0], seen)
    assert rollout(world, tasks[:1], Scripted(), watch=lambda *_: True).steps.tolist() == [0]


@pytest.mark.parametrize("name", ["planned", "logsumexp", "sample", "random"])
@pytest.mark.parametrize("view", ["full", "partial"])
def test_how_many_are_played_at_once_changes_nothing(
    make_babyai: Callable[..., Any], make_grid_agent: Callable[..., Agent], name: str, view: str
) -> None:
    world, agent = make_babyai(), make_grid_agent()
    tasks = world.tasks(agent, BabyAIEvaluation(("GoToLocalS6N3",), view), 7, 5)
    actor: Any = random_actions(11) if name == "random" else agent.policy(name)
    played = []
    for world.at_once in (128, 3, 1):
        played.append(play(world, tasks, lambda _: actor)["GoToLocalS6N3"])
    assert same(played[0], played[1])
    assert same(played[0], played[2])


def test_groups_are_played_one_after_the_other_and_some_are_left_out(make_babyai: Callable[..., Any]) -> None:
    world = make_babyai()
    names = ("GoToLocal", "FourRooms", "GoToObjMazeS4R2")
    tasks = [Task("", name, 3 + i, name, {"view": "full", "canonical": False}) for i in range(2) for name in names]
    assert {group: len(own) for group, own in by_group(tasks).items()} == dict.fromkeys(names, 2)

    def make(own: Sequence[Task]) -> Any:
        return None if own[0].group == "FourRooms" else random_actions(0)

    played = play(world, tasks, make)
    assert set(played) == {"GoToLocal", "GoToObjMazeS4R2"}
    again = play(world, [task for task in tasks if task.group == "GoToLocal"], make)
    assert same(played["GoToLocal"], again["GoToLocal"])  # in environments that were played in before


def test_an_agent_that_reads_labels_is_told_the_one_that_its_mission_words(
    make_babyai: Callable[..., Any], make_grid_agent: Callable[..., Agent]
) -> None:
    labels = GridCaptions().labels
    world, agent = make_babyai(), make_grid_agent(LabelEncoder(labels))
    tasks = world.tasks(agent, BabyAIEvaluation(("GoToLocal", "FourRooms")), 2, 0)
    told = {task.text for begun in (world.begin(tasks[:2]), world.begin(tasks[2:])) for task in begun.tasks}
    assert told <= set(labels)


class Counting:
    """An environment whose info holds figures of all kinds; episode i ends after i + 1 steps."""

    single_action_space = SimpleNamespace(shape=(), dtype=np.int64)
    clock = 0

    def step(self, actions: NDArray[Any]) -> Any:
        self.clock += 1
        over, never = self.clock > np.arange(2), np.zeros(2, np.bool_)
        info = {"is_success": over, "energy": np.full(2, self.clock), "_energy": over, "words": np.array(["a", "b"])}
        return seen(), np.zeros(2), over, never, info | {"pairs": np.zeros((2, 2)), "final_obs": over}


def seen() -> dict[str, NDArray[Any]]:
    return {"observation": np.zeros((2, 1)), "achieved_goal": np.zeros((2, 1))}


def test_figures_of_the_last_info_are_metrics(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"known": np.array([1.0, 2.0]), "_kept": np.array([0.0, 0.0])}
    tasks = (Task("x", "c", 0), Task("y", "c", 1))
    env: Any = Counting()
    monkeypatch.setattr(world, "begin", lambda *_, **__: Begun(env, seen(), tasks, facts))
    monkeypatch.setattr(world, "metrics", lambda episodes: {})
    actor: Any = SimpleNamespace(act=lambda seen, texts, keys: np.zeros(len(texts)))
    episodes = rollout(world, tasks, actor)
    found = measured(world, episodes, None)
    assert {name: values.tolist() for name, values in found.items()} == {
        "success": [1, 1], "steps": [1, 2], "known": [1, 2], "energy": [1, 2],
    }  # fmt: skip
    monkeypatch.setattr(world, "metrics", lambda episodes: {"steps": np.array([9.0, 9.0])})
    assert measured(world, replace(episodes, info={}), None)["steps"].tolist() == [9, 9]  # the world's own steps
