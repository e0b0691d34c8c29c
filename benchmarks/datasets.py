"""Five million steps out as a Minari dataset, in again, and sampled: `python -m benchmarks.datasets`."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from goalbridge.data.episodes import Episode, stage
from goalbridge.data.minari_export import export
from goalbridge.data.minari_import import MinariEpisodes
from goalbridge.data.space_spec import SpaceSpec
from goalbridge.data.trajectories import TrajectoryBuffer

EPISODES, STEPS, DATASET = 20_000, 250, "benchmark/walks-v0"
BATCH, BATCHES, REPEATS, DISCOUNT = 256, 100, 40, 0.98
_BOUND: Final = (-10.0, 10.0)
_LOW, _HIGH = _BOUND
WORLD: Final = SpaceSpec("a world", (_LOW,) * 4, (_HIGH,) * 4, (_LOW,) * 2, (_HIGH,) * 2, action_dim=2)


class Walks:
    """Random walks, observed as position and velocity as in point mazes made by others; the goal is the position."""

    discrete = False

    def __init__(self, episodes: int) -> None:
        self._episodes = episodes

    def __iter__(self) -> Iterator[Episode]:
        rng = np.random.default_rng(0)
        for number in range(self._episodes):
            actions = rng.uniform(-1, 1, (STEPS, 2)).astype(np.float32)
            velocity = np.concatenate([np.zeros((1, 2), np.float32), actions * 0.1])  # [T + 1, 2]
            place = np.clip(velocity.cumsum(axis=0), *_BOUND)  # [T + 1, 2]
            yield Episode(f"episode {number}", np.hstack([place, velocity]), actions, place)


def write(folder: Path, episodes: int) -> dict[str, float]:
    """Seconds of the export, from a memory map."""
    buffer = TrajectoryBuffer.open(stage(Walks(episodes), folder / "walks"))
    begin = time.perf_counter()
    export(buffer, WORLD, DATASET)
    return {"seconds": time.perf_counter() - begin}


def read(folder: Path, episodes: int) -> dict[str, float]:
    """Seconds of the import, checks included, and of opening what it wrote."""
    begin = time.perf_counter()
    staged = stage(MinariEpisodes(DATASET, WORLD), folder / "read")
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    assert TrajectoryBuffer.open(staged).transitions == episodes * STEPS
    return {"seconds": seconds, "opening": time.perf_counter() - begin}


def sample(folder: Path, episodes: int) -> dict[str, float]:
    """Batches/s from the memory map and from arrays in memory, and their ratio; medians over turns, each of both."""
    mapped = TrajectoryBuffer.open(folder / ".read.partial")
    held = [np.array(part) for part in (mapped.observations, mapped.goals, mapped.actions, mapped.lengths)]
    buffers = {"mapped": mapped, "held": TrajectoryBuffer(held[0], held[1], held[2], held[3])}
    rates: dict[str, list[float]] = {name: [] for name in buffers}
    for turn in range(REPEATS + 1):  # the first, in which indices are made and files are read, does not count
        for name, buffer in buffers.items():
            rng = np.random.default_rng(turn)
            begin = time.perf_counter()
            for _ in range(BATCHES):
                buffer.sample_futures(rng, BATCH, DISCOUNT)
            rates[name].append(BATCHES / (time.perf_counter() - begin))
    taken = {name: np.array(found[1:]) for name, found in rates.items()}
    taken["share"] = taken["mapped"] / taken["held"]  # turn by turn, for the machine may slow down in between
    return {name: float(np.median(found)) for name, found in taken.items()}


def _measured(work: Callable[[Path, int], dict[str, float]], folder: Path, episodes: int) -> dict[str, float]:
    found = work(folder, episodes)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return found | {"megabytes": kilobytes / 1000}


def measure(episodes: int) -> dict[str, dict[str, float]]:
    """What writing, reading and sampling took, each in a process of its own."""
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        before = os.environ.get("MINARI_DATASETS_PATH")
        os.environ["MINARI_DATASETS_PATH"] = str(Path(temporary) / "datasets")
        try:
            for work in (write, read, sample):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found[work.__name__] = pool.apply(_measured, (work, Path(temporary), episodes))
        finally:
            os.environ.pop("MINARI_DATASETS_PATH")
            if before is not None:
                os.environ["MINARI_DATASETS_PATH"] = before
    return found


def run() -> list[dict[str, Any]]:
    """Rows with name, value, unit and bound."""
    found = measure(EPISODES)
    steps = f"{EPISODES * STEPS / 1e6:g} M steps"
    rows: list[tuple[str, float, str, float | None]] = []
    for name, what in (("write", "written as Minari"), ("read", "read from Minari and checked"), ("sample", "sampled")):
        rows.append((f"datasets, {steps} {what}: peak memory", found[name]["megabytes"], "MB", 1500.0))
    for name, what in (("write", "writing"), ("read", "reading")):
        rows.append((f"datasets, {what}, steps/s", EPISODES * STEPS / found[name]["seconds"], "/s", None))
    rows.append(("datasets, opening what was checked", 1e3 * found["read"]["opening"], "ms", None))
    rows.append((f"datasets, batches/s of {BATCH} from the memory map", found["sample"]["mapped"], "/s", None))
    rows.append(
        ("datasets, sampling from the memory map, share of the rate in memory", found["sample"]["share"], "x", 0.8)
    )
    return [dict(zip(("name", "value", "unit", "bound"), row, strict=True)) for row in rows]


if __name__ == "__main__":
    from goalbridge.benchmarks import show

    show(run())
