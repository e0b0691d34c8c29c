"""The point maze as a batch, one numpy step for all environments, and as a single one, a batch of one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, Final

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import Split
from goalbridge.envs.batch import BatchEnv, check_batch
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import Layout
from goalbridge.envs.motion import into_cell, move, rotate
from goalbridge.envs.point_maze import MazeSurface, PointMaze, Start, check_names
from goalbridge.envs.spaces import INSTRUCTION_SPACE, Direction, Observation

NOISE_BLOCK: Final = 100
"""Angle noises that an episode draws at once; with 100 steps at most, once an episode."""


class PointMazeVectorEnv(MazeSurface, BatchEnv):
    """`num_envs` point mazes of one layout; see `BatchEnv`, and `PointMazeEnv` for the world.

    `reset` takes options "position" [B, 2] (or [2] for all) and "instructions" (B texts or Commands; "instruction" for
    one for all). An episode's randomness comes from its own generator, in this order: at a reset five uniforms (start
    cell, row and column inside it, command, wording), then a block of standard normals for the angles; another block
    each time that one is used up. They are drawn whether or not a start fixes what they are for, so fixing the start
    or changing the noise leaves all else equal, and an episode is the same alone and in a batch.

    max_episode_steps: steps after which an episode is truncated; None or -1 for never.
    layout, action_noise_degrees, phrasings: see `PointMaze`.
    """

    def __init__(
        self,
        num_envs: int,
        layout: str | Path | Layout | ArrayLike,
        render_mode: str | None = None,
        action_noise_degrees: float = 20.0,
        phrasings: Split = "train",
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        check_batch(num_envs, render_mode)
        if max_episode_steps is not None and max_episode_steps != -1 and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps: expected 1 or more, or -1 for no limit, got {max_episode_steps}")
        self.world = PointMaze(layout, action_noise_degrees, phrasings)
        high = np.array(self.layout.walls.shape, dtype=np.float32)
        place = Box(np.zeros(2, dtype=np.float32), high)
        observation_space = Dict(
            {"observation": place, "achieved_goal": deepcopy(place), "instruction": deepcopy(INSTRUCTION_SPACE)}
        )
        super().__init__(num_envs, observation_space, Direction(), render_mode, autoreset_mode)
        self.generators: list[np.random.Generator] = []  # B of them, from the first reset on
        self._step_limit = np.inf if max_episode_steps is None or max_episode_steps == -1 else max_episode_steps
        self._position = np.zeros((num_envs, 2))
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._texts = [""] * num_envs
        self._paths: list[list[NDArray[np.float64]]] | None = [[] for _ in range(num_envs)] if render_mode else None
        self._label = np.full(num_envs, -1)  # [B] label ids; -1 for a command from elsewhere
        self._given: dict[int, Command] = {}  # commands from elsewhere by row
        self._given_regions = np.zeros((1, *self.layout.walls.shape), dtype=np.bool_)  # [K, H, W], the first empty
        self._given_index = np.zeros(num_envs, dtype=np.int64)  # [B] into the above
        self._noise = np.zeros((num_envs, NOISE_BLOCK))
        self._rows = np.arange(num_envs)
        self._noise_scale = float(np.deg2rad(action_noise_degrees))

    @property
    def current_commands(self) -> tuple[Command, ...]:
        """The commands of the present episodes, B of them, in the words that were given."""
        labels, commands = self._label.tolist(), self.commands
        return tuple(
            self._given[row] if row in self._given else commands.command(labels[row], text)
            for row, text in enumerate(self._texts)
        )

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """B frames, uint8 [h, w, 3] each: the maze, the commanded region, the path so far and the instruction."""
        if self._paths is None or not self.begun:
            return None
        from goalbridge.envs.rendering import draw

        paths = [np.array(path) for path in self._paths]  # B x [T + 1, 2]
        return tuple(
            draw(self.layout, path[-1], path, command.region, title=command.text)
            for path, command in zip(paths, self.current_commands, strict=True)
        )

    def read_options(self, options: dict[str, Any], rows: NDArray[np.int64]) -> list[Start] | None:
        return self.world.read_starts(options, rows, self.num_envs)

    def read_actions(self, actions: NDArray[np.floating]) -> NDArray[np.float64]:
        directions = np.asarray(actions, dtype=np.float64)
        if directions.shape != (self.num_envs, 2) or not np.isfinite(directions).all():
            raise ValueError(f"actions: expected ({self.num_envs}, 2) finite numbers, got shape {directions.shape}")
        return directions

    def begin(
        self,
        rows: NDArray[np.int64],
        seeds: list[int | None] | None = None,
        fixed: Sequence[Start] | None = None,
    ) -> None:
        if seeds and not self.generators:
            self.generators = [np_random(seed)[0] for seed in seeds]
        uniform = np.empty((len(rows), 5))
        for index, row in enumerate(rows.tolist()):
            if seeds and self.begun and seeds[row] is not None:
                self.generators[row] = np_random(seeds[row])[0]
            self.generators[row].random(out=uniform[index])
            self.generators[row].standard_normal(out=self._noise[row])
        cells = self.world.start_cells[np.floor(uniform[:, 0] * len(self.world.start_cells)).astype(np.int64)]  # [R]
        if fixed is not None:
            cells = self._fixed_cells(fixed, cells, uniform[:, 0])
        corner = self.layout.free_cells[cells]  # [R, 2]
        self._position[rows] = into_cell(corner + uniform[:, 1:3], corner)
        self._elapsed[rows] = 0
        self._label[rows] = self.commands.ask(cells, uniform[:, 3])
        self._given_index[rows] = 0
        for row, label, share in zip(rows.tolist(), self._label[rows].tolist(), uniform[:, 4].tolist(), strict=True):
            wordings = self.commands.phrasings(label, self.world.phrasings)
            self._texts[row] = wordings[int(share * len(wordings))]
            if self._given:
                self._given.pop(row, None)
        if fixed is not None:
            self._fix(rows, fixed)
        if self._paths is not None:
            for row in rows.tolist():
                self._paths[row] = [self._position[row].copy()]

    def advance(
        self, actions: NDArray[np.float64], active: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        spent = active & (self._elapsed > 0) & (self._elapsed % NOISE_BLOCK == 0)
        for row in np.flatnonzero(spent).tolist():
            self.generators[row].standard_normal(out=self._noise[row])
        noise = self._noise[self._rows, self._elapsed % NOISE_BLOCK] * self._noise_scale  # [B] radians
        self._position = move(self.layout, self._position, rotate(actions, noise))
        self._elapsed += 1
        if self._paths is not None:
            for path, position in zip(self._paths, self._position, strict=True):
                path.append(position)
        holds = self.holds()
        return holds.astype(np.float64), holds, self._elapsed >= self._step_limit

    def holds(self) -> NDArray[np.bool_]:
        row, column = self._position.astype(np.int64).T  # [B] each
        labels = self.commands.cell_labels[row, column]  # [B, 2]
        holds = (labels[:, 0] == self._label) | (labels[:, 1] == self._label)
        if self._given:
            holds |= self._given_regions[self._given_index, row, column]
        return np.asarray(holds)

    def observe(self) -> Observation:
        place = self._position.astype(np.float32)
        return {"observation": place, "achieved_goal": place.copy(), "instruction": tuple(self._texts)}

    def observe_one(self, row: int) -> Observation:
        place = self._position[row].astype(np.float32)
        return {"observation": place, "achieved_goal": place.copy(), "instruction": self._texts[row]}

    def _fixed_cells(
        self, starts: Sequence[Start], cells: NDArray[np.int64], share: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Start cells [R] that suit the fixed positions and commands; `share` chooses where there is a choice."""
        fixed = cells.copy()
        for index, start in enumerate(starts):
            if start.position is not None:
                row, column = np.floor(start.position).astype(np.int64)
                fixed[index] = self.layout.cell_index[row, column]
            elif start.command is not None:
                suitable = self.world.cells_asking(start.command)
                fixed[index] = suitable[int(share[index] * len(suitable))]
        return fixed

    def _fix(self, rows: NDArray[np.int64], starts: Sequence[Start]) -> None:
        """Set the fixed positions and commands of rows [R] that have just been drawn."""
        for row, start in zip(rows.tolist(), starts, strict=True):
            if start.position is not None:
                self._position[row] = start.position
            if start.command is not None:
                label = self.commands.label_of(start.command)
                self._texts[row] = start.command.text
                self._label[row] = -1 if label is None else label
                if label is None:
                    self._given[row] = start.command
        distinct = {id(command.region): command.region for command in self._given.values()}
        order = {key: index + 1 for index, key in enumerate(distinct)}
        self._given_regions = np.stack([np.zeros_like(self.layout.walls), *distinct.values()])
        for row, command in self._given.items():
            self._given_index[row] = order[id(command.region)]


_ROW: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
_ACTIVE: NDArray[np.bool_] = np.ones(1, dtype=np.bool_)


class PointMazeEnv(MazeSurface, gymnasium.Env[Observation, NDArray[np.float32]]):
    """A point in a maze that is told where to go (Che & Eysenbach, ICLR 2025, Sec. 6.3).

    An action is a direction (d_row, d_col); only its angle counts, to which Gaussian noise is added. A step moves 0.5
    cells, or to the wall on the way. The reward is 1 and the episode ends in the first step after which the command
    holds; `info["is_success"]` says so. Starts are uniform over the free area, commands uniform over those that can
    be reached from the start and do not hold there, wordings uniform over their split.

    `reset` takes options "position" (row, column) and "instruction" (a text or a Command) that fix either.

    layout, action_noise_degrees, phrasings: see `PointMaze`. render_mode: None or "rgb_array".
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}  # type: ignore[misc]

    def __init__(
        self,
        layout: str | Path | Layout | ArrayLike,
        render_mode: str | None = None,
        action_noise_degrees: float = 20.0,
        phrasings: Split = "train",
    ) -> None:
        self._row = PointMazeVectorEnv(1, layout, render_mode, action_noise_degrees, phrasings)
        self.render_mode = render_mode
        self.world = self._row.world
        self.observation_space = self._row.single_observation_space
        self.action_space = self._row.single_action_space

    @property
    def command(self) -> Command:
        """The command of the present episode."""
        return self._row.current_commands[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; options may fix "position" and "instruction". ValueError on bad options."""
        options = options or {}
        check_names(options, ("position", "instruction"))
        fixed = self.world.read_starts(options, _ROW, 1)
        super().reset(seed=seed)
        self._row.generators = [self.np_random]
        self._row.begin(_ROW, fixed=fixed)
        self._row.begun = True
        return self._row.observe_one(0), {"is_success": bool(self._row.holds()[0])}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move once; reward 1.0 and terminated when the command holds. ValueError unless the action is 2 numbers."""
        direction = self._row.read_actions(np.asarray(action)[None])
        self._row.check_begun()
        holds = bool(self._row.advance(direction, _ACTIVE)[1][0])
        return self._row.observe_one(0), float(holds), holds, False, {"is_success": holds}

    def render(self) -> NDArray[np.uint8] | None:
        """Uint8 [h, w, 3]: the maze, the commanded region, the path so far and the instruction; None without a mode."""
        frames = self._row.render()
        return None if frames is None else frames[0]
