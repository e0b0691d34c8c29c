"""Pictures of a BabyAI level: minigrid's own, with what the agent believes, the path so far and the mission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.rendering import Colour, draw_path, titled

if TYPE_CHECKING:
    from PIL import Image

# minigrid gives none of these to a thing.
UNSEEN_COLOUR: Final[Colour] = (44, 46, 54)
PATH_COLOUR: Final[Colour] = (110, 205, 255)

# From faint to certain: ever brighter, so that a print without colours shows the same order.
_HEAT_SHARES: Final = (0.0, 0.3, 0.65, 1.0)
_HEAT_COLOURS: Final[tuple[Colour, ...]] = ((98, 22, 120), (196, 52, 112), (250, 136, 50), (255, 222, 130))
_HEAT_LEAST: Final = 0.02  # of the maximum; what is below is not shown
_HEAT_TINT: Final = 0.95  # how much of its colour the greatest heat has
_SMALLEST_TILE: Final = 8


def draw_grid(
    grid: NDArray[np.uint8],
    pose: NDArray[np.integer],
    heat: NDArray[np.floating] | None = None,
    title: str = "",
    path: NDArray[np.integer] | None = None,
    tile: int = 24,
) -> NDArray[np.uint8]:
    """Draw one moment of an episode.

    grid: uint8 [W, H, 3] (type, colour, state), W and H 3 or more; cells of type 0 are unseen, dark grey.
    pose: int [3] (x, y, direction) of the agent, minigrid's red triangle.
    heat: [W, H] of 0 or more, such as a posterior; on the floor, below all things, the brighter and the more opaque
    the nearer to its maximum. title: above the picture, in as many lines as it needs; none if empty.
    path: int [T, 2] cells (x, y) so far, a line below all things that grows stronger towards the present.
    tile: pixels along a cell's side, 8 or more.

    Returns uint8 [h, w, 3], h and w multiples of 16. ValueError for another shape or a smaller tile.
    """
    from PIL import Image, ImageDraw

    if grid.ndim != 3 or grid.shape[2] != 3 or min(grid.shape[:2]) < 3 or pose.shape != (3,):
        raise ValueError(f"grid, pose: expected [W >= 3, H >= 3, 3] and [3], got {grid.shape} and {pose.shape}")
    if heat is not None and heat.shape != grid.shape[:2]:
        raise ValueError(f"heat: expected the grid's {grid.shape[:2]}, got {heat.shape}")
    if path is not None and path.shape != (len(path), 2):
        raise ValueError(f"path: expected [T, 2], got {path.shape}")
    if tile < _SMALLEST_TILE:
        raise ValueError(f"tile: expected {_SMALLEST_TILE} pixels or more, got {tile}")
    picture, things = _scene(grid, pose, tile)
    ground = picture.copy()
    if heat is not None:
        _draw_heat(ground, heat, things, tile)
    if path is not None:
        width = 2 * max(1, tile // 20) + 1
        draw_path(ImageDraw.Draw(ground), path * tile + tile // 2, width, tile // 6, ((0, 0, 0), PATH_COLOUR))
    ground.paste(picture, mask=Image.fromarray(things))
    return titled(ground, title)


def _scene(grid: NDArray[np.uint8], pose: NDArray[np.integer], tile: int) -> tuple[Image.Image, NDArray[np.bool_]]:
    """minigrid's picture [h, w], and bool [h, w], where it shows things, walls or the agent and no floor."""
    from minigrid.core.grid import Grid
    from PIL import Image

    decoded, seen = Grid.decode(grid)
    x, y, direction = pose.tolist()
    pixels = decoded.render(tile, (x, y), direction)  # [h, w, 3]
    floor = Grid.render_tile(None, tile_size=tile).astype(np.uint8)  # [tile, tile, 3]
    by_tile = pixels.reshape(grid.shape[1], tile, grid.shape[0], tile, 3)  # a view
    differs = by_tile != floor[:, None]  # [H, tile, W, tile, 3]
    things = differs[..., 0] | differs[..., 1] | differs[..., 2]  # [H, tile, W, tile]
    by_tile.transpose(2, 0, 1, 3, 4)[~seen] = UNSEEN_COLOUR
    return Image.fromarray(pixels), things.reshape(pixels.shape[:2])


def _draw_heat(ground: Image.Image, heat: NDArray[np.floating], things: NDArray[np.bool_], tile: int) -> None:
    """Shade the floor, but for a rim around things, which keeps their colours apart from the heat's."""
    from PIL import Image

    share = heat.T / max(float(heat.max()), 1e-300)  # [H, W]
    channels = [np.interp(share, _HEAT_SHARES, channel) for channel in zip(*_HEAT_COLOURS, strict=True)]
    colours = Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))  # [H, W]
    tint = np.where(share < _HEAT_LEAST, 0.0, _HEAT_TINT * np.sqrt(share))  # [H, W]
    opacity = np.round(255 * tint).astype(np.uint8).repeat(tile, axis=0).repeat(tile, axis=1)  # [h, w]
    opacity[_widened(things, max(1, tile // 12))] = 0
    ground.paste(colours.resize(ground.size, Image.Resampling.NEAREST), mask=Image.fromarray(opacity))


def _widened(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask [h, w] and all within `by` pixels of it, both ways; scipy's filters take ten times as long."""
    for axis in (0, 1):
        lines, wide = mask.swapaxes(0, axis), mask.copy().swapaxes(0, axis)
        for step in range(1, by + 1):
            wide[step:] |= lines[:-step]
            wide[:-step] |= lines[step:]
        mask = wide.swapaxes(0, axis)
    return mask
