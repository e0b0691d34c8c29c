"""BabyAI layouts without their missions, drawn by minigrid's own generators, and trajectories collected in them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.levels import level
from goalbridge.envs.babyai.optimum import PoseGraph
from goalbridge.envs.babyai.phrasing import COLOURS, FIRST_TYPE, TYPES
from goalbridge.envs.babyai.simulator import ACTIONS, WALL_CELL, GridBatch, free_cells

HELD_OUT_COMBINATIONS: Final = frozenset({
    ("green", "ball"), ("purple", "ball"), ("grey", "ball"), ("red", "key"), ("green", "key"), ("yellow", "key"),
    ("blue", "box"), ("purple", "box"), ("yellow", "box"),
})  # fmt: skip
"""(colour, type) of 9 of the 18 objects: three of each type, one or two of each colour. Red and blue balls are seen."""

RANDOM_PLAY: Final = (0.2, 0.2, 0.45, 0.15)
"""How often random play turns left, turns right, steps forward and toggles."""

_HOLDABLE: Final = ("ball", "box", "key")  # their order is that of repainting


@dataclass(frozen=True, eq=False)
class Layouts:
    """L grids on one canvas W x H.

    grids: uint8 [L, W, H, 3]; a smaller grid lies at the top left, with walls around it. sizes: int64 [L, 2], each
    grid's own (width, height).
    """

    grids: NDArray[np.uint8]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.grids)


def draw_layouts(
    levels: Sequence[str], count: int, rng: np.random.Generator, held_out: Collection[tuple[str, str]] = ()
) -> Layouts:
    """`count` (L) layouts as the levels generate them, in turn: layout i belongs to `levels[i % len(levels)]`.

    Missions and starts are dropped. Objects of a `held_out` (colour, type) get another colour, uniform among those
    that their type ("ball", "box", "key") is not held out in; doors keep theirs. rng: draws the seed of each layout
    and the new colours. Raises ValueError for no level, an unknown one, no layout, or pairs that cannot be.
    """
    if not levels:
        raise ValueError("levels: expected at least one, got none")
    if count < 1:
        raise ValueError(f"count: expected 1 or more, got {count}")
    colours = _allowed_colours(held_out)
    generators = [_generator(name) for name in levels]
    seeds = rng.integers(2**31, size=count).tolist()
    drawn = list[NDArray[np.uint8]]()  # L x [w, h, 3]
    for index, seed in enumerate(seeds):
        generator = generators[index % len(levels)]
        with contextlib.redirect_stdout(io.StringIO()):  # minigrid prints each layout that it rejects
            generator.reset(seed=seed)
        drawn.append(generator.grid.encode())
    sizes = np.array([grid.shape[:2] for grid in drawn], dtype=np.int64)  # [L, 2]
    grids = np.full((count, *sizes.max(axis=0), 3), WALL_CELL, dtype=np.uint8)  # [L, W, H, 3]
    for grid, own in zip(grids, drawn, strict=True):
        grid[: own.shape[0], : own.shape[1]] = own
    for kind, allowed in colours.items():
        wrong = (grids[..., 0] == FIRST_TYPE + TYPES.index(kind)) & ~np.isin(grids[..., 1], allowed)  # [L, W, H]
        grids[wrong, 1] = rng.choice(allowed, size=int(wrong.sum()))
    return Layouts(grids, sizes)


def free_poses(grid: NDArray[np.uint8], size: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
    """All poses (x, y, direction) on free cells, int64 [P, 3], reachable or not.

    grid: uint8 [W, H, 3]. size: its own (width, height), beyond which nothing counts; the canvas's if left out.
    """
    width, height = grid.shape[:2] if size is None else size
    cells = np.argwhere(free_cells(grid[:width, :height]))  # [C, 2]
    return np.column_stack([np.repeat(cells, 4, axis=0), np.tile(np.arange(4), len(cells))]).astype(np.int64)


def _generator(name: str) -> Any:
    """The level as minigrid makes it, but for the picture of what is seen, which costs more than the rest."""
    import minigrid  # noqa: F401  (registers the levels)

    generator: Any = gymnasium.make(level(name).minigrid_id, disable_env_checker=True).unwrapped
    generator.gen_obs = dict
    return generator


def _allowed_colours(held_out: Collection[tuple[str, str]]) -> dict[str, NDArray[np.uint8]]:
    """The colours, by index, that each type may have, of those types that may not have all."""
    for colour, kind in sorted(held_out):
        if colour not in COLOURS or kind not in _HOLDABLE:
            known = f"a colour of {', '.join(COLOURS)} with {', '.join(_HOLDABLE)}"
            raise ValueError(f"held_out: expected {known}, got {(colour, kind)}")
    allowed = {kind: [i for i, one in enumerate(COLOURS) if (one, kind) not in set(held_out)] for kind in _HOLDABLE}
    for kind, colours in allowed.items():
        if not colours:
            raise ValueError(f"held_out: expected at least one colour left for a {kind}, got none")
    return {kind: np.array(some, np.uint8) for kind, some in allowed.items() if len(some) < len(COLOURS)}


def explore(
    layouts: Layouts,
    per_layout: int,
    length: int,
    scripted_share: float,
    rng: np.random.Generator,
    record: Callable[[GridBatch], NDArray[np.uint8]],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Collect `per_layout` trajectories of `length` (T) actions in each layout, all N stepped together.

    They begin as `begin_play` does, those of a layout one after the other. `scripted_share` of them, drawn at random,
    take a shortest path to a uniformly random pose within reach, opening the doors on it, then to the next, without
    noise. The others draw each action with the probabilities `RANDOM_PLAY`; boxes that they toggle are gone.

    record: called before each action and at the end with all trajectories as one batch, returns uint8 [N, S].
    Returns what was recorded, uint8 [N, T + 1, S], and the actions, int64 [N, T]. ValueError for bad arguments.
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
    recorded = np.repeat(first[:, None], length + 1, axis=1)  # [N, T + 1, S]
    for step, action in enumerate(actions.T, start=1):
        batch.step(action)
        recorded[:, step] = record(batch)
    return recorded, actions


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
    from scipy import ndimage

    graph = PoseGraph(grid, rng)
    parts, _ = ndimage.label(free_cells(grid))  # [W, H]: cells with the same number are within reach of each other
    cells = np.argwhere(parts == parts[start[0], start[1]])  # [C, 2]
    pose, actions = start, list[int]()
    while len(actions) < length:
        goal = np.append(cells[rng.integers(len(cells))], rng.integers(4))  # [3]
        actions += graph.walk(pose, goal)
        pose = goal
    return np.array(actions[:length], dtype=np.int64)
