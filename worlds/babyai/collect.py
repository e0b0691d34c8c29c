"""Trajectories in BabyAI's grids, without missions."""

from __future__ import annotations

from typing import Final

import numpy as np

from goalbridge.configs.data_schema import DataConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.captions import TRAJECTORIES, stream
from goalbridge.encoders.grid import situations
from goalbridge.envs.babyai.layouts import Layouts, explore
from goalbridge.envs.babyai.simulator import ACTIONS

_SCRIPTED: Final = {"random": 0.0, "mixed": 0.5, "expert": 1.0}  # share of walks to random poses


def collect_grids(layouts: Layouts, config: DataConfig, seed: int) -> TrajectoryBuffer:
    """Random play and walks to random poses in many layouts, as situations; the same for the same seed."""
    per_layout = max(1, config.trajectories // len(layouts))
    recorded, taken = explore(
        layouts,
        per_layout,
        config.walk_length,
        _SCRIPTED[config.kind],
        stream(seed, TRAJECTORIES),
        lambda batch: situations(batch.grids, batch.poses, batch.sizes),
    )
    count, length = taken.shape
    seen = recorded.reshape(count * (length + 1), -1)  # [N (T + 1), S]
    actions = np.eye(len(ACTIONS), dtype=np.float32)[taken.reshape(-1)]  # [N T, A]
    layout = np.repeat(np.arange(len(layouts)), per_layout)  # [N]
    places = recorded[:, 0, :2].astype(np.float32)  # [N, 2]
    return TrajectoryBuffer(seen, seen, actions, np.full(count, length, np.int64), layout, places)
