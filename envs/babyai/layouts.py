"""BabyAI layouts without their missions: grids drawn by minigrid's own generators, for collecting data."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.encoding import COLOURS, DOOR, FIRST_TYPE, LOCKED, STANDABLE, TYPES, WALL_CELL
from goalbridge.envs.babyai.levels import level, make_minigrid

HELD_OUT_COMBINATIONS: Final = frozenset(
    (colour, kind)
    for kind, colours in {"ball": "green purple grey", "key": "red green yellow", "box": "blue purple yellow"}.items()
    for colour in colours.split()
)
"""(colour, type) of 9 of the 18 objects: three of each type, one or two of each colour. Red and blue balls are seen."""

_HOLDABLE: Final = ("ball", "box", "key")
_SEED_LIMIT: Final = 2**31


@dataclass(frozen=True, eq=False)
class Layouts:
    """L grids on one canvas W x H.

    grids: uint8 [L, W, H, 3]; a smaller grid lies at the top left, with walls around it.
    sizes: int64 [L, 2], each grid's own (width, height). level: int64 [L], an index into the names drawn from.
    """

    grids: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    level: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.grids)


def draw_layouts(
    levels: Sequence[str], count: int, rng: np.random.Generator, held_out: Collection[tuple[str, str]] = ()
) -> Layouts:
    """`count` layouts as the levels generate them, in turn, without missions and starts.

    Objects (balls, boxes, keys) of a held-out (colour, type) get another colour, uniform among those that their type
    may have; doors keep theirs. ValueError for no or unknown levels, no layouts, or pairs that cannot be held out.
    """
    if not levels or count < 1:
        raise ValueError(f"levels, count: expected at least one of each, got {list(levels)} and {count}")
    colours = _allowed_colours(held_out)
    generators = [_generator(name) for name in levels]
    seeds = rng.integers(_SEED_LIMIT, size=count).tolist()
    drawn = [_draw(generators[index % len(levels)], seed) for index, seed in enumerate(seeds)]  # L x [w, h, 3]
    sizes = np.array([grid.shape[:2] for grid in drawn], dtype=np.int64)  # [L, 2]
    grids = np.empty((count, *sizes.max(axis=0), 3), dtype=np.uint8)  # [L, W, H, 3]
    grids[:] = WALL_CELL
    for grid, own in zip(grids, drawn, strict=True):
        grid[: own.shape[0], : own.shape[1]] = own
    for kind, allowed in colours.items():  # repaint what is held out
        wrong = (grids[..., 0] == FIRST_TYPE + TYPES.index(kind)) & ~np.isin(grids[..., 1], allowed)  # [L, W, H]
        grids[wrong, 1] = rng.choice(allowed, size=int(wrong.sum()))
    return Layouts(grids, sizes, np.arange(count) % len(levels))


def free_cells(grids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Cells that one can come to stand on, bool [...] of grids [..., 3]: empty, or a door that is not locked."""
    kind, state = grids[..., 0], grids[..., 2]
    free: NDArray[np.bool_] = STANDABLE[kind] | ((kind == DOOR) & (state != LOCKED))
    return free


def free_poses(grid: NDArray[np.uint8], size: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
    """All poses (x, y, direction) on free cells of a grid [W, H, 3] inside `size` (all by default), int64 [P, 3]."""
    width, height = grid.shape[:2] if size is None else size
    cells = np.argwhere(free_cells(grid[:width, :height]))  # [C, 2]
    directions = np.tile(np.arange(4), len(cells))  # [4 C]
    return np.column_stack([np.repeat(cells, 4, axis=0), directions]).astype(np.int64)


def _generator(name: str) -> Any:
    """The level as minigrid makes it, but for the picture of what is seen, which costs more than the rest."""
    generator = make_minigrid(level(name))
    generator.gen_obs = dict
    return generator


def _draw(generator: Any, seed: int) -> NDArray[np.uint8]:
    with contextlib.redirect_stdout(io.StringIO()):  # minigrid prints each layout that it rejects
        generator.reset(seed=seed)
    grid: NDArray[np.uint8] = generator.grid.encode()  # [w, h, 3]
    return grid


def _allowed_colours(held_out: Collection[tuple[str, str]]) -> dict[str, NDArray[np.uint8]]:
    """Numbers of the colours that a type may have, for types that may not have all."""
    for colour, kind in sorted(held_out):
        if colour not in COLOURS or kind not in _HOLDABLE:
            known = f"of {', '.join(COLOURS)} and of {', '.join(_HOLDABLE)}"
            raise ValueError(f"held_out: expected pairs {known}, got {(colour, kind)}")
    allowed = {}
    for kind in _HOLDABLE:
        colours = [number for number, colour in enumerate(COLOURS) if (colour, kind) not in held_out]
        if not colours:
            raise ValueError(f"held_out: expected at least one colour left for a {kind}, got none")
        if len(colours) < len(COLOURS):
            allowed[kind] = np.array(colours, dtype=np.uint8)
    return allowed
