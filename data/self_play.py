"""Where an agent collects its own data: many episodes at once, which begin and end only when they are told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class SelfPlayEnv(Protocol):
    """E episodes, played in segments of equal length. All chance comes from the seed of each segment.

    size: E. groups, places: of the present segments, [E] each one's layout and [E, 2] where it starts in it; None where
    there is one layout. directed: whether the agent is to command itself goals, or to play at random.
    """

    groups: NDArray[np.int64] | None
    places: NDArray[np.float32] | None
    directed: bool

    @property
    def size(self) -> int:
        """E."""

    def begin(self, seed: int) -> NDArray[Any]:
        """Begins a segment of every episode; what is observed, [E, S]."""

    def step(self, actions: NDArray[np.float32]) -> NDArray[Any]:
        """Takes the actions [E, D]; what is observed then, [E, S]."""

    def random_actions(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Uniformly random actions [E, D]."""

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """What the next segment depends on beside its seed."""

    def load_state_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restores what `state_arrays` gave."""
