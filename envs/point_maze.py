"""What the single and the batched point maze share: the world as learners see it, and the state of B episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import SPLITS, Split
from goalbridge.envs.commands import Command, CommandError, MazeCommands
from goalbridge.envs.layouts import Layout, LayoutError, resolve_layout
from goalbridge.envs.motion import execution_kernel, into_cell, move, rotate, unit_directions

NOISE_BLOCK: Final = 100
"""Angle noises that an episode draws at once; with 100 steps at most, once an episode."""

GOALS_PER_SIDE: Final = 4
"""Candidate goals along each side of a free cell."""


@dataclass(frozen=True, eq=False)
class Start:
    """What a reset fixes of an episode: where it starts and what is asked; None leaves it to chance."""

    position: NDArray[np.float64] | None = None  # [2]
    command: Command | None = None


def read_numbers(name: str, value: Any) -> NDArray[np.float64]:
    """The value of an option as float64; ValueError unless it is a number or an even array of them."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {value!r} is not made of numbers; (row, column) would do") from None


class PointMaze:
    """A maze, its commands and its noise: everything that stays the same from episode to episode.

    Args:
        layout: a known name, the path of a text file, a 0/1 array, or a Layout.
        action_noise_degrees: standard deviation of the Gaussian noise on the executed angle.
        phrasings: the split that instructions are worded from, "train", "held_out" or "label".

    Raises:
        LayoutError: the layout is unusable, or has no start from which anything can be asked.
        ValueError: negative noise, or an unknown split.
    """

    def __init__(
        self, layout: str | Path | Layout | ArrayLike, action_noise_degrees: float = 20.0, phrasings: Split = "train"
    ) -> None:
        if not 0.0 <= action_noise_degrees < np.inf:
            raise ValueError(f"action_noise_degrees: {action_noise_degrees} is no deviation; 0 or more would do")
        if phrasings not in SPLITS:
            raise ValueError(f"phrasings: {phrasings!r} is no split; one of {', '.join(SPLITS)} would do")
        self.layout: Final = resolve_layout(layout)
        self.commands: Final = MazeCommands(self.layout)
        self.action_noise_degrees: Final = float(action_noise_degrees)
        self.phrasings: Final[Split] = phrasings
        self.start_cells: Final[NDArray[np.int64]] = np.flatnonzero(self.commands.askable)
        """Int [S]: indices of the free cells from which at least one command can be asked."""
        if not len(self.start_cells):
            raise LayoutError(
                f"layout {self.layout.name!r}: no command can be asked from any cell; "
                "a free cell with another row or column in reach would do"
            )

    def candidate_goals(self) -> NDArray[np.float32]:
        """Float32 [M, 2]: an even grid of 4 x 4 positions in every free cell."""
        offset = (np.arange(GOALS_PER_SIDE) + 0.5) / GOALS_PER_SIDE
        offsets = np.stack(np.meshgrid(offset, offset, indexing="ij"), axis=-1).reshape(-1, 2)  # [16, 2]
        return (self.layout.free_cells[:, None] + offsets).reshape(-1, 2).astype(np.float32)

    def check_position(self, position: ArrayLike) -> NDArray[np.float64]:
        """A free position [2], kept off its cell's faces; ValueError if it is in a wall or outside."""
        point = read_numbers("position", position)
        height, width = self.layout.walls.shape
        if point.shape != (2,) or not np.isfinite(point).all():
            raise ValueError(f"position: {point.tolist()} is no position; two finite numbers (row, column) would do")
        cell = np.floor(point).astype(np.int64)
        if not (0 <= cell[0] < height and 0 <= cell[1] < width):
            raise ValueError(f"position: {point.tolist()} is outside; within the {height} x {width} cells would do")
        if self.layout.walls[cell[0], cell[1]]:
            raise ValueError(f"position: {point.tolist()} is in a wall; a free cell of {self.layout.name!r} would do")
        return into_cell(point, cell)

    def check_command(self, instruction: str | Command) -> Command:
        """The command meant by a text or a command; CommandError unless it can be asked somewhere here."""
        command = self.commands.parse(instruction) if isinstance(instruction, str) else instruction
        if not isinstance(command, Command):
            example = self.commands.phrasings(0, "train")[0]
            raise CommandError(f"instruction: {instruction!r} is no command of this maze; {example!r} would do")
        if command.region.shape != self.layout.walls.shape:
            size = " x ".join(map(str, command.region.shape))
            raise CommandError(f"instruction {command.text!r}: its region is {size}; that of the maze would do")
        if not self.commands.reachable(command.region).any():
            raise CommandError(f"instruction {command.text!r}: its region is all wall; one with a free cell would do")
        return command

    def check_start(self, start: Start) -> None:
        """Raise CommandError if a start's command cannot be reached, or if nothing can be asked from its position."""
        if start.position is None:
            if start.command is not None:
                self.cells_asking(start.command)
            return
        row, column = np.floor(start.position).astype(np.int64)
        if not self.commands.askable[self.layout.cell_index[row, column]]:
            raise CommandError(f"position: nothing can be asked from {start.position.tolist()}; another would do")
        if start.command is None or self.commands.reachable(start.command.region)[self.layout.component[row, column]]:
            return
        raise CommandError(
            f"instruction {start.command.text!r}: cannot be reached from {start.position.tolist()}; "
            "one in the same part of the maze would do"
        )

    def cells_asking(self, command: Command) -> NDArray[np.int64]:
        """Int [N]: indices of the free cells from which a command is reachable and in which it does not hold."""
        rows, columns = self.layout.free_cells.T
        reachable = self.commands.reachable(command.region)[self.layout.component[rows, columns]]
        cells = np.flatnonzero(reachable & ~command.region[rows, columns])
        if not len(cells):
            raise CommandError(f"instruction {command.text!r}: holds wherever it is reached; a narrower one would do")
        return cells


class MazeSurface:
    """What both environments offer learners beside Gymnasium's own interface; read it from `env.unwrapped`."""

    world: PointMaze

    @property
    def layout(self) -> Layout:
        """The maze."""
        return self.world.layout

    @property
    def commands(self) -> MazeCommands:
        """All commands of the maze and their wordings."""
        return self.world.commands

    def candidate_goals(self, observation: Mapping[str, Any] | None = None) -> NDArray[np.float32]:
        """Goals that what is seen allows: float32 [M, 2], 4 x 4 in every free cell, whatever the observation."""
        return self.world.candidate_goals()

    def true_labels(self, goals: ArrayLike) -> NDArray[np.int64]:
        """Int [N, 2]: ids into `commands.labels` of the two labels true of each free goal [N, 2]."""
        return self.commands.true_labels(goals)

    def candidate_actions(self, count: int) -> NDArray[np.float32]:
        """Float32 [count, 2]: unit vectors at the angles 2 pi k / count."""
        return unit_directions(count)

    def execution_kernel(self, count: int) -> NDArray[np.float64]:
        """Float64 [count, count], rows sum to 1: chance that candidate action j is executed when i is chosen."""
        return execution_kernel(count, self.world.action_noise_degrees)


class MazeBatch:
    """The state of B episodes in one world, reset and stepped together.

    An episode's randomness comes from its own generator, in this order: at a reset five uniforms (start cell, row and
    column inside it, command, wording), then a block of standard normals for the angles; another block each time that
    one is used up. They are drawn whether or not a start fixes what they are for, so fixing the start or changing the
    noise leaves all else equal, and an episode is the same alone and in a batch.

    Args:
        world: the maze.
        size: B.
        keep_paths: keep the positions of the present episodes, for drawing.
    """

    def __init__(self, world: PointMaze, size: int, keep_paths: bool = False) -> None:
        self.world: Final = world
        self.generators: list[np.random.Generator] = []  # B of them; set by the owner before the first reset
        self.position = np.zeros((size, 2))
        self.elapsed = np.zeros(size, dtype=np.int64)
        self.texts = [""] * size
        self.paths: list[list[NDArray[np.float64]]] | None = [[] for _ in range(size)] if keep_paths else None
        self._label = np.full(size, -1)  # [B] label ids; -1 for a command from elsewhere
        self._given: dict[int, Command] = {}  # commands from elsewhere by row
        self._given_regions = np.zeros((1, *world.layout.walls.shape), dtype=np.bool_)  # [K, H, W], the first empty
        self._given_index = np.zeros(size, dtype=np.int64)  # [B] into the above
        self._noise = np.zeros((size, NOISE_BLOCK))
        self._rows = np.arange(size)
        self._noise_scale = float(np.deg2rad(world.action_noise_degrees))

    def reset(self, rows: NDArray[np.int64], starts: Sequence[Start] | None = None) -> None:
        """Begin new episodes in some rows [R], free or with the given starts (R of them, already checked)."""
        uniform = np.empty((len(rows), 5))
        for index, row in enumerate(rows.tolist()):
            self.generators[row].random(out=uniform[index])
            self.generators[row].standard_normal(out=self._noise[row])
        world, layout = self.world, self.world.layout
        cells = world.start_cells[np.floor(uniform[:, 0] * len(world.start_cells)).astype(np.int64)]  # [R]
        if starts is not None:
            cells = self._fixed_cells(starts, cells, uniform[:, 0])
        corner = layout.free_cells[cells]  # [R, 2]
        self.position[rows] = into_cell(corner + uniform[:, 1:3], corner)
        self.elapsed[rows] = 0
        self._label[rows] = world.commands.ask(cells, uniform[:, 3])
        self._given_index[rows] = 0
        for row, label, share in zip(rows.tolist(), self._label[rows].tolist(), uniform[:, 4].tolist(), strict=True):
            wordings = world.commands.phrasings(label, world.phrasings)
            self.texts[row] = wordings[int(share * len(wordings))]
        if self._given:
            for row in rows.tolist():
                self._given.pop(row, None)
        if starts is not None:
            self._fix(rows, starts)
        if self.paths is not None:
            for row in rows.tolist():
                self.paths[row] = [self.position[row].copy()]

    def step(self, actions: NDArray[np.floating], active: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Take one step in the active rows; the others are left in an undefined state that only a reset ends.

        Args:
            actions: [B, 2] directions.
            active: bool [B].

        Returns:
            bool [B]: where the command holds at the new position.
        """
        spent = active & (self.elapsed > 0) & (self.elapsed % NOISE_BLOCK == 0)
        for row in np.flatnonzero(spent).tolist():
            self.generators[row].standard_normal(out=self._noise[row])
        noise = self._noise[self._rows, self.elapsed % NOISE_BLOCK] * self._noise_scale  # [B] radians
        self.position = move(self.world.layout, self.position, rotate(actions.astype(np.float64), noise))
        self.elapsed += 1
        if self.paths is not None:
            for path, position in zip(self.paths, self.position, strict=True):
                path.append(position)
        return self.holds()

    def holds(self) -> NDArray[np.bool_]:
        """Bool [B]: where each row's command holds now."""
        row, column = self.position.astype(np.int64).T  # [B] each
        labels = self.world.commands.cell_labels[row, column]  # [B, 2]
        holds = (labels[:, 0] == self._label) | (labels[:, 1] == self._label)
        if self._given:
            holds |= self._given_regions[self._given_index, row, column]
        return np.asarray(holds)

    def command(self, row: int) -> Command:
        """The command of one row's episode, in the words that it was given."""
        if row in self._given:
            return self._given[row]
        return self.world.commands.command(int(self._label[row]), self.texts[row])

    def _fixed_cells(
        self, starts: Sequence[Start], cells: NDArray[np.int64], share: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Start cells [R] that suit the fixed positions and commands; `share` chooses where there is a choice."""
        fixed = cells.copy()
        for index, start in enumerate(starts):
            if start.position is not None:
                row, column = np.floor(start.position).astype(np.int64)
                fixed[index] = self.world.layout.cell_index[row, column]
            elif start.command is not None:
                suitable = self.world.cells_asking(start.command)
                fixed[index] = suitable[int(share[index] * len(suitable))]
        return fixed

    def _fix(self, rows: NDArray[np.int64], starts: Sequence[Start]) -> None:
        """Set the fixed positions and commands of rows [R] that have just been drawn."""
        for row, start in zip(rows.tolist(), starts, strict=True):
            if start.position is not None:
                self.position[row] = start.position
            if start.command is not None:
                label = self.world.commands.label_id(start.command)
                self.texts[row] = start.command.text
                self._label[row] = -1 if label is None else label
                if label is None:
                    self._given[row] = start.command
        distinct = {id(command.region): command.region for command in self._given.values()}
        order = {key: index + 1 for index, key in enumerate(distinct)}
        self._given_regions = np.stack([np.zeros_like(self.world.layout.walls), *distinct.values()])
        for row, command in self._given.items():
            self._given_index[row] = order[id(command.region)]
