"""Spaces of instructions and directions, and what every world refuses of `reset`'s options and render modes."""

from __future__ import annotations

import difflib
import string
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, overload

import numpy as np
from gymnasium.spaces import Box, Text
from gymnasium.vector.utils import batch_space, read_from_shared_memory
from numpy.typing import NDArray

from goalbridge.envs.motion import unit_vectors

Observation = dict[str, Any]


class InstructionText(Text):
    """Text that `gymnasium.vector.AsyncVectorEnv` hands on as it is now.

    Gymnasium 1.4 reads a Text from shared memory once, before the first reset, and shows that ever after.
    """


class SharedTexts(Sequence[str]):
    """The texts in a shared memory at each look; a (deep) copy is a tuple of those of now."""

    def __init__(self, read: Callable[[], tuple[str, ...]]) -> None:
        self._read = read

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self._read()[index]

    def __len__(self) -> int:
        return len(self._read())

    def __deepcopy__(self, memo: object) -> tuple[str, ...]:
        return self._read()


@read_from_shared_memory.register(InstructionText)
def _read_instructions(space: InstructionText, shared_memory: Any, n: int = 1) -> SharedTexts:
    read: Callable[..., Any] = read_from_shared_memory.dispatch(Text)
    return SharedTexts(lambda: read(space, shared_memory, n))


INSTRUCTION_SPACE: Final = InstructionText(256, charset=string.ascii_letters + string.digits + string.punctuation + " ")
"""Printable ASCII of up to 256 characters; deep-copy it before seeding or sampling."""


class Direction(Box):
    """Vectors (d_row, d_col) in [-1, 1], shape (2,) or (B, 2); samples are uniform unit vectors.

    Only the direction of an action matters, so sampling the square would favour its diagonals.
    """

    def __init__(self, shape: Sequence[int] = (2,), seed: int | np.random.Generator | None = None) -> None:
        super().__init__(-1.0, 1.0, tuple(shape), np.float32, seed)

    def sample(self, mask: None = None, probability: None = None) -> NDArray[Any]:
        """Float32 unit vectors of the space's shape; takes no mask and no probability."""
        if mask is not None or probability is not None:
            raise ValueError("direction: expected no mask and no probability")
        return unit_vectors(self.np_random.uniform(0.0, 2.0 * np.pi, self.shape[:-1])).astype(np.float32)


@batch_space.register(Direction)
def _batch_direction(space: Direction, n: int = 1) -> Direction:
    return Direction((n, *space.shape), seed=deepcopy(space.np_random))


def check_options(options: Mapping[str, Any] | None, known: Sequence[str] = ()) -> None:
    """ValueError for the first unknown option of `reset`, naming the nearest: Gymnasium would ignore it."""
    for name in options or {}:
        if name not in known:
            nearest = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(f"options: expected {', '.join(known) or 'none'}, got {name!r}{hint}")


def check_render_mode(render_mode: str | None, known: Sequence[str] = ("rgb_array",)) -> str | None:
    """The render mode itself; ValueError for an unknown one."""
    if render_mode is not None and render_mode not in known:
        raise ValueError(f"render_mode: expected None or {' or '.join(map(repr, known))}, got {render_mode!r}")
    return render_mode
