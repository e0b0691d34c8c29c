"""A user's environments side by side, as rows; and play at random in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from goalbridge.worlds.gym.drawing import drawable
from goalbridge.worlds.gym.spaces import RandomPlay


class GymVectorEnv(VectorEnv[Any, Any, Any]):
    """So many environments of a `GymWorld`; one whose episode is over waits.

    `reset` takes the option "texts": the instruction of each, or None; its episode is over, a success, once the goal
    that was reached satisfies it. Observations are rows: "observation" [B, S], "achieved_goal" [B, G]. Actions are as
    policies give them. render: the environments give pictures, where they can.
    """

    def __init__(self, world: Any, count: int, render: bool = False) -> None:
        self.world, self.num_envs = world, count
        self.render_mode = None
        if render:
            first = drawable(world)
            self.render_mode = None if first is None else "rgb_array"
            self.envs = [first or world.make_env(), *(world.make_env(first is not None) for _ in range(count - 1))]
        else:
            self.envs = [world.make_env() for _ in range(count)]
        discrete = world.actions.discrete
        self.single_action_space = (
            spaces.Discrete(world.actions.size)
            if discrete
            else spaces.Box(-np.inf, np.inf, (world.actions.size,), np.float32)
        )

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode in each; seed: a list of B."""
        assert isinstance(seed, Sequence)
        self._texts = (options or {})["texts"]
        self._seen = [self.world.reset(env, one) for env, one in zip(self.envs, seed, strict=True)]
        self._over = np.zeros(self.num_envs, dtype=np.bool_)
        return self._observe(), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One step of those whose episodes go on, actions [B] or [B, D]; the figures of their infos are kept."""
        success, figures = np.zeros(self.num_envs, dtype=np.bool_), dict[str, NDArray[np.float64]]()
        for row in np.flatnonzero(~self._over).tolist():
            self._seen[row], over, info = self.world.step(self.envs[row], actions[row])
            text = self._texts[row]
            if text is not None:
                success[row] = bool(self.world.words.satisfied(self.world.goals.value(self._seen[row].goal), [text]))
            self._over[row] = over or success[row]
            for name, value in info.items():
                if np.ndim(value) == 0 and isinstance(value, int | float | np.number | np.bool_):
                    figures.setdefault(name, np.full(self.num_envs, np.nan))[row] = float(value)
        over, never = self._over.copy(), np.zeros(self.num_envs, dtype=np.bool_)
        return self._observe(), np.zeros(self.num_envs), over, never, figures | {"is_success": success}

    def render(self) -> tuple[Any, ...] | None:
        """Pictures [h, w, 3] of all, where they give any."""
        return None if self.render_mode is None else tuple(env.render() for env in self.envs)

    def _observe(self) -> dict[str, NDArray[Any]]:
        return {
            "observation": np.stack([one.observation for one in self._seen]),
            "achieved_goal": np.stack([one.goal for one in self._seen]),
        }


class AtRandom:
    """Plays as the data were made, whatever it is told; what it does in an episode depends on that episode alone."""

    def __init__(self, world: Any, seed: int) -> None:
        self._world, self._seed = world, seed
        self.reset()

    def reset(self) -> None:
        """Begins the same play anew."""
        self._plays: dict[int, RandomPlay] = {}

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        """Actions of B episodes."""
        keys = range(len(instructions)) if episodes is None else episodes
        for key in keys:
            if key not in self._plays:
                self._plays[key] = RandomPlay(self._world.actions, np.random.default_rng([self._seed, key]))
        given: NDArray[Any] = self._world.actions.given(np.stack([self._plays[key].act() for key in keys]))
        return given
