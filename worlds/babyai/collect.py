"""Trajectories in BabyAI's grids, without missions: random play, walks to random poses, and an agent's own play."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.captions import TRAJECTORIES, stream
from goalbridge.encoders.grid import situations
from goalbridge.envs.babyai.layouts import RANDOM_PLAY, Layouts, begin_play, explore
from goalbridge.envs.babyai.simulator import ACTIONS

_SCRIPTED: Final = {"random": 0.0, "mixed": 0.5, "expert": 1.0}  # share of walks to random poses


def collect_grids(layouts: Layouts, config: DataConfig, seed: int) -> TrajectoryBuffer:
    """Random play and walks to random poses in many layouts, as situations; the same for the same seed."""
    per_layout = max(1, config.trajectories // len(layouts))
    recorded, taken = explore(
        layouts,
        per_layout,
        config.walk_length,
        _SCRIPTED[config.kind],
        stream(seed, TRAJECTORIES),
        lambda batch: situations(batch.grids, batch.poses, batch.sizes),
    )
    count, length = taken.shape
    seen = recorded.reshape(count * (length + 1), -1)  # [N (T + 1), S]
    actions = np.eye(len(ACTIONS), dtype=np.float32)[taken.reshape(-1)]  # [N T, A]
    layout = np.repeat(np.arange(len(layouts)), per_layout)  # [N]
    places = recorded[:, 0, :2].astype(np.float32)  # [N, 2]
    return TrajectoryBuffer(seen, seen, actions, np.full(count, length, np.int64), layout, places)


class BabyAISelfPlay:
    """BabyAI's layouts without their missions, in the batched simulator; observations are situations.

    layouts: L of them, played in turn, `segments` in each at a time; `size` must be a multiple of that. A round of
    random play in fresh layouts is followed by a directed one in the same, whose goals the first has reached.
    Raises ConfigError where the numbers do not fit.
    """

    def __init__(self, layouts: Layouts, size: int, segments: int = 6) -> None:
        if size % segments or size // segments > len(layouts):
            raise ConfigError(
                f"data.environments={size}: must be a multiple of {segments}, and at most that times "
                f"env.layouts={len(layouts)}"
            )
        self._layouts, self._turn = layouts, 0
        self.size, self._segments = size, segments
        self.directed = False
        self.groups: NDArray[np.int64] | None = None
        self.places: NDArray[np.float32] | None = None

    def begin(self, seed: int) -> NDArray[np.uint8]:
        """Begins a segment in every layout of this round; situations [E, S]."""
        fresh = self.size // self._segments
        chosen = (self._turn // 2 * fresh + np.arange(fresh)) % len(self._layouts)  # [L']
        self.directed = self._turn % 2 == 1
        self._turn += 1
        some = Layouts(self._layouts.grids[chosen], self._layouts.sizes[chosen])
        self._batch = begin_play(some, self._segments, np.random.default_rng(seed))
        self.groups = np.repeat(chosen, self._segments)  # [E]
        self.places = self._batch.poses[:, :2].astype(np.float32)  # [E, 2]
        return self._situations()

    def step(self, actions: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Takes the actions, one-hot [E, 4]; situations [E, S]."""
        self._batch.step(actions.argmax(axis=1))
        return self._situations()

    def random_actions(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Random play, one-hot [E, 4]."""
        return np.eye(len(RANDOM_PLAY), dtype=np.float32)[rng.choice(len(RANDOM_PLAY), size=self.size, p=RANDOM_PLAY)]

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """How many rounds there were."""
        return {"turn": np.array(self._turn)}

    def load_state_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._turn = int(arrays["turn"])

    def _situations(self) -> NDArray[np.uint8]:
        batch = self._batch
        return situations(batch.grids, batch.poses, batch.sizes)
