"""Pictures of a maze: walls, the commanded region, the path so far, and what the agent believes; titles of any picture.

Frames are uint8 [h, w, 3].
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.layouts import Layout

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

# Okabe and Ito's colours that all kinds of colour vision tell apart, on a neutral ground.
WALL_COLOUR: Final[Colour] = (58, 64, 77)
FREE_COLOUR: Final[Colour] = (249, 248, 244)
GRID_COLOUR: Final[Colour] = (228, 226, 219)
REGION_COLOUR: Final[Colour] = (0, 158, 115)
PATH_COLOUR: Final[Colour] = (0, 114, 178)
AGENT_COLOUR: Final[Colour] = (213, 94, 0)
HEAT_COLOUR: Final[Colour] = (140, 40, 120)
TITLE_COLOUR: Final[Colour] = (255, 255, 255)

_SUPERSAMPLING: Final = 2
_REGION_TINT: Final = 0.32
_HEAT_TINT: Final = 0.85
_OLDEST_TINT: Final = 0.35  # how much of the path's colour its first step keeps
_BLOCK: Final = 16  # frames are padded to multiples of this, which video encoders ask for
_SMALLEST_FONT: Final = 8
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
    """Draw one moment of an episode.

    position: [2] (row, column) of the agent, a dot. path: [T, 2] positions so far, a line that grows stronger towards
    the present. region: bool [H, W], outlined and, without heat, shaded. size_px: along the maze's longer side, about.
    heat: [H', W'] of 0 or more, such as a posterior, spread evenly over the maze; shades free cells in proportion to
    its maximum. title: above the maze, in two lines at most; its length does not change the frame's size.

    The frame's sides are multiples of 16. ValueError if `size_px` leaves less than a pixel for a cell.
    """
    maze, pen, fine = _maze(layout, region, size_px, heat)
    draw_path(pen, path[:, ::-1] * fine, max(2, fine // 9), fine / 7, (FREE_COLOUR, PATH_COLOUR))
    radius = max(0.3 * fine, 3.0 * _SUPERSAMPLING)  # never smaller than can be seen
    for size, colour in ((radius, (255, 255, 255)), (0.78 * radius, AGENT_COLOUR)):
        pen.circle(tuple(position[::-1].astype(float) * fine), size, fill=colour)
    return _framed(maze, size_px, title)


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
    """Draw which way an agent would go from many places, in a frame as `draw`'s.

    positions: [P, 2] (row, column), the arrows' middles. directions: [P, 2] (d_row, d_column), whatever their length;
    no arrow where it is zero. length: of each arrow, in cells. The rest as of `draw`.
    """
    maze, pen, fine = _maze(layout, region, size_px, heat)
    for position, direction in zip(positions, directions, strict=True):
        norm = float(np.hypot(*direction))
        if norm > 0:
            _draw_arrow(pen, position[::-1] * fine, direction[::-1] / norm, length * fine)
    return _framed(maze, size_px, title)


def _maze(
    layout: Layout, region: NDArray[np.bool_], size_px: int, heat: NDArray[np.floating] | None
) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """The maze without anyone in it, larger than it will be, a pen to draw on it with, and the pixels along a cell."""
    from PIL import Image, ImageDraw

    height, width = layout.walls.shape
    fine = size_px // max(height, width) * _SUPERSAMPLING
    if not fine:
        raise ValueError(f"size_px: expected {max(height, width)} or more for this maze, got {size_px}")
    ground = Image.fromarray(_ground(layout, region, heat))
    maze = ground.resize((width * fine, height * fine), Image.Resampling.NEAREST)
    pen, free = ImageDraw.Draw(maze), ~layout.walls
    for down, right in ((0, 1), (1, 0)):  # faint lines between free cells, so that rows and columns can be counted
        for row, column in np.argwhere(free[: height - down, : width - right] & free[down:, right:]).tolist():
            x, y = fine * (column + right), fine * (row + down)
            pen.line((x, y, x + (fine - 1) * down, y + (fine - 1) * right), fill=GRID_COLOUR)
    rim, padded = max(2, fine // 12), np.pad(region, 1)
    for row, column in np.argwhere(region).tolist():  # a line along each face to a cell outside the region
        x, y, far = column * fine, row * fine, fine - 1
        for step, low, high in ((0, 0, rim), (2, far - rim, far)):
            if not padded[row + step, column + 1]:
                pen.rectangle((x, y + low, x + far, y + high), fill=REGION_COLOUR)
            if not padded[row + 1, column + step]:
                pen.rectangle((x + low, y, x + high, y + far), fill=REGION_COLOUR)
    return maze, pen, fine


def _ground(layout: Layout, region: NDArray[np.bool_], heat: NDArray[np.floating] | None) -> NDArray[np.uint8]:
    """Uint8 [n H, n W, 3]: walls, free cells and their shading, n x n pixels a cell (n = 1 without heat)."""
    walls, share, colour = layout.walls, _REGION_TINT * region, REGION_COLOUR
    if heat is not None:
        sides = list(zip(heat.shape, walls.shape, strict=True))
        fine = max(1, *(-(-side // cells) for side, cells in sides))
        row, column = (np.arange(cells * fine) * side // (cells * fine) for side, cells in sides)
        share, colour = _HEAT_TINT * heat[np.ix_(row, column)] / max(float(heat.max()), 1e-300), HEAT_COLOUR
        walls = walls.repeat(fine, axis=0).repeat(fine, axis=1)
    free = np.array(FREE_COLOUR) + share[..., None] * (np.array(colour) - np.array(FREE_COLOUR))
    return np.where(walls[..., None], np.array(WALL_COLOUR), free).astype(np.uint8)


def draw_path(
    pen: ImageDraw.ImageDraw, points: NDArray[Any], width: int, radius: float, colours: tuple[Colour, Colour]
) -> None:
    """A line through points [T, 2] (x, y), from pale to full colour, and a ring where it began.

    colours: of the ground, and of the line's end. radius: of the ring.
    """
    ground, full = (np.array(colour) for colour in colours)
    stops = [(float(x), float(y)) for x, y in points]
    for index, (begin, end) in enumerate(pairwise(stops), start=1):
        share = _OLDEST_TINT + (1.0 - _OLDEST_TINT) * index / (len(stops) - 1)
        colour = tuple(np.round(ground + share * (full - ground)).astype(int).tolist())
        pen.line([begin, end], fill=colour, width=width)
        pen.circle(end, max(0.0, width / 2 - 1.0), fill=colour)  # rounds the bend without showing beside the line
    for begin in stops[:1]:
        pen.circle(begin, radius, fill=colours[0], outline=colours[1], width=max(1, round(radius / 2)))


def _draw_arrow(
    pen: ImageDraw.ImageDraw, middle: NDArray[np.floating], along: NDArray[np.floating], length: float
) -> None:
    """An arrow of `length` pixels around its middle (x, y), along a unit vector, with a pale rim."""
    across = np.array([-along[1], along[0]])
    tip, tail = middle + along * length / 2, middle - along * length / 2
    neck = tip - along * length * _ARROW_HEAD
    for rim, colour in ((length / 12, FREE_COLOUR), (0.0, PATH_COLOUR)):
        side = across * (length * _ARROW_HEAD / 2 + 1.5 * rim)
        corners = (tip + along * 2 * rim, neck - along * rim + side, neck - along * rim - side)
        shaft = np.concatenate([tail - along * rim, neck]).tolist()
        pen.line(shaft, fill=colour, width=max(1, round(length / 9 + 2 * rim)))
        pen.polygon(np.concatenate(corners).tolist(), fill=colour)


def _framed(maze: Image.Image, size_px: int, title: str | None) -> NDArray[np.uint8]:
    from PIL import ImageOps

    return titled(ImageOps.expand(maze.reduce(_SUPERSAMPLING), max(2, size_px // 60), WALL_COLOUR), title, most=2)


def titled(picture: Image.Image, title: str | None, most: int | None = None) -> NDArray[np.uint8]:
    """A picture below its title, padded both ways to multiples of 16.

    most: lines that there is always room for; a longer title gets a smaller font, then is cut short. None for as many
    lines as it needs, none if it is empty.
    """
    from PIL import Image, ImageDraw

    text, font, strip = ("", None, 0) if title is None else _fitted(title, picture.width, most)
    width, height = (-(-side // _BLOCK) * _BLOCK for side in (picture.width, picture.height + strip))
    frame = Image.new("RGB", (width, height), WALL_COLOUR)
    top = height - picture.height
    frame.paste(picture, ((width - picture.width) // 2, top // 2 if title is None else top))
    if strip:
        pen = ImageDraw.Draw(frame)
        pen.rectangle((0, 0, width, top - 1), fill=TITLE_COLOUR)
        pen.multiline_text((width / 2, top / 2), text, fill=WALL_COLOUR, font=font, anchor="mm", align="center")
    return np.asarray(frame)


@lru_cache(maxsize=256)
def _fitted(title: str, width: int, most: int | None) -> tuple[str, Any, int]:
    """The title in lines of at most `width` pixels, its font, and the pixels that they need."""
    from PIL import ImageFont

    largest = min(max(width // 26, 12), 20)
    for size in range(largest, _SMALLEST_FONT - 1, -1):
        font = ImageFont.load_default(size)
        lines = _wrapped(title, font, width - size)
        if len(lines) <= (most or len(lines)):
            break
    if most and len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} ..."]
    height = round(largest * (1.45 * (most or len(lines)) + 0.6)) if most or title else 0
    return "\n".join(lines), font, height


def _wrapped(title: str, font: Any, width: int) -> Sequence[str]:
    """Lines of at most `width` pixels, broken between words."""
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
