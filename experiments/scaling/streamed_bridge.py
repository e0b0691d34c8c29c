"""Lemma 1 over goals that are streamed from a `GoalStore`, in bounded memory, and shared out among processes.

Notation as in `agents.bridge`. A part of the goals gives a log-sum [N, K], and log-sums of parts combine to the whole's
exactly, so goals may be cut anywhere: into chunks that fit into a core's cache, windows of mapped files, processes.

Few pairs (n, k) are summed term by term, each with its own pivot, so that no spread of magnitudes underflows; the work
is then one matrix product and one power of two a goal and pair, about what it takes to read the goals. Many pairs go
through `agents.log_factors`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
import torch.distributed
from torch import Tensor

from goalbridge.agents.bridge_factors import BridgeFactors
from goalbridge.agents.log_factors import log_sum_of_factors
from goalbridge.agents.model import Critic
from goalbridge.experiments.scaling.goal_store import Goals, GoalStore

MEMORY: Final = 1 << 26  # bytes of goals mapped at once
_CHUNK_ELEMENTS: Final = 1 << 19  # of what is made of a chunk of goals: 2 MB in float32
_SHORTEST_CHUNK: Final = 256  # goals
_FEW: Final = 4  # N K up to this many N + K are summed pair by pair
_SMALLEST_SQUARE: Final = 1e-12  # of a goal that is normalised, as in `Critic`
_LOG2_E: Final = math.log2(math.e)  # powers of two are several times faster than those of e


def streamed_bridge_scores(
    a: Tensor, c: Tensor, store: GoalStore, critic_ab: Critic, critic_bc: Critic, *, memory: int = MEMORY
) -> Tensor:
    """`agents.bridge.bridge_scores` of stored goals: a [N, d], c [K, d'] -> [N, K]; without gradient.

    Equal to a float64 sum over the goals as they are stored within 1e-4 * max(1, |score|), as far as the critics' own
    logits are (see `Critic.forward`). ``memory``: bytes of goals in memory at once, at least one chunk of some
    thousands. Raises ValueError if a shape does not fit.
    """
    return streamed_log_sums(a, c, store, critic_ab, critic_bc, memory=memory) - math.log(len(store))


def sharded_bridge_scores(
    a: Tensor, c: Tensor, store: GoalStore, critic_ab: Critic, critic_bc: Critic, *, memory: int = MEMORY
) -> Tensor:
    """`streamed_bridge_scores` where each process of the default group of `torch.distributed` reads its share.

    All call it with the same arguments, and all get the scores [N, K]; ``memory`` is of each.
    """
    rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    part = shard(len(store), rank, processes)
    mine = streamed_log_sums(a, c, store, critic_ab, critic_bc, part=part, memory=memory)
    parts = [torch.empty_like(mine) for _ in range(processes)]
    torch.distributed.all_gather(parts, mine)
    return combine(parts) - math.log(len(store))


def shard(terms: int, rank: int, processes: int) -> tuple[int, int]:
    """First goal of process ``rank`` and the one after its last; shares differ by at most one. May be empty."""
    return terms * rank // processes, terms * (rank + 1) // processes


def combine(log_sums: Sequence[Tensor]) -> Tensor:
    """The log-sums [N, K] of all goals from those of disjoint parts, [N, K] each; -inf for a part without terms."""
    return torch.logsumexp(torch.stack(list(log_sums)), dim=0)


@torch.no_grad()
def streamed_log_sums(
    a: Tensor,
    c: Tensor,
    store: GoalStore,
    critic_ab: Critic,
    critic_bc: Critic,
    *,
    part: tuple[int, int] | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """logsumexp_m( f_AB(a_n, g_m) + f_BC(g_m, c_k) + log_weights_m ) over goals start to stop of ``part``: [N, K].

    Without - log M. -inf for an empty part. Arguments as `streamed_bridge_scores`.
    """
    for name, value, dim in (("a", a, store.dims[0]), ("c", c, store.dims[1])):
        if value.ndim != 2 or value.shape[1] != dim:
            raise ValueError(f"{name} has shape {tuple(value.shape)}; the store's goals need [count, {dim}]")
    start, stop = (0, len(store)) if part is None else part
    dtype = torch.promote_types(torch.promote_types(a.dtype, c.dtype), torch.float32)
    a, c = a.to(dtype), c.to(dtype)
    if start == stop or not len(a) * len(c):
        return a.new_full((len(a), len(c)), -math.inf)
    if len(a) * len(c) > _FEW * (len(a) + len(c)):
        goals = _StoredGoals(store, (start, stop), memory)
        return log_sum_of_factors(BridgeFactors(a, c, goals, stop - start, critic_ab, critic_bc))[0]
    sums = _PairSums(a, c, critic_ab, critic_bc)
    width = len(a) + len(c) + (0 if store.dtype == dtype else sum(store.dims))  # elements a goal takes in between
    length = max(_SHORTEST_CHUNK, _CHUNK_ELEMENTS // width)
    for window in store.windows(start, stop, memory):
        for first in range(0, len(window.ab), length):
            sums.add(window.part(first, min(first + length, len(window.ab))))
    return sums.result()


class _Side:
    """One critic's logits of fixed vectors x [N, d] against goals, to base 2: of_row [N, 1] + of_goal [m] + [N, m].

    Cut so that what hangs on one index only is added there, and not N m times.
    """

    def __init__(self, critic: Critic, x: Tensor) -> None:
        left, dim = critic.left_vectors(x), x.shape[1]  # [N, d], or [N, d + 2] of distances
        self._critic = critic
        base = _LOG2_E if critic.is_bilinear else 1.0
        self.vectors = left[:, :dim] * base  # [N, d]
        self._squares = left[:, dim : dim + 1] * base if left.shape[1] > dim else left.new_zeros(len(x), 1)  # [N, 1]
        self._factor = base * float(left[0, dim + 1]) if left.shape[1] > dim else 0.0
        self.of_row = self._squares if critic.is_bilinear else torch.zeros_like(self._squares)

    def add_of_goal(self, logits: Tensor, squares: Tensor) -> None:
        """Adds what hangs on goals of squared lengths [m] alone to logits [K, m]."""
        if self._critic.is_bilinear and self._factor:
            logits.add_(squares, alpha=self._factor)

    def of_both(self, dots: Tensor, squares: Tensor) -> Tensor:
        """Of dots [N, m] of the vectors with goals of squared lengths [m]; overwrites them."""
        if self._critic.kind == "cosine":
            return dots.mul_(squares.clamp(min=_SMALLEST_SQUARE).rsqrt())
        if self._critic.is_bilinear:
            return dots
        distances = dots.add_(self._squares).add_(squares, alpha=self._factor)  # squared
        return self._critic.logits_from_products(distances).mul_(_LOG2_E)


class _PairSums:
    """Running sums over chunks of goals, each pair (n, k) with a pivot of its own."""

    def __init__(self, a: Tensor, c: Tensor, critic_ab: Critic, critic_bc: Critic) -> None:
        self._ab, self._bc = _Side(critic_ab, a), _Side(critic_bc, c)
        self._both = torch.cat((self._ab.vectors, self._bc.vectors)) if a.shape[1] == c.shape[1] else None  # [N + K, d]
        self._pivot = a.new_full((len(a), len(c)), torch.finfo(a.dtype).min)  # [N, K], to base 2
        self._total = a.new_zeros(len(a), len(c), dtype=torch.float64)  # [N, K]

    def add(self, goals: Goals) -> None:
        dtype, device = self._pivot.dtype, self._pivot.device
        ab, squares_ab = goals.ab.to(device, dtype), goals.squares_ab.to(device, dtype)  # [m, d], [m]
        if goals.bc is goals.ab and self._both is not None:
            squares_bc = squares_ab
            logits = self._both @ ab.T  # [N + K, m]
            left, right = logits[: len(self._pivot)], logits[len(self._pivot) :]  # [N, m], [K, m]
        else:
            bc, squares_bc = goals.bc.to(device, dtype), goals.squares_bc.to(device, dtype)
            left, right = self._ab.vectors @ ab.T, self._bc.vectors @ bc.T
        left, right = self._ab.of_both(left, squares_ab), self._bc.of_both(right, squares_bc)
        self._ab.add_of_goal(right, squares_ab)
        self._bc.add_of_goal(right, squares_bc)
        if goals.log_weights is not None:
            right.add_(goals.log_weights.to(device, dtype), alpha=_LOG2_E)
        for k, column in enumerate(right):
            self._add_column(k, left.add_(column) if k == len(right) - 1 else left + column)  # the last may overwrite

    def _add_column(self, k: int, logits: Tensor) -> None:
        """Adds 2 ** logits [N, m] of instruction k, overwriting them."""
        pivot = torch.maximum(self._pivot[:, k], logits.amax(1))  # [N]
        sums = logits.sub_(pivot.unsqueeze(1)).exp2_().sum(1)  # [N]
        self._total[:, k].mul_((self._pivot[:, k] - pivot).exp2_()).add_(sums)
        self._pivot[:, k] = pivot

    def result(self) -> Tensor:
        of_pair = (self._ab.of_row + self._bc.of_row.T).double()  # [N, K]
        return ((self._total.log2() + self._pivot + of_pair) / _LOG2_E).to(self._pivot.dtype)


class _StoredGoals:
    """Chunks of goals start to stop of a store, numbered from 0; those asked for in turn are read from one window."""

    def __init__(self, store: GoalStore, part: tuple[int, int], memory: int) -> None:
        self._store, self._start, self._stop = store, *part
        self._length = max(1, memory // store.bytes_per_goal)
        self._open(self._start, self._start)

    def __call__(self, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Goals [m, d] and [m, d'] and log weights [m]."""
        start, stop = self._start + start, self._start + stop
        if not self._first <= start <= stop <= self._first + len(self._window.ab):
            self._open(start, stop)
        goals = self._window.part(start - self._first, stop - self._first)
        return goals.ab, goals.bc, goals.log_weights

    def _open(self, start: int, stop: int) -> None:
        self._first = start
        self._window = self._store.window(start, min(self._stop, max(stop, start + self._length)))
