"""Stores of goals: what is written is read, and nothing half written is taken for a store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.experiments.scaling.goal_store import GoalStore, GoalStoreError, write_goal_store

Chunk = tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]
M, D, E = 1000, 6, 9


def arrays(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """ab [M, D], bc [M, E], log weights [M]."""
    rng = np.random.default_rng(seed)
    ab, bc, weights = (rng.standard_normal(shape).astype(np.float32) for shape in ((M, D), (M, E), (M,)))
    weights[::7] = -np.inf
    return ab, bc, weights


def chunks(length: int = 300) -> Iterator[Chunk]:
    ab, bc, weights = arrays()
    for start in range(0, M, length):
        part = slice(start, start + length)
        yield ab[part], bc[part], weights[part]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_windows_hold_what_was_written(tmp_path: Path, dtype: str) -> None:
    store = write_goal_store(tmp_path / "goals", chunks(), M, dtype)
    ab, bc, weights = arrays()
    assert (len(store), store.dims, store.shared) == (M, (D, E), False)
    assert store.bytes_per_goal == (D + E) * np.dtype(dtype).itemsize + 12
    for start, stop in ((0, M), (17, 18), (299, 701), (999, 1000)):
        window, part = store.window(start, stop), slice(start, stop)
        kept_ab, kept_bc = (torch.as_tensor(x[part].astype(dtype)) for x in (ab, bc))
        torch.testing.assert_close(window.ab, kept_ab, rtol=0, atol=0)
        torch.testing.assert_close(window.bc, kept_bc, rtol=0, atol=0)
        torch.testing.assert_close(window.squares_bc, kept_bc.double().square().sum(1).float())
        assert window.log_weights is not None
        torch.testing.assert_close(window.log_weights, torch.as_tensor(weights[part]))
    sizes = [len(window.ab) for window in store.windows(100, 500, memory=store.bytes_per_goal * 150 + 1)]
    assert sizes == [150, 150, 100]
    assert [len(window.ab) for window in store.windows(0, 3, memory=1)] == [1, 1, 1]


def test_a_shared_tower_is_kept_once_and_the_files_stay_as_they_are(tmp_path: Path) -> None:
    ab = arrays()[0]
    store = write_goal_store(tmp_path / "goals", [(ab, None, None)], M)
    assert store.shared
    assert store.dims == (D, D)
    window = store.window(10, 20)
    assert window.bc is window.ab
    assert window.part(2, 5).bc is not None
    assert window.log_weights is None
    window.ab.zero_()
    torch.testing.assert_close(GoalStore(tmp_path / "goals").window(10, 20).ab, torch.as_tensor(ab[10:20]))


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    ab, bc, weights = arrays()
    bad = ab.copy()
    bad[123, 4] = 1e6
    for given, terms, dtype, match in (
        ([(ab, bc, weights)], M, "int4", "dtype=int4: must be one of float32, float16"),
        ([(ab, bc, weights)], M + 1, "float32", "terms=1001: chunks hold 1000 goals"),
        ([], 0, "float32", "terms=0"),
        ([(bad, bc, weights)], M, "float16", "ab: goal 123 is not finite in float16"),
        ([(ab, bc[1:], weights)], M, "float32", r"bc: from goal 0 on has shape \(999, 9\)"),
        ([(ab, bc, weights), (ab, None, weights)], 2 * M, "float32", "from goal 1000 on holds rows"),
        ([(ab, bc, np.full_like(weights, np.inf))], M, "float32", "log_weights: from goal 0 on must be"),
    ):
        with pytest.raises(GoalStoreError, match=match):
            write_goal_store(tmp_path / "goals", given, terms, dtype)
        assert list(tmp_path.iterdir()) == []


def test_a_store_is_never_overwritten_and_leftovers_of_a_killed_writer_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".goals.partial").mkdir()
    (tmp_path / ".goals.partial" / "goals_ab.npy").write_bytes(b"half")
    write_goal_store(tmp_path / "goals", chunks(), M)
    with pytest.raises(GoalStoreError, match="is there already"):
        write_goal_store(tmp_path / "goals", chunks(), M)
    assert [path.name for path in tmp_path.iterdir()] == ["goals"]


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(GoalStoreError, match=r"holds no store\.json"):
        GoalStore(tmp_path)
    store = write_goal_store(tmp_path / "goals", chunks(), M)
    file = store.folder / "goals_bc.npy"
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:50], whole[:3], whole + b"x"):
        file.write_bytes(damaged)
        with pytest.raises(GoalStoreError, match=r"goals_bc\.npy"):
            GoalStore(store.folder)
    file.unlink()
    with pytest.raises(GoalStoreError, match="write the store anew"):
        GoalStore(store.folder)
    (store.folder / "store.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(GoalStoreError, match="has format 99, this version reads 1"):
        GoalStore(store.folder)
