"""Speed of the batched BabyAI simulator against minigrid's own stepping: `python -m benchmarks.grid`."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from typing import Any, Final

import gymnasium
import numpy as np

from envs.babyai.layouts import draw_layouts, free_poses
from envs.babyai.levels import level
from envs.babyai.simulator import GridBatch

LEVELS: Final = ("GoToLocal", "GoTo")  # the smallest and the largest grid that are common
BATCH: Final = 4096
_MINIGRID: Final = np.array([0, 1, 2, 5])  # minigrid's numbers of left, right, forward, toggle

Observe = Callable[[GridBatch], Any]


def run(observe: Observe = GridBatch.goals) -> list[dict[str, Any]]:
    """Rows with name, value, unit and bound; `observe` is what is read from the simulator after each step.

    minigrid's time holds its own 7x7 observation; neither holds the drawing of layouts.
    """
    rows: list[dict[str, Any]] = []
    for name in LEVELS:
        single, batched = _minigrid_rate(name, steps=3000), _batched_rate(name, observe, steps=100)
        simulator = f"simulator, {name}"
        rows += [
            {"name": f"{simulator}, steps/s at {BATCH}", "value": batched, "unit": "/s", "bound": None},
            {
                "name": f"{simulator}, times faster than minigrid",
                "value": batched / single,
                "unit": "x",
                "bound": 100.0,
            },
        ]
    return rows


def _batched_rate(name: str, observe: Observe, steps: int) -> float:
    rng = np.random.default_rng(0)
    layouts = draw_layouts([name], 64, rng)
    which = rng.integers(len(layouts), size=BATCH)  # [B]
    free = [free_poses(grid, size) for grid, size in zip(layouts.grids, layouts.sizes, strict=True)]
    batch = GridBatch(layouts.grids[which], np.stack([rng.choice(free[row]) for row in which]), layouts.sizes[which])
    actions = rng.integers(4, size=(steps, BATCH))
    observe(batch)
    begin = time.perf_counter()
    for action in actions:
        batch.step(action)
        observe(batch)
    return steps * BATCH / (time.perf_counter() - begin)


def _minigrid_rate(name: str, steps: int) -> float:
    world: Any = gymnasium.make(level(name).minigrid_id, disable_env_checker=True).unwrapped
    actions = _MINIGRID[np.random.default_rng(0).integers(4, size=steps)].tolist()
    spent = 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # minigrid prints each layout that it rejects
        world.reset(seed=0)
        for seed, action in enumerate(actions, start=1):
            begin = time.perf_counter()
            _, _, terminated, truncated, _ = world.step(action)
            spent += time.perf_counter() - begin
            if terminated or truncated:
                world.reset(seed=seed)
    return steps / spent


if __name__ == "__main__":
    from benchmarks import show

    show(run())
