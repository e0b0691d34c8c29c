"""The commands of a maze: "go to row 3", the cells that satisfy it, and which can be asked from where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalbridge.configs.checks import UserError
from goalbridge.configs.splits import Split
from goalbridge.envs.layouts import Layout
from goalbridge.envs.phrasing import Wordings, line_names, wordings
from goalbridge.envs.spaces import INSTRUCTION_SPACE


class CommandError(UserError):
    """A command that no agent could be given."""


@dataclass(frozen=True, eq=False)
class Command:
    """An instruction and the cells in which it holds.

    text: what the agent is told, 1 to 256 printable ASCII characters. label: the canonical form ("row 3").
    category: the kind of command ("row", "column", or a suite's own). region: bool [H, W], read-only, the cells that
    satisfy it; empty if nothing does. Raises CommandError.
    """

    text: str
    label: str
    category: str
    region: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not INSTRUCTION_SPACE.contains(self.text):
            raise CommandError(f"command: expected 1 to 256 printable ASCII characters, got {self.text!r}")
        region = np.asarray(self.region, dtype=np.bool_)
        if region.ndim != 2:
            raise CommandError(f"command {self.label!r}: expected a region [H, W], got shape {region.shape}")
        if region.flags.writeable:  # a read-only mask is shared
            region = region.copy()
        region.setflags(write=False)
        object.__setattr__(self, "region", region)

    def holds(self, position: ArrayLike) -> NDArray[np.bool_]:
        """Bool [...]: whether the command holds at positions [..., 2] inside the grid."""
        cell = np.floor(np.asarray(position)).astype(np.int64)
        return np.asarray(self.region[cell[..., 0], cell[..., 1]])


class MazeCommands(Wordings):
    """All commands of a layout: its rows, then its columns, those with a free cell.

    Never asked are those that no cell of the start's 4-connected component satisfies, and the start's own row and
    column, which it satisfies already.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout: Final = layout
        rows, columns = (~layout.walls).any(axis=1), (~layout.walls).any(axis=0)  # [H], [W]
        lines = (("row", rows), ("column", columns))
        self._lines: Final = [(axis, number) for axis, free in lines for number in np.flatnonzero(free).tolist()]
        self.labels = tuple(f"{axis} {number}" for axis, number in self._lines)
        row_label, column_label = np.cumsum(rows) - 1, rows.sum() + np.cumsum(columns) - 1
        self.cell_labels: Final[NDArray[np.int64]] = np.stack(
            np.broadcast_arrays(row_label[:, None], column_label[None, :]), axis=-1
        )  # [H, W, 2]: label of each cell's row and of its column; meaningless in walls
        self._regions: dict[int, NDArray[np.bool_]] = {}

    def region(self, label_id: int) -> NDArray[np.bool_]:
        """Bool [H, W], read-only: the free cells that satisfy one label."""
        if label_id not in self._regions:
            axis, number = self._lines[label_id]
            region = ~self.layout.walls & (np.indices(self.layout.walls.shape)[int(axis == "column")] == number)
            region.setflags(write=False)
            self._regions[label_id] = region
        return self._regions[label_id]

    def true_labels(self, positions: ArrayLike) -> NDArray[np.int64]:
        """Int [N, 2]: ids of the row's and of the column's label for free positions [N, 2]."""
        cell = np.floor(np.asarray(positions)).astype(np.int64)
        return np.asarray(self.cell_labels[cell[..., 0], cell[..., 1]])

    def _phrase(self, label_id: int, split: Split) -> tuple[str, ...]:
        return wordings(line_names(*self._lines[label_id]), split)

    def command(self, label_id: int, text: str | None = None) -> Command:
        """The command of a label in the given words, or by its label alone."""
        label = self.labels[label_id]
        return Command(label if text is None else text, label, self._lines[label_id][0], self.region(label_id))

    def parse(self, text: str) -> Command | None:
        """The command that a text words, or None; letter case and white space do not matter."""
        label_id = self.label_id(text)
        return None if label_id is None else self.command(label_id, " ".join(text.split()))

    def label_of(self, command: Command) -> int | None:
        """The id of a command of this maze; None for one from elsewhere, even if it looks alike."""
        label_id = self.label_id(command.label)
        return label_id if label_id is not None and np.array_equal(command.region, self.region(label_id)) else None

    @cached_property
    def askable(self) -> NDArray[np.int64]:
        """Int [F]: how many labels can be asked from a start in each free cell."""
        _, count, _, _ = self._by_component
        return count[self._cell_component] - 2

    def ask(self, cell_index: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.int64]:
        """Int [B]: the label at a `share` [B] in [0, 1) of those that can be asked from free cells [B] by index."""
        start, _, labels, own_rank = self._by_component
        own = own_rank[cell_index]  # [B, 2]
        rank = np.floor(share * self.askable[cell_index]).astype(np.int64)  # [B]
        rank += rank >= own[:, 0]  # rows come before columns, so own[:, 0] < own[:, 1] and skipping in turn is right
        rank += rank >= own[:, 1]
        return np.asarray(labels[start[self._cell_component[cell_index]] + rank])

    def reachable(self, region: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bool [C]: from which 4-connected components a cell of a region [H, W] can be reached; all if it is empty."""
        component = self.layout.component
        reached = np.full(component.max() + 1, not region.any())
        reached[component[region & (component >= 0)]] = True
        return reached

    @cached_property
    def _cell_component(self) -> NDArray[np.int64]:
        """Int [F]: the component of each free cell."""
        return np.asarray(self.layout.component[tuple(self.layout.free_cells.T)])

    @cached_property
    def _by_component(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The labels of each component, sorted, in one list: where each starts [C], how many [C], the list.

        And [F, 2], the ranks of each free cell's own row and column among its component's labels.
        """
        labels = self.cell_labels[tuple(self.layout.free_cells.T)]  # [F, 2]
        keys, own = np.unique(self._cell_component[:, None] * len(self.labels) + labels, return_inverse=True)
        start = np.searchsorted(keys, np.arange(self._cell_component.max() + 1) * len(self.labels))  # [C]
        own_rank = own.reshape(-1, 2) - start[self._cell_component][:, None]
        return start, np.diff(start, append=len(keys)), keys % len(self.labels), own_rank


def distinct_regions(commands: Sequence[Command]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The different regions of B commands, bool [K, H, W], and which of them each command has, int [B]."""
    order: dict[bytes, int] = {}
    which = np.array([order.setdefault(command.region.tobytes(), len(order)) for command in commands], dtype=np.int64)
    _, first = np.unique(which, return_index=True)
    return np.stack([commands[index].region for index in first.tolist()]), which
