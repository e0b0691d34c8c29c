"""Episodes to look at: recorded as they were played, drawn in few frames, written as GIFs that move."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from goalbridge.agents import Agent
from goalbridge.evaluation import watch
from goalbridge.evaluation.rollout import play
from goalbridge.evaluation.watch import Recording, frames, gif, png, record, spread, write_pictures
from goalbridge.worlds import Belief, Moment, Task, World
from goalbridge.worlds.babyai.episodes import random_actions

LEVEL = {"view": "full", "canonical": False}


@pytest.fixture(scope="module")
def world(make_babyai: Callable[..., World]) -> World:
    return make_babyai()


class Turning:
    """Turns on the spot."""

    def reset(self) -> None: ...

    def act(self, observation: Any, instructions: Sequence[str], episodes: Any = None) -> NDArray[Any]:
        return np.zeros(len(instructions), np.int64)


@pytest.mark.parametrize("name", ["GoToLocal", "FourRooms", "GoToObjMazeS4R2"])
def test_a_recording_is_the_episode_that_was_counted(world: World, name: str) -> None:
    tasks = [Task("", name, 25 + i, name, LEVEL) for i in range(3)]
    counted = play(world, tasks, lambda _: random_actions(0))[name]
    for i, task in enumerate(tasks):
        recording = record(world, task, random_actions(0), i)
        np.testing.assert_array_equal(recording.outcome.goals[0], counted.goals[i])
        assert recording.outcome.success[0] == counted.success[i]
        assert recording.told == counted.tasks[i].text
        assert len(recording.moments) == counted.steps[i] + 1
        np.testing.assert_array_equal(recording.moments[-1].goals, counted.goals[i])


def test_a_recording_stops_where_it_is_told_to(world: World) -> None:
    calls: list[Any] = []

    def third(observation: Any) -> bool:
        calls.append(observation)
        return len(calls) == 3

    task = Task("anything", "c", 0, "GoToLocal", LEVEL | {"unjudged": True})
    recording = record(world, task, Turning(), stop=third)
    assert (len(recording.moments), recording.stopped, recording.told) == (3, True, "anything")
    endless = record(world, task, Turning(), stop=lambda _: False)
    assert (len(endless.moments), endless.stopped) == (65, False)  # the level's own limit


def test_frames_show_the_whole_episode_in_few_pictures(world: World, make_grid_agent: Callable[..., Agent]) -> None:
    recording = record(world, Task("", "c", 0, "GoToObjMazeS4", LEVEL), Turning())
    drawn = frames(world, recording, most=20)
    assert len(recording.moments) > 20 == len(drawn)
    assert len({frame.shape for frame in drawn}) == 1
    alone = replace(recording, moments=recording.moments[-1:])
    np.testing.assert_array_equal(frames(world, alone)[0], drawn[-1])
    believed = frames(world, alone, make_grid_agent().policy("planned"))
    assert (believed[0] != drawn[-1]).any()
    assert (frames(world, alone, title="other words")[0] != drawn[-1]).any()


def test_a_belief_is_read_anew_only_where_its_goals_change() -> None:
    said, beliefs = list[Any](), list[Any]()
    one, other = np.zeros((2, 1)), np.ones((2, 1))
    goals = {0: one, 1: one, 2: other}

    def posterior(texts: list[str], seen: int) -> list[Any]:
        said.append((texts, seen))
        return [np.array([0.5, 0.5])]

    def frame(moment: Moment, belief: Any, title: str) -> NDArray[Any]:
        beliefs.append(belief)
        return np.zeros((2, 2, 3))

    policy = SimpleNamespace(goals=lambda seen: [goals[seen]], goal_posterior=posterior)
    drawing: Any = SimpleNamespace(frame=frame)
    moments = [Moment(Task("x", "c", 0), step, np.zeros((step + 1, 1))) for step in range(3)]
    recording = Recording(moments, outcome=None)  # type: ignore[arg-type]
    assert len(frames(drawing, recording, policy)) == 3
    assert said == [(["x"], 0), (["x"], 2)]
    assert beliefs[0] is beliefs[1]
    assert beliefs[2].goals is other
    silent: Any = SimpleNamespace(frame=lambda *_: None)
    assert frames(silent, recording) == []


class Doorman(Turning):
    """Looks for doors, and opens them."""

    def act(self, observation: Any, instructions: Sequence[str], episodes: Any = None) -> NDArray[Any]:
        self.turn = getattr(self, "turn", -1) + 1
        return np.full(len(instructions), (2, 3, 2, 0)[self.turn % 4])


def test_moments_are_as_they_were_though_environments_change_their_arrays(world: World) -> None:
    def doors(moment: Moment) -> bytes:
        grid = moment.observation["grid"][0]  # [W, H, 3]
        return bytes(grid[..., 2][grid[..., 0] == 4].tobytes())

    tasks = [Task("", "c", seed, "GoToObjMazeS4R2", LEVEL) for seed in range(30)]
    assert any(len(set(map(doors, record(world, task, Doorman()).moments))) > 1 for task in tasks)


@pytest.mark.parametrize(("where", "draws"), [("maze", "rendering.draw"), ("babyai", "babyai.rendering.draw_grid")])
def test_what_is_believed_is_drawn_where_it_lies(
    world: World, make_maze: Any, make_agent: Any, make_grid_agent: Any, fake_text: Any,
    monkeypatch: pytest.MonkeyPatch, where: str, draws: str,
) -> None:  # fmt: skip
    drawn: list[Any] = []

    def draw(*arguments: Any, **named: Any) -> NDArray[np.uint8]:
        drawn.append(named.get("heat", arguments[2]))
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(f"goalbridge.envs.{draws}", draw)
    agent = make_agent(text=fake_text) if where == "maze" else make_grid_agent()
    here = make_maze() if where == "maze" else world
    task = here.watched_tasks(agent, 4, 0)[0] if where == "maze" else Task("", "c", 5, "GoToLocal", LEVEL)
    begun = here.begin([task])
    goal = begun.observation["achieved_goal"]  # [1, G]
    moment = Moment(begun.tasks[0], begun.observation["observation"], goal)
    goals = np.concatenate([goal, goal, goal * 0 + 1])  # [3, G]
    here.frame(moment, Belief(goals, np.array([0.5, 0.25, 0.25])), "title")
    here.frame(moment, None, "title")
    row, column = np.floor(goal[0, :2]).astype(int)
    assert (drawn[0][row, column], drawn[0][1, 1], drawn[0].sum()) == (0.75, 0.25, 1)
    assert drawn[1] is None


@pytest.mark.parametrize("last", [0, 1, 2, 49, 50, 100, 119, 120, 238, 400, 401, 576])
@pytest.mark.parametrize("most", [50, 120])
def test_moments_are_few_and_hide_no_turning_on_the_spot(last: int, most: int) -> None:
    moments = spread(last, most)
    assert (moments[0], moments[-1]) == (0, last)
    assert len(moments) == min(last + 1, most)
    gaps = np.diff(moments)
    assert (gaps > 0).all()
    assert (gaps[:-1] % 2 == 1).all()
    assert gaps.max(initial=0) <= 2 * max(1, last / (most - 1)) + 2


def test_an_animation_keeps_its_colours_and_holds_its_end() -> None:
    drawn = [np.full((32, 48, 3), 255, np.uint8) for _ in range(4)]
    for i, frame in enumerate(drawn):
        frame[8:16, 8 * i : 8 * i + 8] = (213, 94, 0)
        frame[20:24, : 8 * i + 8] = (0, 114, 178)
    animation: Any = Image.open(io.BytesIO(gif(drawn)))
    assert (animation.n_frames, animation.info["loop"]) == (4, 0)
    durations = []
    for i, frame in enumerate(drawn):
        animation.seek(i)
        durations.append(animation.info["duration"])
        np.testing.assert_allclose(np.asarray(animation.convert("RGB")), frame, atol=4)
    once = 1000 // watch.FRAMES_PER_SECOND
    assert durations == [once] * 3 + [once * (1 + watch.LAST_FRAME_HOLDS)]
    assert Image.open(io.BytesIO(gif(drawn[:1]))).n_frames == 1  # type: ignore[attr-defined]
    assert gif([]) == b""
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(drawn[2])))), drawn[2])


def test_pictures_are_files_and_in_tensorboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = np.random.default_rng(0).integers(256, size=(24, 40, 3)).astype(np.uint8)
    write_pictures({}, tmp_path)
    assert list(tmp_path.iterdir()) == []
    write_pictures({"plots/success.png": png(picture), "rollouts/one_0.gif": gif([picture] * 2)}, tmp_path)
    with Image.open(tmp_path / "plots" / "success.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
    out = capsys.readouterr().out
    assert f"picture: {tmp_path / 'plots' / 'success.png'}" in out
    assert f"rollout: {tmp_path / 'rollouts' / 'one_0.gif'}" in out
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    assert set(events.Tags()["images"]) == {"plots/success", "rollouts/one_0"}
    (seen,) = events.Images("plots/success")
    assert (seen.width, seen.height) == (40, 24)
