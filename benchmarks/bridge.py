"""Speed and memory of the bridge, as ratios within one run: ``python -m benchmarks.bridge``.

The yardsticks are the sum over [N, M, K] in cache-sized blocks (what one writes first), and the exponentials and matrix
products alone (what cannot be done without). One thread; alternating measurements, the best of each.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from goalbridge.agents.bridge import bridge_scores_per_row
from goalbridge.agents.log_matmul_exp import log_matmul_exp
from goalbridge.agents.model import Critic

ROWS, COLUMNS, GOALS, DIM = 256, 64, 100_000, 64
EPISODES, ACTIONS, EPISODE_GOALS = 1000, 8, 2000
_BLOCK = 1 << 17  # float32 elements, 0.5 MB: half a core's usual L2 cache

_EXTRA_MEMORY_PROGRAM = f"""
import resource, sys, torch
from goalbridge.agents.bridge import bridge_scores
from goalbridge.agents.model import Critic
from goalbridge.agents.log_matmul_exp import log_matmul_exp

def peak_megabytes():
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    with open("/proc/self/status") as status:  # on Linux ru_maxrss starts at the parent's peak, which would hide ours
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))

torch.set_num_threads(1)
N, K, M, D = {ROWS}, {COLUMNS}, {GOALS}, {DIM}
ballast = torch.ones(1 << 25)  # lifts what is in use above the peak of the imports
if sys.argv[1] == "log_matmul_exp":
    inputs, function = (torch.empty(N, M), torch.empty(M, K)), log_matmul_exp
else:
    inputs = tuple(torch.empty(count, D) for count in (N, K, M, M))
    pair = Critic().requires_grad_(False), Critic().requires_grad_(False)
    function = lambda *x: bridge_scores(*x, *pair)
for x in inputs:
    x.normal_()
before = peak_megabytes()
function(*inputs)
print(peak_megabytes() - before)
"""


def extra_memory(function: str) -> float:
    """By how many MB "log_matmul_exp" or "bridge_scores" raises the peak of a fresh process at full size."""
    command = [sys.executable, "-c", _EXTRA_MEMORY_PROGRAM, function]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run() -> list[dict[str, Any]]:
    """Rows with name, value, unit and bound: what the value should not pass (from below where the name says faster)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            return [*_log_matmul_exp_rows(), *_per_row_rows()]
    finally:
        torch.set_num_threads(threads)


def _log_matmul_exp_rows() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(ROWS, GOALS, generator=generator), torch.randn(GOALS, COLUMNS, generator=generator)
    ours, bare = _fastest([lambda: log_matmul_exp(left, right), lambda: _bare_log_matmul_exp(left, right)])
    (plain,) = _fastest([lambda: _plain_sum(left, right)], repeats=1)
    rows = [
        _row("log_matmul_exp, time", ours * 1e3, "ms", None),
        _row("log_matmul_exp, times faster than the plain sum", plain / ours, "x", 20.0),
        _row("log_matmul_exp, time over exp + matmul", ours / bare, "x", 2.0),
    ]
    for function in ("log_matmul_exp", "bridge_scores"):
        rows.append(_row(f"{function}, extra memory", extra_memory(function), "MB", 100.0))
    return rows


def _per_row_rows() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(EPISODES, ACTIONS, DIM, generator=generator)
    goals = torch.randn(EPISODE_GOALS, DIM, generator=generator)
    log_bc = torch.randn(EPISODES, EPISODE_GOALS, generator=generator) * 3
    critic = Critic(embedding_dim=DIM)
    rows, columns = a.flatten(0, 1), 0.05 * goals.T  # [B A, d], [d, M]; scaled as the critic does
    ours, bare = _fastest(
        [lambda: bridge_scores_per_row(a, log_bc, goals, critic), lambda: _bare_per_row(rows, columns)]
    )
    pairs = EPISODES * ACTIONS * EPISODE_GOALS
    return [
        _row("bridge_scores_per_row, time a (row, goal)", ours / pairs * 1e9, "ns", None),
        _row("bridge_scores_per_row, time over matmul + exp", ours / bare, "x", 2.0),
    ]


def _row(name: str, value: float, unit: str, bound: float | None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "bound": bound}


def _fastest(functions: list[Callable[[], object]], repeats: int = 7) -> list[float]:
    """Best time of each in seconds; they take turns, so that all meet the same machine."""
    best = [float("inf")] * len(functions)
    for _ in range(repeats):
        for i, function in enumerate(functions):
            start = time.perf_counter()
            function()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def _bare_log_matmul_exp(left: Tensor, right: Tensor) -> Tensor:
    total, chunk = torch.zeros(len(left), right.shape[1]), _BLOCK // len(left)
    exp_left, exp_right = torch.empty(len(left), chunk), torch.empty(chunk, right.shape[1])
    for start in range(0, len(right), chunk):
        stop = min(start + chunk, len(right))
        torch.exp(left[:, start:stop], out=exp_left[:, : stop - start])
        torch.exp(right[start:stop], out=exp_right[: stop - start])
        total.addmm_(exp_left[:, : stop - start], exp_right[: stop - start])
    return total.log()


def _plain_sum(left: Tensor, right: Tensor, terms: int = 512) -> Tensor:
    """The sum over [n, K, m] blocks that fit into cache, with a running logsumexp."""
    result = torch.full((len(left), right.shape[1]), -torch.inf)
    columns = right.T.contiguous()  # [K, M]
    rows = max(1, _BLOCK // (terms * len(columns)))
    buffer = torch.empty(rows, len(columns), terms)
    for n in range(0, len(left), rows):
        for m in range(0, len(right), terms):
            part, goals = left[n : n + rows, m : m + terms], columns[:, m : m + terms]
            block = buffer[: len(part), :, : part.shape[1]]  # [n, K, m]
            torch.add(part.unsqueeze(1), goals, out=block)
            top = block.amax(2, keepdim=True)
            log_sum = block.sub_(top).exp_().sum(2).log_().add_(top.squeeze(2))
            result[n : n + rows] = torch.logaddexp(result[n : n + rows], log_sum)
    return result


def _bare_per_row(rows: Tensor, goals: Tensor) -> None:
    count = max(1, _BLOCK // goals.shape[1])
    goals, buffer = goals.contiguous(), torch.empty(count, goals.shape[1])
    for start in range(0, len(rows), count):
        part = rows[start : start + count]
        torch.mm(part, goals, out=buffer[: len(part)]).exp_()


if __name__ == "__main__":
    from goalbridge.benchmarks import show

    show(run())
