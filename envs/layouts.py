"""Maze layouts: grids of walls and free cells, from a name, a text file or an array."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.checks import UserError

MAX_SIDE: Final = 1024
WALL: Final = "#"
FREE: Final = "."

_LAYOUT_FOLDER: Final = Path(__file__).parent / "layouts"


class LayoutError(UserError):
    """A layout that cannot be a maze."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A maze: a grid of unit cells, each wall or free. Everything outside the grid is wall.

    Positions in it are (row, column) in cells, in [0, height) x [0, width), counted from the top left; cell (r, c)
    covers [r, r + 1) x [c, c + 1).

    name: for messages and captions. walls: bool [H, W], True where there is a wall; copied and kept read-only.
    LayoutError unless the sides are 1 to 1024 and some cell is free.
    """

    name: str
    walls: NDArray[np.bool_]  # [H, W]

    def __post_init__(self) -> None:
        walls = np.array(self.walls, dtype=np.bool_)
        if walls.ndim != 2:
            raise LayoutError(f"layout {self.name!r}: expected 2 dimensions, rows x columns, got {walls.ndim}")
        if not 1 <= min(walls.shape) <= max(walls.shape) <= MAX_SIDE:
            size = " x ".join(map(str, walls.shape))
            raise LayoutError(f"layout {self.name!r}: expected sides of 1 to {MAX_SIDE}, got {size}")
        if walls.all():
            raise LayoutError(f"layout {self.name!r}: expected at least one free cell ({FREE!r}), got only walls")
        walls.setflags(write=False)
        object.__setattr__(self, "walls", walls)

    @classmethod
    def from_text(cls, text: str, name: str) -> Layout:
        """Build from lines of '#' (wall) and '.' (free), one line a row; raises LayoutError on anything else."""
        lines = [line.rstrip() for line in text.strip("\r\n").splitlines()]
        if not any(lines):
            raise LayoutError(f"layout {name!r}: expected lines of {WALL!r} (wall) and {FREE!r} (free), got empty text")
        for row, line in enumerate(lines):
            if len(line) != len(lines[0]):
                raise LayoutError(f"layout {name!r}: expected {len(lines[0])} cells in row {row}, got {len(line)}")
            for column, character in enumerate(line):
                if character not in (WALL, FREE):
                    raise LayoutError(
                        f"layout {name!r}: expected {WALL!r} (wall) or {FREE!r} (free) at row {row}, column {column}, "
                        f"got {character!r}"
                    )
        return cls(name, np.array([[character == WALL for character in line] for line in lines]))

    @classmethod
    def from_array(cls, array: ArrayLike, name: str = "array") -> Layout:
        """Build from a 0/1 or bool array [H, W], 1 or True = wall; raises LayoutError on other values."""
        try:
            values = np.asarray(array)
        except ValueError:
            raise LayoutError(f"layout {name!r}: expected rows of one length, got several") from None
        if values.dtype != np.bool_ and not (np.issubdtype(values.dtype, np.number) and np.isin(values, (0, 1)).all()):
            raise LayoutError(f"layout {name!r}: expected 0 (free) and 1 (wall), got other values")
        return cls(name, values.astype(np.bool_))

    @classmethod
    def load(cls, path: str | Path) -> Layout:
        """Read a text file as `from_text` takes it; the name is the file's stem. Raises LayoutError."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise LayoutError(f"layout {str(path)!r}: expected a text file, got none ({reason})") from error
        except UnicodeDecodeError as error:
            raise LayoutError(f"layout {str(path)!r}: expected UTF-8 text of '#' and '.', got other bytes") from error
        return cls.from_text(text, path.stem)

    def to_text(self) -> str:
        """The layout as `from_text` reads it, with a newline at the end."""
        return "".join("".join(np.where(row, WALL, FREE)) + "\n" for row in self.walls)

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.walls.shape[0])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.walls.shape[1])

    @cached_property
    def padded_walls(self) -> NDArray[np.bool_]:
        """Bool [H + 2, W + 2]: the walls with the wall around the grid; cell (r, c) is at [r + 1, c + 1]."""
        return np.pad(self.walls, 1, constant_values=True)

    @cached_property
    def free_cells(self) -> NDArray[np.int64]:
        """Int [F, 2]: (row, column) of every free cell, row by row."""
        return np.argwhere(~self.walls)

    @cached_property
    def cell_index(self) -> NDArray[np.int64]:
        """Int [H, W]: each free cell's index into `free_cells`; -1 in walls."""
        index = np.full(self.walls.shape, -1, dtype=np.int64)
        index[~self.walls] = np.arange(len(self.free_cells))
        return index

    @cached_property
    def component(self) -> NDArray[np.int64]:
        """Int [H, W]: which 4-connected component each free cell is in, from 0; -1 in walls."""
        from scipy import ndimage  # not at the top: importing goalbridge, which registers the ids, is to be fast

        labelled, _ = ndimage.label(~self.walls)
        return np.asarray(labelled, dtype=np.int64) - 1


LAYOUTS: Final = MappingProxyType(
    {name: Layout.load(_LAYOUT_FOLDER / f"{name}.txt") for name in ("fork", "island", "blank", "slit", "blocker")}
)
"""The known mazes by name; `fork`, `island` and `blank` are those of Che & Eysenbach (ICLR 2025), App. D."""


def resolve_layout(layout: str | Path | Layout | ArrayLike) -> Layout:
    """The layout meant by a known name, the path of a text file, a 0/1 array or a layout; LayoutError if none is."""
    if isinstance(layout, Layout):
        return layout
    if isinstance(layout, Path):
        return Layout.load(layout)
    if not isinstance(layout, str):
        return Layout.from_array(layout)
    if layout in LAYOUTS:
        return LAYOUTS[layout]
    if Path(layout).is_file():
        return Layout.load(layout)
    nearest = difflib.get_close_matches(layout, LAYOUTS, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"try {', '.join(LAYOUTS)}, a text file or a 0/1 array"
    raise LayoutError(f"layout: expected a known name or the path of a text file, got {layout!r}; {hint}")
