"""A run's trajectories as a Minari dataset: what Minari and plain h5py read, and nothing half written."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import gymnasium
import h5py
import minari
import numpy as np
import pytest

from goalbridge.configs.data_schema import DataConfig
from goalbridge.data import DatasetError, TrajectoryBuffer
from goalbridge.data.minari_export import export
from goalbridge.data.minari_import import MinariEpisodes, find_dataset
from goalbridge.data.space_spec import SpaceSpec
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

DATASET = "test/walks-v0"
SMALL = DataConfig(trajectories=12, walk_length=6)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of Minari's datasets, for this test alone."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def maze() -> tuple[MazeWorld, TrajectoryBuffer, SpaceSpec]:
    home = MazeWorld(MazeSettings("goalbridge/ForkMaze-v0"))
    return home, home.collect(SMALL, 0), home.dataset_spec()


def test_minari_reads_all_of_it_with_captions_that_are_true() -> None:
    home, buffer, spaces = maze()
    folder = export(buffer, spaces, DATASET, home.captions, seed=3)
    with h5py.File(folder / "data" / "main_data.hdf5") as file:  # without Minari, too
        assert [file[f"episode_{n}"].attrs["total_steps"] for n in range(12)] == buffer.lengths.tolist()
        first = file["episode_0"]["observations"]["observation"]
        np.testing.assert_array_equal(first, buffer.observations[: buffer.lengths[0] + 1])
    dataset = minari.load_dataset(DATASET)
    assert (dataset.total_episodes, dataset.total_steps) == (12, buffer.transitions)
    assert list(minari.list_local_datasets()) == [DATASET]
    row = action = 0
    wordings = {
        text: label for label in range(len(home.captions.labels)) for text in home.captions.phrasings(label, "train")
    }
    for episode, length in zip(dataset.iterate_episodes(), buffer.lengths.tolist(), strict=True):
        seen = buffer.observations[row : row + length + 1]
        np.testing.assert_array_equal(episode.observations["observation"], seen)
        np.testing.assert_array_equal(episode.observations["achieved_goal"], seen)
        np.testing.assert_array_equal(episode.actions, buffer.actions[action : action + length])
        for array in (episode.rewards, episode.terminations, episode.truncations):
            assert len(array) == length
        assert episode.truncations.tolist() == [False] * (length - 1) + [True]
        said = [wordings[text.decode()] for text in episode.infos["caption"].tolist()]
        assert len(said) == length + 1
        assert (home.captions.true_labels(seen) == np.array(said)[:, None]).any(axis=1).all()
        row, action = row + length + 1, action + length
    sample = dataset.observation_space.sample()
    assert set(sample) == {"observation", "achieved_goal"}
    assert isinstance(dataset.action_space, gymnasium.spaces.Box)


def test_grids_come_back_as_they_were(tmp_path: Path) -> None:
    home = BabyAIWorld(BabyAISettings(levels=("GoToLocal", "GoToObj"), layouts=4))
    buffer = home.collect(SMALL, 0)
    export(buffer, home.dataset_spec(), DATASET, home.captions)
    dataset = minari.load_dataset(DATASET)
    assert dataset.action_space == gymnasium.spaces.Discrete(4)
    assert "situations" in dataset.storage.metadata["description"]
    from goalbridge.data.episodes import stage

    again = TrajectoryBuffer.open(stage(MinariEpisodes(DATASET, home.dataset_spec()), tmp_path / "t"))
    for name in ("observations", "actions", "lengths", "groups", "places"):
        before, after = getattr(buffer, name), getattr(again, name)
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype, name
    assert again.goals is again.observations


@pytest.mark.parametrize("dataset", ["walks", "../walks-v0", "/walks-v0", "a b-v0", "", "a//b-v0", ".hidden-v0"])
def test_ids_that_minari_does_not_take_are_refused(dataset: str, root: Path) -> None:
    _, buffer, spaces = maze()
    with pytest.raises(DatasetError, match=f"dataset: expected an id of a Minari dataset, got {dataset}; try a name"):
        export(buffer, spaces, dataset)
    assert not root.exists()


def test_a_dataset_that_is_there_stays_as_it_is() -> None:
    _, buffer, spaces = maze()
    folder = export(buffer, spaces, DATASET)
    before = (folder / "data" / "main_data.hdf5").read_bytes()
    with pytest.raises(DatasetError, match="expected an id that is not taken, got one that is in"):
        export(buffer, spaces, DATASET)
    assert (folder / "data" / "main_data.hdf5").read_bytes() == before


def loadable(root: Path) -> list[str]:
    """Whatever below `root` Minari would load."""
    found = []
    for path in root.rglob("metadata.json"):
        try:
            minari.MinariDataset(path.parent)
        except Exception:
            continue
        found.append(str(path))
    return found


def test_a_full_disk_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, buffer, spaces = maze()
    written: list[str] = []
    real = h5py.Group.create_dataset

    def create(self: h5py.Group, name: str, *arguments: Any, **options: Any) -> Any:
        if len(written) == 30:
            raise OSError(28, "No space left on device")
        written.append(name)
        return real(self, name, *arguments, **options)

    monkeypatch.setattr(h5py.Group, "create_dataset", create)
    with pytest.raises(DatasetError, match=r"cannot be written \(No space left on device\)"):
        export(buffer, spaces, DATASET, home.captions)
    monkeypatch.undo()
    assert not [path for path in root.rglob("*") if path.is_file()]


def _export_and_die(root: str) -> None:
    """Exports, and is killed after ten episodes."""
    os.environ["MINARI_DATASETS_PATH"] = root
    from goalbridge.data import minari_export

    real = minari_export.minari_episodes

    def episodes(*arguments: Any) -> Any:
        for number, episode in enumerate(real(*arguments)):
            if number == 10:
                os.kill(os.getpid(), signal.SIGKILL)
            yield episode

    minari_export.minari_episodes = episodes  # type: ignore[assignment]
    _, buffer, spaces = maze()
    export(buffer, spaces, DATASET)


def test_a_kill_leaves_nothing_that_loads_and_the_next_export_works(root: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=_export_and_die, args=(str(root),))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert loadable(root) == []
    assert list(minari.list_local_datasets()) == []
    with pytest.raises(DatasetError, match=r"expected a folder, or one of the 0 datasets in .*, got neither"):
        find_dataset(DATASET)
    _, buffer, spaces = maze()
    export(buffer, spaces, DATASET)
    assert len(loadable(root)) == 1
    assert sorted(path.name for path in (root / "test").iterdir()) == ["walks-v0"]
