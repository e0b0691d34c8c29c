"""Episodes of somebody else's: what is not in order is named, and what is staged is whole or not there."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goalbridge.data import DatasetError, TrajectoryBuffer
from goalbridge.data.episodes import Episode, discard, partial_folder, read_captions, stage

STEPS = (3, 1, 5)


class Listed:
    """Episodes that are at hand."""

    discrete = False

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._episodes = episodes

    def __iter__(self) -> Iterator[Episode]:
        return iter(self._episodes)


def episode(number: int, steps: int, **changes: Any) -> Episode:
    rng = np.random.default_rng(number)
    observations = rng.normal(size=(steps + 1, 4)).astype(np.float32)
    arrays: dict[str, Any] = {
        "observations": observations,
        "actions": rng.normal(size=(steps, 2)),
        "goals": observations[:, :2],
    }
    return Episode(f"episode {number}", **(arrays | changes))


def episodes() -> list[Episode]:
    said = {0: {1: ["by the door"]}, 2: {0: ["in the hall", "near the door"], 5: ["outside"]}}
    return [episode(n, steps, captions=said.get(n, {})) for n, steps in enumerate(STEPS)]


def test_what_is_staged_is_what_was_given(tmp_path: Path) -> None:
    given = episodes()
    staged = stage(Listed(given), tmp_path / "run" / "t")
    assert staged == partial_folder(tmp_path / "run" / "t")
    buffer = TrajectoryBuffer.open(staged)
    assert buffer.lengths.tolist() == list(STEPS)
    np.testing.assert_array_equal(buffer.observations, np.concatenate([one.observations for one in given]))
    np.testing.assert_array_equal(buffer.goals, np.concatenate([one.goals for one in given if one.goals is not None]))
    np.testing.assert_array_equal(buffer.actions, np.concatenate([one.actions for one in given]).astype(np.float32))
    first = [0, 4, 6]
    assert read_captions(staged) == [
        (1, "by the door"),
        (first[2], "in the hall"),
        (first[2], "near the door"),
        (first[2] + 5, "outside"),
    ]


def test_goals_that_are_the_observations_are_kept_once(tmp_path: Path) -> None:
    given = [episode(n, 2, goals=episode(n, 2).observations) for n in range(3)]
    buffer = TrajectoryBuffer.open(stage(Listed(given), tmp_path / "t"))
    assert buffer.goals is buffer.observations
    assert read_captions(partial_folder(tmp_path / "t")) == []


def test_bytes_and_layouts_stay(tmp_path: Path) -> None:
    seen = np.arange(12, dtype=np.uint8).reshape(4, 3)
    given = [Episode(f"episode {n}", seen + n, np.ones((3, 2)), layout=7 + n) for n in range(2)]
    buffer = TrajectoryBuffer.open(stage(Listed(given), tmp_path / "t"))
    assert buffer.observations.dtype == np.uint8
    assert buffer.groups is not None
    assert buffer.groups.tolist() == [7, 8]
    assert buffer.places is not None
    assert buffer.places.tolist() == [[0, 1], [1, 2]]


NAN = np.full((3, 4), np.nan)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"observations": np.zeros((2, 4))}, "episode 1: observations: expected 3, one more than actions, got 2; try"),
        ({"goals": np.zeros((5, 2))}, "episode 1: goals: expected 3, one more than actions, got 5"),
        ({"actions": np.zeros((0, 2))}, "episode 1: actions: expected at least one, got none"),
        (
            {"observations": np.where(np.arange(3)[:, None] == 2, NAN, 0)},
            "observations: step 2: expected finite",
        ),
        ({"actions": np.array([[0, np.inf], [0, 0]])}, "episode 1: actions: step 0: expected finite"),
        ({"goals": NAN[:, :2]}, "episode 1: goals: step 0: expected finite"),
        ({"goals": None}, "episode 1: goals: are missing, but episode 0 has them"),
        ({"observations": np.zeros((3, 5))}, "episode 1: observations: have 5 numbers a step, those of episode 0 4"),
        ({"actions": np.zeros(2)}, r"episode 1: actions: expected a row .* got shape \(2,\)"),
        ({"actions": np.array(3.0)}, r"episode 1: actions: expected a row .* got shape \(\)"),
        ({"observations": np.array([["a"] * 4] * 3)}, "episode 1: observations: expected numbers, got type"),
        ({"captions": {3: ["too late"]}}, "episode 1: captions: step 3: expected a step from 0 to 2"),
        ({"captions": {0: [""]}}, "episode 1: captions: step 0: expected a text of words, got ''"),
    ],
)
def test_what_is_not_in_order_is_named_and_nothing_stays(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        stage(Listed([episode(0, 2), episode(1, 2, **changes)]), tmp_path / "run" / "t")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_no_episodes_are_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="episodes: are none"):
        stage(Listed([]), tmp_path / "run" / "t")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: object, _rows: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("goalbridge.data.episodes._Column.append", full)
    with pytest.raises(DatasetError, match=r"cannot be written \(No space left on device\)"):
        stage(Listed(episodes()), tmp_path / "run" / "t")
    assert os.listdir(tmp_path) == []


def test_what_a_kill_left_is_swept_away(tmp_path: Path) -> None:
    left = partial_folder(tmp_path / "t")
    left.mkdir()
    (left / "places.npy").write_bytes(b"half")
    assert {path.name for path in stage(Listed(episodes()), tmp_path / "t").glob("p*.npy")} == set()
    discard(tmp_path / "t")
    assert not left.exists()


def test_numbers_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = stage(Listed(episodes()), tmp_path / "t")

    def looks(_array: object) -> None:
        raise AssertionError("looked again")

    monkeypatch.setattr("goalbridge.data.trajectories.first_not_finite", looks)
    TrajectoryBuffer.open(staged)
    (staged / "checked.json").unlink()
    with pytest.raises(AssertionError, match="looked again"):
        TrajectoryBuffer.open(staged)


def test_headers_are_those_of_numpy(tmp_path: Path) -> None:
    staged = stage(Listed(episodes()), tmp_path / "t")
    for path in staged.glob("*.npy"):
        again = io.BytesIO()
        np.save(again, np.load(path))
        assert path.read_bytes()[:10] == again.getvalue()[:10]
        np.testing.assert_array_equal(np.load(path), np.load(io.BytesIO(again.getvalue())))
