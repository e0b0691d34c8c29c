"""A user's environment as tasks: captions that do not hold at the start, judged by the user's functions, drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goalbridge.agents import Agent
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import AgentConfig, PolicyConfig
from goalbridge.evaluation.metrics import measured
from goalbridge.evaluation.rollout import play
from goalbridge.worlds import Moment, Task
from goalbridge.worlds.gym.settings import GymEvaluation, GymSettings
from goalbridge.worlds.gym.world import GymWorld

FUNCTIONS = """
def captions(goal):
    return [f"row {goal // 4}", f"column {goal % 4}"]

def always(goal):
    return ["somewhere"]

def beyond_row_0(goal, instruction):
    return goal > 3
"""


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_text: Any) -> Callable[..., tuple[GymWorld, Agent]]:
    """A frozen lake with these functions, and an agent of it that has learnt nothing."""
    (tmp_path / "lake_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def build(captions: str = "captions", success: str = "") -> tuple[GymWorld, Agent]:
        functions = (f"lake_functions:{captions}", success and f"lake_functions:{success}")
        world = GymWorld(GymSettings("FrozenLake-v1", *functions, max_episode_steps=20))
        data = world.collect(DataConfig("random", trajectories=60, walk_length=20), 0)
        goals = np.asarray(data.goals)[:100]
        world.meet(data, goals)
        networks = AgentConfig(width=16, depth=2, embedding_dim=8)
        return world, Agent(world.spec, networks, PolicyConfig(), fake_text, world.candidates(4), goals).eval()

    return build


def test_captions_are_asked_that_do_not_hold_at_the_start(opened: Callable[..., tuple[GymWorld, Agent]]) -> None:
    world, agent = opened()
    tasks = world.tasks(agent, GymEvaluation(), 40, 3)
    assert [task.seed for task in tasks] == list(range(3, 43))
    assert {task.text for task in tasks} <= set(world.known_texts(agent)) - {"row 0", "column 0"}
    assert world.tasks(agent, GymEvaluation(), 40, 3)[7].text == tasks[7].text
    everywhere, lost = opened("always")
    with pytest.raises(ConfigError, match="expected captions that are not true everywhere"):
        everywhere.tasks(lost, GymEvaluation(), 4, 0)


@pytest.mark.parametrize("success", ["", "beyond_row_0"])
def test_episodes_end_where_the_users_functions_say_so(
    opened: Callable[..., tuple[GymWorld, Agent]], success: str
) -> None:
    world, agent = opened(success=success)
    tasks = world.tasks(agent, GymEvaluation(), 40, 3)
    chance = world.references(agent, GymEvaluation(), 0)["random"](tasks)
    episodes = play(world, tasks, lambda _: chance)[""]
    assert episodes.success.sum() > 0
    for task, path, done in zip(episodes.tasks, episodes.goals, episodes.success, strict=True):
        held = world.satisfied_by(task, path)
        assert held is not None
        assert held[-1] == done
        assert not held[:-1].any()
    assert "prob" in measured(world, episodes, None)  # a figure of this environment's info
    world.at_once = 7
    again = play(world, tasks, lambda _: chance)[""]
    np.testing.assert_array_equal(again.steps, episodes.steps)  # however many are played at once


@pytest.mark.parametrize(
    ("words", "success", "judged"),
    [("row 1", "", True), ("row 2 or column 1", "", False), ("anything", "beyond_row_0", True)],
)
def test_own_words_are_judged_where_the_functions_know_them(
    opened: Callable[..., tuple[GymWorld, Agent]], words: str, success: str, judged: bool
) -> None:
    world, agent = opened(success=success)
    world.tasks(agent, GymEvaluation(), 4, 0)
    task, said = world.follow_task(words, 3, GymEvaluation())
    assert said.startswith("is judged by the world's functions" if judged else "is no caption: it is followed, but")
    assert (world.satisfied_by(task, agent.bridge_goals.numpy()) is not None) == judged
    goal = agent.bridge_goals[:1].numpy()[0]
    assert world.describe(goal).startswith("where row ")


def test_frames_are_what_the_environment_renders_below_the_words(opened: Callable[..., tuple[GymWorld, Agent]]) -> None:
    world, _ = opened()
    picture = np.full((64, 64, 3), 90, np.uint8)
    moment = Moment(Task("row 1", "c", 0), None, np.zeros((1, 1)), picture)
    one, other = (world.frame(moment, None, title) for title in ("row 1", "column 3"))
    assert one is not None
    assert other is not None
    assert one.shape == other.shape
    assert one.shape[0] > one.shape[1] == 320
    assert (one[-320:] == 90).all()
    assert (one[:-320] != other[:-320]).any()
    assert world.frame(Moment(moment.task, None, moment.goals), None, "row 1") is None


def test_more_goals_than_the_agent_knows_are_refused(opened: Callable[..., tuple[GymWorld, Agent]]) -> None:
    world, agent = opened()
    with pytest.raises(ConfigError, match="bridge_goals=101: expected at most the agent's 100"):
        world.policy_options(agent, GymEvaluation(bridge_goals=101))
    assert world.policy_options(agent, GymEvaluation(bridge_goals=5))["goals"].shape[0] == 5
