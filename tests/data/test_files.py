"""A user's arrays and JSON lines as episodes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goalbridge.data import DatasetError
from goalbridge.data.files import FileEpisodes

ARRAYS: dict[str, Any] = {
    "observations": np.arange(14, dtype=np.float64).reshape(7, 2),
    "actions": np.arange(5, dtype=np.float64).reshape(5, 1),
    "lengths": np.array([2, 3]),
    "captions": np.array(["at the end", "at the start", "here"]),
    "caption_rows": np.array([6, 0, 6]),
}
LINES: list[dict[str, Any]] = [
    {"observations": [[0, 1], [2, 3], [4, 5]], "actions": [[0], [1]], "captions": {"0": "at the start"}},
    {
        "observations": [[6, 7], [8, 9], [10, 11], [12, 13]],
        "actions": [[2], [3], [4]],
        "captions": [{"step": 3, "text": ["at the end", "here"]}],
    },
]


def write_lines(path: Path, lines: list[Any]) -> str:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return str(path)


def test_arrays_folders_and_lines_say_the_same(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **ARRAYS)
    (tmp_path / "folder").mkdir()
    for name, array in ARRAYS.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    (tmp_path / "lines").mkdir()
    write_lines(tmp_path / "lines" / "1.jsonl", LINES[:1])
    write_lines(tmp_path / "lines" / "2.jsonl", LINES[1:])
    for dataset in ("d.npz", "folder", "lines", "lines/2.jsonl"):
        found = list(FileEpisodes(str(tmp_path / dataset)))
        expected = LINES[-len(found) :]
        assert len(found) == (1 if dataset.endswith("2.jsonl") else 2)
        for one, line in zip(found, expected, strict=True):
            one.check()
            np.testing.assert_array_equal(one.observations, line["observations"])
            np.testing.assert_array_equal(one.actions, line["actions"])
            assert one.goals is None
        assert found[-1].captions == {3: ["at the end", "here"]}
        assert len(found) == 1 or found[0].captions == {0: ["at the start"]}


def test_numbers_of_actions_become_vectors(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **(ARRAYS | {"actions": np.array([0, 3, 1, 1, 2]), "goals": np.arange(7)[:, None]}))
    one = FileEpisodes(str(tmp_path / "d.npz"))
    assert one.discrete
    first, second = one
    assert first.actions.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert second.actions.argmax(axis=1).tolist() == [1, 1, 2]
    assert second.goals is not None
    assert second.goals.tolist() == [[3], [4], [5], [6]]
    lines = [LINES[0] | {"actions": [0, 1]}, LINES[1] | {"actions": [2, 0, 1], "goals": [[0], [1], [2], [3]]}]
    listed = FileEpisodes(write_lines(tmp_path / "d.jsonl", lines))
    assert listed.discrete
    assert [one.actions.shape for one in listed] == [(2, 3), (3, 3)]


MISFITS: list[tuple[Any, str]] = [
    ({"captions": None}, "captions: expected an array, got none"),
    ({"lengths": None}, "lengths: expected an array, got none"),
    ({"lengths": np.array([2, 0])}, "trajectory 1: lengths: expected at least one action, got 0"),
    ({"lengths": np.array([2, 4])}, r"observations: expected 8 rows, as lengths ask for, got shape \(7, 2\)"),
    ({"actions": np.zeros((4, 1))}, r"actions: expected 5 rows, as lengths ask for, got shape \(4, 1\)"),
    ({"actions": np.array([0, 1, 2, -1, 0])}, "actions: expected whole numbers from 0 .* got -1 to 2"),
    ({"caption_rows": np.array([6, 0, 7])}, "caption_rows: entry 2: expected a row from 0 to 6, got 7"),
    ({"caption_rows": np.array([6, 0])}, r"caption_rows: expected 3 whole numbers, .* got int64 of shape \(2,\)"),
    ({"captions": np.array([1, 2, 3])}, r"captions: expected texts \[C\], got int64"),
]
LINE_MISFITS: list[tuple[Any, str]] = [
    ({"actions": [[0]]}, "line 2: observations: expected rows of equally many numbers, got none"),
    ({"observations": [[0], [1]]}, "line 2: actions: expected rows of equally many numbers, got none"),
    ({"observations": [[0], [1, 2]], "actions": [[0]]}, "line 2: observations: .*, got rows of different lengths"),
    ({"observations": [["a"], ["b"]], "actions": [[0]]}, "line 2: observations: .*, got what is no number"),
    ({"observations": [[0], [None]], "actions": [[0]]}, "line 2: observations: .*, got what is no number"),
    (LINES[0] | {"captions": {"last": "text"}}, "line 2: captions: expected the step of each, got step 'last'"),
    (LINES[0] | {"captions": "text"}, "line 2: captions: expected the step of each, got step None"),
    ("{", "line 2: expected JSON"),
    ("[1]", "line 2: expected an object, got list"),
]


@pytest.mark.parametrize(
    ("changed", "line", "says"),
    [*((what, None, says) for what, says in MISFITS), *((None, *one) for one in LINE_MISFITS)],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changed: dict[str, Any] | None, line: Any, says: str) -> None:
    path = tmp_path / ("d.npz" if changed else "d.jsonl")
    if changed:
        np.savez(path, **{name: array for name, array in (ARRAYS | changed).items() if array is not None})
    else:
        write_lines(path, [LINES[0], line])
    with pytest.raises(DatasetError, match=says) as caught:
        list(FileEpisodes(str(path)))
    assert "\n" not in str(caught.value)


def test_what_is_no_dataset_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npz").write_text("nothing of the kind")
    np.save(tmp_path / "single.npy", np.zeros(3))
    for name, says in (
        ("absent.npz", "expected a file or folder, got none"),
        ("empty", "expected arrays named observations, .*, got none of them"),
        ("text.npz", "cannot be read"),
        ("single.npy", "expected arrays named observations, .*, got none of them"),
    ):
        with pytest.raises(DatasetError, match=says) as caught:
            FileEpisodes(str(tmp_path / name))
        assert "\n" not in str(caught.value)
