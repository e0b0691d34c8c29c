"""Where an agent plays by itself: many episodes at once, which begin and end only when they are told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.encoders.grid import situations
from goalbridge.envs.babyai.explore import RANDOM_PLAY, begin_play
from goalbridge.envs.babyai.layouts import Layouts
from goalbridge.envs.commands import Command
from goalbridge.envs.vector import PointMazeVectorEnv


class Playground(Protocol):
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


class MazePlayground:
    """A point maze, in which nothing is asked.

    env: E mazes that never begin anew by themselves (`AutoresetMode.DISABLED`; ValueError otherwise).
    segments: None to begin every segment at a place drawn uniformly; otherwise every episode begins in the first corner
    of the maze and goes on over so many segments, each from where the last one ended.
    """

    groups: NDArray[np.int64] | None = None
    places: NDArray[np.float32] | None = None
    directed: bool = True

    def __init__(self, env: PointMazeVectorEnv, segments: int | None) -> None:
        if env.autoreset_mode != AutoresetMode.DISABLED:
            raise ValueError(f"env: begins anew by itself ({env.autoreset_mode}); autoreset_mode=DISABLED would do")
        self._env, self._segments = env, segments
        self.size: Final = env.num_envs
        nothing = np.zeros_like(env.layout.walls)
        self._nothing = Command("look around", "nothing", "nothing", nothing)  # holds nowhere: no episode ends by it
        corner = env.layout.free_cells[0] + 0.5  # [2]
        self._corner = np.asarray(corner, dtype=np.float64)
        self._position = np.tile(self._corner, (self.size, 1))  # [E, 2]
        # Segments that each episode has had: they do not all begin at once.
        self._age = np.arange(self.size) % (segments or 1)  # [E]

    def begin(self, seed: int) -> NDArray[np.float32]:
        """Begins a segment of every episode; positions [E, 2]."""
        options: dict[str, Any] = {"instruction": self._nothing}
        if self._segments is not None:
            options["position"] = self._position
        observation, _ = self._env.reset(seed=seed, options=options)
        return np.asarray(observation["observation"])

    def step(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Moves all points once in the directions [E, 2]; positions [E, 2]."""
        observation, _, _, truncated, _ = self._env.step(actions)
        if truncated.all() and self._segments is not None:
            self._age = (self._age + 1) % self._segments
            ended = (self._age == 0)[:, None]  # [E, 1]
            self._position = np.where(ended, self._corner, observation["observation"].astype(np.float64))
        return np.asarray(observation["observation"])

    def random_actions(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Uniform directions [E, 2]."""
        angle = rng.uniform(0.0, 2.0 * np.pi, self.size)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Where each episode goes on, and how many segments it has had."""
        return {"position": self._position, "age": self._age}

    def load_state_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restores what `state_arrays` gave."""
        self._position, self._age = arrays["position"].copy(), arrays["age"].copy()


class GridPlayground:
    """BabyAI's layouts without their missions, in the batched simulator; observations are situations.

    layouts: L of them, played in turn, `segments` in each at a time; `size` must be a multiple of that. A round of
    random play in fresh layouts is followed by a directed one in the same, whose goals the first has reached.
    Raises ConfigError where the numbers do not fit.
    """

    def __init__(self, layouts: Layouts, size: int, segments: int = 6) -> None:
        if size % segments or size // segments > len(layouts):
            needed = f"must be a multiple of {segments}, and at most that times data.layouts={len(layouts)}"
            raise ConfigError(f"data.environments={size}: {needed}")
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
        grids, sizes = self._layouts.grids[chosen], self._layouts.sizes[chosen]
        some = Layouts(grids, sizes, self._layouts.level[chosen])
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
        """Restores what `state_arrays` gave."""
        self._turn = int(arrays["turn"])

    def _situations(self) -> NDArray[np.uint8]:
        batch = self._batch
        return situations(batch.grids, batch.poses, batch.sizes)
