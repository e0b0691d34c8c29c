"""Minari datasets made by others: found, compared with the world's spaces, and read; what is amiss is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Space, Text
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from goalbridge.data import DatasetError, TrajectoryBuffer
from goalbridge.data.episodes import Episode, stage
from goalbridge.data.minari_import import MinariEpisodes
from goalbridge.data.space_spec import SpaceSpec
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

DATASET = "D4RL/pointmaze/tiny-v2"
# As gymnasium-robotics' point mazes: position and velocity, and the positions reached and asked for.
POINT_MAZE = Dict({name: Box(-np.inf, np.inf, (size,), np.float64) for name, size in
                   (("observation", 4), ("achieved_goal", 2), ("desired_goal", 2))})  # fmt: skip
POINT_ACTION = Box(-1.0, 1.0, (2,), np.float32)
INFINITE = float("inf")
ITS_WORLD = SpaceSpec("its own world", (-INFINITE,) * 4, (INFINITE,) * 4, (-5.0,) * 2, (5.0,) * 2, 2)


pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of Minari's datasets, for this test alone."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def write(see: Space[Any], act: Space[Any], episodes: list[dict[str, Any]], dataset: str = DATASET) -> Path:
    """A dataset as somebody else would write it; returns the file of its arrays."""
    buffers = []
    for one in episodes:
        steps = len(one["actions"])
        flags = np.arange(steps) == steps - 1
        given = {"rewards": np.ones(steps), "terminations": flags, "truncations": ~flags & False} | one
        buffers.append(EpisodeBuffer(**given))
    minari.create_dataset_from_buffers(
        dataset, buffers, observation_space=see, action_space=act, description="", author="", author_email="",
        algorithm_name="", code_permalink="", data_format="hdf5",
    )  # fmt: skip
    return Path(minari.load_dataset(dataset).spec.data_path) / "main_data.hdf5"


def point_mazes(count: int = 3) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    episodes = []
    for steps in range(4, 4 + count):
        seen = rng.uniform(-3, 3, (steps + 1, 4))
        observations = {"observation": seen, "achieved_goal": seen[:, :2], "desired_goal": np.ones((steps + 1, 2))}
        episodes.append({"observations": observations, "actions": rng.uniform(-1, 1, (steps, 2)).astype(np.float32)})
    return episodes


def read(spaces: SpaceSpec | None = None, dataset: str = DATASET) -> list[Episode]:
    return list(MinariEpisodes(dataset, spaces))


def test_point_mazes_of_others_load(tmp_path: Path) -> None:
    given = point_mazes()
    file = write(POINT_MAZE, POINT_ACTION, given)
    for dataset in (DATASET, str(file.parent), str(file.parent.parent)):
        staged = stage(MinariEpisodes(dataset, ITS_WORLD), tmp_path / "t")
        buffer = TrajectoryBuffer.open(staged)
        assert buffer.lengths.tolist() == [4, 5, 6]
        expected = np.concatenate([one["observations"]["observation"] for one in given]).astype(np.float32)
        np.testing.assert_array_equal(buffer.observations, expected)
        np.testing.assert_array_equal(buffer.goals, expected[:, :2])


def test_other_spaces_than_the_worlds_are_named() -> None:
    write(POINT_MAZE, POINT_ACTION, point_mazes())
    refused = [
        (MazeWorld(MazeSettings("goalbridge/ForkMaze-v0")).dataset_spec(),
         "numbers of an observation: expected 2, as in goalbridge/ForkMaze-v0, got 4; try the env"),
        (replace(ITS_WORLD, goal_low=(-1.0,) * 2, goal_high=(1.0,) * 2),
         "episode 0: goals: step 0: number 1: expected -1 to 1, as in its own world, got"),
        (replace(ITS_WORLD, action_dim=3), "numbers of an action: expected 3, as in its own world, got 2"),
        (replace(ITS_WORLD, discrete=True), "actions: expected discrete, as in its own world, got continuous"),
        (replace(ITS_WORLD, goal_low=(0.0,) * 3), "numbers of a goal: expected 3, as in its own world, got 2"),
    ]  # fmt: skip
    for spaces, says in refused:
        with pytest.raises(DatasetError, match=says):
            read(spaces)


def test_numbers_and_pictures_become_rows() -> None:
    frames = np.arange(3 * 2 * 2 * 3, dtype=np.uint8).reshape(3, 2, 2, 3)
    write(
        Box(0, 255, (2, 2, 3), np.uint8), Discrete(3, start=1), [{"observations": frames, "actions": np.array([1, 3])}]
    )
    (one,) = read()
    np.testing.assert_array_equal(one.observations, frames.reshape(3, 12))
    assert one.observations.dtype == np.uint8
    assert one.actions.tolist() == [[1, 0, 0], [0, 0, 1]]
    write(Discrete(4), Discrete(2), [{"observations": np.array([0, 3]), "actions": np.array([1])}], "numbers-v0")
    (one,) = read(dataset="numbers-v0")
    assert one.observations.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]


def test_instructions_of_episodes_that_succeeded_are_captions_of_where_they_end() -> None:
    see = Dict({"observation": Box(-1, 1, (1,), np.float32), "instruction": Text(20)})
    seen = {"observation": np.zeros((3, 1), np.float32), "instruction": ["go left"] * 3}
    one = {"observations": seen, "actions": np.zeros((2, 2), np.float32)}
    write(see, POINT_ACTION, [one, one | {"terminations": np.zeros(2, np.bool_)}])
    assert [episode.captions for episode in read()] == [{2: ["go left"]}, {}]
    infos = {"caption": ["", "on the left", ""]}
    write(Box(-1, 1, (1,), np.float32), POINT_ACTION,
          [{"observations": np.zeros((3, 1), np.float32), "actions": np.zeros((2, 2), np.float32), "infos": infos}],
          "captioned-v0")  # fmt: skip
    assert read(dataset="captioned-v0")[0].captions == {1: ["on the left"]}


def test_a_dataset_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"the 0 datasets in .*, got neither; try minari download"):
        MinariEpisodes("D4RL/pointmaze/tinny-v2")
    write(POINT_MAZE, POINT_ACTION, point_mazes(1))
    with pytest.raises(DatasetError, match=r"the 1 datasets in .*, got neither; try D4RL/pointmaze/tiny-v2"):
        MinariEpisodes("D4RL/pointmaze/tinny-v2")
    with pytest.raises(DatasetError, match=r"expected a folder with data/metadata\.json, got one without"):
        MinariEpisodes(str(tmp_path))


def _replace(file: h5py.File, name: str, value: Any) -> None:
    del file[name]
    if value is not None:
        file[name] = value


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("actions", None, r"episode 1: cannot be read \(KeyError: .*actions"),
        ("observations/achieved_goal", None, "episode 1: observations: expected achieved_goal, got none"),
        ("actions", np.zeros((0, 2)), "episode 1: actions: expected at least one, got none"),
        ("actions", np.zeros((9, 2)), "episode 1: observations: expected 10, one more than actions, got 6"),
        (
            "observations/observation",
            np.full((6, 4), np.nan),
            "episode 1: observations: step 0: expected finite",
        ),
        ("observations/achieved_goal", np.full((6, 2), np.inf), "episode 1: goals: step 0: expected finite numbers"),
        ("observations/achieved_goal", np.zeros((3, 2)), "episode 1: goals: expected 6, one more than actions, got 3"),
    ],
)
def test_damaged_episodes_are_named(tmp_path: Path, field: str, value: Any, says: str) -> None:
    path = write(POINT_MAZE, POINT_ACTION, point_mazes())
    with h5py.File(path, "a") as file:
        _replace(file, f"episode_1/{field}", value)
    with pytest.raises(DatasetError, match=says) as caught:
        stage(MinariEpisodes(DATASET, ITS_WORLD), tmp_path / "run" / "t")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_files_that_are_no_whole_dataset_are_named(tmp_path: Path) -> None:
    path = write(POINT_MAZE, POINT_ACTION, point_mazes())
    metadata = path.with_name("metadata.json")
    whole, values = path.read_bytes(), json.loads(metadata.read_text())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="episode 0: cannot be read"):
        read(ITS_WORLD)
    path.write_bytes(whole)
    for damage in ({"minari_version": "9.9.9"}, {"dataset_id": None}, {"data_format": "papyrus"}):
        metadata.write_text(json.dumps({k: v for k, v in (values | damage).items() if v is not None}))
        with pytest.raises(DatasetError, match="is no whole Minari dataset") as caught:
            read(ITS_WORLD)
        assert "\n" not in str(caught.value)
    metadata.write_text("{")
    with pytest.raises(DatasetError, match="is no whole Minari dataset"):
        read(ITS_WORLD)


@pytest.mark.parametrize(
    ("see", "says"),
    [
        (Dict({"state": Box(-1, 1, (2,))}), "Box or Discrete, or a Dict with 'observation', got a Dict of state; try"),
        (Text(5), "observations: expected Box or Discrete.*, got a Text space"),
        (Dict({"observation": Text(5)}), "observations: expected Box or Discrete, got a Text space"),
    ],
)
def test_spaces_that_nobody_reads_are_named(root: Path, see: Space[Any], says: str) -> None:
    folder = root / "odd-v0" / "data"
    folder.parent.mkdir(parents=True)
    storage = MinariStorage.new(folder.absolute(), see, POINT_ACTION, data_format="hdf5")
    storage.update_metadata({"dataset_id": "odd-v0", "minari_version": minari.__version__})
    with pytest.raises(DatasetError, match=says):
        MinariEpisodes("odd-v0")
