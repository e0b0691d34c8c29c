"""The README's picture: which episode it shows, and that both halves show the same but for the estimator."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.schema import RunConfig
from goalbridge.envs import rendering
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import LAYOUTS
from goalbridge.experiments.agent.readme_picture import chosen_episode, main, side_by_side
from goalbridge.worlds import Belief, Episodes, Task
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

FORK = LAYOUTS["fork"]
REGION = np.zeros_like(FORK.walls)
REGION[:, 5] = ~FORK.walls[:, 5]
TASK = Task("go to column 5", "line", 0, meant=Command("go to column 5", "column 5", "line", REGION))


def episodes(success: list[bool], steps: list[int]) -> Episodes:
    paths = tuple(np.array([[0.5, 0.5 + 0.5 * i] for i in range(count + 1)], np.float32) for count in steps)
    return Episodes((TASK,) * len(steps), np.array(success), np.array(steps), paths, {})


def test_the_episode_is_the_first_in_which_one_arrives_alone() -> None:
    first = episodes([True, True, False, True], [3, 4, 20, 5])
    assert chosen_episode(first, episodes([True, True, True, False], [9, 4, 8, 20])) == 2
    assert chosen_episode(episodes([False, True], [5, 5]), episodes([True, True], [5, 5])) == 0  # either way round
    assert chosen_episode(first, episodes([True, True, False, True], [3, 5, 20, 6])) == 1
    with pytest.raises(ConfigError, match="episodes=4: expected estimators that differ"):
        chosen_episode(first, first)


def test_both_halves_go_on_until_the_slower_one_is_done() -> None:
    played = {"Direct": episodes([False], [8]), "LogSumExp": episodes([True], [3])}
    meant = np.argwhere(REGION) + 0.5
    belief = Belief(meant.astype(np.float32), np.full(len(meant), 1 / len(meant)))
    frames = side_by_side(MazeWorld(MazeSettings("goalbridge/ForkMaze-v0")), played, 0, belief)
    assert len(frames) == 9
    assert len({frame.shape for frame in frames}) == 1
    width = (frames[0].shape[1] - 8) // 2
    left, right = ([frame[60:, part] for frame in frames] for part in (slice(0, width), slice(width + 8, None)))
    np.testing.assert_array_equal(left[0], right[0])  # the same start, region and heat
    np.testing.assert_array_equal(left[3], right[3])
    assert all(np.array_equal(right[3], later) for later in right[4:])  # has arrived, and waits
    assert all((one != next_one).any() for one, next_one in pairwise(left))
    assert (frames[0][:40, :width] != frames[0][:40, width + 8 :]).any()  # who it is stands above

    def near(frame: Any, colour: tuple[int, int, int]) -> Any:
        return (np.abs(frame.astype(int) - np.array(colour)) <= 12).all(axis=-1)

    for half in (left[0], right[0]):
        assert near(half, rendering.REGION_COLOUR).any()
        assert near(half, rendering.AGENT_COLOUR).any()
        assert ((half[..., 0].astype(int) - half[..., 1]) > 60).any()  # purple


def test_the_picture_is_drawn_anew_to_the_byte(
    make_agent: Callable[..., Agent], fake_text: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    config = RunConfig(MazeSettings("goalbridge/ForkMaze-v0", max_episode_steps=12), str(tmp_path))
    write_json(tmp_path / "config.json", asdict(config))
    monkeypatch.setattr(Agent, "from_pretrained", lambda folder: make_agent(text=fake_text))
    made, said = [tmp_path / name for name in ("one.gif", "other.gif")], []
    for path in made:
        main([str(tmp_path), str(path)])
        said.append(capsys.readouterr().out.splitlines())
    assert made[0].read_bytes() == made[1].read_bytes()
    animation: Any = Image.open(io.BytesIO(made[0].read_bytes()))
    assert 1 < animation.n_frames <= 13
    assert said[0][:3] == said[1][:3]
    assert said[0][0].startswith("episode ")
    assert [line.split(":")[0] for line in said[0][1:3]] == ["Direct", "LogSumExp"]
    assert said[0][3].startswith(f"wrote {made[0]}")
    with pytest.raises(ConfigError, match="expected at most"):
        main(["a", "b", "c"])


def test_an_agent_of_no_run_is_refused(make_agent: Callable[..., Agent], tmp_path: Path) -> None:
    make_agent().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="holds no run"):
        main([str(tmp_path), str(tmp_path / "x.gif")])
    assert not (tmp_path / "x.gif").exists()
