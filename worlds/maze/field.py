"""The direction field of a policy: which way it would go from everywhere, for one command."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents import Policy
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import Layout
from goalbridge.envs.places import CATEGORIES, MazePlaces, Place
from goalbridge.envs.rendering import draw_field

MOST_ARROWS: Final = 400  # or the maze can hardly be seen
_PER_SIDE: Final = 2  # arrows along a cell's side, where there is room
_ARROW: Final = 0.75  # an arrow's length, of the distance between two
_WISHES: Final = (
    ("row 3", "row 1", "row 0"),
    ("top left corner", "top right corner", "bottom left corner", "bottom right corner"),
    ("somewhere on the left", "somewhere on the right", "somewhere near the top", "somewhere near the bottom"),
)
_SECOND_LINES: Final = ("column 5", "column 1", "column 0")


def field_commands(places: MazePlaces, label: bool = False) -> tuple[Command, ...]:
    """A line, a corner, a vague place, and a line or another: the same ones each time, those that a maze has.

    places: those that captions speak of. label: whether the agent reads nothing but their labels, and no compounds.
    """
    by_label = dict(zip(places.labels, places.places, strict=True))
    found = [_first(by_label, wishes) for wishes in _WISHES]
    commands = [
        Command(place.label if label else place.names[0], place.label, place.category, place.region)
        for place in found
        if place is not None
    ]
    row, column = found[0], _first(by_label, _SECOND_LINES)
    if row is not None and column is not None and not label:
        text, region = f"{row.label} or {column.label}", row.region | column.region
        commands.append(Command(text, text, "compound", region))
    return tuple(command for command in commands if (~places.layout.walls & ~command.region).any())


def _first(places: dict[str, Place], labels: tuple[str, ...]) -> Place | None:
    known = [places[label] for label in labels if label in places and places[label].category in CATEGORIES]
    return known[0] if known else None


def arrow_places(layout: Layout, region: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Positions [P, 2] on an even grid in the free cells outside the region, and how far apart they are, in cells.

    As close as `MOST_ARROWS` over the whole maze allow, at most `_PER_SIDE` x `_PER_SIDE` in a cell.
    """
    if len(layout.free_cells) * _PER_SIDE**2 <= MOST_ARROWS:
        spacing = 1 / _PER_SIDE
    else:
        spacing = float(max(1, np.ceil(np.sqrt(len(layout.free_cells) / MOST_ARROWS))))
    first = min(spacing, 1.0) / 2  # never on a cell's face
    row, column = (np.arange(first, side, spacing) for side in layout.walls.shape)
    grid = np.stack(np.meshgrid(row, column, indexing="ij"), axis=-1).reshape(-1, 2)  # [., 2]
    cell = tuple(np.floor(grid).astype(np.int64).T)
    return grid[~layout.walls[cell] & ~region[cell]], spacing


def directions(policy: Policy, positions: NDArray[np.floating], instruction: str) -> NDArray[np.float32]:
    """Where a policy would go from positions [P, 2], [P, 2], if an episode began there.

    Nothing is remembered of it, except the goals that "sample" and its like draw: one for all positions.
    """
    count = len(positions)
    policy.reset()
    best = policy.scores(positions, [instruction] * count, [0] * count).argmax(dim=1)  # [P]
    chosen: NDArray[np.float32] = policy.actions[best].cpu().numpy()
    return chosen


def field_picture(
    layout: Layout, policy: Policy, command: Command, heat: NDArray[np.floating] | None = None
) -> NDArray[np.uint8]:
    """The field as a picture [h, w, 3]: the commanded region outlined, `heat` [H, W] shaded, arrows."""
    positions, spacing = arrow_places(layout, command.region)
    towards = directions(policy, positions, command.text)
    return draw_field(layout, positions, towards, command.region, _ARROW * spacing, heat=heat, title=command.text)
