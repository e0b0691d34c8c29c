"""A BabyAI navigation level as a single Gymnasium environment, minigrid's own unmodified underneath."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, ClassVar, Final, TypeVar

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from goalbridge.envs.babyai import levels
from goalbridge.envs.babyai.encoding import AGENT, COLOURS, EMPTY_CELL, LOCKED
from goalbridge.envs.babyai.four_rooms import RoomCommands
from goalbridge.envs.babyai.levels import Level
from goalbridge.envs.babyai.simulator import ACTIONS, DIRECTIONS, TOGGLE
from goalbridge.envs.spaces import INSTRUCTION_SPACE, Observation

Result = TypeVar("Result")

VIEWS: Final = ("full", "partial")
MINIGRID_ACTIONS: Final = (0, 1, 2, 5)
"""What left, right, forward and toggle are to minigrid."""
TILE_PIXELS: Final = 24

_SIGHT: Final = 7  # cells along a side of what minigrid shows an agent
_STEPS: Final = tuple((int(dx), int(dy)) for dx, dy in DIRECTIONS)
_CELL_HIGH: Final = (AGENT, len(COLOURS) - 1, LOCKED)  # type, colour, state
_ABSENT: Final = object()


def observation_space(width: int, height: int) -> Dict:
    """The grid and the pose as `observation`, what the pose achieves, and the `instruction`; see `Navigation`."""
    pose = (width - 1, height - 1, 3)
    grid = np.broadcast_to(np.array(_CELL_HIGH, dtype=np.uint8), (width, height, 3))
    return Dict(
        {
            "observation": Dict({"grid": Box(np.zeros_like(grid), grid, dtype=np.uint8), "pose": _numbers(*pose)}),
            "achieved_goal": _numbers(*pose, width, height, *_CELL_HIGH[:2]),
            "instruction": deepcopy(INSTRUCTION_SPACE),
        }
    )


def _numbers(*high: int) -> Box:
    return Box(np.zeros(len(high), dtype=np.int64), np.array(high, dtype=np.int64), dtype=np.int64)


def check_options(options: Mapping[str, Any] | None) -> None:
    """ValueError for any option of `reset`: minigrid would ignore it, and nobody would notice."""
    for name in options or {}:
        raise ValueError(f"options: expected none, got {name!r}")


class FullView:
    """The whole grid as minigrid's `Grid.encode()` gives it, encoded once an episode.

    Of the four actions only toggle changes the grid, and only in front of the agent. If somebody else has moved the
    environment since the last step, all is encoded anew.
    """

    needs_image: ClassVar[bool] = False

    def __init__(self, env: Any) -> None:
        self._env = env
        self._steps = 0
        self.grid: NDArray[np.uint8] = np.zeros((env.width, env.height, 3), dtype=np.uint8)  # [W, H, 3]

    def begin(self, seen: Mapping[str, Any]) -> None:
        """Encode the grid of a new episode."""
        self._steps = self._env.step_count
        cells = [EMPTY_CELL if cell is None else cell.encode() for cell in self._env.grid.grid]
        by_rows = np.array(cells, dtype=np.uint8).reshape(self._env.height, self._env.width, 3)
        self.grid[:] = by_rows.transpose(1, 0, 2)

    def update(self, action: int, seen: Mapping[str, Any]) -> None:
        """Follow one step of one of the four actions."""
        self._steps += 1
        if self._env.step_count != self._steps:
            self.begin(seen)
        elif action == TOGGLE:
            x, y = self._env.agent_pos
            dx, dy = _STEPS[self._env.agent_dir]
            cell = self._env.grid.get(x + dx, y + dy)
            self.grid[x + dx, y + dy] = EMPTY_CELL if cell is None else cell.encode()


def _offsets() -> NDArray[np.int64]:
    """Int [4, 7, 7, 2]: where each cell in sight lies from the agent, for each direction that it may face."""
    across, down = np.meshgrid(np.arange(_SIGHT), np.arange(_SIGHT), indexing="ij")  # [7, 7] each
    right, ahead = across - _SIGHT // 2, _SIGHT - 1 - down  # [7, 7]: the agent stands at (3, 6) and looks up the view
    sideways = np.roll(DIRECTIONS, -1, axis=0)  # [4, 2]: to the agent's right
    offsets: NDArray[np.int64] = (
        ahead[..., None] * DIRECTIONS[:, None, None] + right[..., None] * sideways[:, None, None]
    )
    return offsets


_OFFSETS: Final[NDArray[np.int64]] = _offsets()


class PartialView:
    """A map of what minigrid's own 7x7 images have shown since the episode began.

    Cells never in view are (0, 0, 0), the others are as they were when last seen. To place what it sees the agent must
    know its true pose, as minigrid's own bot does. Its own cell, in which minigrid shows what it carries, keeps what
    was seen there before it was entered (an open door, the goal square), or is empty.
    """

    needs_image: ClassVar[bool] = True

    def __init__(self, env: Any) -> None:
        self._env = env
        self.grid: NDArray[np.uint8] = np.zeros((env.width, env.height, 3), dtype=np.uint8)  # [W, H, 3]

    def begin(self, seen: Mapping[str, Any]) -> None:
        """Forget the last episode and take in the first observation of a new one."""
        self.grid[:] = 0
        self.update(0, seen)

    def update(self, action: int, seen: Mapping[str, Any]) -> None:
        """Take in the observation that a step led to, whatever the action was."""
        image = seen["image"]  # [7, 7, 3]
        x, y = self._env.agent_pos
        cells = _OFFSETS[self._env.agent_dir] + (x, y)  # [7, 7, 2]
        known = (image[..., 0] != 0) & ((cells >= 0) & (cells < self.grid.shape[:2])).all(axis=-1)  # [7, 7]
        known[_SIGHT // 2, _SIGHT - 1] = False  # the agent's own cell
        self.grid[tuple(cells[known].T)] = image[known]
        if not self.grid[x, y, 0]:
            self.grid[x, y] = EMPTY_CELL


class Navigation(gymnasium.Wrapper[Observation, Any, Any, Any]):
    """One navigation level of BabyAI; `unwrapped` is minigrid's own environment, its reward and step limit included.

    An action is 0 left, 1 right, 2 forward or 3 toggle; nothing is ever picked up. An observation is

    - "observation": "grid" uint8 [W, H, 3] (type, colour and state of each cell, by minigrid's numbers, 0 where unseen)
      and "pose" int64 [3] (x, y, direction: 0 right, 1 down, 2 left, 3 up);
    - "achieved_goal": int64 [7], (x, y, direction, W, H, type and colour of the cell in front);
    - "instruction": the mission, in words.

    `info["is_success"]` says whether minigrid gave a reward.

    level: a name of `LEVELS`, or an id of such a level; LevelError for others.
    view: "full", or "partial" for a map of what the 7x7 view has shown so far (`PartialView`).
    render_mode: None, "rgb_array" or "human", drawn by minigrid.
    """

    def __init__(self, level: str, view: str = "full", render_mode: str | None = None) -> None:
        self.level: Final[Level] = levels.level(level)
        if view not in VIEWS:
            raise ValueError(f"view: expected one of {', '.join(VIEWS)}, got {view!r}")
        if render_mode not in (None, "rgb_array", "human"):
            raise ValueError(f"render_mode: expected 'rgb_array', 'human' or None, got {render_mode!r}")
        self.view: Final = view
        made = levels.make_minigrid(self.level, render_mode=render_mode, tile_size=TILE_PIXELS)
        super().__init__(RoomCommands(made) if self.level.family == "four_rooms" else made)
        self.observation_space = observation_space(self.level.width, self.level.height)
        self.action_space = Discrete(len(ACTIONS))
        self.mission: str = ""
        self._raw: Any = made
        self._view: FullView | PartialView = FullView(made) if view == "full" else PartialView(made)
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
        """Take minigrid's step; ValueError for anything but its four actions, ResetNeeded before the first reset."""
        if not self.action_space.contains(action):
            raise ValueError(f"action: expected 0 (left), 1 (right), 2 (forward) or 3 (toggle), got {action!r}")
        if not self._begun:
            raise gymnasium.error.ResetNeeded("step: expected an episode, got none; try reset() first")
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
        dx, dy = _STEPS[direction]
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
        before = attributes.get("gen_obs", _ABSENT)
        attributes["gen_obs"] = dict
        try:
            return function()
        finally:
            if before is _ABSENT:
                del attributes["gen_obs"]
            else:
                attributes["gen_obs"] = before


def make_navigation(level: str, view: str = "full", render_mode: str | None = None) -> Navigation:
    """`Navigation`, with a warning if minigrid is of an untested version."""
    levels.check_minigrid_version()
    return Navigation(level, view, render_mode)
