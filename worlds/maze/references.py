"""Who the agent is held against in mazes: the optimal policy, the expert, chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.commands import Command, distinct_regions
from goalbridge.envs.expert import ShortestPaths, expert_directions
from goalbridge.envs.layouts import Layout
from goalbridge.envs.optimal import MazeValueIteration


class _Told:
    """An actor that is told each episode's command, which no trained policy is."""

    def __init__(self, layout: Layout, commands: Sequence[Command]) -> None:
        self.layout = layout
        self.regions, self.which = distinct_regions(commands)  # [K, H, W], [E]

    def reset(self) -> None:
        """Nothing is remembered of episodes."""

    def _which(self, observation: NDArray[np.floating], episodes: Sequence[int] | None) -> NDArray[np.int64]:
        return self.which[np.arange(len(observation)) if episodes is None else np.asarray(episodes)]


class OptimalPolicy(_Told):
    """Value iteration that knows maze, command and noise: what no policy with these actions can pass on average."""

    def __init__(self, layout: Layout, commands: Sequence[Command], noise_degrees: float, directions: int) -> None:
        super().__init__(layout, commands)
        self._policy = MazeValueIteration(layout, noise_degrees, directions)

    def act(
        self, observation: NDArray[np.floating], instructions: Sequence[str], episodes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Directions [B, 2] with the least expected steps to the commanded region."""
        return self._policy.act(observation, self.regions, self._which(observation, episodes))


class Expert(_Told):
    """Heads for the next cell of a shortest path to the nearest commanded cell."""

    def __init__(self, layout: Layout, commands: Sequence[Command]) -> None:
        super().__init__(layout, commands)
        self._paths = ShortestPaths(layout)

    def act(
        self, observation: NDArray[np.floating], instructions: Sequence[str], episodes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Directions [B, 2]."""
        return expert_directions(self._paths, observation, self.regions, self._which(observation, episodes)).astype(
            np.float32
        )


class RandomDirections:
    """Picks one of the candidate actions [A, D] at random."""

    def __init__(self, actions: NDArray[np.float32], seed: int) -> None:
        self.actions, self._seed = actions, seed
        self.reset()

    def reset(self) -> None:
        """Begins the same draws anew."""
        self._rng = np.random.default_rng(self._seed)

    def act(
        self, observation: NDArray[np.floating], instructions: Sequence[str], episodes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Actions [B, D], uniform over the candidates."""
        return self.actions[self._rng.integers(len(self.actions), size=len(observation))]
