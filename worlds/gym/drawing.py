"""Pictures of a user's world: what its environment renders, the instruction above."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from functools import cache
from typing import Any, Final

import gymnasium
import numpy as np
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
