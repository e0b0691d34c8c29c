"""What the single and the batched point maze share: the maze as learners see it, and the state of B episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from gymnasium.utils.seeding import np_random
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.splits import Split
from goalbridge.envs.commands import Command, CommandError, MazeCommands, distinct_regions
from goalbridge.envs.layouts import Layout, LayoutError, resolve_layout
from goalbridge.envs.motion import into_cell, move, rotate
from goalbridge.envs.phrasing import check_split
from goalbridge.envs.rendering import draw
from goalbridge.envs.spaces import Observation, check_options

NOISE_BLOCK: Final = 100  # angle noises that an episode draws at once; with 100 steps at most, once an episode
GOALS_PER_SIDE: Final = 4  # candidate goals along each side of a free cell


class Start(NamedTuple):
    """What a reset fixes of an episode: position [2] and command; None leaves it to chance."""

    position: NDArray[np.float64] | None = None
    command: Command | None = None


class PointMaze:
    """A maze, its commands and its noise: all that stays the same from episode to episode.

    layout: a known name, the path of a text file, a 0/1 array, or a Layout. action_noise_degrees: standard deviation
    of the Gaussian noise on the executed angle. phrasings: the split of the instructions' wordings.
    Raises LayoutError for an unusable layout, ValueError for negative noise or an unknown split.
    """

    def __init__(
        self, layout: str | Path | Layout | ArrayLike, action_noise_degrees: float = 20.0, phrasings: Split = "train"
    ) -> None:
        if not 0.0 <= action_noise_degrees < np.inf:
            raise ValueError(f"action_noise_degrees: expected 0 or more, got {action_noise_degrees}")
        self.phrasings: Final[Split] = check_split(phrasings)
        self.layout: Final = resolve_layout(layout)
        self.commands: Final = MazeCommands(self.layout)
        self.action_noise_degrees: Final = float(action_noise_degrees)
        self.start_cells: Final[NDArray[np.int64]] = np.flatnonzero(self.commands.askable)  # [S], by index
        if not len(self.start_cells):
            name = self.layout.name
            raise LayoutError(f"layout {name!r}: expected a free cell with another row or column in reach, got none")

    def read_starts(self, options: Mapping[str, Any], rows: NDArray[np.int64], size: int) -> list[Start]:
        """The starts that options fix of some rows [R] of a batch of `size`.

        Options: "position" [size, 2] or [2], and "instructions" (`size` texts or Commands) or "instruction", for all.
        ValueError for anything else and for what is not free, CommandError for what cannot be asked there.
        """
        check_options(options, ("position", "instruction", "instructions"))
        positions, told = options.get("position"), options.get("instructions")
        if positions is None:
            positions = [None] * size
        else:
            try:
                positions = np.asarray(positions, dtype=np.float64)
            except (TypeError, ValueError):
                raise ValueError(f"position: expected numbers (row, column), got {positions!r}") from None
            if positions.shape not in ((2,), (size, 2)):
                raise ValueError(f"position: expected shape (2,) or ({size}, 2), got {positions.shape}")
            positions = np.broadcast_to(positions, (size, 2))
        if told is None:
            told = [options.get("instruction")] * size
        elif isinstance(told, str) or not isinstance(told, Sequence) or len(told) != size:
            raise ValueError(f"instructions: expected a list of {size}, got {told!r}; 'instruction' takes one for all")
        return [self._read_start(positions[row], told[row]) for row in rows.tolist()]

    def _read_start(self, position: NDArray[np.float64] | None, instruction: str | Command | None) -> Start:
        command = None if instruction is None else self.check_command(instruction)
        if position is None:
            if command is not None:
                self.cells_asking(command)
            return Start(None, command)
        if not np.isfinite(position).all():
            raise ValueError(f"position: expected two finite numbers (row, column), got {position.tolist()}")
        (height, width), (row, column) = self.layout.walls.shape, np.floor(position).astype(np.int64)
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(f"position: expected one within {height} x {width} cells, got {position.tolist()} outside")
        if self.layout.walls[row, column]:
            where = f"a free cell of {self.layout.name!r}"
            raise ValueError(f"position: expected {where}, got {position.tolist()} in a wall")
        if not self.commands.askable[self.layout.cell_index[row, column]]:
            raise CommandError(f"position: expected one where something can be asked, got {position.tolist()}")
        if command and not self.commands.reachable(command.region)[self.layout.component[row, column]]:
            raise CommandError(f"instruction {command.text!r}: expected one in reach of {position.tolist()}")
        return Start(into_cell(position, np.array([row, column])), command)

    def check_command(self, instruction: str | Command) -> Command:
        """The command meant by a text or a command; CommandError unless it can be asked somewhere here."""
        command = self.commands.parse(instruction) if isinstance(instruction, str) else instruction
        if not isinstance(command, Command):
            example = self.commands.phrasings(0, "train")[0]
            raise CommandError(f"instruction: expected a command of this maze, got {instruction!r}; try {example!r}")
        shape = self.layout.walls.shape
        if command.region.shape != shape:
            raise CommandError(f"instruction {command.text!r}: expected a region {shape}, got {command.region.shape}")
        if not self.commands.reachable(command.region).any():
            raise CommandError(f"instruction {command.text!r}: expected a region with a free cell, got walls only")
        return command

    def cells_asking(self, command: Command) -> NDArray[np.int64]:
        """Int [N]: the free cells by index from which a command is reachable and in which it does not hold."""
        rows, columns = self.layout.free_cells.T
        reachable = self.commands.reachable(command.region)[self.layout.component[rows, columns]]
        cells = np.flatnonzero(reachable & ~command.region[rows, columns])
        if not len(cells):
            raise CommandError(
                f"instruction {command.text!r}: expected a narrower one, it holds wherever it is reached"
            )
        return cells


class MazeSurface:
    """What both environments offer learners beside Gymnasium's own interface; read it from `env.unwrapped`."""

    def __init__(self, world: PointMaze) -> None:
        self.world = world
        self.layout: Layout = world.layout
        self.commands: MazeCommands = world.commands

    def candidate_goals(self) -> NDArray[np.float32]:
        """Float32 [M, 2]: an even grid of 4 x 4 goals in every free cell."""
        offsets = (np.argwhere(np.ones((GOALS_PER_SIDE, GOALS_PER_SIDE))) + 0.5) / GOALS_PER_SIDE  # [16, 2]
        return (self.layout.free_cells[:, None] + offsets).reshape(-1, 2).astype(np.float32)


class MazeBatch:
    """The state of B episodes in one maze, reset and stepped together.

    An episode draws from its own generator, in this order: at a reset five uniforms (start cell, row and column inside
    it, command, wording), then a block of standard normals for the angles; another block whenever one is used up. They
    are drawn whether or not a start fixes what they are for, so an episode is the same alone and in a batch.
    size: B. keep_paths: of the present episodes, for drawing.
    """

    def __init__(self, world: PointMaze, size: int, keep_paths: bool = False) -> None:
        self.world: Final = world
        self.generators: dict[int, np.random.Generator] = {}  # by row
        self.position = np.zeros((size, 2))
        self.elapsed = np.zeros(size, dtype=np.int64)
        self.texts = [""] * size
        self.paths: list[list[NDArray[np.float64]]] | None = [[] for _ in range(size)] if keep_paths else None
        self._label = np.full(size, -1)  # [B] label ids; -1 for a command from elsewhere
        self._given: dict[int, Command] = {}  # commands from elsewhere by row
        self._given_regions = np.zeros((1, *world.layout.walls.shape), dtype=np.bool_)  # [K, H, W], the first empty
        self._given_index = np.zeros(size, dtype=np.int64)  # [B] into the above
        self._noise = np.zeros((size, NOISE_BLOCK))
        self._noise_scale = float(np.deg2rad(world.action_noise_degrees))

    def seed(self, rows: NDArray[np.int64], seeds: Sequence[int | None]) -> None:
        """New generators for the rows [R] that have a seed, of B, or have no generator yet."""
        for row in rows.tolist():
            if seeds[row] is not None or row not in self.generators:
                self.generators[row], _ = np_random(seeds[row])

    def reset(self, rows: NDArray[np.int64], starts: Sequence[Start] | None = None) -> None:
        """Begin new episodes in some rows [R], free or with the given starts (R of them, already checked)."""
        uniform = np.empty((len(rows), 5))
        for index, row in enumerate(rows.tolist()):
            self.generators[row].random(out=uniform[index])
            self.generators[row].standard_normal(out=self._noise[row])
        world, layout = self.world, self.world.layout
        cells = world.start_cells[np.floor(uniform[:, 0] * len(world.start_cells)).astype(np.int64)]  # [R]
        for index, start in enumerate(starts or ()):
            if start.position is not None:
                cells[index] = layout.cell_index[tuple(start.position.astype(np.int64))]
            elif start.command is not None:
                suitable = world.cells_asking(start.command)
                cells[index] = suitable[int(uniform[index, 0] * len(suitable))]
        corner = layout.free_cells[cells]  # [R, 2]
        self.position[rows] = into_cell(corner + uniform[:, 1:3], corner)
        self.elapsed[rows] = 0
        self._label[rows] = world.commands.ask(cells, uniform[:, 3])
        self._given_index[rows] = 0
        for row, label, share in zip(rows.tolist(), self._label[rows].tolist(), uniform[:, 4].tolist(), strict=True):
            wordings = world.commands.phrasings(label, world.phrasings)
            self.texts[row] = wordings[int(share * len(wordings))]
            self._given.pop(row, None)
        if starts is not None:
            self._fix(rows, starts)
        if self.paths is not None:
            for row in rows.tolist():
                self.paths[row] = [self.position[row].copy()]

    def step(self, actions: NDArray[np.floating], active: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """One step in directions [B, 2]; bool [B]: where the command holds then.

        active: bool [B], all by default; the other rows are left in an undefined state that only a reset ends.
        """
        spent = (self.elapsed > 0) & (self.elapsed % NOISE_BLOCK == 0)
        for row in np.flatnonzero(spent if active is None else spent & active).tolist():
            self.generators[row].standard_normal(out=self._noise[row])
        noise = self._noise[np.arange(len(self.elapsed)), self.elapsed % NOISE_BLOCK] * self._noise_scale  # [B] radians
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

    def observe(self) -> Observation:
        """What all environments see."""
        seen = self.position.astype(np.float32)
        return {"observation": seen, "achieved_goal": seen.copy(), "instruction": tuple(self.texts)}

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Uint8 [h, w, 3]: the maze, the commanded region, the path so far and the instruction."""
        path, command = np.array((self.paths or [])[row]), self.command(row)
        return draw(self.world.layout, path[-1], path, command.region, title=command.text)

    def _fix(self, rows: NDArray[np.int64], starts: Sequence[Start]) -> None:
        """Set the fixed positions and commands of rows [R] that have just been drawn."""
        for row, start in zip(rows.tolist(), starts, strict=True):
            if start.position is not None:
                self.position[row] = start.position
            if start.command is not None:
                label = self.world.commands.label_of(start.command)
                self.texts[row] = start.command.text
                self._label[row] = -1 if label is None else label
                if label is None:
                    self._given[row] = start.command
        if self._given:
            regions, index = distinct_regions([*self._given.values()])
            self._given_regions = np.concatenate([self._given_regions[:1], regions])
            self._given_index[[*self._given]] = index + 1
