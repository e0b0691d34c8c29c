"""Pictures of a maze and of what an agent believes and has learnt there: the half of `MazeWorld` that draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import Layout
from goalbridge.envs.places import CATEGORIES, MazePlaces, Place
from goalbridge.worlds._base import Belief, Moment, Projection, World

if TYPE_CHECKING:
    from goalbridge.agents import Agent, Policy

GOALS: Final = 500  # as many as a browser turns round smoothly, and files of a few hundred kilobytes
_PLACES: Final = 100  # of each category, those whose instructions are shown
_SEVERAL: Final = "several"  # of what an instruction leaves open
_NONE: Final = "none"
MOST_ARROWS: Final = 400  # or the maze can hardly be seen
_PER_SIDE: Final = 2  # arrows along a cell's side, where there is room
_ARROW: Final = 0.75  # an arrow's length, of the distance between two
_WISHES: Final = (
    ("row 3", "row 1", "row 0"),
    ("top left corner", "top right corner", "bottom left corner", "bottom right corner"),
    ("somewhere on the left", "somewhere on the right", "somewhere near the top", "somewhere near the bottom"),
)
_SECOND_LINES: Final = ("column 5", "column 1", "column 0")


class MazePictures(World):
    """Frames of episodes, direction fields, and points for the projector."""

    captions: MazePlaces
    layout: Layout

    def frame(self, moment: Moment, belief: Belief | None, title: str) -> NDArray[np.uint8]:
        """Walls, the commanded region, the path, the agent, and in purple what it takes to be meant."""
        from goalbridge.envs.rendering import draw

        heat = None if belief is None else posterior_map(self.layout, belief.goals, belief.chances)
        path = moment.goals.astype(np.float64)  # [t + 1, 2]
        return draw(self.layout, path[-1], path, moment.task.meant.region, heat=heat, title=title)

    def pictures(self, agent: Agent) -> dict[str, NDArray[np.uint8]]:
        """field/...: which way the agent would go from everywhere, for a few fixed commands."""
        commands = field_commands(self.captions, agent.text.canonical)
        policy = agent.policy(**self.watching_options(agent))
        heat: list[Any] = [None] * len(commands)
        if agent.has_goal_posterior:
            everything = agent.policy()
            posterior = everything.goal_posterior([command.text for command in commands])  # [B, M]
            heat = [posterior_map(self.layout, everything.goals(), row) for row in posterior]
        return {
            f"field/{command.text}": field_picture(self.layout, policy, command, seen)
            for command, seen in zip(commands, heat, strict=True)
        }

    def project(self, agent: Agent) -> Projection:
        """Goals by where they are, and instructions by what they mean.

        Wordings of training and, of places other than single cells, held-out ones are shown.
        Columns: text, kind ("goal", a category of places or "held-out wording"), row and column (of an instruction, the
        middle of what it means), quadrant (if it lies in one).
        """
        goals = agent.bridge_goals[:GOALS].cpu().numpy()  # [M, 2]
        places, canonical = self.captions, agent.text.canonical
        quadrants = [place for place in MazePlaces(self.layout, ("region",)).places if place.label.endswith("quadrant")]
        rows = [_goal_row(goal, quadrants) for goal in goals]
        said: list[tuple[str, str, Place]] = []
        for label_id in _shown(places):
            place = places.places[label_id]
            said.append((place.category, place.label if canonical else place.names[0], place))
            if place.category != "exact" and not canonical:
                said.append(("held-out wording", places.phrasings(label_id, "held_out")[0], place))
        rows += [_instruction_row(kind, text, place, quadrants) for kind, text, place in said]
        columns = ("text", "kind", "row", "column", "quadrant")  # the first one labels the points
        return Projection(goals, tuple(text for _, text, _ in said), columns, tuple(rows))


def posterior_map(layout: Layout, goals: NDArray[np.floating], posterior: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probability of each cell, [H, W]: that of the bridge goals [M, 2] in it, of p(g | instruction) [M]."""
    heat = np.zeros(layout.walls.shape)
    cells = np.floor(goals).astype(np.int64)
    np.add.at(heat, (cells[:, 0], cells[:, 1]), posterior)
    return heat


def _shown(places: MazePlaces) -> list[int]:
    """Ids of the places whose instructions are shown: of each category, at most `_PLACES`, evenly."""
    ids: list[int] = []
    for category in dict.fromkeys(place.category for place in places.places):
        found = [i for i, place in enumerate(places.places) if place.category == category]
        ids += found[:: -(-len(found) // _PLACES)]
    return ids


def _goal_row(goal: NDArray[np.floating], quadrants: Sequence[Place]) -> tuple[str, ...]:
    row, column = (int(value) for value in np.floor(goal))
    where = next((place.label for place in quadrants if place.region[row, column]), _NONE)
    return f"({goal[0]:.1f}, {goal[1]:.1f})", "goal", str(row), str(column), where


def _instruction_row(kind: str, text: str, place: Place, quadrants: Sequence[Place]) -> tuple[str, ...]:
    row, column = np.argwhere(place.region).mean(axis=0)
    within = [one.label for one in quadrants if (one.region | ~place.region).all()]
    return text, kind, f"{row:.1f}", f"{column:.1f}", within[0] if within else _SEVERAL


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
    from goalbridge.envs.rendering import draw_field

    positions, spacing = arrow_places(layout, command.region)
    towards = directions(policy, positions, command.text)
    return draw_field(layout, positions, towards, command.region, _ARROW * spacing, heat=heat, title=command.text)
