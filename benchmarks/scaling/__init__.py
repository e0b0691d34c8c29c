"""The bridge over many goals: how fast, in how much memory, how exact; part of `docs/SCALING.md`.

Processor time of one thread throughout, so that what else runs on a machine counts little; it still shares caches and
memory with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


def seconds(functions: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median processor time of each; they take turns, so that all meet the same machine."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, found in zip(functions, times, strict=True):
            begin = time.process_time()
            function()
            found.append(time.process_time() - begin)
    return [sorted(found)[len(found) // 2] for found in times]
