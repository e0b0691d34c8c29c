"""Goals streamed from files: time against a plain copy of the same bytes, linear in M, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.model import Critic
from goalbridge.benchmarks.scaling import seconds
from goalbridge.experiments.scaling.goal_store import GoalStore, write_goal_store
from goalbridge.experiments.scaling.streamed_bridge import MEMORY, streamed_bridge_scores, streamed_log_sums

DIM: Final = 64
ROWS: Final = (1, 4, 8, 32)  # state-actions at once, of one instruction
_WRITTEN_AT_ONCE: Final = 250_000

# On Linux ru_maxrss starts at the parent's peak, which would hide the child's; VmHWM holds mapped files too.
_PEAK_PROGRAM: Final = """
import resource, sys, torch
from goalbridge.agents.model import Critic
from goalbridge.experiments.scaling.goal_store import GoalStore
from goalbridge.experiments.scaling.streamed_bridge import streamed_bridge_scores

def peak():
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))

torch.set_num_threads(1)
store = GoalStore(sys.argv[1])
a, c = torch.randn(8, store.dims[0]), torch.randn(1, store.dims[1])
pair = Critic().requires_grad_(False), Critic().requires_grad_(False)
ballast = torch.ones(1 << 25)  # lifts what is in use above the peak of the imports
before = peak()
streamed_bridge_scores(a, c, store, *pair, memory=int(sys.argv[2]))
print(peak() - before)
"""


def write_normal(folder: Path, terms: int, *, shared: bool = False, dtype: str = "float32") -> GoalStore:
    """A store of standard normal goals; nothing in the cost hangs on what they are."""

    def chunks() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32] | None, None]]:
        rng = np.random.default_rng(0)
        for start in range(0, terms, _WRITTEN_AT_ONCE):
            shape = min(_WRITTEN_AT_ONCE, terms - start), DIM
            ab = rng.standard_normal(shape, dtype=np.float32)
            yield ab, None if shared else rng.standard_normal(shape, dtype=np.float32), None

    return write_goal_store(folder, chunks(), terms, dtype)


def extra_memory(folder: Path, memory: int) -> float:
    """By how many MB streaming a store raises the peak of a fresh process, mapped files included."""
    command = [sys.executable, "-c", _PEAK_PROGRAM, str(folder), str(memory)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rates(folder: Path, terms: int, repeats: int) -> list[dict[str, Any]]:
    """Nanoseconds a goal for rows of one instruction, and of two plain copies of the same bytes.

    copy: from memory to memory. mapped copy: from the store's mapped files to memory, in the same windows.
    """
    found = []
    for shared, dtype in ((False, "float32"), (True, "float32"), (False, "float16"), (True, "float16")):
        store = write_normal(folder / f"{shared}_{dtype}", terms, shared=shared, dtype=dtype)
        source = torch.ones(terms * store.bytes_per_goal // 4)
        target = torch.empty_like(source)
        for rows in ROWS:
            a, c, pair = queries(rows)

            def scores(
                a: Tensor = a, c: Tensor = c, store: GoalStore = store, pair: tuple[Critic, Critic] = pair
            ) -> None:
                streamed_bridge_scores(a, c, store, *pair)

            def copy(source: Tensor = source, target: Tensor = target) -> None:
                target.copy_(source)

            def mapped(store: GoalStore = store, target: Tensor = target) -> None:
                _copy_mapped(store, target)

            ours, plain, from_files = (t / terms * 1e9 for t in seconds((scores, copy, mapped), repeats))
            found.append(
                {
                    "towers": 1 if shared else 2,
                    "dtype": dtype,
                    "rows": rows,
                    "bytes_per_goal": store.bytes_per_goal,
                    "ns_per_goal": ours,
                    "ns_copy": plain,
                    "ns_mapped_copy": from_files,
                }
            )
    return found


def growth(folder: Path, counts: tuple[int, ...], budgets: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Seconds for growing M (8 rows, two towers, float32), and peaks of memory for the largest."""
    store = write_normal(folder / "largest", max(counts))
    a, c, pair = queries(8)
    times = [
        seconds([lambda count=count: streamed_log_sums(a, c, store, *pair, part=(0, count))], repeats)[0]  # type: ignore[misc]
        for count in counts
    ]
    return {
        "goals": list(counts),
        "seconds": times,
        "store_megabytes": max(counts) * store.bytes_per_goal / 1e6,
        "window_megabytes": MEMORY / 1e6,
        "budget_megabytes": [budget / 1e6 for budget in budgets],
        "extra_megabytes": [extra_memory(store.folder, budget) for budget in budgets],
    }


def queries(rows: int) -> tuple[Tensor, Tensor, tuple[Critic, Critic]]:
    """State-actions [rows, d], one instruction [1, d], and two critics, for a store of `write_normal`."""
    generator = torch.Generator().manual_seed(0)
    a, c = torch.randn(rows, DIM, generator=generator), torch.randn(1, DIM, generator=generator)
    return a, c, (Critic(embedding_dim=DIM), Critic(embedding_dim=DIM))


def _copy_mapped(store: GoalStore, target: Tensor) -> None:
    """Copies the embeddings of a store, window by window, to the beginning of ``target`` [any], float32."""
    place = 0
    room = target.view(store.dtype)
    for window in store.windows(0, len(store), MEMORY):
        for array in (window.ab,) if store.shared else (window.ab, window.bc):
            room[place : place + array.numel()].copy_(array.flatten())
            place += array.numel()
