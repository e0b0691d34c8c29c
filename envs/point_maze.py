"""What the single and the batched point maze share: a maze, its commands and its noise, as learners see them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import SPLITS, Split
from goalbridge.envs.commands import Command, CommandError, MazeCommands
from goalbridge.envs.layouts import Layout, LayoutError, resolve_layout
from goalbridge.envs.motion import execution_kernel, into_cell, unit_directions

GOALS_PER_SIDE: Final = 4
"""Candidate goals along each side of a free cell."""


@dataclass(frozen=True, eq=False)
class Start:
    """What a reset fixes of an episode: where it starts and what is asked; None leaves it to chance."""

    position: NDArray[np.float64] | None = None  # [2]
    command: Command | None = None


class PointMaze:
    """A maze, its commands and its noise: everything that stays the same from episode to episode.

    layout: a known name, the path of a text file, a 0/1 array, or a Layout; LayoutError for one that is unusable, or
        in which nothing can be asked.
    action_noise_degrees: standard deviation of the Gaussian noise on the executed angle.
    phrasings: the split that instructions are worded from.
    """

    def __init__(
        self, layout: str | Path | Layout | ArrayLike, action_noise_degrees: float = 20.0, phrasings: Split = "train"
    ) -> None:
        if not 0.0 <= action_noise_degrees < np.inf:
            raise ValueError(f"action_noise_degrees: expected 0 or more, got {action_noise_degrees}")
        if phrasings not in SPLITS:
            raise ValueError(f"phrasings: expected one of {', '.join(SPLITS)}, got {phrasings!r}")
        self.layout: Final = resolve_layout(layout)
        self.commands: Final = MazeCommands(self.layout)
        self.action_noise_degrees: Final = float(action_noise_degrees)
        self.phrasings: Final[Split] = phrasings
        self.start_cells: Final[NDArray[np.int64]] = np.flatnonzero(self.commands.askable)
        """Int [S]: indices of the free cells from which at least one command can be asked."""
        if not len(self.start_cells):
            raise LayoutError(
                f"layout {self.layout.name!r}: expected a cell with another row or column in reach, got none, so that "
                "no command can be asked"
            )

    def cells_asking(self, command: Command) -> NDArray[np.int64]:
        """Int [N]: indices of the free cells from which a command is reachable and in which it does not hold."""
        rows, columns = self.layout.free_cells.T
        reachable = self.commands.reachable(command.region)[self.layout.component[rows, columns]]
        cells = np.flatnonzero(reachable & ~command.region[rows, columns])
        if not len(cells):
            raise CommandError(f"instruction {command.text!r}: holds wherever it is reached; try a narrower one")
        return cells

    def read_starts(self, options: Mapping[str, Any], rows: NDArray[np.int64], size: int) -> list[Start] | None:
        """What options of `reset` fix of the episodes of rows [R] in a batch of `size`; None without options.

        "position": [2] for all, or [size, 2]. "instruction": a text or Command for all, or "instructions": `size`.
        ValueError for unknown options, positions that are not free, and commands that cannot be followed from there.
        """
        if not options:
            return None
        check_names(options, ("position", "instruction", "instructions"))
        positions, instructions = options.get("position"), options.get("instructions")
        if positions is not None:
            positions = _numbers("position", positions)
            if positions.shape not in ((2,), (size, 2)):
                raise ValueError(f"position: expected (row, column), or {size} of them, got shape {positions.shape}")
            positions = np.broadcast_to(positions, (size, 2))
        if instructions is None:
            instructions = [options.get("instruction")] * size
        elif isinstance(instructions, str) or not isinstance(instructions, Sequence) or len(instructions) != size:
            raise ValueError(
                f"instructions: expected a list of {size} texts or Commands, got {instructions!r}; "
                "try 'instruction' for one for all"
            )
        return [self._start(None if positions is None else positions[row], instructions[row]) for row in rows.tolist()]

    def _start(self, point: NDArray[np.float64] | None, instruction: Any) -> Start:
        position = None if point is None else self._check_position(point)
        command = None if instruction is None else self.check_command(instruction)
        if position is None:
            if command is not None:
                self.cells_asking(command)
            return Start(None, command)
        row, column = np.floor(position).astype(np.int64)
        if not self.commands.askable[self.layout.cell_index[row, column]]:
            raise CommandError(f"position: nothing can be asked from {position.tolist()}; try another")
        if command and not self.commands.reachable(command.region)[self.layout.component[row, column]]:
            raise CommandError(
                f"instruction {command.text!r}: cannot be reached from {position.tolist()}; "
                "try one in the same part of the maze"
            )
        return Start(position, command)

    def _check_position(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """A free position [2], kept off its cell's faces."""
        height, width = self.layout.walls.shape
        if not np.isfinite(point).all():
            raise ValueError(f"position: expected finite numbers, got {point.tolist()}")
        cell = np.floor(point).astype(np.int64)
        if not (0 <= cell[0] < height and 0 <= cell[1] < width):
            raise ValueError(f"position: expected one within {height} x {width} cells, got {point.tolist()} outside")
        if self.layout.walls[cell[0], cell[1]]:
            raise ValueError(f"position: expected a free cell of {self.layout.name!r}, got {point.tolist()} in a wall")
        return into_cell(point, cell)

    def check_command(self, instruction: Any) -> Command:
        """The command meant by a text or a command, if it can be asked somewhere here."""
        command = self.commands.parse(instruction) if isinstance(instruction, str) else instruction
        if not isinstance(command, Command):
            example = self.commands.phrasings(0, "train")[0]
            raise CommandError(f"instruction: expected a command of this maze, got {instruction!r}; try {example!r}")
        if command.region.shape != self.layout.walls.shape:
            raise CommandError(
                f"instruction {command.text!r}: expected a region of {self.layout.walls.shape} cells, "
                f"got {command.region.shape}"
            )
        if not self.commands.reachable(command.region).any():
            raise CommandError(f"instruction {command.text!r}: expected a region with a free cell, got all wall")
        return command


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
        offset = (np.arange(GOALS_PER_SIDE) + 0.5) / GOALS_PER_SIDE
        offsets = np.stack(np.meshgrid(offset, offset, indexing="ij"), axis=-1).reshape(-1, 2)  # [16, 2]
        return (self.layout.free_cells[:, None] + offsets).reshape(-1, 2).astype(np.float32)

    def true_labels(self, goals: ArrayLike) -> NDArray[np.int64]:
        """Int [N, 2]: ids into `commands.labels` of the two labels true of each free goal [N, 2]."""
        return self.commands.true_labels(goals)

    def candidate_actions(self, count: int) -> NDArray[np.float32]:
        """Float32 [count, 2]: unit vectors at the angles 2 pi k / count."""
        return unit_directions(count)

    def execution_kernel(self, count: int) -> NDArray[np.float64]:
        """Float64 [count, count], rows sum to 1: chance that candidate action j is executed when i is chosen."""
        return execution_kernel(count, self.world.action_noise_degrees)


def check_names(options: Mapping[str, Any], known: Sequence[str]) -> None:
    """ValueError for the first option that is not known, naming the nearest that is."""
    for name in options:
        if name not in known:
            nearest = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(f"options: expected {', '.join(known)}, got {name!r}{hint}")


def _numbers(name: str, value: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected numbers (row, column), got {value!r}") from None
