"""A world as training and evaluation see it: one implementation each for point mazes and for BabyAI's grids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents.storage import CheckpointError
from goalbridge.agents.world import CandidateActions, WorldSpec
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import EnvConfig
from goalbridge.data import CaptionPairs, TrajectoryBuffer
from goalbridge.data.collect import Captions
from goalbridge.data.playground import Playground
from goalbridge.encoders import TextEncoder


class World(ABC):
    """What scripts ask of a world.

    env: its settings. captions: what is true of its goals; with `late_captions` known only from `meet` on, as may be
    the bounds in `spec`. layout_text: the layout to be kept with the run, "" where there are many, or none.
    """

    env: EnvConfig
    captions: Captions
    late_captions: bool = False
    layout_text: str = ""

    @property
    @abstractmethod
    def spec(self) -> WorldSpec:
        """What the learner is told."""

    @property
    def fingerprint(self) -> str:
        """Tells two worlds of one id apart."""
        return self.spec.fingerprint

    def meet(self, trajectories: TrajectoryBuffer, goals: NDArray[Any]) -> None:  # noqa: B027 (most know all of it)
        """Takes in what only data tell: which trajectories there are, and which of their goals [N, G] get captions."""

    @abstractmethod
    def candidates(self, count: int) -> CandidateActions:
        """Actions worth weighing: `count` of them, or all where they are few."""

    @abstractmethod
    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draws [count, D] from the action space."""

    @abstractmethod
    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        """Trajectories without instructions, the same for the same seed."""

    def own_pairs(self) -> CaptionPairs | None:
        """Captions that came with the trajectories; None where they are made from `captions`."""
        return None

    def check_texts(self, text: TextEncoder) -> None:  # noqa: B027 (most say what any encoder reads)
        """DatasetError where captions that came with the trajectories are beyond the encoder."""

    def playground(self, data: DataConfig, seed: int) -> Playground:
        """Where an agent collects its own data; the same for the same seed. ConfigError in a world that has none."""
        raise ConfigError(f"data.kind={data.kind}: means nothing in {self.env.id}; data=random would do")

    def require_same(self, spec: WorldSpec, folder: str) -> None:
        """CheckpointError where an agent was trained in another world than this."""
        if spec.env_id != self.env.id:
            raise CheckpointError(
                f"{folder}: the agent was trained in {spec.env_id}, not {self.env.id}; train one there"
            )
        if spec.fingerprint != self.fingerprint:
            raise CheckpointError(
                f"{folder}: the agent was trained on another layout of {self.env.id}; give it that layout"
            )
