"""Speed of the batched BabyAI simulator against minigrid's own stepping: `python -m benchmarks.grid`."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from typing import Any, Final

import gymnasium
import numpy as np

from goalbridge.encoders.grid import situations
from goalbridge.envs.babyai.layouts import draw_layouts, free_poses
from goalbridge.envs.babyai.levels import level
from goalbridge.envs.babyai.simulator import ACTIONS, GridBatch

LEVELS: Final = ("GoToLocal", "GoTo")  # the smallest and the largest grid that are common
BATCH: Final = 512  # agents at once: their windows stay in the processor's cache
STEPS, SINGLE_STEPS, REPEATS = 100, 1500, 5
_MINIGRID: Final = np.array([0, 1, 2, 5])  # minigrid's numbers of left, right, forward, toggle


def run() -> list[dict[str, Any]]:
    """Rows with name, value, unit and bound; of several measurements in turns the median ratio.

    The simulator's time holds the situations that the encoders read, minigrid's its own 7x7 observation; neither holds
    the drawing of layouts. Both take uniformly random actions.
    """
    rows: list[dict[str, Any]] = []
    for name in LEVELS:
        batched, single = _Batched(name), _Single(name)
        rates = [(batched.rate(), single.rate()) for _ in range(REPEATS)]  # [(ours, minigrid's)], in turns
        what = f"BabyAI simulator with what encoders read, {name}"
        rows += [
            {
                "name": f"{what}, steps/s at {BATCH}",
                "value": statistics.median(ours for ours, _ in rates),
                "unit": "/s",
                "bound": None,
            },
            {
                "name": f"{what}, times faster than minigrid",
                "value": statistics.median(ours / theirs for ours, theirs in rates),
                "unit": "x",
                "bound": 100.0,
            },
        ]
    return rows


class _Batched:
    """The simulator in layouts of a level, each with what is seen after every step."""

    def __init__(self, name: str) -> None:
        self._rng = np.random.default_rng(0)
        layouts = draw_layouts([name], 64, self._rng)
        which = self._rng.integers(len(layouts), size=BATCH)  # [B]
        free = [free_poses(grid, size) for grid, size in zip(layouts.grids, layouts.sizes, strict=True)]
        poses = np.stack([self._rng.choice(free[row]) for row in which])  # [B, 3]
        self._batch = GridBatch(layouts.grids[which], poses, layouts.sizes[which])
        self.rate()  # the first one meets cold caches

    def rate(self) -> float:
        """Steps/s."""
        batch = self._batch
        actions = self._rng.integers(len(ACTIONS), size=(STEPS, BATCH))
        begin = time.perf_counter()
        for action in actions:
            batch.step(action)
            situations(batch.grids, batch.poses, batch.sizes)
        return actions.size / (time.perf_counter() - begin)


class _Single:
    """minigrid's own environment of a level."""

    def __init__(self, name: str) -> None:
        self._world: Any = gymnasium.make(level(name).minigrid_id, disable_env_checker=True).unwrapped
        self._rng = np.random.default_rng(0)
        self._begin()

    def _begin(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # minigrid prints each layout that it rejects
            self._world.reset(seed=int(self._rng.integers(2**31)))

    def rate(self) -> float:
        """Steps/s; what it takes to begin an episode is left out."""
        spent = 0.0
        for action in _MINIGRID[self._rng.integers(len(ACTIONS), size=SINGLE_STEPS)].tolist():
            begin = time.perf_counter()
            _, _, terminated, truncated, _ = self._world.step(action)
            spent += time.perf_counter() - begin
            if terminated or truncated:
                self._begin()
        return SINGLE_STEPS / spent


if __name__ == "__main__":
    from goalbridge.benchmarks import show

    show(run())
