"""Pictures of a maze and of what an agent believes and has learnt there: the half of `MazeWorld` that draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.layouts import Layout
from goalbridge.envs.places import MazePlaces, Place
from goalbridge.worlds._base import Belief, Moment, Projection
from goalbridge.worlds.maze.episodes import MazeEpisodes

if TYPE_CHECKING:
    from goalbridge.agents import Agent

GOALS: Final = 500  # as many as a browser turns round smoothly, and files of a few hundred kilobytes
_PLACES: Final = 100  # of each category, those whose instructions are shown
_SEVERAL: Final = "several"  # of what an instruction leaves open
_NONE: Final = "none"


class MazePictures(MazeEpisodes):
    """Frames of episodes, direction fields, and points for the projector."""

    captions: MazePlaces

    def frame(self, moment: Moment, belief: Belief | None, title: str) -> NDArray[np.uint8]:
        """Walls, the commanded region, the path, the agent, and in purple what it takes to be meant."""
        from goalbridge.envs.rendering import draw

        heat = None if belief is None else posterior_map(self.layout, belief.goals, belief.chances)
        path = moment.goals.astype(np.float64)  # [t + 1, 2]
        return draw(self.layout, path[-1], path, moment.task.meant.region, heat=heat, title=title)

    def pictures(self, agent: Agent) -> dict[str, NDArray[np.uint8]]:
        """field/...: which way the agent would go from everywhere, for a few fixed commands."""
        from goalbridge.worlds.maze.field import field_commands, field_picture

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
