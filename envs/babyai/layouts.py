"""BabyAI layouts without their missions: grids drawn by minigrid's own generators, for collecting data."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX
from numpy.typing import NDArray

from goalbridge.envs.babyai.levels import level
from goalbridge.envs.babyai.simulator import STANDABLE, WALL_CELL

HELD_OUT_COMBINATIONS: Final = frozenset(
    {
        ("green", "ball"),
        ("purple", "ball"),
        ("grey", "ball"),
        ("red", "key"),
        ("green", "key"),
        ("yellow", "key"),
        ("blue", "box"),
        ("purple", "box"),
        ("yellow", "box"),
    }
)
"""(colour, type) of 9 of the 18 objects: three of each type, one or two of each colour. Red and blue balls are seen."""

_HOLDABLE: Final = ("ball", "box", "key")
_DOOR, _LOCKED = OBJECT_TO_IDX["door"], STATE_TO_IDX["locked"]
_SEED_LIMIT: Final = 2**31


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
    """Layouts as the levels generate them, in turn: layout i belongs to `levels[i % len(levels)]`.

    Missions and starts are dropped. Objects of a held-out combination get another colour, uniform among those that
    their type is not held out in; doors keep theirs.

    Args:
        levels: names of levels, at least one.
        count: L, at least 1.
        rng: draws the seed of each layout and the new colours.
        held_out: pairs (colour, type) that do not occur; types are "ball", "box" and "key".

    Raises:
        ValueError: no level, an unknown one, no layout, or held-out pairs that cannot be.
    """
    if not levels:
        raise ValueError("levels: none is named; at least one would do")
    if count < 1:
        raise ValueError(f"count: {count} is too few; 1 or more would do")
    colours = _allowed_colours(held_out)
    generators = [_generator(name) for name in levels]
    seeds = rng.integers(_SEED_LIMIT, size=count).tolist()
    drawn = [_draw(generators[index % len(levels)], seed) for index, seed in enumerate(seeds)]  # L x [w, h, 3]
    sizes = np.array([grid.shape[:2] for grid in drawn], dtype=np.int64)  # [L, 2]
    grids = np.empty((count, *sizes.max(axis=0), 3), dtype=np.uint8)  # [L, W, H, 3]
    grids[:] = WALL_CELL
    for grid, own in zip(grids, drawn, strict=True):
        grid[: own.shape[0], : own.shape[1]] = own
    _repaint(grids, colours, rng)
    return Layouts(grids, sizes, np.arange(count) % len(levels))


def free_cells(grids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Cells that one can come to stand on, bool [...] of grids [..., 3]: empty, or a door that is not locked."""
    kind, state = grids[..., 0], grids[..., 2]
    free: NDArray[np.bool_] = STANDABLE[kind] | ((kind == _DOOR) & (state != _LOCKED))
    return free


def free_poses(grid: NDArray[np.uint8], size: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
    """All poses (x, y, direction) on free cells, int64 [P, 3], reachable or not.

    grid: uint8 [W, H, 3]. size: its own (width, height), beyond which nothing counts; the canvas's if left out.
    """
    width, height = grid.shape[:2] if size is None else size
    cells = np.argwhere(free_cells(grid[:width, :height]))  # [C, 2]
    directions = np.tile(np.arange(4), len(cells))  # [4 C]
    return np.column_stack([np.repeat(cells, 4, axis=0), directions]).astype(np.int64)


def _generator(name: str) -> Any:
    """The level as minigrid makes it, but for the picture of what is seen, which costs more than the rest."""
    generator: Any = gymnasium.make(level(name).minigrid_id, disable_env_checker=True).unwrapped
    generator.gen_obs = dict
    return generator


def _draw(generator: Any, seed: int) -> NDArray[np.uint8]:
    with contextlib.redirect_stdout(io.StringIO()):  # minigrid prints each layout that it rejects
        generator.reset(seed=seed)
    grid: NDArray[np.uint8] = generator.grid.encode()  # [w, h, 3]
    return grid


def _allowed_colours(held_out: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    """The colours that each type may have, of those types that may not have all; ValueError if one may have none."""
    for colour, kind in sorted(held_out):
        if colour not in COLOR_TO_IDX or kind not in _HOLDABLE:
            known = f"a colour of {', '.join(COLOR_TO_IDX)} with {', '.join(_HOLDABLE)}"
            raise ValueError(f"held_out: {(colour, kind)} is not seen in any layout; {known} would do")
    held = set(held_out)
    allowed = {kind: [colour for colour in COLOR_TO_IDX if (colour, kind) not in held] for kind in _HOLDABLE}
    for kind, colours in allowed.items():
        if not colours:
            raise ValueError(f"held_out: leaves no colour for a {kind}; at least one would do")
    return {kind: colours for kind, colours in allowed.items() if len(colours) < len(COLOR_TO_IDX)}


def _repaint(grids: NDArray[np.uint8], colours: dict[str, list[str]], rng: np.random.Generator) -> None:
    """Give objects whose colour their type may not have another one, in place; grids: [L, W, H, 3]."""
    for kind, allowed in colours.items():
        allowed_indices = np.array([COLOR_TO_IDX[colour] for colour in allowed], dtype=np.uint8)
        wrong = (grids[..., 0] == OBJECT_TO_IDX[kind]) & ~np.isin(grids[..., 1], allowed_indices)  # [L, W, H]
        grids[wrong, 1] = rng.choice(allowed_indices, size=int(wrong.sum()))
