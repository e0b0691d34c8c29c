"""Trajectories without missions: random play and walks to random poses, collected in the batched simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.encoding import OPEN
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
    random_play: Sequence[float] = RANDOM_PLAY,
) -> Exploration:
    """Collect `per_layout` trajectories of `length` actions in each layout, all stepped together.

    Starts are uniform over the layout's free poses; who starts in a doorway finds its door open. A scripted trajectory
    takes a shortest path to a uniformly random pose within reach, opening the doors on it, then to the next, without
    noise. The others draw each action on its own. Both leave the doors as they used them; boxes that random play
    toggles are gone.

    scripted_share: of all trajectories, which of them drawn at random. rng: the same one gives the same trajectories.
    record: called T + 1 times with all N trajectories as one batch, returns uint8 [N, S].
    random_play: probabilities of left, right, forward, toggle.
    """
    if per_layout < 1 or length < 1:
        raise ValueError(f"per_layout, length: expected 1 or more each, got {per_layout} and {length}")
    if not 0.0 <= scripted_share <= 1.0:
        raise ValueError(f"scripted_share: expected 0 to 1, got {scripted_share}")
    if len(random_play) != len(ACTIONS) or min(random_play) < 0.0 or not np.isclose(sum(random_play), 1.0):
        raise ValueError(f"random_play: expected {len(ACTIONS)} shares that sum to 1, got {tuple(random_play)}")
    batch, layout = _begin(layouts, per_layout, rng)
    scripted = rng.permutation(len(layout)) < round(scripted_share * len(layout))  # [N]
    actions = rng.choice(len(ACTIONS), size=(len(layout), length), p=np.asarray(random_play))  # [N, T]
    for row in np.flatnonzero(scripted).tolist():
        width, height = batch.sizes[row]
        actions[row] = scripted_actions(batch.grids[row, :width, :height], batch.poses[row], length, rng)
    first = record(batch)  # [N, S]
    recorded = np.empty((len(actions), length + 1, first.shape[1]), dtype=np.uint8)  # [N, T + 1, S]
    recorded[:, 0] = first
    for step, chosen in enumerate(actions.T, start=1):
        batch.step(chosen)
        recorded[:, step] = record(batch)
    return Exploration(recorded, actions, layout, scripted)


def begin_play(layouts: Layouts, per_layout: int, rng: np.random.Generator) -> GridBatch:
    """`per_layout` agents in each of L layouts, one layout after the other, at uniform free poses, to be stepped."""
    return _begin(layouts, per_layout, rng)[0]


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


def _begin(layouts: Layouts, per_layout: int, rng: np.random.Generator) -> tuple[GridBatch, NDArray[np.int64]]:
    """Agents at uniform free poses, and the layout [N] of each; nobody ever stands in a closed door."""
    layout = np.repeat(np.arange(len(layouts)), per_layout)  # [N]
    poses = (free_poses(grid, size) for grid, size in zip(layouts.grids, layouts.sizes, strict=True))  # L x [P, 3]
    starts = np.concatenate([free[rng.integers(len(free), size=per_layout)] for free in poses])  # [N, 3]
    grids = layouts.grids[layout]  # [N, W, H, 3]
    grids[np.arange(len(grids)), starts[:, 0], starts[:, 1], 2] = OPEN  # 0, as of every other free cell already
    return GridBatch(grids, starts, layouts.sizes[layout]), layout
