"""Pictures of a maze: walls, the commanded region, the path so far, and what the agent believes."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from goalbridge.envs.frames import WALL_COLOUR, Colour, Font, Point, frame, strokes, wrap
from goalbridge.envs.layouts import Layout

# Okabe and Ito's colours that all kinds of colour vision tell apart, on a neutral ground.
FREE_COLOUR: Final[Colour] = (249, 248, 244)
GRID_COLOUR: Final[Colour] = (228, 226, 219)
REGION_COLOUR: Final[Colour] = (0, 158, 115)
PATH_COLOUR: Final[Colour] = (0, 114, 178)
AGENT_COLOUR: Final[Colour] = (213, 94, 0)
HEAT_COLOUR: Final[Colour] = (140, 40, 120)

_SUPERSAMPLING: Final = 2
_REGION_TINT: Final = 0.32
_HEAT_TINT: Final = 0.85
_OLDEST_TINT: Final = 0.18  # how much of the path's colour its first step keeps
_TITLE_LINES: Final = 2
_ARROW_HEAD: Final = 0.42  # of an arrow's length


def draw(
    layout: Layout,
    position: NDArray[np.floating],
    path: NDArray[np.floating],
    region: NDArray[np.bool_],
    size_px: int = 480,
    heat: NDArray[np.floating] | None = None,
    title: str | None = None,
) -> NDArray[np.uint8]:
    """Draw one moment of an episode: uint8 [h, w, 3], of one size for one layout, `size_px` and having a title.

    position: [2] (row, column) of the agent. path: [T, 2] positions so far, a line that grows stronger; T may be 0.
    region: bool [H, W] cells that satisfy the command, outlined and, without heat, shaded.
    size_px: pixels along the maze's longer side, about; ValueError for less than one a cell.
    heat: [H', W'] of 0 or more, such as a posterior over goals, spread evenly over the maze; shades free cells in
        proportion to its maximum.
    title: a caption above the maze, in two lines at most.
    """
    maze, pen, fine = _maze(layout, region, size_px, heat)
    _draw_path(pen, path, fine)
    _draw_agent(pen, position, fine)
    return _frame(maze.reduce(_SUPERSAMPLING), size_px, title)


def draw_field(
    layout: Layout,
    positions: NDArray[np.floating],
    directions: NDArray[np.floating],
    region: NDArray[np.bool_],
    length: float = 0.7,
    size_px: int = 480,
    heat: NDArray[np.floating] | None = None,
    title: str | None = None,
) -> NDArray[np.uint8]:
    """Draw which way an agent would go from many places: as `draw`, with arrows of `length` cells.

    positions: [P, 2] (row, column), the arrows' middles; P may be 0. directions: [P, 2] (d_row, d_column), of any
    length; no arrow where it is zero.
    """
    maze, pen, fine = _maze(layout, region, size_px, heat)
    for position, direction in zip(positions, directions, strict=True):
        norm = float(np.hypot(*direction))
        if norm > 0:
            _draw_arrow(pen, position * fine, direction / norm, length * fine)
    return _frame(maze.reduce(_SUPERSAMPLING), size_px, title)


def _maze(
    layout: Layout, region: NDArray[np.bool_], size_px: int, heat: NDArray[np.floating] | None
) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """The maze without anyone in it, larger than it will be, a pen to draw on it with, and the pixels along a cell."""
    cell = size_px // max(layout.walls.shape)  # pixels in the finished frame
    if cell < 1:
        raise ValueError(f"size_px: expected {max(layout.walls.shape)} or more for this maze, got {size_px}")
    fine = cell * _SUPERSAMPLING  # pixels along a cell's side while drawing
    ground = Image.fromarray(_ground(layout, region, heat))
    maze = ground.resize((layout.width * fine, layout.height * fine), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(maze)
    _draw_grid(pen, layout, fine)
    _draw_outline(pen, region, fine)
    return maze, pen, fine


def _ground(layout: Layout, region: NDArray[np.bool_], heat: NDArray[np.floating] | None) -> NDArray[np.uint8]:
    """Uint8 [n H, n W, 3]: walls, free cells and their shading, n x n pixels a cell (n = 1 without heat)."""
    shape = layout.walls.shape
    if heat is None:
        share, colour = np.where(region, _REGION_TINT, 0.0), REGION_COLOUR
        walls = layout.walls
    else:
        fine = max(1, -(-heat.shape[0] // shape[0]), -(-heat.shape[1] // shape[1]))  # pixels along a cell's side
        row = np.arange(shape[0] * fine) * heat.shape[0] // (shape[0] * fine)
        column = np.arange(shape[1] * fine) * heat.shape[1] // (shape[1] * fine)
        share, colour = _HEAT_TINT * heat[np.ix_(row, column)] / max(float(heat.max()), 1e-300), HEAT_COLOUR
        walls = layout.walls.repeat(fine, axis=0).repeat(fine, axis=1)
    free = np.array(FREE_COLOUR) + share[..., None] * (np.array(colour) - np.array(FREE_COLOUR))
    return np.where(walls[..., None], np.array(WALL_COLOUR), free).astype(np.uint8)


def _draw_grid(pen: ImageDraw.ImageDraw, layout: Layout, cell: int) -> None:
    """Faint lines between neighbouring free cells, so that rows and columns can be counted."""
    free = ~layout.walls
    for row, column in np.argwhere(free[:, :-1] & free[:, 1:]).tolist():
        pen.line((cell * (column + 1), cell * row, cell * (column + 1), cell * (row + 1) - 1), fill=GRID_COLOUR)
    for row, column in np.argwhere(free[:-1] & free[1:]).tolist():
        pen.line((cell * column, cell * (row + 1), cell * (column + 1) - 1, cell * (row + 1)), fill=GRID_COLOUR)


def _draw_outline(pen: ImageDraw.ImageDraw, region: NDArray[np.bool_], cell: int) -> None:
    """Outline the region: a line along each face between a cell in it and one that is not."""
    padded = np.pad(region, 1)
    width = max(2, cell // 12)
    for axis in (0, 1):
        for row, column in np.argwhere(np.diff(padded.astype(np.int8), axis=axis)).tolist():
            inward = width if padded[row + 1 - axis, column + axis] else -width
            # Padded coordinates are one ahead of the grid's along the face and level with it across.
            x, y = (column - 1 + axis) * cell, (row - axis) * cell
            right, down = (x + inward, y + cell - 1) if axis else (x + cell - 1, y + inward)
            pen.rectangle((min(x, right), min(y, down), max(x, right), max(y, down)), fill=REGION_COLOUR)


def _draw_path(pen: ImageDraw.ImageDraw, path: NDArray[np.floating], cell: int) -> None:
    """Draw the path, pale at its start and full at its end, and a ring where it began."""
    if not len(path):
        return
    points = [(float(column) * cell, float(row) * cell) for row, column in path]
    width = max(2, cell // 9)
    for begin, end, colour in strokes(points, FREE_COLOUR, PATH_COLOUR, _OLDEST_TINT):
        pen.line([begin, end], fill=colour, width=width)
        _draw_disc(pen, end, width / 2 - 1.0, colour)  # rounds the bend without showing beside the line
    _draw_disc(pen, points[0], cell / 7, PATH_COLOUR)
    _draw_disc(pen, points[0], cell / 14, FREE_COLOUR)


def _draw_agent(pen: ImageDraw.ImageDraw, position: NDArray[np.floating], cell: int) -> None:
    """Draw the agent as a dot with a white rim, never smaller than can be seen."""
    centre = (float(position[1]) * cell, float(position[0]) * cell)
    radius = max(0.3 * cell, 3.0 * _SUPERSAMPLING)
    _draw_disc(pen, centre, radius, (255, 255, 255))
    _draw_disc(pen, centre, 0.78 * radius, AGENT_COLOUR)


def _draw_arrow(
    pen: ImageDraw.ImageDraw, middle: NDArray[np.floating], along: NDArray[np.floating], length: float
) -> None:
    """Draw an arrow of `length` pixels around its middle (row, column), along a unit vector, with a pale rim."""
    across = np.array([-along[1], along[0]])
    tip, tail = middle + along * length / 2, middle - along * length / 2
    neck = tip - along * length * _ARROW_HEAD
    for rim, colour in ((length / 12, FREE_COLOUR), (0.0, PATH_COLOUR)):
        side = across * (length * _ARROW_HEAD / 2 + 1.5 * rim)
        corners = (tip + along * 2 * rim, neck - along * rim + side, neck - along * rim - side)
        ends = (tail - along * rim, neck)
        pen.line([(float(c), float(r)) for r, c in ends], fill=colour, width=max(1, round(length / 9 + 2 * rim)))
        pen.polygon([(float(c), float(r)) for r, c in corners], fill=colour)


def _draw_disc(pen: ImageDraw.ImageDraw, centre: Point, radius: float, colour: Colour) -> None:
    x, y = centre
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _frame(maze: Image.Image, size_px: int, title: str | None) -> NDArray[np.uint8]:
    """Put the maze into a rim of wall, below its caption."""
    rim = max(2, size_px // 60)
    if title is None:
        return frame(maze, "", None, 0, rim)
    strip = max(24, size_px // 7)
    return frame(maze, *_fit(title, maze.width, strip - 4), strip, rim)


@lru_cache(maxsize=256)
def _fit(title: str, width: int, height: int) -> tuple[str, Font]:
    """The title in at most two lines, in the largest font of 8 pixels or more that fits; cut short if none does."""
    for size in range(max(8, int(height / 2.6)), 7, -1):
        font = ImageFont.load_default(size)
        if len(wrap(title, font, width)) <= _TITLE_LINES:
            break
    return "\n".join(wrap(title, font, width, _TITLE_LINES)), font
