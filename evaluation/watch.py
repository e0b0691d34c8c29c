"""Rollouts that one can watch: frames, GIFs, and pictures of all kinds in TensorBoard."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_atomically
from goalbridge.envs.layouts import Layout
from goalbridge.envs.rendering import draw
from goalbridge.evaluation.projector import Projection
from goalbridge.evaluation.rollouts import Episodes

FRAMES_PER_SECOND = 10
LAST_FRAME_HOLDS = 10

EVALUATION_SEED = 500_000  # apart from evaluate.py's, so that nothing is tuned on the episodes that are reported
WATCHED_SEED = 900_000  # the animated episode stays out of the statistics


@dataclass(frozen=True)
class Watched:
    """How an agent does in the middle of its training.

    metrics: means over episodes. further: other scalars, by tag. animation: a GIF of one episode, empty where the world
    cannot be drawn. pictures: PNGs, by tag.
    """

    metrics: dict[str, float]
    further: dict[str, float]
    animation: bytes
    pictures: dict[str, bytes] = field(default_factory=dict)


class Watcher(Protocol):
    """Evaluates an agent while it trains, in the same episodes each time."""

    def watch(self, agent: Agent, step: int) -> Watched:
        """How the agent does at that step of its training."""

    def project(self, agent: Agent) -> Projection | None:
        """Its goals and instructions in the space that they share; None where it learns no such space."""


def rollout_frames(
    layout: Layout,
    episodes: Episodes,
    episode: int,
    heat: NDArray[np.floating] | None = None,
    caption: str | None = None,
    most: int | None = None,
) -> list[NDArray[np.uint8]]:
    """A frame [h, w, 3] for each step of one episode: walls, commanded region, path, agent, command (or `caption`).

    heat: [H, W], shaded. most: of longer episodes, so many frames, see `spread`.
    """
    path, command = episodes.path(episode).astype(np.float64), episodes.commands[episode]
    last = len(path) - 1
    return [
        draw(layout, path[step], path[: step + 1], command.region, heat=heat, title=caption or command.text)
        for step in spread(last, most or len(path))
    ]


def spread(last: int, most: int) -> list[int]:
    """The moments to be drawn of 0, ..., last: all, or `most` (2 or more) evenly spread ones, both ends among them.

    Neighbours are an odd number of steps apart (but for the last): who turns on the spot, or goes to and fro, would
    otherwise be drawn in the same pose each time, and seem to stand still.
    """
    if last < most:
        return list(range(last + 1))
    gap = last / (most - 1)  # at least 1
    odd_and_even = [i % 2 + 2 * round((i * gap - i % 2) / 2) for i in range(most - 1)]  # the nearest in turns
    return [*odd_and_even, last]


def posterior_map(layout: Layout, goals: NDArray[np.floating], posterior: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probability of each cell, [H, W]: that of the bridge goals [M, 2] in it, of p(g | instruction) [M]."""
    heat = np.zeros(layout.walls.shape)
    cells = np.floor(goals).astype(np.int64)
    np.add.at(heat, (cells[:, 0], cells[:, 1]), posterior)
    return heat


def gif(frames: Sequence[NDArray[np.uint8]]) -> bytes:
    """An endless animation of the frames [h, w, 3]; the last one stays a second."""
    buffer = io.BytesIO()
    held = [*frames, *[frames[-1]] * LAST_FRAME_HOLDS]
    imageio.imwrite(buffer, np.stack(held), extension=".gif", duration=1000 // FRAMES_PER_SECOND, loop=0)
    return buffer.getvalue()


def png(frame: NDArray[np.uint8]) -> bytes:
    """One frame [h, w, 3] as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    return buffer.getvalue()


def add_picture(writer: SummaryWriter, tag: str, encoded: bytes, step: int) -> None:
    """Shows a PNG or a GIF, which moves, in TensorBoard's image tab.

    (`SummaryWriter.add_video` needs a moviepy older than 2, and `add_image` knows no GIFs.)
    """
    width, height = Image.open(io.BytesIO(encoded)).size
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
    file_writer: Any = writer._get_file_writer()  # type: ignore[no-untyped-call]
    file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def write_animations(animations: Mapping[str, bytes], folder: Path) -> None:
    """Writes GIFs by name into `folder`/rollouts, shows them in TensorBoard, and prints where they are."""
    writer = SummaryWriter(str(folder))
    for name, animation in animations.items():
        path = folder / "rollouts" / f"{name}.gif"
        write_atomically(path, animation)
        add_picture(writer, f"rollouts/{name}", animation, 0)
        print(f"rollout: {path}")
    writer.close()
