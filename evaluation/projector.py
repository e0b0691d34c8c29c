"""Goals and instructions in the one space that they share, for TensorBoard's projector."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from goalbridge.agents import Agent
from goalbridge.configs.splits import Split
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.phrasing import COLOURS, FIRST_TYPE, TYPES
from goalbridge.envs.places import MazePlaces, Place

GOALS: Final = 500  # as many as a browser turns round smoothly, and files of a few hundred kilobytes
_PLACES: Final = 100  # of each category, those whose instructions are shown
_DIGITS: Final = 4  # nobody sees more, and text files are long
_TAG: Final = "goals_and_instructions"
_SEVERAL: Final = "several"  # of what an instruction leaves open
_NONE: Final = "none"


@dataclass(frozen=True, eq=False)
class Projection:
    """Points for the projector.

    vectors: [N, d]. columns: names of what is said of each point. rows: N of them, as texts, one for each column.
    """

    vectors: NDArray[np.float32]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def add_projection(writer: SummaryWriter, projection: Projection, step: int) -> None:
    """Shows the points in TensorBoard's projector; files of the same step are written anew."""
    shutil.rmtree(Path(writer.log_dir) / f"{step:05d}" / _TAG, ignore_errors=True)
    writer.add_embedding(
        np.round(projection.vectors.astype(np.float64), _DIGITS),
        metadata=[list(row) for row in projection.rows],
        metadata_header=list(projection.columns),
        global_step=step,
        tag=_TAG,
    )


def project_maze(agent: Agent, places: MazePlaces, label: bool = False) -> Projection:
    """Goals by where they are, and instructions by what they mean.

    places: those that captions speak of. label: whether the agent reads nothing but their labels; otherwise, wordings
    of training and, of places other than single cells, held-out ones are shown.

    Columns: text, kind ("goal", a category of places or "held-out wording"), row and column (of an instruction, the
    middle of what it means), quadrant (if it lies in one).
    """
    goals = agent.bridge_goals[:GOALS]  # [M, 2]
    quadrants = [place for place in MazePlaces(places.layout, ("region",)).places if place.label.endswith("quadrant")]
    rows = [_goal_row(goal, quadrants) for goal in goals.cpu().numpy()]
    said: list[tuple[str, str, Place]] = []
    for label_id in _shown(places):
        place = places.places[label_id]
        said.append((place.category, place.label if label else place.names[0], place))
        if place.category != "exact" and not label:
            said.append(("held-out wording", places.phrasings(label_id, "held_out")[0], place))
    rows += [_instruction_row(kind, text, place, quadrants) for kind, text, place in said]
    columns = ("text", "kind", "row", "column", "quadrant")  # the first one labels the points
    return Projection(_vectors(agent, goals, [text for _, text, _ in said]), columns, tuple(rows))


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


def project_grids(agent: Agent, captions: GridCaptions, split: Split = "train") -> Projection:
    """Situations by what they face, and instructions, one of each label, in the wordings of a split.

    Columns: text (of a goal, all that is true of it), kind ("goal" or "instruction"), type, colour.
    """
    goals = agent.bridge_goals[:GOALS]  # [M, S]
    rows: list[tuple[str, ...]] = []
    for goal, true in zip(goals.cpu().numpy().astype(np.int64), captions.true_labels(goals.cpu().numpy()), strict=True):
        kind = goal[5] - FIRST_TYPE
        faces = (TYPES[kind], COLOURS[goal[6]]) if 0 <= kind < len(TYPES) else (_NONE, _NONE)
        rows.append((", ".join(captions.labels[i] for i in true if i >= 0), "goal", *faces))
    texts = [captions.phrasings(label_id, split)[0] for label_id in range(len(captions.labels))]
    for label, text in zip(captions.labels, texts, strict=True):
        words = label.split()
        means = [next((word for word in words if word in names), _SEVERAL) for names in (TYPES, COLOURS)]
        rows.append((text, "instruction", *means))
    return Projection(_vectors(agent, goals, texts), ("text", "kind", "type", "colour"), tuple(rows))


@torch.no_grad()
def _vectors(agent: Agent, goals: torch.Tensor, texts: Sequence[str]) -> NDArray[np.float32]:
    """phi_B of goals [M, G] towards language, then phi_C of K texts: [M + K, d]."""
    both = torch.cat([agent.encode_meanings(goals), agent.encode_instructions(texts)])
    vectors: NDArray[np.float32] = both.cpu().numpy()
    return vectors
