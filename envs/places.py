"""The places of a maze that have a name: what captions say of a goal, and what commands ask for.

exact   one cell                 "row 3, column 5"
line    a row or a column        "row 3"
region  half, quadrant, corner, border      "the top left corner"
vague   with a soft meaning      "somewhere on the left", "not far from the middle"
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import Split
from goalbridge.envs.layouts import Layout
from goalbridge.envs.phrasing import Wordings, line_names, number_words, wordings

CATEGORIES: Final = ("exact", "line", "region", "vague")
CORNER: Final = 2  # cells along a corner's side
_EXACT_WORDINGS: Final = 12  # of a cell: templates and names take turns, or there would be 78 of each
_VERTICAL: Final = (("top", "upper"), ("bottom", "lower"))
_HORIZONTAL: Final = (("left", "left-hand"), ("right", "right-hand"))

Named = tuple[str, str, tuple[str, ...], NDArray[np.bool_]]  # category, label, names, region [H, W]


@dataclass(frozen=True, eq=False)
class Place:
    """A named place.

    category: one of `CATEGORIES`. label: its canonical name. names: all its names, the plainest first.
    region: bool [H, W], read-only, its free cells.
    """

    category: str
    label: str
    names: tuple[str, ...]
    region: NDArray[np.bool_]

    def __post_init__(self) -> None:
        self.region.setflags(write=False)


class MazePlaces(Wordings):
    """All named places of a layout that hold a free cell, as captions of the chosen categories.

    categories: of `CATEGORIES`; ValueError for none or an unknown one. further: other places, such as compounds.
    """

    def __init__(self, layout: Layout, categories: Sequence[str] = CATEGORIES, further: Sequence[Place] = ()) -> None:
        super().__init__()
        if not categories or not {*categories} <= {*CATEGORIES}:
            raise ValueError(f"categories: expected some of {', '.join(CATEGORIES)}, got {tuple(categories)}")
        self.layout: Final = layout
        found = [Place(*named[:3], named[3] & ~layout.walls) for named in _named(layout) if named[0] in categories]
        self.places: Final = tuple(place for place in (*found, *further) if place.region.any())
        self.labels = tuple(place.label for place in self.places)

    @cached_property
    def regions(self) -> NDArray[np.bool_]:
        """Bool [L, H, W]: the free cells of each place."""
        return np.stack([place.region for place in self.places])

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Float [L]: how often to say what is true, so that each category that is true of a goal is said as often."""
        category = np.array([place.category for place in self.places])
        true = self.regions[:, ~self.layout.walls]  # [L, F]
        true = true[:, true.any(axis=0)]
        weights = np.zeros(len(category))
        for name in np.unique(category):
            count = true[category == name].sum(axis=0)  # [F]
            weights[category == name] = 1 / count[count > 0].mean()
        return weights

    def choose(self, true_labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Int [N]: which of the true labels [N, T] of each goal to say, in proportion to their `weights`."""
        weight = np.where(true_labels >= 0, self.weights[true_labels], 0.0).cumsum(axis=1)  # [N, T]
        share = rng.random(len(weight)) * weight[:, -1]  # [N]
        return np.asarray((weight <= share[:, None]).sum(axis=1))

    def true_labels(self, positions: ArrayLike) -> NDArray[np.int64]:
        """Int [N, T]: ids of all that is true of free positions [N, 2]; -1 pads."""
        cell = np.floor(np.asarray(positions)).astype(np.int64)
        return np.asarray(self._cell_labels[cell[..., 0], cell[..., 1]])

    @cached_property
    def _cell_labels(self) -> NDArray[np.int64]:
        """Int [H, W, T]: ids of what is true of each cell, in order; -1 pads."""
        true = np.moveaxis(self.regions, 0, -1)  # [H, W, L]
        order = np.argsort(~true, axis=-1, kind="stable")[..., : int(true.sum(axis=-1).max())]  # true ones first
        return np.where(np.take_along_axis(true, order, axis=-1), order, -1)

    def find(self, text: str) -> Place | None:
        """The place that a text of any split names, or None; letter case and white space do not matter."""
        label_id = self.label_id(text)
        return None if label_id is None else self.places[label_id]

    def _phrase(self, label_id: int, split: Split) -> tuple[str, ...]:
        place = self.places[label_id]
        if split == "label":
            return (place.label,)
        every = wordings(place.names, split)
        if place.category != "exact" or len(every) <= _EXACT_WORDINGS:
            return every
        # A stride that is prime to their number brings all of them round in turn, from cell to cell.
        stride = next(step for step in range(7, len(every)) if math.gcd(step, len(every)) == 1)
        chosen = [every[(label_id * _EXACT_WORDINGS + stride * i) % len(every)] for i in range(_EXACT_WORDINGS)]
        return tuple(dict.fromkeys([place.names[0], *chosen] if split == "train" else chosen))


def _named(layout: Layout) -> Iterator[Named]:
    """All places, walls included."""
    row, column = (np.asarray(index, dtype=np.int64) for index in np.indices(layout.walls.shape))  # [H, W] each
    height, width = row.shape
    for axis, index, size in (("row", row, height), ("column", column, width)):
        for number in range(size):
            yield "line", f"{axis} {number}", line_names(axis, number), index == number
    forms = ("row {}, column {}", "the cell at row {}, column {}", "the spot where row {} meets column {}")
    for r, c in layout.free_cells.tolist():
        numbers = ((r, c), (number_words(r), number_words(c)))
        names = tuple(form.format(*pair) for pair in numbers for form in forms)
        yield "exact", f"row {r}, column {c}", names, (row == r) & (column == c)
    # A middle row or column belongs to neither half.
    vertical = (2 * row + 1 < height, 2 * row + 1 > height)
    horizontal = (2 * column + 1 < width, 2 * column + 1 > width)
    near_rows, near_columns = (row < CORNER, row >= height - CORNER), (column < CORNER, column >= width - CORNER)
    for words, half in [*zip(_VERTICAL, vertical, strict=True), *zip(_HORIZONTAL, horizontal, strict=True)]:
        names = (*(f"the {word} half" for word in words), f"the {words[0]} half of the maze")
        yield "region", f"{words[0]} half", names, half
    for v in range(2):
        for h in range(2):
            where = [f"{a} {_HORIZONTAL[h][0]}" for a in _VERTICAL[v]]
            names = tuple(f"the {w} {noun}" for w in where for noun in ("quadrant", "quarter"))
            yield "region", f"{where[0]} quadrant", names, vertical[v] & horizontal[h]
            names = (*(f"the {w} corner" for w in where), f"the corner at the {where[0]}")
            yield "region", f"{where[0]} corner", names, near_rows[v] & near_columns[h]
    rim = (row == 0) | (row == height - 1) | (column == 0) | (column == width - 1)
    yield "region", "border", ("the border", "the outer border of the maze", "the outermost cells"), rim
    # Places without sharp borders are taken to mean outer thirds, and distances.
    y, x = (row + 0.5) / height, (column + 0.5) / width  # in (0, 1)
    for side, on, region in (
        ("left", "on", x < 1 / 3), ("right", "on", x > 2 / 3), ("top", "near", y < 1 / 3), ("bottom", "near", y > 2 / 3)
    ):  # fmt: skip
        label = f"somewhere {on} the {side}"
        yield "vague", label, (label, f"some place towards the {side}", f"anywhere close to the {side} side"), region
    away = np.maximum(np.abs(2 * y - 1), np.abs(2 * x - 1))  # 0 in the middle, 1 at the edges
    names = ("somewhere not far from the middle", "some place around the centre", "anywhere near the middle")
    yield "vague", "not far from the middle", names, away < 0.5
    names = ("somewhere far from the middle", "some place well away from the centre", "anywhere far out")
    yield "vague", "far from the middle", names, away > 0.75
