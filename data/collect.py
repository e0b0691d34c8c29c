"""Collecting from a world: trajectories without instructions, and captions of goals without actions."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.data.captions import CaptionPairs
from goalbridge.data.still import STILL, closed_up, distances, step_length
from goalbridge.data.trajectories import TrajectoryBuffer
from goalbridge.encoders.grid import situations
from goalbridge.envs.babyai.explore import explore
from goalbridge.envs.babyai.layouts import Layouts
from goalbridge.envs.babyai.simulator import ACTIONS as GRID_ACTIONS
from goalbridge.envs.expert import collect_expert, collect_random
from goalbridge.envs.layouts import Layout
from goalbridge.envs.phrasing import Split

# Independent streams of random numbers from one seed: a change in one draw leaves the others as they were.
TRAJECTORIES, CAPTIONS, LABELLED_GOALS, BRIDGE_GOALS, ACTIONS, BATCHES, LAYOUTS, VALIDATION, PLAY = range(9)
_SCRIPTED = {"random": 0.0, "mixed": 0.5, "expert": 1.0}


def stream(seed: int, *key: int) -> np.random.Generator:
    """The generator of one purpose (and step): the same for the same seed and key, independent of all others."""
    return np.random.default_rng([seed, *key])


class Captions(Protocol):
    """What is true of goals, and in which words it is said."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What can be said, apart from its wording."""

    def true_labels(self, goals: NDArray[Any]) -> NDArray[np.int64]:
        """All that is true of each goal [N, G], [N, T]; -1 pads."""

    def choose(self, true_labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Which of what is true of each goal [N, T] its caption says, [N]."""

    def phrasings(self, label: int, split: Split) -> tuple[str, ...]:
        """The wordings of a label."""

    def all_texts(self, split: Split) -> tuple[str, ...]:
        """The wordings of all labels, one label after the other."""


def collect_maze(layout: Layout, config: DataConfig, seed: int) -> TrajectoryBuffer:
    """Trajectories of the noisy expert or of a random walk; the same for the same seed. No instruction is involved."""
    draw = int(stream(seed, TRAJECTORIES).integers(2**31))
    if config.kind == "expert":
        flat = collect_expert(layout, config.trajectories, draw, config.noise_degrees)
    elif config.kind == "random":
        return _moving(*collect_random(layout, config.trajectories, config.walk_length, draw)[:2], config.walk_length)
    else:
        raise ConfigError(f"data.kind={config.kind}: is for grids; in mazes expert or random would do")
    observations, actions, lengths = flat
    return TrajectoryBuffer(observations, observations, actions, lengths)


def _moving(observations: NDArray[Any], actions: NDArray[np.float32], length: int) -> TrajectoryBuffer:
    """Random walks of `length` steps each, without those that did not move (`data.still`)."""
    walks, taken = observations.reshape(-1, length + 1, observations.shape[1]), actions.reshape(-1, length, 2)
    distance = distances(walks)  # [N, T]
    walks, taken, lengths = closed_up(walks, taken, distance > STILL * step_length(distance))
    steps = np.arange(length + 1)
    seen = walks[steps <= lengths[:, None]]  # [sum(lengths + 1), S]
    return TrajectoryBuffer(seen, seen, taken[steps[:-1] < lengths[:, None]], lengths)


def collect_grids(layouts: Layouts, config: DataConfig, seed: int) -> TrajectoryBuffer:
    """Random play and walks to random poses in many layouts, as situations; the same for the same seed."""
    per_layout = max(1, config.trajectories // len(layouts))
    found = explore(
        layouts,
        per_layout,
        config.walk_length,
        _SCRIPTED[config.kind],
        stream(seed, TRAJECTORIES),
        lambda batch: situations(batch.grids, batch.poses, batch.sizes),
    )
    count, length = found.actions.shape
    seen = found.recorded.reshape(count * (length + 1), -1)  # [N (T + 1), S]
    actions = np.eye(len(GRID_ACTIONS), dtype=np.float32)[found.actions.reshape(-1)]  # [N T, A]
    places = found.recorded[:, 0, :2].astype(np.float32)  # [N, 2]
    return TrajectoryBuffer(seen, seen, actions, np.full(count, length, np.int64), found.layout, places)


def caption_goals(
    captions: Captions,
    goals: NDArray[Any],
    split: Split,
    seed: int,
    led_by: tuple[NDArray[Any], NDArray[np.float32]] | None = None,
    turn: tuple[int, ...] = (),
) -> CaptionPairs:
    """One caption for each goal [N, G]: a thing that is true of it, in a wording of `split`, both at random.

    Goals of which nothing can be said are left out; DatasetError where that is all of them. led_by: states [N, S] and
    actions [N, D] that led to the goals, which only the end-to-end rival is shown. turn: tells apart the draws of one
    run that captions goals more than once.
    """
    rng = stream(seed, CAPTIONS, *turn)
    phrasings = [captions.phrasings(label, split) for label in range(len(captions.labels))]
    first = np.concatenate([[0], np.cumsum([len(texts) for texts in phrasings])])  # [labels + 1]
    true_labels = captions.true_labels(goals)  # [N, T]
    sayable = (true_labels >= 0).any(axis=1)  # [N]
    goals, true_labels = goals[sayable], true_labels[sayable]
    label = true_labels[np.arange(len(goals)), captions.choose(true_labels, rng)]  # [N]
    text = first[label] + rng.integers(first[label + 1] - first[label])  # [N]
    states, actions = (None, None) if led_by is None else (part[sayable] for part in led_by)
    texts = [text for texts in phrasings for text in texts]
    return CaptionPairs(goals, texts, text, label, true_labels, states, actions)
