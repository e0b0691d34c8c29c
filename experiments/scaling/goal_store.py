"""Bridge goals that do not fit into memory: embeddings in files, read a window at a time.

A folder holds `goals_ab.npy` [M, d] and, unless one tower serves both critics, `goals_bc.npy` [M, d'], in float32 or
float16; the squared length of each row in float32, `squares_ab.npy` and `squares_bc.npy` [M]; optionally
`log_weights.npy` [M]; and `store.json`. It appears under its name when all of it is written, and not before.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.storage import CheckpointError, read_json, write_json

FORMAT: Final = 1
DTYPES: Final = ("float32", "float16")
_DESCRIPTION: Final = "store.json"


class GoalStoreError(CheckpointError):
    """A store of goals that is missing, damaged or cannot be written; the message is one line."""


@dataclass(frozen=True)
class Goals:
    """Some bridge goals: ab [m, d], bc [m, d'] (``ab`` itself where one tower serves both), their squared lengths in
    float32 [m] each, and log importance weights [m] or None. They lie in mapped files: keep none of them for long."""

    ab: Tensor
    bc: Tensor
    squares_ab: Tensor
    squares_bc: Tensor
    log_weights: Tensor | None

    def part(self, start: int, stop: int) -> Goals:
        """Goals start to stop of these; no copy."""
        ab = self.ab[start:stop]
        weights = None if self.log_weights is None else self.log_weights[start:stop]
        if self.bc is self.ab:
            squares = self.squares_ab[start:stop]
            return Goals(ab, ab, squares, squares, weights)
        return Goals(ab, self.bc[start:stop], self.squares_ab[start:stop], self.squares_bc[start:stop], weights)


def write_goal_store(
    folder: str | Path,
    chunks: Iterable[tuple[NDArray[np.floating], NDArray[np.floating] | None, NDArray[np.floating] | None]],
    terms: int,
    dtype: str = "float32",
) -> GoalStore:
    """Writes chunks (ab [m, d], bc [m, d'] or None, log_weights [m] or None) of together M = ``terms`` goals.

    Neither all goals nor more than one chunk need fit into memory. ``bc`` None: one tower serves both critics.
    ``log_weights``: log p(g) - log q(g) of goals drawn from q; finite or -inf. Raises GoalStoreError where the folder
    is there already, a dtype is unknown, a chunk does not fit, or the disk is full; it leaves nothing behind then.
    """
    folder = Path(folder)
    if dtype not in DTYPES:
        raise GoalStoreError(f"dtype={dtype}: must be one of {', '.join(DTYPES)}")
    if folder.exists():
        raise GoalStoreError(f"{folder}: is there already; another folder would do")
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # left by a writer that was killed
        partial.mkdir(parents=True)
        names = _write_arrays(partial, chunks, terms, np.dtype(dtype))
        write_json(partial / _DESCRIPTION, {"format": FORMAT, "terms": terms, "arrays": names})
        partial.replace(folder)
    except OSError as error:
        raise GoalStoreError(f"{folder}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return GoalStore(folder)


class GoalStore:
    """A folder by `write_goal_store`.

    terms: M. dims: d and d'. dtype: of the embeddings. shared: whether one tower serves both critics. bytes_per_goal:
    in all its files.
    Raises GoalStoreError where a file is missing, truncated or of another format.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / _DESCRIPTION).is_file():
            raise GoalStoreError(f"{self.folder}: holds no {_DESCRIPTION}; `write_goal_store` makes a store")
        description = read_json(self.folder / _DESCRIPTION)
        if description["format"] != FORMAT:
            raise GoalStoreError(
                f"{self.folder}: has format {description['format']}, this version reads {FORMAT}; write it anew"
            )
        self.terms: int = description["terms"]
        self._arrays = {name: _Array.at(self.folder / f"{name}.npy", self.terms) for name in description["arrays"]}
        self.shared = "goals_bc" not in self._arrays
        self.dims = tuple(
            self._arrays[name].shape[0] for name in ("goals_ab", "goals_ab" if self.shared else "goals_bc")
        )
        self.dtype = torch.float16 if self._arrays["goals_ab"].dtype == np.float16 else torch.float32
        self.bytes_per_goal = sum(array.row_bytes for array in self._arrays.values())

    def __len__(self) -> int:
        return self.terms

    def window(self, start: int, stop: int) -> Goals:
        """Goals start to stop, mapped from the files: in memory once read, until the tensors are dropped."""
        found = {name: array.window(start, stop) for name, array in self._arrays.items()}
        ab, squares_ab = found["goals_ab"], found["squares_ab"]
        bc, squares_bc = found.get("goals_bc", ab), found.get("squares_bc", squares_ab)
        return Goals(ab, bc, squares_ab, squares_bc, found.get("log_weights"))

    def windows(self, start: int, stop: int, memory: int) -> Iterator[Goals]:
        """Goals start to stop in windows of at most ``memory`` bytes (one goal, if that takes more)."""
        length = max(1, memory // self.bytes_per_goal)
        for first in range(start, stop, length):
            yield self.window(first, min(first + length, stop))


@dataclass(frozen=True)
class _Array:
    """An array of M rows in an .npy file; shape: of one row."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @classmethod
    def at(cls, path: Path, terms: int) -> _Array:
        try:
            with path.open("rb") as file:
                np.lib.format.read_magic(file)
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                array = cls(path, dtype, shape[1:], file.tell())
        except (OSError, ValueError) as error:
            raise GoalStoreError(f"{path}: cannot be read ({error}); write the store anew") from error
        size, needed = path.stat().st_size, array.offset + terms * array.row_bytes
        if shape[0] != terms or size != needed:
            raise GoalStoreError(f"{path}: has {size} bytes, needs {needed} for {terms} goals; write the store anew")
        return array

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def window(self, start: int, stop: int) -> Tensor:
        # Copy-on-write: torch takes no memory that must not be written to.
        place = self.offset + start * self.row_bytes
        mapped = np.memmap(self.path, self.dtype, "c", place, (stop - start, *self.shape))
        return torch.from_numpy(mapped)


def _write_arrays(
    folder: Path,
    chunks: Iterable[tuple[NDArray[np.floating], NDArray[np.floating] | None, NDArray[np.floating] | None]],
    terms: int,
    dtype: np.dtype[Any],
) -> list[str]:
    """Writes all arrays and returns their names."""
    files: dict[str, IO[bytes]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    written = 0
    with ExitStack() as stack:
        for ab, bc, log_weights in chunks:
            arrays = _arrays_of(ab, bc, log_weights, dtype, written)
            if not files:
                shapes = {name: array.shape[1:] for name, array in arrays.items()}
                files = {name: stack.enter_context((folder / f"{name}.npy").open("wb")) for name in arrays}
                for name, array in arrays.items():
                    header = {"descr": array.dtype.str, "fortran_order": False, "shape": (terms, *shapes[name])}
                    np.lib.format.write_array_header_1_0(files[name], header)
            found = {name: array.shape[1:] for name, array in arrays.items()}
            if found != shapes:
                raise GoalStoreError(f"chunks: from goal {written} on holds rows {found}, needs {shapes} as before")
            for name, array in arrays.items():
                array.tofile(files[name])
            written += len(ab)
        if written != terms or not terms:
            raise GoalStoreError(f"terms={terms}: chunks hold {written} goals; needs as many, at least 1")
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    return list(files)


def _arrays_of(
    ab: NDArray[np.floating],
    bc: NDArray[np.floating] | None,
    log_weights: NDArray[np.floating] | None,
    dtype: np.dtype[Any],
    first: int,
) -> dict[str, NDArray[Any]]:
    """What is kept of one chunk, by name; GoalStoreError where it cannot be."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, given in (("ab", ab), ("bc", bc)):
        if given is None:
            continue
        if given.ndim != 2 or len(given) != len(ab):
            raise GoalStoreError(f"{name}: from goal {first} on has shape {given.shape}; needs [{len(ab)}, d]")
        with np.errstate(over="ignore"):
            kept = np.ascontiguousarray(given, dtype=dtype)
        # Of the rows as they are kept, so that distances fit them.
        squares = np.square(kept, dtype=np.float64).sum(axis=1).astype(np.float32)  # [m]
        if not np.isfinite(squares).all():
            raise GoalStoreError(f"{name}: goal {first + int(np.isfinite(squares).argmin())} is not finite in {dtype}")
        arrays |= {f"goals_{name}": kept, f"squares_{name}": squares}
    if log_weights is not None:
        weights = np.ascontiguousarray(log_weights, dtype=np.float32)
        if weights.shape != (len(ab),) or not (weights < np.inf).all():
            raise GoalStoreError(f"log_weights: from goal {first} on must be [{len(ab)}], finite or -inf")
        arrays["log_weights"] = weights
    return arrays
