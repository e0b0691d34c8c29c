"""Estimators and rivals meet the same episodes of a level, however many are played at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.agents import Agent
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.encoders import LabelEncoder
from goalbridge.envs.babyai.bot import bot_steps
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.evaluation.grid_actors import OWN_ESTIMATORS, Chance, grid_actor, grid_estimators
from goalbridge.evaluation.grid_compare import compare_level, play_bot, play_in_parts, reworder

CONFIG = EvaluateConfig("unused", seed=11)
MakeAgent = Callable[..., Agent]


def test_all_meet_the_same_missions_and_the_bot_finds_its_way(make_grid_agent: MakeAgent) -> None:
    said: list[str] = []
    outcomes = compare_level("GoToLocal", OWN_ESTIMATORS, make_grid_agent(), CONFIG, 8, "full", report=said.append)
    assert tuple(outcomes) == OWN_ESTIMATORS == tuple(said)
    first = outcomes["planned"]
    assert len(set(first.missions)) > 1
    for outcome in outcomes.values():
        assert outcome.missions == first.missions
        np.testing.assert_array_equal(outcome.optimum, first.optimum)
        assert outcome.success.shape == outcome.steps.shape == outcome.optimum.shape == (8,)
        assert (outcome.steps[~outcome.success] == 64).all()  # the level's own limit
        assert (outcome.steps >= outcome.optimum).all()
    assert outcomes["bot"].success.all()
    assert outcomes["bot"].steps.mean() < outcomes["random"].steps.mean()


def test_the_bot_plays_minigrids_own_environment() -> None:
    outcome = play_bot("GoToObjMazeS4R2", 3, 40)
    for i in range(3):
        env: Any = gymnasium.make("BabyAI-GoToObjMazeS4R2-v0", disable_env_checker=True).unwrapped
        env.reset(seed=40 + i)
        assert env.mission == outcome.missions[i]
        assert bot_steps(env) == (outcome.success[i], outcome.steps[i])


def test_the_bot_is_left_out_where_it_reads_no_missions(make_grid_agent: MakeAgent) -> None:
    outcomes = compare_level("FourRooms", ("random", "bot"), make_grid_agent(), CONFIG, 2, "full")
    assert set(outcomes) == {"random"}


@pytest.mark.parametrize("name", ["planned", "logsumexp", "sample", "random"])
@pytest.mark.parametrize("view", ["full", "partial"])
def test_how_many_are_played_at_once_changes_nothing(make_grid_agent: MakeAgent, name: str, view: str) -> None:
    agent = make_grid_agent()
    whole, thirds, single = (
        play_in_parts("GoToLocalS6N3", grid_actor(name, agent, CONFIG), 7, 5, view, at_once=at_once)
        for at_once in (128, 3, 1)
    )
    for other in (thirds, single):
        assert other.missions == whole.missions
        np.testing.assert_array_equal(other.steps, whole.steps)
        np.testing.assert_array_equal(other.success, whole.success)
        np.testing.assert_array_equal(other.optimum, whole.optimum)
    assert play_in_parts("GoToLocalS6N3", grid_actor(name, agent, CONFIG), 7, 6, view).missions != whole.missions


def test_chance_is_uniform_over_the_four_actions_and_the_same_again() -> None:
    chance = Chance(3)
    drawn = np.array([chance.act({}, ["x"] * 50) for _ in range(80)])  # [80, 50]
    counts = np.bincount(drawn.reshape(-1), minlength=4)
    assert len(counts) == 4
    assert (np.abs(counts / drawn.size - 0.25) < 0.03).all()
    assert not (drawn[:, 0] == drawn[:, 1]).all()
    chance.reset()
    np.testing.assert_array_equal(chance.act({}, ["x"] * 2, [7, 4]), drawn[0, [7, 4]])


def test_what_an_agent_cannot_do_is_named(make_grid_agent: MakeAgent) -> None:
    plain, seeing = make_grid_agent(), make_grid_agent(language_in_actions=True)
    assert grid_estimators(plain, ()) == OWN_ESTIMATORS
    assert grid_estimators(seeing, ("direct", "bot", "direct")) == ("direct", "bot")
    with pytest.raises(
        ConfigError, match=r"estimators=direct: needs an agent trained with agent\.language_in_actions=true; planned"
    ):
        grid_estimators(plain, ("planned", "direct"))
    for name in ("limit", "expert"):
        with pytest.raises(ConfigError, match=f"estimators={name}: means nothing in this world; planned, "):
            grid_estimators(seeing, (name,))
    assert compare_level("GoToObjS4", ("direct",), seeing, CONFIG, 2, "full")["direct"].steps.shape == (2,)


def test_an_agent_without_language_is_told_the_label_of_its_mission(make_grid_agent: MakeAgent) -> None:
    captions = GridCaptions()
    assert reworder(make_grid_agent(), captions) is None
    reword = reworder(make_grid_agent(LabelEncoder(captions.labels)), captions)
    assert reword is not None
    assert reword("go to a red ball") == "red ball"
    assert reword("step into the room at the top left") == "top left"
    assert reword("go to the sea") == "go to the sea"  # and the encoder will say that it does not know that
    agent = make_grid_agent(LabelEncoder(captions.labels))
    outcome = play_in_parts("GoToLocal", agent.policy("logsumexp"), 3, 0, reword=reword)
    assert all(mission.startswith("go to ") for mission in outcome.missions)  # the report keeps the level's own words
