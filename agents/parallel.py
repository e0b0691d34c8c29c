"""Several processes that train one agent: who they are, what they tell each other, and how they end together.

`torchrun` starts the processes; nothing here is needed, or costs anything, where there is one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from goalbridge.configs.checks import ConfigError, UserError

PATIENCE = timedelta(hours=2)  # the first process may collect data for long while the others wait
_REPORTED = "goalbridge/reported"


class PeerError(UserError):
    """Another process of the run has ended, or cannot be reached."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run as one of them sees them: its number, how many there are.

    rank: from 0 to count - 1; the first one collects, logs and saves for all. Each method that talks to the others
    must be called by all, in the same order; it raises PeerError where one of them has gone.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that collects, logs and saves."""
        return self.rank == 0

    def share(self, size: int) -> slice:
        """The rows of a global batch of `size` that are this process's own."""
        own = size // self.count
        return slice(self.rank * own, (self.rank + 1) * own)

    def require_divisible(self, batch_size: int, group_size: int) -> None:
        """ConfigError unless each process gets as many rows, and whole groups where there are groups."""
        unit = self.count * max(1, group_size)
        if batch_size % unit or batch_size < unit:
            groups = f" x train.negatives_per_layout={group_size}" if group_size else ""
            raise ConfigError(
                f"train.batch_size={batch_size}: expected a multiple of {self.count} processes{groups}; "
                f"try {max(1, round(batch_size / unit)) * unit}"
            )

    def device(self, device: torch.device) -> torch.device:
        """This process's own device, where `device` names a kind; ConfigError where there are too few of it."""
        if self.count == 1 or device.type == "cpu":
            return device
        local, there = int(os.environ.get("LOCAL_RANK", self.rank)), torch.cuda.device_count()
        if device.type != "cuda" or local >= there:
            raise ConfigError(
                f"device={device.type}: expected a device for each process of this machine, got {there}; "
                "try as many processes, or device=cpu"
            )
        return torch.device("cuda", local)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; by the CPU, so that no accelerator is waited for."""
        if self.count == 1:
            return flag
        flags = torch.tensor([flag], dtype=torch.uint8)
        _talk(lambda: dist.all_reduce(flags, dist.ReduceOp.MAX))
        return bool(flags.item())

    @contextmanager
    def first_before_the_others(self) -> Iterator[None]:
        """The first process does what follows while the others wait; then they do it, and find its files."""
        if not self.is_first:
            self.any(False)
        yield
        if self.is_first:
            self.any(False)

    def gather(self, rows: Tensor) -> Tensor:
        """All processes' rows [n, d], [count n, d]; gradients flow back to where each row is from."""
        return rows if self.count == 1 else _Gather.apply(rows, self)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Puts into each tensor the sum of all processes', by one message; the same bits everywhere."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        _talk(lambda: dist.all_reduce(flat))
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()


ALONE = Processes()


class _Gather(torch.autograd.Function):
    """all_gather whose backward pass sums what all processes' losses say of this process's rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(processes.count)]
        _talk(lambda: dist.all_gather(parts, rows.contiguous()))
        return torch.cat(parts)  # [count n, d]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.contiguous().clone()  # [count n, d]
        _talk(lambda: dist.all_reduce(total))
        return total[ctx.processes.share(len(total))], None


def _talk(message: Callable[[], object]) -> None:
    try:
        message()
    except RuntimeError as error:
        raise PeerError("a process of this run has ended or cannot be reached") from error


@contextmanager
def joined() -> Iterator[Processes]:
    """Joins the processes that torchrun started, or is ALONE; of errors, the first process to meet one alone tells.

    The others leave silently with exit code 2.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    store, rank, count = next(rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    try:
        yield Processes(rank, count)
    except Exception as error:
        if not _is_first_to_tell(store):
            raise SystemExit(2) from error
        raise
    dist.destroy_process_group()


def _is_first_to_tell(store: Any) -> bool:
    try:
        return bool(store.add(_REPORTED, 1) == 1)
    except RuntimeError:  # torchrun itself has gone: rather twice than never
        return True
