"""Episodes in batches: every actor meets the same starts, commands and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.commands import Command
from goalbridge.worlds.maze.vector import VectorWorld


class Actor(Protocol):
    """Anything that acts: a trained policy, a rival, the limit."""

    def reset(self) -> None:
        """Forgets the episodes so far."""

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Actions [B, D], or [B] where they are numbers, for the observations of B numbered episodes."""


@dataclass(frozen=True)
class Instructed:
    """An actor that follows `instruction` whatever the environment says."""

    actor: Actor
    instruction: str

    def reset(self) -> None:
        """Forgets the episodes so far."""
        self.actor.reset()

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Actions [B, D] towards the fixed instruction."""
        return self.actor.act(observation, [self.instruction] * len(observation), episodes)


@dataclass(frozen=True, eq=False)
class Episodes:
    """E finished episodes.

    commands: E commands. paths: [E, T + 1, 2] positions, in cells; the last one repeats once an episode is over.
    success: [E] bool. steps: [E] steps taken.
    """

    commands: tuple[Command, ...]
    paths: NDArray[np.float32]
    success: NDArray[np.bool_]
    steps: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.float32]:
        """Where each episode began, [E, 2]."""
        return self.paths[:, 0]

    def path(self, episode: int) -> NDArray[np.float32]:
        """Positions [steps + 1, 2] of one episode."""
        return self.paths[episode, : int(self.steps[episode]) + 1]


def play(world: VectorWorld, actor: Actor, seed: int, options: dict[str, Any] | None = None) -> Episodes:
    """One episode in every environment of `world`, from the start, command and noise that `seed` and `options` give.

    Two actors played with the same arguments meet the same starts, commands and noise. Only episodes that go on are
    shown to the actor; an environment whose episode is over idles in a next one, which nobody counts.
    """
    actor.reset()
    observation, _ = world.reset(seed=seed, options=options)
    count = world.num_envs
    commands: tuple[Command, ...] = tuple(world.unwrapped.current_commands)  # type: ignore[attr-defined]
    positions = [observation["achieved_goal"].copy()]
    success, steps = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int64)
    active = np.ones(count, dtype=bool)
    actions = np.zeros((count, *world.single_action_space.shape), dtype=np.float32)  # type: ignore[misc]
    while active.any():
        going = np.flatnonzero(active)
        instructions = [observation["instruction"][episode] for episode in going]
        actions[:] = 0
        actions[going] = actor.act(observation["observation"][going], instructions, going.tolist())
        observation, reward, terminated, truncated, _ = world.step(actions)
        positions.append(np.where(active[:, None], observation["achieved_goal"], positions[-1]))
        steps += active
        success |= active & (reward > 0)
        active &= ~(terminated | truncated)
    return Episodes(commands, np.stack(positions, axis=1), success, steps)
