"""What is watched of a maze's agent while it trains: categories, pictures, and that nothing depends on chance."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from goalbridge.agents import Agent
from goalbridge.configs.schema import EncoderConfig, RunConfig, TrainConfig
from goalbridge.encoders import LabelEncoder
from goalbridge.envs.places import CATEGORIES, MazePlaces
from goalbridge.envs.suite import SATISFIABLE
from goalbridge.evaluation.maze_watcher import MOST_FRAMES, MazeWatcher
from goalbridge.evaluation.rollouts import play
from goalbridge.evaluation.watch import (
    FRAMES_PER_SECOND,
    LAST_FRAME_HOLDS,
    gif,
    png,
    posterior_map,
    rollout_frames,
    spread,
)
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.vector import make_world, surface

MakeAgent = Callable[..., Agent]
ENV = MazeSettings("goalbridge/ForkMaze-v0", max_episode_steps=8)
FORK = surface(make_world(ENV, 1)).layout
CONFIG = RunConfig(ENV, "unused", train=TrainConfig(steps=40, evaluate_every=10, evaluation_episodes=4))


@pytest.fixture
def agent(make_agent: MakeAgent, fake_text: Any) -> Agent:
    return make_agent(text=fake_text)


def test_watching_is_the_same_each_time_and_draws_nothing_from_training(agent: Agent) -> None:
    watcher = MazeWatcher(CONFIG)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    np.random.seed(5)  # noqa: NPY002
    numbers = str(np.random.get_state())  # noqa: NPY002
    one, again, later = watcher.watch(agent, 10), MazeWatcher(CONFIG).watch(agent, 10), watcher.watch(agent, 20)
    assert one == again  # to the byte, also by another watcher, as after resuming
    assert torch.equal(torch.get_rng_state(), before)
    assert str(np.random.get_state()) == numbers  # noqa: NPY002
    assert one.metrics == later.metrics
    assert one.pictures == later.pictures
    assert one.animation != later.animation


def test_every_category_has_its_figures_and_rows_and_columns_stay_apart(agent: Agent) -> None:
    metrics = MazeWatcher(CONFIG).watch(agent, 10).metrics
    assert {"success", "spl", "spl_grid", "steps"} <= set(metrics)
    for category in SATISFIABLE:
        assert 0 <= metrics[f"{category}/spl_grid"] <= metrics[f"{category}/success"] <= 1
    assert len(metrics) == 4 + 2 * len(SATISFIABLE)


def test_each_evaluation_shows_another_category(agent: Agent) -> None:
    watcher = MazeWatcher(CONFIG)
    asked = [watcher._command(step) for step in range(10, 80, 10)]
    assert sorted(command.category for command in asked) == sorted(SATISFIABLE)
    assert len({command.text for command in asked}) == len(asked)
    assert watcher._command(10).text == asked[0].text
    once = MazeWatcher(replace(CONFIG, train=replace(CONFIG.train, evaluate_every=0)))
    assert once._command(40).category in SATISFIABLE
    uneven = MazeWatcher(replace(CONFIG, train=replace(CONFIG.train, evaluate_every=30)))
    assert uneven._command(40).category != uneven._command(30).category  # the last step, evaluated before its turn


def test_pictures_are_named_after_their_commands(agent: Agent) -> None:
    seen = MazeWatcher(CONFIG).watch(agent, 10)
    assert list(seen.pictures) == [
        "field/row 3", "field/the top left corner", "field/somewhere on the left", "field/row 3 or column 5",
    ]  # fmt: skip
    sizes = {Image.open(io.BytesIO(picture)).size for picture in seen.pictures.values()}
    animation = Image.open(io.BytesIO(seen.animation))
    assert sizes == {animation.size}  # as large as rollouts, which they stand beside
    assert all(picture.startswith(b"\x89PNG") for picture in seen.pictures.values())
    assert len(set(seen.pictures.values())) == 4


def test_rollouts_show_the_command_its_region_and_what_was_understood(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Any, ...]] = []

    def frames(*arguments: Any) -> list[Any]:
        drawn.append(arguments)
        return rollout_frames(*arguments)

    monkeypatch.setattr("goalbridge.evaluation.maze_watcher.rollout_frames", frames)
    watcher = MazeWatcher(CONFIG)
    watcher.watch(agent, 20)
    ((layout, episodes, _, heat, caption, most),) = drawn
    command = watcher._command(20)
    assert (layout.to_text(), caption, most) == (FORK.to_text(), command.text, MOST_FRAMES)
    np.testing.assert_array_equal(episodes.commands[0].region, command.region)
    posterior = agent.policy().goal_posterior([command.text])[0]
    np.testing.assert_allclose(heat, posterior_map(FORK, agent.bridge_goals.numpy(), posterior))
    assert heat.sum() == pytest.approx(1, abs=1e-5)


def test_rivals_of_the_bridge_have_no_posterior(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    heats: list[Any] = []

    def frames(*arguments: Any) -> list[Any]:
        heats.append(arguments[3])
        return [np.zeros((16, 16, 3), np.uint8)]

    monkeypatch.setattr("goalbridge.evaluation.maze_watcher.rollout_frames", frames)
    watcher = MazeWatcher(CONFIG)
    pictures = watcher.watch(agent, 10).pictures
    monkeypatch.setattr(agent, "has_goal_posterior", False)
    assert set(watcher.watch(agent, 10).pictures) == set(pictures)
    assert heats[0] is not None
    assert heats[1] is None
    assert watcher.project(agent) is None


def test_agents_that_read_labels_are_asked_by_labels(make_agent: MakeAgent) -> None:
    env = replace(ENV, categories=("line", "region"))
    config = replace(CONFIG, encoder=EncoderConfig(kind="label"), env=env)
    agent = make_agent(text=LabelEncoder(MazePlaces(FORK, ("line", "region")).labels))
    seen = MazeWatcher(config).watch(agent, 10)
    assert {name.split("/")[0] for name in seen.metrics if "/" in name} == {"line", "region"}
    assert list(seen.pictures) == ["field/row 3", "field/top left corner"]
    every = make_agent(text=LabelEncoder(MazePlaces(FORK).labels))
    metrics = MazeWatcher(replace(config, env=ENV)).watch(every, 10).metrics
    assert {name.split("/")[0] for name in metrics if "/" in name} == set(CATEGORIES)


@pytest.mark.parametrize("text", ["..\n", "....\n.##.\n....\n", "..#..\n..#..\n"])
def test_the_smallest_mazes_can_be_watched(make_agent: MakeAgent, fake_text: Any, tmp_path: Any, text: str) -> None:
    (tmp_path / "maze.txt").write_text(text)
    env = MazeSettings("goalbridge/PointMaze-v0", layout=str(tmp_path / "maze.txt"), max_episode_steps=4)
    watcher = MazeWatcher(replace(CONFIG, env=env))
    seen = watcher.watch(make_agent(text=fake_text, env=env), 10)
    assert {name.split("/")[0] for name in seen.pictures} == {"field"}
    assert all(np.isfinite(value) for value in seen.metrics.values())
    assert watcher.project(make_agent(text=fake_text, env=env)) is not None


def test_long_episodes_are_thinned_and_end_where_they_ended() -> None:
    class Right:
        def reset(self) -> None: ...

        def act(self, observation: Any, instructions: Any, episodes: Any = None) -> Any:
            return np.tile(np.array([0.0, 1.0], np.float32), (len(observation), 1))

    world = make_world(replace(ENV, max_episode_steps=30), 1)
    episodes = play(world, Right(), 0, {"instruction": "row 14", "position": (0.5, 0.5)})
    assert episodes.steps[0] == 30
    every, few = rollout_frames(FORK, episodes, 0), rollout_frames(FORK, episodes, 0, None, None, 8)
    assert len(every) == 31
    assert 8 <= len(few) <= 9
    np.testing.assert_array_equal(few[0], every[0])
    np.testing.assert_array_equal(few[-1], every[-1])
    assert len(rollout_frames(FORK, episodes, 0, None, None, 100)) == 31


def test_an_animation_keeps_its_colours_and_holds_its_end() -> None:
    frames = [np.full((32, 48, 3), 255, np.uint8) for _ in range(4)]
    for i, frame in enumerate(frames):
        frame[8:16, 8 * i : 8 * i + 8] = (213, 94, 0)
        frame[20:24, : 8 * i + 8] = (0, 114, 178)
    animation: Any = Image.open(io.BytesIO(gif(frames)))
    assert (animation.n_frames, animation.info["loop"]) == (4, 0)
    durations = []
    for i, frame in enumerate(frames):
        animation.seek(i)
        durations.append(animation.info["duration"])
        np.testing.assert_allclose(np.asarray(animation.convert("RGB")), frame, atol=4)
    once = 1000 // FRAMES_PER_SECOND
    assert durations == [once] * 3 + [once * (1 + LAST_FRAME_HOLDS)]
    one: Any = Image.open(io.BytesIO(gif(frames[:1])))
    assert one.n_frames == 1
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(frames[2])))), frames[2])


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
