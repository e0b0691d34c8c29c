"""Training steps/s against the bare forward and backward of the same nets: `python -m benchmarks.training`."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import torch

from goalbridge.configs.schema import EncoderConfig, RunConfig
from goalbridge.data.captions import BATCHES, stream
from goalbridge.training.build import RunBuilder
from goalbridge.worlds.maze.settings import MazeSettings

STEPS, WARM_UP = 100, 20


def run() -> list[dict[str, Any]]:
    """Rows with name, value, unit and bound; a whole step is sampling, loss, clipping, AdamW and averaging."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            whole, bare = _rates(folder)
    finally:
        torch.set_num_threads(threads)
    return [
        {"name": "training, steps/s", "value": whole, "unit": "/s", "bound": None},
        {"name": "training, share of bare forward + backward", "value": whole / bare, "unit": "x", "bound": 0.85},
    ]


def _rates(folder: str) -> tuple[float, float]:
    config = RunConfig(MazeSettings("goalbridge/ForkMaze-v0"), folder, encoder=EncoderConfig("label"))
    torch.set_flush_denormal(True)
    source, learner = RunBuilder(config, torch.device("cpu")).prepare()

    def whole() -> None:
        rng = stream(config.seed, BATCHES, learner.step)
        futures = source.sample_futures(rng, config.train.batch_size, config.train.discount)
        learner.update(futures, source.sample_captions(rng, config.train.batch_size), rng, detailed=False)

    rng = stream(config.seed, BATCHES, 0)
    futures = source.sample_futures(rng, config.train.batch_size, config.train.discount)
    ready = learner.tensors(futures, source.sample_captions(rng, config.train.batch_size), rng)

    def bare() -> None:
        learner.agent.zero_grad(set_to_none=True)
        learner.loss(ready, False)[0].backward()  # type: ignore[no-untyped-call]

    best = [float("inf")] * 2
    for _ in range(WARM_UP):
        whole()
    for _ in range(5):  # in turns, so that both meet the same machine
        for i, step in enumerate((whole, bare)):
            begin = time.perf_counter()
            for _ in range(STEPS // 5):
                step()
            best[i] = min(best[i], (time.perf_counter() - begin) / (STEPS // 5))
    return 1 / best[0], 1 / best[1]


if __name__ == "__main__":
    from goalbridge.benchmarks import show

    show(run())
