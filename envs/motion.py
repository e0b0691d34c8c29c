"""How a point moves in a maze: straight steps of fixed length that end at the first wall."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.layouts import Layout

STEP_SIZE: Final = 0.5  # cells
WALL_MARGIN: Final = 1e-4  # cells between a position and its cell's faces; more than float32 rounds below 1024


def into_cell(position: NDArray[np.floating | np.integer], cell: NDArray[np.int64]) -> NDArray[np.float64]:
    """Positions [B, 2] clipped to `WALL_MARGIN` inside their cells [B, 2]: rounded to float32 they stay there."""
    return np.asarray(np.clip(position, cell + WALL_MARGIN, cell + (1.0 - WALL_MARGIN)), dtype=np.float64)


def draw_positions(cells: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Float64 [N, 2]: uniform inside cells [N, 2]."""
    return into_cell(cells + rng.random(cells.shape), cells)


def move(layout: Layout, position: NDArray[np.float64], direction: NDArray[np.floating]) -> NDArray[np.float64]:
    """Positions [B, 2] after a step along directions [B, 2] of any length, or to the first wall face; nothing slides.

    A step is shorter than a cell, so it crosses at most one row face and one column face. Exactly through a corner, it
    passes only if the diagonal cell and both cells beside it are free. A zero direction stays put.
    """
    direction = np.asarray(direction, dtype=np.float64)
    length = np.sqrt(direction[:, :1] ** 2 + direction[:, 1:] ** 2)  # [B, 1]
    step = direction * (STEP_SIZE / np.where(length > 0.0, length, np.inf))  # [B, 2]

    cell = np.floor(position).astype(np.int64)  # [B, 2]
    shift = np.floor(position + step).astype(np.int64) - cell  # [B, 2] in -1, 0, 1: the faces crossed
    crosses = shift != 0
    face = cell + (shift > 0)
    # [B, 2] share of the step at which each face is met; inf where none is.
    share = np.where(crosses, (face - position) / np.where(crosses, step, 1.0), np.inf)

    row, column = cell[:, 0] + 1, cell[:, 1] + 1  # [B] into the padded grid
    next_row, next_column = row + shift[:, 0], column + shift[:, 1]
    walls = layout.padded_walls
    row_wall = walls[next_row, column]  # [B], never true without a crossing: the own cell is free
    column_wall = walls[row, next_column]
    diagonal_wall = walls[next_row, next_column]

    row_share, column_share = share.T  # [B] each; numpy is slow to reduce an axis of two
    row_first, column_first = row_share < column_share, column_share < row_share
    at_corner = crosses[:, 0] & ~row_first & ~column_first
    stops_first = np.where(row_first, row_wall, column_wall) | (at_corner & (row_wall | diagonal_wall))
    stops = stops_first | diagonal_wall
    # Without a stop at the first face, a stop means that both faces are crossed, so the later share is finite.
    later = np.where(stops, np.maximum(row_share, column_share), 1.0)
    reach = np.where(stops_first, np.minimum(row_share, column_share), later)  # [B]

    passes = ~stops[:, None] | (~stops_first[:, None] & np.stack([row_first, column_first], axis=1))  # [B, 2]
    return into_cell(position + step * reach[:, None], cell + shift * passes)


def rotate(direction: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors [..., 2] rotated by angles [...] in radians, from the row axis towards the column axis."""
    cosine, sine = np.cos(angle), np.sin(angle)
    row, column = direction[..., 0], direction[..., 1]
    return np.stack([cosine * row - sine * column, sine * row + cosine * column], axis=-1)


def unit_vectors(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Float64 [..., 2]: (d_row, d_column) at angles [...] in radians from the row axis."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def unit_directions(count: int) -> NDArray[np.float32]:
    """Float32 [count, 2]: unit vectors at the angles 2 pi k / count, from down the rows on; ValueError below 1."""
    if count < 1:
        raise ValueError(f"directions: expected 1 or more, got {count}")
    return unit_vectors(2.0 * np.pi * np.arange(count) / count).astype(np.float32)


def execution_kernel(count: int, noise_degrees: float) -> NDArray[np.float64]:
    """Float64 [count, count], rows sum to 1: chance that what is executed is nearest to direction j if i is chosen.

    The Gaussian noise of the angle, wrapped around the circle, over each direction's bin of 2 pi / count.
    """
    if noise_degrees == 0.0:
        return np.eye(count)
    from scipy.special import ndtr

    turns = 1 + int(np.ceil(8.0 * noise_degrees / 360.0))
    offset = np.arange(count)[:, None] / count + np.arange(-turns, turns + 1)  # [count, 2 turns + 1] in full turns
    scale = 360.0 / noise_degrees
    chance = ndtr((offset + 0.5 / count) * scale) - ndtr((offset - 0.5 / count) * scale)
    index = np.arange(count)
    return np.asarray((chance.sum(axis=1) / chance.sum())[(index[None, :] - index[:, None]) % count])
