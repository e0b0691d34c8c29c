"""What `reset(options=...)` may say in the point mazes, checked before anything is changed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.point_maze import PointMaze, Start, read_numbers


def read_start(world: PointMaze, options: Mapping[str, Any]) -> Start:
    """The start that options "position" (row, column) and "instruction" (text or Command) fix.

    Raises:
        ValueError: an unknown option, a position that is not free, or an instruction that cannot be followed from it.
    """
    check_names(options, ("position", "instruction"))
    position, instruction = options.get("position"), options.get("instruction")
    start = Start(
        None if position is None else world.check_position(position),
        None if instruction is None else world.check_command(instruction),
    )
    world.check_start(start)
    return start


def read_starts(world: PointMaze, options: Mapping[str, Any], rows: NDArray[np.int64], size: int) -> list[Start]:
    """The starts of some rows [R] of a batch of `size`.

    Options: "position" [size, 2], or [2] for all; "instructions" (`size` texts or Commands), or "instruction" for all.

    Raises:
        ValueError: as `read_start`, or a wrong number of positions or instructions.
    """
    check_names(options, ("position", "instruction", "instructions"))
    positions, instructions = options.get("position"), options.get("instructions")
    if positions is not None:
        positions = read_numbers("position", positions)
        if positions.shape not in ((2,), (size, 2)):
            raise ValueError(f"position: has shape {positions.shape}; (2,) or ({size}, 2) would do")
        positions = np.broadcast_to(positions, (size, 2))
    if instructions is None:
        instructions = [options.get("instruction")] * size
    elif isinstance(instructions, str) or not isinstance(instructions, Sequence) or len(instructions) != size:
        raise ValueError(f"instructions: a list of {size} texts or Commands would do; 'instruction' takes one for all")
    return [
        read_start(world, {"position": None if positions is None else positions[row], "instruction": instructions[row]})
        for row in rows.tolist()
    ]


def check_names(options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise ValueError for the first option that is not known, naming the nearest that is."""
    for name in options:
        if name not in known:
            nearest = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"{', '.join(known)} would do"
            raise ValueError(f"options: {name!r} is unknown; {hint}")
