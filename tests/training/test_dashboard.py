"""What TensorBoard gets at the end of training: settings beside results, and points for the projector."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from goalbridge.agents import Agent
from goalbridge.configs.schema import RunConfig, TrainConfig
from goalbridge.encoders import LabelEncoder
from goalbridge.envs.places import CATEGORIES
from goalbridge.training.dashboard import Dashboard, charts, settings_of
from goalbridge.worlds.maze.pictures import GOALS
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

MakeAgent = Callable[..., Agent]
ENV = MazeSettings("goalbridge/ForkMaze-v0", max_episode_steps=6)
CONFIG = RunConfig(ENV, "unused", seed=7, train=TrainConfig(steps=20, evaluate_every=10, evaluation_episodes=4))


def standing_at(step: int, agent: Agent) -> Any:
    """As much of a learner as the dashboard asks for."""
    return SimpleNamespace(step=step, ema=agent, agent=agent)


def run_to_the_end(agent: Agent, folder: Path, first_step: int = 0) -> EventAccumulator:
    with Dashboard(MazeWorld(ENV), CONFIG, folder, first_step) as dashboard:
        for step in (10, 20):
            if step > first_step:
                dashboard.evaluate(standing_at(step, agent))
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def test_settings_stand_beside_results_in_the_same_run(make_agent: MakeAgent, fake_text: Any, tmp_path: Path) -> None:
    logged = run_to_the_end(make_agent(text=fake_text), tmp_path / "run")
    content = logged.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    hparams = HParamsPluginData.FromString(content).session_start_info.hparams
    assert set(hparams) == set(settings_of(CONFIG))
    assert (hparams["seed"].number_value, hparams["env.id"].string_value) == (7, "goalbridge/ForkMaze-v0")
    content = logged.summary_metadata["_hparams_/experiment"].plugin_data.content
    results = [info.name.tag for info in HParamsPluginData.FromString(content).experiment.metric_infos]
    shown, gathered = results[:5], results[5:]
    metrics = ("success", "spl_grid", "mass", "first_guess", "wrong_visits")
    assert shown == [f"evaluation/{metric}" for metric in metrics]
    assert gathered == [f"gathered/logsumexp/{metric}" for metric in metrics]  # of a sweep, later
    for tag in shown:
        assert [event.step for event in logged.Scalars(tag)] == [10, 20]  # the last of which is the result
    assert len(list((tmp_path / "run").glob("events*"))) == 1
    assert not [path for path in (tmp_path / "run").rglob("events*") if path.parent != tmp_path / "run"]


def test_nothing_is_concluded_before_the_end(make_agent: MakeAgent, fake_text: Any, tmp_path: Path) -> None:
    with Dashboard(MazeWorld(ENV), CONFIG, tmp_path, 0) as dashboard:
        dashboard.evaluate(standing_at(10, make_agent(text=fake_text)))
    logged = EventAccumulator(str(tmp_path))
    logged.Reload()
    assert not [tag for tag in logged.summary_metadata if tag.startswith("_hparams_")]
    assert not (tmp_path / "projector_config.pbtxt").exists()


def test_images_are_shown_at_every_evaluation(make_agent: MakeAgent, fake_text: Any, tmp_path: Path) -> None:
    logged = run_to_the_end(make_agent(text=fake_text), tmp_path)
    tags = logged.Tags()["images"]
    assert len([tag for tag in tags if tag.startswith("field/")]) == 4
    for tag in ("rollout", "field/row 3"):
        images = logged.Images(tag)
        assert [image.step for image in images] == [10, 20]
        assert all((image.width, image.height) == (496, 576) for image in images)
    assert logged.Images("rollout")[0].encoded_image_string != logged.Images("rollout")[1].encoded_image_string


def test_what_a_killed_run_had_concluded_is_concluded_anew(
    make_agent: MakeAgent, fake_text: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = make_agent(text=fake_text)
    run_to_the_end(agent, tmp_path)
    points = {path.name: path.read_bytes() for path in (tmp_path / "00020").rglob("*.tsv")}
    assert set(points) == {"tensors.tsv", "metadata.tsv"}
    next((tmp_path / "00020").rglob("tensors.tsv")).write_text("cut sh")
    run_to_the_end(agent, tmp_path, first_step=10)
    assert {path.name: path.read_bytes() for path in (tmp_path / "00020").rglob("*.tsv")} == points
    assert "warning" not in capsys.readouterr().out


def test_points_are_goals_and_instructions_of_one_space(make_agent: MakeAgent, fake_text: Any, tmp_path: Path) -> None:
    agent = make_agent(text=fake_text, bridge_goals=700)
    run_to_the_end(agent, tmp_path)
    (folder,) = (tmp_path / "00020").iterdir()
    vectors = np.loadtxt(folder / "tensors.tsv", ndmin=2)
    with (folder / "metadata.tsv").open() as file:
        about = list(csv.DictReader(file, delimiter="\t"))
    assert len(vectors) == len(about)
    goals = [row for row in about if row["kind"] == "goal"]
    assert len(goals) == GOALS
    assert {row["kind"] for row in about} == {"goal", "held-out wording", *CATEGORIES}
    with torch.no_grad():
        texts = agent.encode_instructions([row["text"] for row in about[GOALS:]])
        expected = torch.cat([agent.encode_meanings(agent.bridge_goals[:GOALS]), texts])
    np.testing.assert_allclose(vectors, expected.numpy(), atol=6e-5)
    for row, (r, c) in zip(goals, agent.bridge_goals.tolist(), strict=False):
        assert (row["row"], row["column"], row["text"]) == (str(int(r)), str(int(c)), f"({r:.1f}, {c:.1f})")
        within = f"{'top' if r < 7 else 'bottom'} {'left' if c < 7 else 'right'} quadrant"
        assert row["quadrant"] == ("none" if 7 in (int(r), int(c)) else within)
    said = {row["text"]: row for row in about[GOALS:]}
    assert [said["row 3"][name] for name in ("row", "kind", "quadrant")] == ["3.0", "line", "top right quadrant"]
    assert [said["column 14"][name] for name in ("row", "quadrant")] == ["7.0", "several"]
    assert said["navigate to row 3"]["kind"] == "held-out wording"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 400_000


def test_agents_that_read_labels_show_labels(make_agent: MakeAgent, make_maze: Callable[..., MazeWorld]) -> None:
    world = make_maze(categories=("line", "region"))
    shown = world.project(make_agent(LabelEncoder(world.captions.labels)))
    assert [row[0] for row in shown.rows if row[1] != "goal"] == list(world.captions.labels)


def test_situations_are_shown_by_what_they_face(make_grid_agent: MakeAgent, make_babyai: Callable[..., Any]) -> None:
    agent, world = make_grid_agent(), make_babyai()
    goals = np.zeros((3, agent.bridge_goals.shape[1]), np.uint8)
    goals[:, :7] = [(1, 1, 0, 8, 8, 6, 0), (6, 6, 0, 8, 8, 5, 2), (2, 6, 1, 8, 8, 1, 0)]  # red ball, blue key, nothing
    agent.bridge_goals = torch.as_tensor(goals)
    shown, labels = world.project(agent), world.captions.labels
    assert shown.columns == ("text", "kind", "type", "colour")
    assert [row[2:] for row in shown.rows[:3]] == [("ball", "red"), ("key", "blue"), ("none", "none")]
    assert shown.rows[0][0] == "red ball, ball, red, left side, top side, top left"
    assert len(shown.rows) == len(shown.goals) + len(shown.texts) == 3 + len(labels)
    red, ball = (shown.rows[3 + labels.index(name)] for name in ("red", "ball"))
    assert (red[1:], ball[1:]) == (("instruction", "several", "red"), ("instruction", "ball", "several"))


def test_settings_and_charts_by_name() -> None:
    settings = settings_of(replace(CONFIG, seed=3))
    assert (settings["seed"], settings["train.steps"]) == (3, 20)
    assert all(isinstance(value, str | int | float) for value in settings.values())
    several = ["success", "line/success", "exact/success"]
    found = charts(dict.fromkeys([*several, "steps", "line/spl_grid", "spl"], 1.0))
    assert found == {"evaluation": {"success": ["Multiline", [f"evaluation/{name}" for name in several]]}}
