"""Trajectories without missions: random play and walks to random poses, collected in the batched simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.layouts import Layouts, free_cells, free_poses
from goalbridge.envs.babyai.optimum import PoseGraph
from goalbridge.envs.babyai.simulator import ACTIONS, GridBatch

RANDOM_PLAY: Final = (0.2, 0.2, 0.45, 0.15)
"""How often random play turns left, turns right, steps forward and toggles."""

Record = Callable[[GridBatch], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Exploration:
    """N trajectories of T actions, those of a layout one after the other.

    recorded: uint8 [N, T + 1, S], what was to be recorded before each action and at the end. actions: int64 [N, T].
    layout: int64 [N], an index into the layouts. scripted: bool [N], whether it walks from pose to pose or plays at
    random.
    """

    recorded: NDArray[np.uint8]
    actions: NDArray[np.int64]
    layout: NDArray[np.int64]
    scripted: NDArray[np.bool_]


def explore(
    layouts: Layouts,
    per_layout: int,
    length: int,
    scripted_share: float,
    rng: np.random.Generator,
    record: Record,
) -> Exploration:
    """Collect `per_layout` trajectories of `length` (T) actions in each layout, all N stepped together.

    They begin as `begin_play` does. `scripted_share` of them, drawn at random, take a shortest path to a uniformly
    random pose within reach, opening the doors on it, then to the next, without noise. The others draw each action
    with the probabilities `RANDOM_PLAY`; boxes that they toggle are gone.

    record: called T + 1 times with all trajectories as one batch, returns uint8 [N, S].
    Raises ValueError for arguments out of range.
    """
    if length < 1:
        raise ValueError(f"length: expected 1 or more, got {length}")
    if not 0.0 <= scripted_share <= 1.0:
        raise ValueError(f"scripted_share: expected 0 to 1, got {scripted_share}")
    batch = begin_play(layouts, per_layout, rng)
    count = len(batch.poses)
    scripted = rng.permutation(count) < round(scripted_share * count)  # [N]
    actions = rng.choice(len(ACTIONS), size=(count, length), p=RANDOM_PLAY)  # [N, T]
    for row in np.flatnonzero(scripted).tolist():
        width, height = batch.sizes[row]
        actions[row] = scripted_actions(batch.grids[row, :width, :height], batch.poses[row], length, rng)
    first = record(batch)  # [N, S]
    recorded = np.empty((count, length + 1, first.shape[1]), dtype=np.uint8)
    recorded[:, 0] = first
    for step, action in enumerate(actions.T, start=1):
        batch.step(action)
        recorded[:, step] = record(batch)
    return Exploration(recorded, actions, np.repeat(np.arange(len(layouts)), per_layout), scripted)


def begin_play(layouts: Layouts, per_layout: int, rng: np.random.Generator) -> GridBatch:
    """`per_layout` agents in each of L layouts, one layout after the other, at uniform free poses, to be stepped.

    Who starts in a doorway finds its door open.
    """
    if per_layout < 1:
        raise ValueError(f"per_layout: expected 1 or more, got {per_layout}")
    layout = np.repeat(np.arange(len(layouts)), per_layout)  # [N]
    poses = (free_poses(grid, size) for grid, size in zip(layouts.grids, layouts.sizes, strict=True))  # L x [P, 3]
    starts = np.concatenate([free[rng.integers(len(free), size=per_layout)] for free in poses])  # [N, 3]
    grids, (x, y, _) = layouts.grids[layout], starts.T  # [N, W, H, 3]
    grids[np.arange(len(grids)), x, y, 2] = 0  # open; the state of every other free cell is 0 already
    return GridBatch(grids, starts, layouts.sizes[layout])


def scripted_actions(
    grid: NDArray[np.uint8], start: NDArray[np.int64], length: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Actions int64 [length] of walks from one random pose within reach to the next, beginning at `start` [3]."""
    from scipy.ndimage import label

    graph = PoseGraph(grid, rng)
    parts, _ = label(free_cells(grid))  # [W, H]: cells with the same number are within reach of each other
    cells = np.argwhere(parts == parts[start[0], start[1]])  # [C, 2]
    pose, actions = start, list[int]()
    while len(actions) < length:
        goal = np.append(cells[rng.integers(len(cells))], rng.integers(4))  # [3]
        actions += graph.walk(pose, goal)
        pose = goal
    return np.array(actions[:length], dtype=np.int64)
