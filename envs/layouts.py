"""Maze layouts: grids of walls and free cells, from a name, a text file or an array."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.checks import UserError
from goalbridge.configs.texts import encoding_of

MAX_SIDE: Final = 1024
WALL: Final = "#"
FREE: Final = "."


class LayoutError(UserError):
    """A layout that cannot be a maze."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A grid of unit cells, each wall or free; everything outside is wall.

    name: for messages. walls: bool [H, W], sides of 1 to 1024, at least one free cell; copied, read-only.
    A position (row, column) is in [0, H) x [0, W), counted from the top left; cell (r, c) covers [r, r+1) x [c, c+1).
    Raises LayoutError.
    """

    name: str
    walls: NDArray[np.bool_]

    def __post_init__(self) -> None:
        walls = np.array(self.walls, dtype=np.bool_)
        if walls.ndim != 2:
            raise LayoutError(f"layout {self.name!r}: expected rows x columns, got {walls.ndim} dimensions")
        if not 1 <= min(walls.shape) <= max(walls.shape) <= MAX_SIDE:
            size = " x ".join(map(str, walls.shape))
            raise LayoutError(f"layout {self.name!r}: expected sides of 1 to {MAX_SIDE} cells, got {size}")
        if walls.all():
            raise LayoutError(f"layout {self.name!r}: expected a free cell ({FREE!r}), got walls only")
        walls.setflags(write=False)
        object.__setattr__(self, "walls", walls)

    @classmethod
    def from_text(cls, text: str, name: str) -> Layout:
        """From lines of '#' (wall) and '.' (free), one a row; LayoutError on anything else."""
        lines = [line.rstrip() for line in text.strip("\r\n").splitlines()]
        where = f"layout {name!r}: expected"
        if not any(lines):
            raise LayoutError(f"{where} lines of {WALL!r} and {FREE!r}, got an empty text")
        for row, line in enumerate(lines):
            if len(line) != len(lines[0]):
                raise LayoutError(f"{where} {len(lines[0])} cells in row {row}, as in row 0, got {len(line)}")
            if odd := re.search(f"[^{WALL}{FREE}]", line):
                at = f"row {row}, column {odd.start()}"
                raise LayoutError(f"{where} {WALL!r} (wall) or {FREE!r} (free) at {at}, got {odd[0]!r}")
        return cls(name, np.array([[character == WALL for character in line] for line in lines]))

    @classmethod
    def from_array(cls, array: ArrayLike, name: str = "array") -> Layout:
        """From a 0/1 or bool array [H, W], 1 or True = wall; LayoutError on other values."""
        try:
            values = np.asarray(array)
        except ValueError:
            raise LayoutError(f"layout {name!r}: expected rows of equal length") from None
        if values.dtype != np.bool_ and not (np.issubdtype(values.dtype, np.number) and np.isin(values, (0, 1)).all()):
            raise LayoutError(f"layout {name!r}: expected 0 (free) and 1 (wall), got other values")
        return cls(name, values.astype(np.bool_))

    @classmethod
    def load(cls, path: str | Path) -> Layout:
        """From a text file, as `from_text`; named by the file's stem. Raises LayoutError."""
        try:
            text = Path(path).read_text(encoding=encoding_of(Path(path)))
        except (OSError, UnicodeError) as error:
            got = "other bytes" if isinstance(error, UnicodeError) else error.strerror or type(error).__name__
            raise LayoutError(f"layout {str(path)!r}: expected a UTF-8 text of '#' and '.', got {got}") from error
        return cls.from_text(text, Path(path).stem)

    def to_text(self) -> str:
        """As `from_text` reads it, with a newline at the end."""
        return "".join("".join(np.where(row, WALL, FREE)) + "\n" for row in self.walls)

    @cached_property
    def padded_walls(self) -> NDArray[np.bool_]:
        """Bool [H + 2, W + 2]: with the wall around; cell (r, c) is at [r + 1, c + 1]."""
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
        """Int [H, W]: the 4-connected component of each free cell, from 0; -1 in walls."""
        from scipy import ndimage

        return np.asarray(ndimage.label(~self.walls)[0], dtype=np.int64) - 1


LAYOUTS: Final = MappingProxyType(
    {name: Layout.load(Path(__file__).parent / "layouts" / f"{name}.txt")
     for name in ("fork", "island", "blank", "slit", "blocker")}
)  # fmt: skip
"""The known mazes; `fork`, `island` and `blank` are those of Che & Eysenbach (ICLR 2025), App. D."""


def resolve_layout(layout: str | Path | Layout | ArrayLike) -> Layout:
    """The layout meant by a known name, the path of a text file, a 0/1 array or a Layout. Raises LayoutError."""
    if isinstance(layout, Layout):
        return layout
    if isinstance(layout, str) and layout in LAYOUTS:
        return LAYOUTS[layout]
    if isinstance(layout, Path) or (isinstance(layout, str) and Path(layout).is_file()):
        return Layout.load(layout)
    if not isinstance(layout, str):
        return Layout.from_array(layout)
    nearest = difflib.get_close_matches(layout, LAYOUTS, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"try one of {', '.join(LAYOUTS)}"
    raise LayoutError(f"layout: expected a known name, a text file or a 0/1 array, got {layout!r}; {hint}")
