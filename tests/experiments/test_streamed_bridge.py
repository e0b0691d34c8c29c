"""Goals in files: what is written is read, and sums streamed over them are those in float64 over all of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.bridge import bridge_scores
from goalbridge.agents.model import Critic
from goalbridge.configs.schema import CRITICS
from goalbridge.experiments.scaling.goal_store import GoalStore, GoalStoreError, write_goal_store
from goalbridge.experiments.scaling.streamed_bridge import combine, shard, streamed_bridge_scores, streamed_log_sums

M, D, E = 5000, 6, 9
Arrays = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def arrays(terms: int = M) -> Arrays:
    """ab [M, D], bc [M, E], log weights [M], of which some are -inf."""
    rng = np.random.default_rng(0)
    ab, bc, weights = (rng.standard_normal(shape).astype(np.float32) for shape in ((terms, D), (terms, E), (terms,)))
    weights[rng.random(terms) < 0.3] = -np.inf
    return ab, bc, weights


def stored(folder: Path, terms: int = M, shared: bool = False, dtype: str = "float32", chunk: int = M) -> GoalStore:
    """`arrays` in a store, written in chunks."""
    ab, bc, weights = arrays(terms)
    parts = (slice(start, start + chunk) for start in range(0, terms, chunk))
    chunks = ((ab[part], None if shared else bc[part], weights[part]) for part in parts)
    return write_goal_store(folder / "goals", chunks, terms, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_windows_hold_what_was_written(tmp_path: Path, dtype: str) -> None:
    store = stored(tmp_path, 1000, dtype=dtype, chunk=300)
    ab, bc, weights = arrays(1000)
    assert (len(store), store.dims, store.shared) == (1000, (D, E), False)
    assert store.bytes_per_goal == (D + E) * np.dtype(dtype).itemsize + 12
    for start, stop in ((0, 1000), (17, 18), (299, 701), (999, 1000)):
        window, part = store.window(start, stop), slice(start, stop)
        kept_ab, kept_bc = (torch.as_tensor(x[part].astype(dtype)) for x in (ab, bc))
        torch.testing.assert_close(window.ab, kept_ab, rtol=0, atol=0)
        torch.testing.assert_close(window.bc, kept_bc, rtol=0, atol=0)
        torch.testing.assert_close(window.squares_bc, kept_bc.double().square().sum(1).float())
        torch.testing.assert_close(window.log_weights, torch.as_tensor(weights[part]))
    sizes = [len(window.ab) for window in store.windows(100, 500, memory=store.bytes_per_goal * 150 + 1)]
    assert sizes == [150, 150, 100]
    assert [len(window.ab) for window in store.windows(0, 3, memory=1)] == [1, 1, 1]


def test_a_shared_tower_is_kept_once_and_the_files_stay_as_they_are(tmp_path: Path) -> None:
    ab, _, _ = arrays()
    store = write_goal_store(tmp_path / "goals", [(ab, None, None)], M)
    assert (store.shared, store.dims) == (True, (D, D))
    window = store.window(10, 20)
    assert window.bc is window.ab
    assert window.part(2, 5).bc is not None
    assert window.log_weights is None
    window.ab.zero_()
    torch.testing.assert_close(GoalStore(tmp_path / "goals").window(10, 20).ab, torch.as_tensor(ab[10:20]))


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    ab, bc, weights = arrays(1000)
    bad = ab.copy()
    bad[123, 4] = 1e6
    for chunks, terms, dtype, match in (
        ([(ab, bc, weights)], 1000, "int4", "dtype=int4: must be one of float32, float16"),
        ([(ab, bc, weights)], 1001, "float32", "terms=1001: chunks hold 1000 goals"),
        ([], 0, "float32", "terms=0"),
        ([(bad, bc, weights)], 1000, "float16", "ab: goal 123 is not finite in float16"),
        ([(ab, bc[1:], weights)], 1000, "float32", r"bc: from goal 0 on has shape \(999, 9\)"),
        ([(ab, bc, weights), (ab, None, weights)], 2000, "float32", "from goal 1000 on holds rows"),
        ([(ab, bc, np.full_like(weights, np.inf))], 1000, "float32", "log_weights: from goal 0 on must be"),
    ):
        with pytest.raises(GoalStoreError, match=match):
            write_goal_store(tmp_path / "goals", chunks, terms, dtype)
        assert list(tmp_path.iterdir()) == []


def test_a_store_is_never_overwritten_and_leftovers_of_a_killed_writer_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".goals.partial").mkdir()
    (tmp_path / ".goals.partial" / "goals_ab.npy").write_bytes(b"half")
    stored(tmp_path)
    with pytest.raises(GoalStoreError, match="is there already"):
        stored(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["goals"]


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(GoalStoreError, match=r"holds no store\.json"):
        GoalStore(tmp_path)
    store = stored(tmp_path)
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


def queries(rows: int, columns: int, dim: int = E, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return scale * torch.randn(rows, D, generator=generator), torch.randn(columns, dim, generator=generator)


def exact(a: Tensor, c: Tensor, store: GoalStore, pair: tuple[Critic, Critic]) -> Tensor:
    """The sum over [N, M, K] in float64, less log M."""
    goals = store.window(0, len(store))
    left = pair[0].paired(a.double().unsqueeze(1), goals.ab.double())  # [N, M]
    right = pair[1].paired(goals.bc.double().unsqueeze(1), c.double())  # [M, K]
    terms = left.unsqueeze(2) + right
    if goals.log_weights is not None:
        terms = terms + goals.log_weights.double().unsqueeze(1)
    return torch.logsumexp(terms, dim=1) - math.log(len(store))


@torch.no_grad()
@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(("rows", "columns"), [(8, 1), (1, 1), (5, 3), (40, 30)])
def test_streamed_scores_equal_brute_force(
    tmp_path: Path, kind: str, shared: bool, dtype: str, rows: int, columns: int
) -> None:
    store = stored(tmp_path, shared=shared, dtype=dtype)
    a, c = queries(rows, columns, D if shared else E)
    pair = Critic(kind, initial_log_scale=0.3), Critic(kind, initial_log_scale=0.7)
    wanted = exact(a, c, store, pair)
    for memory in (50_000, 1 << 26):
        found = streamed_bridge_scores(a, c, store, *pair, memory=memory)
        assert found.dtype == torch.float32
        assert bool(((found - wanted).abs() <= 1e-4 * wanted.abs().clamp(min=1.0)).all())
    goals = store.window(0, len(store))
    in_memory = bridge_scores(a, c, goals.ab.float(), goals.bc.float(), *pair, goals.log_weights)
    torch.testing.assert_close(found, in_memory, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("rows", "columns"), [(6, 1), (20, 10)])
def test_far_goals_do_not_underflow(tmp_path: Path, rows: int, columns: int) -> None:
    """Every summand lies hundreds of nats below the best of its row and of its column."""
    ab, bc = np.full((2000, 2), 30.0), np.full((2000, 2), 30.0)
    ab[::2, 0], bc[1::2, 0] = 0.0, 0.0
    store = write_goal_store(tmp_path / "goals", [(ab, bc, None)], 2000)
    a, c = torch.randn(rows, 2) + torch.tensor([0.0, 30.0]), torch.randn(columns, 2) + torch.tensor([0.0, 30.0])
    pair = Critic(initial_log_scale=0.0), Critic(initial_log_scale=0.0)
    wanted = exact(a, c, store, pair)
    assert bool((wanted < -500).all())
    torch.testing.assert_close(streamed_bridge_scores(a, c, store, *pair).double(), wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_absent_goals_nan_and_float64(tmp_path: Path) -> None:
    ab, _, _ = arrays(300)
    store = write_goal_store(tmp_path / "goals", [(ab, None, np.full(300, -np.inf))], 300)
    a, c = queries(3, 1, D)
    pair = Critic(), Critic()
    assert bool((streamed_bridge_scores(a, c, store, *pair) == -math.inf).all())
    store = write_goal_store(tmp_path / "more", [(ab, None, None)], 300)
    a[1, 0] = math.nan
    assert streamed_bridge_scores(a, c, store, *pair)[:, 0].isnan().tolist() == [False, True, False]
    wide = streamed_bridge_scores(a[::2].double(), c, store, *pair)
    torch.testing.assert_close(wide, exact(a[::2], c, store, pair), rtol=1e-6, atol=1e-6)
    assert streamed_bridge_scores(a[:0], c, store, *pair).shape == (0, 1)
    for bad in ((a[:, 1:], c), (a, c[0])):
        with pytest.raises(ValueError, match="the store's goals need"):
            streamed_bridge_scores(*bad, store, *pair)


@pytest.fixture(scope="module")
def small() -> GoalStore:
    return stored(Path(tempfile.mkdtemp()), terms=600)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 600), max_size=6), columns=st.sampled_from([1, 12]), log_scale=st.floats(-2, 3))
@torch.no_grad()
def test_any_parts_combine_to_the_whole(small: GoalStore, cuts: list[int], columns: int, log_scale: float) -> None:
    a, c = queries(12, columns)
    pair = Critic(initial_log_scale=log_scale), Critic("cosine")
    places = [0, *sorted(cuts), 600]  # parts may be empty
    parts = [streamed_log_sums(a, c, small, *pair, part=part, memory=20_000) for part in pairwise(places)]
    whole = streamed_log_sums(a, c, small, *pair)
    torch.testing.assert_close(combine(parts), whole, rtol=1e-5, atol=1e-5)
    wanted = exact(a, c, small, pair) + math.log(600)
    torch.testing.assert_close(combine(parts).double(), wanted, rtol=1e-4, atol=1e-4)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.one_of(st.just(-math.inf), st.floats(-1e4, 1e4)), max_size=8), min_size=1, max_size=6))
def test_log_sums_combine_with_absent_entries(parts: list[list[float]]) -> None:
    tensors = [torch.tensor([part], dtype=torch.float64) for part in parts]
    whole = torch.logsumexp(torch.cat(tensors, dim=1), dim=1)
    torch.testing.assert_close(combine([torch.logsumexp(part, dim=1) for part in tensors]), whole)


@given(st.integers(0, 10**7), st.integers(1, 200))
def test_shards_are_even_and_leave_nothing_out(terms: int, processes: int) -> None:
    places = [shard(terms, rank, processes) for rank in range(processes)]
    assert places[0][0] == 0
    assert places[-1][1] == terms
    assert all(before[1] == after[0] for before, after in pairwise(places))
    sizes = {stop - start for start, stop in places}
    assert max(sizes) - min(sizes) <= 1


PROCESS = """
import sys, torch
from goalbridge.agents.model import Critic
from goalbridge.experiments.scaling.goal_store import GoalStore
from goalbridge.experiments.scaling.streamed_bridge import sharded_bridge_scores
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
a, c = torch.load(f"{folder}/queries.pt", weights_only=True)
pair = Critic().requires_grad_(False), Critic().requires_grad_(False)
torch.save(sharded_bridge_scores(a, c, GoalStore(f"{folder}/goals"), *pair), f"{folder}/scores{rank}.pt")
torch.distributed.destroy_process_group()
"""


def test_two_processes_get_what_one_gets(tmp_path: Path) -> None:
    store = stored(tmp_path)
    a, c = queries(4, 2)
    torch.save((a, c), tmp_path / "queries.pt")
    started = [subprocess.Popen([sys.executable, "-c", PROCESS, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    whole = streamed_bridge_scores(a, c, store, Critic(), Critic())
    for rank in range(2):
        found = torch.load(tmp_path / f"scores{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, whole, rtol=1e-6, atol=1e-6)
