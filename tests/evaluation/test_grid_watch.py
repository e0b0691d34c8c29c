"""Episodes of BabyAI's levels to look at: recorded as they were played, drawn, followed to where words lead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from goalbridge.agents import Agent
from goalbridge.configs.schema import RunConfig, TrainConfig
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.levels import LevelError
from goalbridge.envs.babyai.simulator import FORWARD, LEFT, TOGGLE
from goalbridge.evaluation.grid_actors import Chance, Numbered
from goalbridge.evaluation.grid_follow import Fulfilment, is_true_of, likeliest_places, place_of
from goalbridge.evaluation.grid_rollouts import play_level
from goalbridge.evaluation.grid_watch import MOST_FRAMES, Recording, posterior_cells, record, recording_frames
from goalbridge.evaluation.grid_watcher import GridWatcher, watched_levels
from goalbridge.worlds.babyai.settings import BabyAISettings

MakeAgent = Callable[..., Agent]
EMPTY, WALL, KEY, BALL = 1, 2, 5, 6
RED, BLUE = 0, 2


def room(**things: tuple[int, int, int, int]) -> dict[str, Any]:
    """A 6 x 6 room, the agent at (2, 2) facing right; things: x, y, type, colour."""
    grid = np.zeros((1, 6, 6, 3), dtype=np.uint8)
    grid[...] = (WALL, 5, 0)
    grid[:, 1:-1, 1:-1] = (EMPTY, 0, 0)
    for x, y, kind, colour in things.values():
        grid[0, x, y] = (kind, colour, 0)
    return {"grid": grid, "pose": np.array([[2, 2, 0]])}


class Scripted:
    """Plays the same actions over and over."""

    def __init__(self, actions: Sequence[int]) -> None:
        self.actions, self.clock = actions, 0

    def reset(self) -> None:
        self.clock = 0

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> Any:
        self.clock += 1
        return np.full(len(instructions), self.actions[(self.clock - 1) % len(self.actions)])


@pytest.mark.parametrize("name", ["GoToLocal", "FourRooms", "GoToObjMazeS4R2"])
def test_a_recording_is_the_episode_that_was_counted(name: str) -> None:
    counted = play_level(name, Numbered(Chance(0), 5), 3, 25)
    for i in range(3):
        recording = record(name, Chance(0), 5 + i, 20)
        np.testing.assert_array_equal(recording.path, counted.paths[i])
        assert recording.success == counted.success[i]
        assert recording.mission == recording.told == counted.missions[i]
        np.testing.assert_array_equal(recording.moments[0]["grid"][0], counted.grids[i])


def test_doors_swing_in_a_recording() -> None:
    for episode in range(30):
        recording = record("GoToObjMazeS4R2", Scripted([FORWARD, TOGGLE, FORWARD, LEFT]), episode, 0)
        states = {moment["grid"][..., 2][moment["grid"][..., 0] == 4].tobytes() for moment in recording.moments}
        if len(states) > 1:
            return
    pytest.fail("nobody ever opened a door")


def test_frames_show_the_whole_episode_in_few_pictures(make_grid_agent: MakeAgent) -> None:
    recording = record("GoToObjMazeS4", Scripted([LEFT]), 0, 0)
    assert len(recording.moments) > MOST_FRAMES
    frames = recording_frames(recording)
    assert MOST_FRAMES / 2 <= len(frames) <= MOST_FRAMES
    assert len({frame.shape for frame in frames}) == 1
    last = Recording(recording.level, recording.mission, recording.told, recording.moments[-1:], False)
    assert recording_frames(last)[0].shape == frames[-1].shape
    believed = recording_frames(last, make_grid_agent().policy("planned"), "other words")
    assert (believed[0] != recording_frames(last)[0]).any()


def test_the_posterior_lies_where_the_agent_could_stand(make_grid_agent: MakeAgent) -> None:
    seen = room(ball=(4, 4, BALL, RED))
    heat = posterior_cells(make_grid_agent().policy("planned"), seen, "go to the red ball")
    assert heat.shape == (6, 6)
    assert heat.sum() == pytest.approx(1, abs=1e-4)
    assert (heat[seen["grid"][0, ..., 0] == EMPTY] > 0).all()
    assert (heat[seen["grid"][0, ..., 0] != EMPTY] == 0).all()


def test_a_recording_stops_where_it_is_told_to_and_not_for_the_level() -> None:
    calls: list[int] = []

    def third(observation: Any) -> bool:
        calls.append(1)
        return len(calls) == 3

    recording = record("GoToLocal", Chance(0), 0, 0, reword=lambda _: "anything", stop=third)
    assert (len(recording.moments), recording.stopped, recording.told) == (3, True, "anything")
    assert len(record("GoToLocal", Chance(0), 0, 0, stop=lambda _: True).moments) == 1
    endless = record("GoToObj", Chance(0), 0, 0, stop=lambda _: False)
    assert len(endless.moments) == 65  # though chance is likely to have met the object on the way
    assert not endless.stopped


class Reader:
    """Believes in a given set of goals, all the same."""

    def __init__(self, goals: list[tuple[int, ...]], chances: list[float]) -> None:
        self._goals, self._chances = np.array(goals), np.array(chances, dtype=np.float32)

    def goals(self, observation: Any) -> list[Any]:
        return [self._goals]

    def goal_posterior(self, instructions: Sequence[str], observation: Any) -> list[Any]:
        return [self._chances]


def test_likeliest_places_are_things_or_cells() -> None:
    ball, again, key, floor = (
        (3, 4, 0, 6, 6, BALL, RED),
        (4, 3, 1, 6, 6, BALL, RED),
        (1, 2, 3, 6, 6, KEY, BLUE),
        (2, 2, 0, 6, 6, EMPTY, 0),
    )
    assert place_of(np.array(ball)) == place_of(np.array(again)) == "red ball at (4, 4)"
    assert place_of(np.array(key)) == "blue key at (1, 1)"
    policy = Reader([ball, key, floor, again], [0.3, 0.4, 0.1, 0.2])
    assert likeliest_places(policy, {}, "x", 2) == ["red ball at (4, 4)", "blue key at (1, 1)"]
    assert likeliest_places(policy, {}, "x")[2] == "floor at (2, 2)"


class Meanings:
    """An agent that knows red balls from blue keys and the rest, and reads "red ball" and "blue key"."""

    device = "cpu"

    class world:
        observation_high = (21.0, 21.0, 3.0, 22.0, 22.0)

    class policy_config:
        compose = True

    def encode_instructions(self, texts: Sequence[str]) -> Any:
        import torch

        return torch.tensor([["red ball" in text, "blue key" in text] for text in texts], dtype=torch.float32)

    def encode_meanings(self, goals: Any) -> Any:
        import torch

        is_ball, is_key = (goals[:, 5] == BALL) & (goals[:, 6] == RED), (goals[:, 5] == KEY) & (goals[:, 6] == BLUE)
        return torch.stack([is_ball, is_key], dim=1).float()

    def critic_bc(self, left: Any, right: Any) -> Any:
        return 10 * left @ right.T


def test_fulfilment_is_standing_where_the_words_lead() -> None:
    agent: Any = Meanings()
    nothing, ball = room(ball=(4, 4, BALL, RED)), room(ball=(3, 2, BALL, RED))
    both = room(ball=(4, 4, BALL, RED), key=(3, 2, KEY, BLUE))
    assert not Fulfilment(agent, "the red ball")(nothing)
    assert Fulfilment(agent, "the red ball")(ball)
    assert not Fulfilment(agent, "the red ball")(both)
    assert Fulfilment(agent, "the blue key")(both)


def test_parts_are_done_in_their_order() -> None:
    agent: Any = Meanings()
    at_key = room(ball=(4, 4, BALL, RED), key=(3, 2, KEY, BLUE))
    at_ball = room(key=(4, 4, KEY, BLUE), ball=(3, 2, BALL, RED))
    there = Fulfilment(agent, "go to the red ball, then go to the blue key")
    assert [there(seen) for seen in (at_key, at_ball, at_key)] == [False, False, True]
    after = Fulfilment(agent, "go to the red ball after you go to the blue key")
    assert [after(seen) for seen in (at_ball, at_key, at_ball)] == [False, False, True]


def test_what_has_not_been_seen_may_fit_better() -> None:
    """In a room with an unseen cell, standing before nothing is not the best there could be."""
    agent: Any = Meanings()
    seen = room()
    assert Fulfilment(agent, "the red ball")(seen)  # nothing is any better here
    seen["grid"][0, 4, 4] = 0
    assert not Fulfilment(agent, "the red ball")(seen)


def test_a_captions_truth_is_that_of_the_last_moment() -> None:
    captions = GridCaptions()
    start, end = room(), room(ball=(3, 2, BALL, RED))
    recording = Recording("GoToLocal", "m", "m", (start, end), False)
    truth = {
        name: is_true_of(captions, captions.labels.index(name), recording)
        for name in ("red ball", "red", "blue", "top left")
    }
    assert truth == {"red ball": True, "red": True, "blue": False, "top left": True}


def test_few_small_levels_are_watched_in_training() -> None:
    many = ("GoTo", "GoToLocal", "FourRooms", "GoToObjMazeS4", "GoToObj", "GoToLocal", "GoToRedBall", "GoToObjS4")
    assert watched_levels(many) == ("GoToLocal", "GoToObj", "GoToRedBall", "GoToObjMazeS4")
    assert watched_levels(("GoTo", "GoToObjMaze")) == ("GoTo",)
    assert watched_levels(("GoToDoor", "FourRooms")) == ("GoToDoor", "FourRooms")
    with pytest.raises(LevelError):
        watched_levels(("Unlock",))


@pytest.mark.parametrize("view", ["full", "partial"])
def test_watching_is_the_same_each_time(make_grid_agent: MakeAgent, view: str) -> None:
    env = BabyAISettings(levels=("GoToObjS4", "GoToObjMazeS4R2"), view=view)
    watcher = GridWatcher(RunConfig(env, "unused", train=TrainConfig(evaluation_episodes=4)))
    agent = make_grid_agent()
    one, again, later = watcher.watch(agent, 3), watcher.watch(agent, 3), watcher.watch(agent, 4)
    assert one == again
    assert one.metrics == later.metrics
    assert one.animation != later.animation
    assert {"success", "steps", "against_optimum", "GoToObjS4/success", "GoToObjMazeS4R2/steps"} <= set(one.metrics)
    assert one.animation.startswith(b"GIF8")
