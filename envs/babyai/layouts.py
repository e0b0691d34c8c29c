"""BabyAI layouts without their missions: grids drawn by minigrid's own generators, for collecting data."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.levels import level
from goalbridge.envs.babyai.phrasing import COLOURS, FIRST_TYPE, TYPES
from goalbridge.envs.babyai.simulator import DOOR, LOCKED, STANDABLE, WALL_CELL

HELD_OUT_COMBINATIONS: Final = frozenset({
    ("green", "ball"), ("purple", "ball"), ("grey", "ball"), ("red", "key"), ("green", "key"), ("yellow", "key"),
    ("blue", "box"), ("purple", "box"), ("yellow", "box"),
})  # fmt: skip
"""(colour, type) of 9 of the 18 objects: three of each type, one or two of each colour. Red and blue balls are seen."""

_HOLDABLE: Final = ("ball", "box", "key")  # their order is that of repainting


@dataclass(frozen=True, eq=False)
class Layouts:
    """L grids on one canvas W x H.

    grids: uint8 [L, W, H, 3]; a smaller grid lies at the top left, with walls around it. sizes: int64 [L, 2], each
    grid's own (width, height). level: int64 [L], its level as an index into the names that were drawn from.
    """

    grids: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    level: NDArray[np.int64]

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
    for generator, seed in zip(cycle(generators), seeds, strict=False):
        with contextlib.redirect_stdout(io.StringIO()):  # minigrid prints each layout that it rejects
            generator.reset(seed=seed)
        drawn.append(generator.grid.encode())
    sizes = np.array([grid.shape[:2] for grid in drawn], dtype=np.int64)  # [L, 2]
    grids = np.empty((count, *sizes.max(axis=0), 3), dtype=np.uint8)  # [L, W, H, 3]
    grids[:] = WALL_CELL
    for grid, own in zip(grids, drawn, strict=True):
        grid[: own.shape[0], : own.shape[1]] = own
    for kind, allowed in colours.items():
        wrong = (grids[..., 0] == FIRST_TYPE + TYPES.index(kind)) & ~np.isin(grids[..., 1], allowed)  # [L, W, H]
        grids[wrong, 1] = rng.choice(allowed, size=int(wrong.sum()))
    return Layouts(grids, sizes, np.arange(count) % len(levels))


def free_cells(grids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Cells that one can come to stand on, bool [...] of grids [..., 3]: empty, or a door that is not locked."""
    kind, state = grids[..., 0], grids[..., 2]
    free: NDArray[np.bool_] = STANDABLE[kind] | ((kind == DOOR) & (state != LOCKED))
    return free


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
