"""Goals streamed from files against float64 sums over all of them; parts against the whole."""

from __future__ import annotations

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
from torch import Tensor

from goalbridge.agents.bridge import bridge_scores
from goalbridge.agents.model import Critic
from goalbridge.configs.schema import CRITICS
from goalbridge.experiments.scaling.goal_store import GoalStore, write_goal_store
from goalbridge.experiments.scaling.streamed_bridge import combine, shard, streamed_bridge_scores, streamed_log_sums

M, D, E = 5000, 6, 9


def stored(folder: Path, seed: int = 0, *, terms: int = M, shared: bool = False, dtype: str = "float32") -> GoalStore:
    rng = np.random.default_rng(seed)
    ab, bc, weights = (rng.standard_normal(shape) for shape in ((terms, D), (terms, E), (terms,)))
    weights[rng.random(terms) < 0.3] = -np.inf
    return write_goal_store(folder / "goals", [(ab, None if shared else bc, weights)], terms, dtype)


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
    ab = np.random.default_rng(0).standard_normal((300, D))
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
