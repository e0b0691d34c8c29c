"""A user's environments side by side, as rows; and what they render, the instruction above."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from goalbridge.envs.rendering import titled

SIDE: Final = 320  # pixels of a frame's longer side
_PATIENCE: Final = 120.0  # seconds for a first picture
_FIRST_PICTURE: Final = """
import gymnasium, sys
if "rgb_array" in gymnasium.make(sys.argv[1], disable_env_checker=True).metadata.get("render_modes", ()):
    env = gymnasium.make(sys.argv[1], render_mode="rgb_array", disable_env_checker=True)
    env.reset(seed=0)
    env.render()
"""


class GymVectorEnv(VectorEnv[Any, Any, Any]):
    """So many environments of a `GymWorld`; one whose episode is over waits.

    `reset` takes the option "texts": the instruction of each, or None; its episode is over, a success, once the goal
    that was reached satisfies it. Observations are rows: "observation" [B, S], "achieved_goal" [B, G]. Actions are as
    policies give them. render: the environments give pictures, where they can.
    """

    def __init__(self, world: Any, count: int, render: bool = False) -> None:
        self.world, self.num_envs = world, count
        first = drawable(world) if render else None
        self.render_mode = None if first is None else "rgb_array"
        self.envs = [first or world.make_env(), *(world.make_env(first is not None) for _ in range(count - 1))]
        size, discrete = world.actions.size, world.actions.discrete
        self.single_action_space = (
            spaces.Discrete(size) if discrete else spaces.Box(-np.inf, np.inf, (size,), np.float32)
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
        return None if self.render_mode is None else tuple(env.render() for env in self.envs)

    def _observe(self) -> dict[str, NDArray[Any]]:
        return {
            "observation": np.stack([one.observation for one in self._seen]),
            "achieved_goal": np.stack([one.goal for one in self._seen]),
        }


@cache
def survives_drawing(env_id: str) -> bool:
    """Whether another process lives on after a first picture; where there is no display, some renderers abort."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _FIRST_PICTURE, env_id]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        warnings.warn(f"env.id={env_id}: cannot be drawn on this machine ({why}); there will be no GIFs", stacklevel=2)
    return done.returncode == 0


def drawable(world: Any) -> gymnasium.Env[Any, Any] | None:
    """An environment that renders, or None where it does not offer pictures or this machine cannot make them."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame looks for a display even where none is drawn on
    if not survives_drawing(world.settings.id):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = world.make_env(render=True)
            env.reset(seed=0)
            frame = np.asarray(env.render())
    except Exception:  # no display, no library for drawing, or a user's renderer that is not finished
        return None
    return env if frame.ndim == 3 and frame.shape[2] == 3 else None


def framed(frame: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    """A frame [h, w, 3], brought to `SIDE` pixels along its longer side, below its title."""
    from PIL import Image, ImageOps

    picture = Image.fromarray(np.asarray(frame, np.uint8))
    smooth = Image.Resampling.LANCZOS if max(picture.size) > SIDE else Image.Resampling.NEAREST
    picture = ImageOps.contain(picture, (SIDE, SIDE), smooth)
    return titled(ImageOps.pad(picture, (SIDE, picture.height), color="white"), title, most=2)
