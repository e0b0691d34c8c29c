"""Collecting from a world: trajectories without instructions, and captions of goals without actions."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from configs.schema import DataConfig
from data.captions import CaptionPairs
from data.trajectories import TrajectoryBuffer
from envs.commands import MazeCommands
from envs.expert import collect_expert, collect_random
from envs.layouts import Layout
from envs.phrasing import Split

# Independent streams of random numbers from one seed: a change in one draw leaves the others as they were.
TRAJECTORIES, CAPTIONS, LABELLED_GOALS, BRIDGE_GOALS, ACTIONS, BATCHES = range(6)


def stream(seed: int, *key: int) -> np.random.Generator:
    """The generator of one purpose (and step): the same for the same seed and key, independent of all others."""
    return np.random.default_rng([seed, *key])


class CaptionedWorld(Protocol):
    """What collecting asks of a world."""

    @property
    def layout(self) -> Layout:
        """The maze."""

    @property
    def commands(self) -> MazeCommands:
        """Its commands and their wordings."""


def collect_trajectories(world: CaptionedWorld, config: DataConfig, seed: int) -> TrajectoryBuffer:
    """Trajectories of the noisy expert or of a random walk; the same for the same seed. No instruction is involved."""
    draw = int(stream(seed, TRAJECTORIES).integers(2**31))
    if config.kind == "expert":
        flat = collect_expert(world.layout, config.trajectories, draw, config.noise_degrees)
    else:
        flat = collect_random(world.layout, config.trajectories, config.walk_length, draw)
    observations, actions, lengths = flat
    return TrajectoryBuffer(observations, observations, actions, lengths)


def caption_goals(world: CaptionedWorld, goals: NDArray[np.float32], split: Split, seed: int) -> CaptionPairs:
    """One caption for each goal [N, G]: a thing that is true of it, in a wording of `split`, both at random."""
    rng = stream(seed, CAPTIONS)
    commands = world.commands
    phrasings = [commands.phrasings(label, split) for label in range(len(commands.labels))]
    first = np.concatenate([[0], np.cumsum([len(texts) for texts in phrasings])])  # [labels + 1]
    true_labels = commands.true_labels(goals)  # [N, T]
    label = true_labels[np.arange(len(goals)), rng.integers(true_labels.shape[1], size=len(goals))]  # [N]
    text = first[label] + rng.integers(first[label + 1] - first[label])  # [N]
    return CaptionPairs(goals, [text for texts in phrasings for text in texts], text, label, true_labels)
