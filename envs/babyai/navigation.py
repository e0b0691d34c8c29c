"""A BabyAI navigation level as a single Gymnasium environment, minigrid's own unmodified underneath."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final, TypeVar

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from goalbridge.envs.babyai import levels
from goalbridge.envs.babyai.four_rooms import RoomCommands
from goalbridge.envs.babyai.levels import Level
from goalbridge.envs.babyai.simulator import ACTIONS, MINIGRID_ACTIONS
from goalbridge.envs.babyai.views import STEPS, FullView, PartialView
from goalbridge.envs.spaces import INSTRUCTION_SPACE, Observation, check_options, check_render_mode

Result = TypeVar("Result")

TILE_PIXELS: Final = 24
_VIEWS: Final[dict[str, type[FullView] | type[PartialView]]] = {"full": FullView, "partial": PartialView}
_CELL_HIGH: Final = (10, 5, 2)  # type, colour, state


def observation_space(level: Level) -> Dict:
    """The grid and the pose as `observation`, what the pose achieves, and the `instruction`; see `Navigation`."""
    size = (level.width, level.height)
    pose = (level.width - 1, level.height - 1, 3)

    def integers(high: Any, kind: type[np.integer]) -> Box:
        return Box(np.zeros_like(high, dtype=kind), np.array(high, dtype=kind), dtype=kind)

    grid = integers(np.broadcast_to(_CELL_HIGH, (*size, 3)), np.uint8)
    return Dict(
        {
            "observation": Dict({"grid": grid, "pose": integers(pose, np.int64)}),
            "achieved_goal": integers((*pose, *size, *_CELL_HIGH[:2]), np.int64),
            "instruction": deepcopy(INSTRUCTION_SPACE),
        }
    )


class Navigation(gymnasium.Wrapper[Observation, Any, Any, Any]):
    """One navigation level of BabyAI; `unwrapped` is minigrid's own environment, its reward and step limit included.

    An action is 0 left, 1 right, 2 forward or 3 toggle; nothing is ever picked up. An observation is

    - "observation": "grid" uint8 [W, H, 3] (type, colour and state of each cell, by minigrid's indices, 0 where unseen)
      and "pose" int64 [3] (x, y, direction: 0 right, 1 down, 2 left, 3 up);
    - "achieved_goal": int64 [7], (x, y, direction, W, H, type and colour of the cell in front);
    - "instruction": the mission, in words.

    `info["is_success"]` says whether minigrid gave a reward.

    level: a name of `envs.babyai.levels.LEVELS`, or an id of such a level. view: "full", or "partial" for a map of what
    the 7x7 view has shown so far, with the true pose. render_mode: None, "rgb_array" or "human", drawn by minigrid.
    Raises LevelError for what is no navigation level, ValueError for an unknown view or render mode.
    """

    def __init__(self, level: str, view: str = "full", render_mode: str | None = None) -> None:
        import minigrid  # noqa: F401  (registers its ids)

        self.level: Final[Level] = levels.level(level)
        if view not in _VIEWS:
            raise ValueError(f"view: expected {' or '.join(_VIEWS)}, got {view!r}")
        check_render_mode(render_mode, ("rgb_array", "human"))
        made: Any = gymnasium.make(
            self.level.minigrid_id, disable_env_checker=True, render_mode=render_mode, tile_size=TILE_PIXELS
        ).unwrapped
        super().__init__(RoomCommands(made) if self.level.family == "four_rooms" else made)
        self.observation_space = observation_space(self.level)
        self.action_space = Discrete(len(ACTIONS))
        self.view: Final = view
        self.mission: str = ""
        self._raw: Any = made
        self._view: FullView | PartialView = _VIEWS[view](made)
        self._begun = False

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """The spec that the level was made by; this wrapper is a part of it and not listed."""
        return self.unwrapped.spec

    @property
    def grid(self) -> NDArray[np.uint8]:
        """Uint8 [W, H, 3]: what is known of the grid; a buffer that the next step changes."""
        return self._view.grid

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode of minigrid's; ValueError for any option."""
        self.begin(seed, options)
        return self.observe(), {"is_success": False}

    def step(self, action: int | np.integer) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take minigrid's step; ValueError for another action, gymnasium.error.ResetNeeded before the first reset."""
        if not self.action_space.contains(action):
            raise ValueError(f"action: expected 0 (left), 1 (right), 2 (forward) or 3 (toggle), got {action!r}")
        if not self._begun:
            raise gymnasium.error.ResetNeeded("step: expected a reset() first")
        reward, terminated, truncated = self.advance(int(action))
        return self.observe(), reward, terminated, truncated, {"is_success": reward > 0}

    def begin(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode without a look at it."""
        check_options(options)
        with contextlib.redirect_stdout(io.StringIO()):  # minigrid prints each layout that it rejects
            seen, _ = self._call(lambda: self.env.reset(seed=seed))
        self.mission = str(self.env.get_wrapper_attr("mission"))
        self._view.begin(seen)
        self._begun = True

    def advance(self, action: int) -> tuple[float, bool, bool]:
        """Take one of the four actions without a look at what follows: reward, terminated, truncated."""
        seen, reward, terminated, truncated, _ = self._call(lambda: self.env.step(MINIGRID_ACTIONS[action]))
        self._view.update(action, seen)
        return float(reward), bool(terminated), bool(truncated)

    def goal(self) -> tuple[int, int, int, int, int, int, int]:
        """What the present pose achieves: x, y, direction, W, H, type and colour of the cell in front."""
        x, y = (int(value) for value in self._raw.agent_pos)
        direction = int(self._raw.agent_dir)
        dx, dy = STEPS[direction]
        kind, colour, _ = self._view.grid[x + dx, y + dy].tolist()
        return x, y, direction, self._raw.width, self._raw.height, kind, colour

    def observe(self) -> Observation:
        """The present observation, in arrays of its own."""
        goal = np.array(self.goal(), dtype=np.int64)
        return {
            "observation": {"grid": self._view.grid.copy(), "pose": goal[:3].copy()},
            "achieved_goal": goal,
            "instruction": self.mission,
        }

    def _call(self, function: Callable[[], Result]) -> Result:
        """The result of a function of minigrid's, its view left out where nobody looks: that takes most of the time."""
        if self._view.needs_image:
            return function()
        attributes = vars(self._raw)
        patched = {name: attributes[name] for name in ("gen_obs",) if name in attributes}  # by somebody else
        attributes["gen_obs"] = dict
        try:
            return function()
        finally:
            del attributes["gen_obs"]
            attributes.update(patched)


def make_navigation(level: str, view: str = "full", render_mode: str | None = None) -> Navigation:
    """A `Navigation`, with a warning if minigrid is of an untested version."""
    levels.check_minigrid_version()
    return Navigation(level, view, render_mode)
