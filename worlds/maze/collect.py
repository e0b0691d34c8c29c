"""Trajectories in point mazes, without instructions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.captions import TRAJECTORIES, stream
from goalbridge.data.replay import STILL, distances, drop_no_ops, step_length
from goalbridge.envs.expert import collect_expert, collect_random
from goalbridge.envs.layouts import Layout


def collect_maze(layout: Layout, config: DataConfig, seed: int) -> TrajectoryBuffer:
    """Trajectories of the noisy expert or of a random walk; the same for the same seed. No instruction is involved."""
    draw = int(stream(seed, TRAJECTORIES).integers(2**31))
    if config.kind == "expert":
        flat = collect_expert(layout, config.trajectories, draw, config.noise_degrees)
    elif config.kind == "random":
        return _moving(*collect_random(layout, config.trajectories, config.walk_length, draw)[:2], config.walk_length)
    else:
        raise ConfigError(f"data.kind={config.kind}: is for grids; in mazes expert or random would do")
    observations, actions, lengths = flat
    return TrajectoryBuffer(observations, observations, actions, lengths)


def _moving(observations: NDArray[Any], actions: NDArray[np.float32], length: int) -> TrajectoryBuffer:
    """Random walks of `length` steps each, without those that did not move."""
    walks, taken = observations.reshape(-1, length + 1, observations.shape[1]), actions.reshape(-1, length, 2)
    distance = distances(walks)  # [N, T]
    walks, taken, lengths = drop_no_ops(walks, taken, distance > STILL * step_length(distance))
    steps = np.arange(length + 1)
    seen = walks[steps <= lengths[:, None]]  # [sum(lengths + 1), S]
    return TrajectoryBuffer(seen, seen, taken[steps[:-1] < lengths[:, None]], lengths)
