"""A BabyAI navigation level as a single Gymnasium environment, minigrid's own unmodified underneath.

An agent knows the whole grid, or a map of all that its 7x7 view has shown in the episode.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from goalbridge.envs.babyai import levels
from goalbridge.envs.babyai.four_rooms import RoomCommands
from goalbridge.envs.babyai.levels import Level
from goalbridge.envs.babyai.simulator import ACTIONS, DIRECTIONS, EMPTY_CELL, MINIGRID_ACTIONS, TOGGLE
from goalbridge.envs.spaces import INSTRUCTION_SPACE, Observation, check_options, check_render_mode

TILE_PIXELS: Final = 24
VIEW: Final = 7
_CELL_HIGH: Final = (10, 5, 2)  # type, colour, state

# Where each cell of the view lies from the agent, who stands at (3, 6) and looks up the view.
_ACROSS, _DOWN = np.indices((VIEW, VIEW))[..., None]  # [7, 7, 1] each
_FORWARD, _RIGHT = (np.roll(DIRECTIONS, -turns, axis=0)[:, None, None] for turns in (0, 1))  # [4, 1, 1, 2] each
_OFFSETS: Final = (VIEW - 1 - _DOWN) * _FORWARD + (_ACROSS - VIEW // 2) * _RIGHT  # [4, 7, 7, 2], for each direction


class FullView:
    """The whole grid as minigrid's `Grid.encode()` gives it, encoded once an episode.

    Of the four actions only toggle changes the grid, and only in front of the agent. If somebody else has moved the
    environment since the last step, all is encoded anew. env: minigrid's own.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        self.grid: NDArray[np.uint8] = np.zeros((env.width, env.height, 3), dtype=np.uint8)  # [W, H, 3]

    def begin(self, seen: Mapping[str, Any]) -> None:
        """Encode the grid of a new episode."""
        self._steps = self._env.step_count
        cells = [_encoded(cell) for cell in self._env.grid.grid]
        by_rows = np.array(cells, dtype=np.uint8).reshape(self._env.height, self._env.width, 3)
        self.grid[:] = by_rows.transpose(1, 0, 2)

    def update(self, action: int, seen: Mapping[str, Any]) -> None:
        """Follow one step of one of the four actions."""
        self._steps += 1
        if self._env.step_count != self._steps:
            self.begin(seen)
        elif action == TOGGLE:
            x, y = self._env.front_pos
            self.grid[x, y] = _encoded(self._env.grid.get(x, y))


def _encoded(cell: Any) -> tuple[int, int, int]:
    return EMPTY_CELL if cell is None else cell.encode()


class PartialView(FullView):
    """A map of the level built only from minigrid's own 7x7 images, visibility included.

    Cells never in view are (0, 0, 0), the others are as they were when last seen. To place what it sees the agent must
    know its true position and direction, as minigrid's own bot does. Its own cell, in which minigrid shows what it
    carries, keeps what was seen there before it was entered (an open door, the goal square), or is empty.
    """

    def begin(self, seen: Mapping[str, Any]) -> None:
        """Forget the last episode and take in minigrid's first observation of a new one."""
        self.grid[:] = 0
        self.update(0, seen)

    def update(self, action: int, seen: Mapping[str, Any]) -> None:
        """Take in the observation that a step led to, whatever the action was."""
        image, (x, y) = seen["image"], self._env.agent_pos  # [7, 7, 3]
        cells = _OFFSETS[self._env.agent_dir] + (x, y)  # [7, 7, 2]
        known = (image[..., 0] != 0) & ((cells >= 0) & (cells < self.grid.shape[:2])).all(axis=-1)  # [7, 7]
        known[VIEW // 2, VIEW - 1] = False  # the agent's own cell
        self.grid[tuple(cells[known].T)] = image[known]
        if not self.grid[x, y, 0]:
            self.grid[x, y] = EMPTY_CELL


_VIEWS: Final[dict[str, type[FullView]]] = {"full": FullView, "partial": PartialView}


def observation_space(level: Level) -> Dict:
    """The grid and the pose as `observation`, what the pose achieves, and the `instruction`; see `Navigation`."""
    size, pose = (level.width, level.height), (level.width - 1, level.height - 1, 3)
    grid = Box(0, np.full((*size, 3), _CELL_HIGH, dtype=np.uint8), dtype=np.uint8)
    goal = Box(0, np.array([*pose, *size, *_CELL_HIGH[:2]]), dtype=np.int64)
    observation = Dict({"grid": grid, "pose": Box(0, np.array(pose), dtype=np.int64)})
    return Dict({"observation": observation, "achieved_goal": goal, "instruction": deepcopy(INSTRUCTION_SPACE)})


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
        self._view = _VIEWS[view](made)
        self.grid: Final = self._view.grid  # uint8 [W, H, 3]: what is known of it; a buffer that the next step changes
        self._begun = False

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """The spec that the level was made by; this wrapper is a part of it and not listed."""
        return self.unwrapped.spec

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
        # minigrid prints each layout that it rejects.
        with contextlib.redirect_stdout(io.StringIO()), self._unseen():
            seen, _ = self.env.reset(seed=seed)
        self.mission = str(self.env.get_wrapper_attr("mission"))
        self._view.begin(seen)
        self._begun = True

    def advance(self, action: int) -> tuple[float, bool, bool]:
        """Take one of the four actions without a look at what follows: reward, terminated, truncated."""
        with self._unseen():
            seen, reward, terminated, truncated, _ = self.env.step(MINIGRID_ACTIONS[action])
        self._view.update(action, seen)
        return float(reward), bool(terminated), bool(truncated)

    def goal(self) -> tuple[int, int, int, int, int, int, int]:
        """What the present pose achieves: x, y, direction, W, H, type and colour of the cell in front."""
        raw = self._raw
        x, y = (int(value) for value in raw.agent_pos)
        kind, colour, _ = self.grid[tuple(raw.front_pos)].tolist()
        return x, y, int(raw.agent_dir), raw.width, raw.height, kind, colour

    def observe(self) -> Observation:
        """The present observation, in arrays of its own."""
        goal = np.array(self.goal(), dtype=np.int64)
        return {
            "observation": {"grid": self.grid.copy(), "pose": goal[:3].copy()},
            "achieved_goal": goal,
            "instruction": self.mission,
        }

    @contextlib.contextmanager
    def _unseen(self) -> Iterator[None]:
        """Leaves minigrid's view out where nobody looks at it: that takes most of the time."""
        if self.view == "partial":
            yield
            return
        attributes = vars(self._raw)
        patched = {name: attributes[name] for name in ("gen_obs",) if name in attributes}  # by somebody else
        attributes["gen_obs"] = dict
        try:
            yield
        finally:
            del attributes["gen_obs"]
            attributes.update(patched)


def make_navigation(level: str, view: str = "full", render_mode: str | None = None) -> Navigation:
    """A `Navigation`, with a warning if minigrid is of an untested version."""
    levels.check_minigrid_version()
    return Navigation(level, view, render_mode)
