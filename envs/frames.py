"""What pictures of every world share: titles in lines, paths that grow stronger, sides that suit video encoders.

Pillow is imported here: whoever draws imports this, or what builds on it, only then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
Point = tuple[float, float]  # (x, y) in pixels

WALL_COLOUR: Final[Colour] = (58, 64, 77)
TITLE_COLOUR: Final[Colour] = (255, 255, 255)  # behind a title
_BLOCK: Final = 16  # frames are padded to multiples of this, which video encoders ask for


def frame(picture: Image.Image, title: str, font: Font | None, strip: int, rim: int = 0) -> NDArray[np.uint8]:
    """A picture below its title, uint8 [h, w, 3], h and w padded to multiples of 16.

    title: in lines already. font: None for no title. strip: pixels left for it above. rim: pixels of wall around the
    picture, which then stands in the middle of what is padded; without one it stands at the bottom.
    """
    sides = (picture.width + 2 * rim, picture.height + 2 * rim + strip)
    width, height = (-(-side // _BLOCK) * _BLOCK for side in sides)
    above = strip if rim else height - picture.height
    canvas = Image.new("RGB", (width, height), WALL_COLOUR)
    canvas.paste(picture, ((width - picture.width) // 2, above + (height - above - picture.height) // 2))
    if font is not None:
        pen = ImageDraw.Draw(canvas)
        pen.rectangle((0, 0, width, above - 1), fill=TITLE_COLOUR)
        pen.multiline_text((width / 2, above / 2), title, fill=WALL_COLOUR, font=font, anchor="mm", align="center")
    return np.asarray(canvas)


def wrap(title: str, font: Font, width: int, most: int | None = None) -> list[str]:
    """A title broken between words into lines of at most `width` pixels, cut short after `most` of them."""
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines if most is None or len(lines) <= most else [*lines[: most - 1], lines[most - 1] + " ..."]


def strokes(points: Sequence[Point], pale: Colour, full: Colour, least: float) -> Iterator[tuple[Point, Point, Colour]]:
    """The pieces of a path and their colours: from `least` of the way between pale and full, at its start, to full."""
    for index, (begin, end) in enumerate(pairwise(points)):
        share = least + (1.0 - least) * (index + 1) / (len(points) - 1)
        red, green, blue = (round(a + share * (b - a)) for a, b in zip(pale, full, strict=True))
        yield begin, end, (red, green, blue)
