"""Grid worlds to vectors: what an agent sees of a grid from where it stands, and what towers read of it.

A *situation* is one row of whole numbers, which serves as state and as goal alike:
(x, y, direction, width, height, faced type, faced colour, faced state), then types and colours of the cells in a square
window around the agent. Types, colours and states are those of minigrid's encoding; in the window, shut doors are types
of their own.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from goalbridge.encoders.towers import Features, FourierFeatures, tower

RADIUS: Final = 4  # the window is 9 x 9 cells
SIDE: Final = 2 * RADIUS + 1
WINDOW: Final = SIDE * SIDE
OWN: Final = 8  # numbers before the window's
SITUATION: Final = OWN + 2 * WINDOW  # length of a situation
TYPES, COLOURS, DIRECTION_COUNT = 11, 6, 4

_EMPTY, _WALL, _FLOOR, _DOOR, _GOAL = 1, 2, 3, 4, 8
_OPEN, _CLOSED, _LOCKED = 0, 1, 2
_SHUT = 10  # added to a closed or locked door's state, this is its type in the window
AHEAD: Final = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # [4, 2], a step in each direction
_CENTRE = WINDOW // 2
_WINDOW_STEPS = np.arange(-RADIUS, RADIUS + 1)  # [9]


def situations(
    grids: NDArray[np.uint8], poses: NDArray[np.integer], sizes: NDArray[np.integer] | None = None
) -> NDArray[np.uint8]:
    """Situations [N, S] of poses [N, 3], (x, y, direction), in grids [N, W, H, 3], of sizes [N, 2] (the canvas's)."""
    count, width, height, _ = grids.shape
    flat = grids.reshape(-1)
    first = np.arange(count) * (width * height)  # [N]
    columns, rows = poses[:, :1] + _WINDOW_STEPS, poses[:, 1:2] + _WINDOW_STEPS  # [N, 9] each
    inside = ((columns >= 0) & (columns < width))[:, :, None] & ((rows >= 0) & (rows < height))[:, None, :]  # [N, 9, 9]
    start = np.where((columns >= 0) & (columns < width), columns, 0) * height + first[:, None]  # [N, 9]
    cells = 3 * (start[:, :, None] + np.where((rows >= 0) & (rows < height), rows, 0)[:, None, :])  # [N, 9, 9]
    ahead = poses[:, :2] + AHEAD[poses[:, 2]]  # [N, 2]
    faced = 3 * (first + ahead[:, 0] * height + ahead[:, 1])  # [N]
    seen = np.empty((count, SITUATION), dtype=np.uint8)
    seen[:, :3] = poses
    seen[:, 3:5] = (width, height) if sizes is None else sizes
    for offset in range(3):
        seen[:, 5 + offset] = flat[faced + offset]
    kind, state = flat[cells], flat[cells + 2]  # [N, 9, 9] each
    kind = np.where((kind == _DOOR) & (state != _OPEN), _SHUT + state, kind)
    own = kind[:, RADIUS, RADIUS]
    kind[:, RADIUS, RADIUS] = np.where(own > _SHUT, _DOOR, own)  # a door that one stands in is open
    seen[:, OWN : OWN + WINDOW] = np.where(inside, kind, _WALL).reshape(count, WINDOW)
    seen[:, OWN + WINDOW :] = np.where(inside, flat[cells + 1], 0).reshape(count, WINDOW)
    return seen


def possible_situations(grid: NDArray[np.uint8], everywhere: bool = False) -> NDArray[np.uint8]:
    """Every situation [M, S] that a grid [W, H, 3] shows to be possible.

    All free cells and unlocked doors in each direction, and where a closed door is faced, once more with it open.
    everywhere: all cells inside the outer wall, be they free or not.
    """
    poses = standing_poses(grid, everywhere)  # [P, 3]
    seen = situations(np.broadcast_to(grid, (len(poses), *grid.shape)), poses)  # [P, S]
    opened = seen[(seen[:, 5] == _DOOR) & (seen[:, 7] == _CLOSED)]  # [D, S]
    opened[:, 7] = _OPEN
    opened[np.arange(len(opened)), OWN + _CENTRE + AHEAD[opened[:, 2]] @ (SIDE, 1)] = _DOOR
    return np.concatenate([seen, opened])


def standing_poses(grid: NDArray[np.uint8], everywhere: bool = False) -> NDArray[np.int64]:
    """Every pose [P, 3] that a grid [W, H, 3] shows to be possible: the free cells and the doors, in each direction.

    everywhere: all cells inside the outer wall.
    """
    kind, state = grid[..., 0], grid[..., 2]  # [W, H] each
    free = np.isin(kind, (_EMPTY, _FLOOR, _GOAL)) | ((kind == _DOOR) & (state != _LOCKED))  # [W, H]
    if everywhere:
        free = np.pad(np.ones((grid.shape[0] - 2, grid.shape[1] - 2), dtype=np.bool_), 1)
    cells = np.argwhere(free)  # [C, 2]
    return np.concatenate(
        [np.repeat(cells, DIRECTION_COUNT, axis=0), np.tile(np.arange(DIRECTION_COUNT), len(cells))[:, None]], axis=1
    )


class Rotary(nn.Module):
    """Turns pairs of a vector [..., d] by angles linear in the position: products then depend on the displacement.

    The 2-D generalisation of rotary position codes (Su et al., 2021), with learned frequencies. d must be even.
    """

    def __init__(self, size: int, shortest: float = 2.0, longest: float = 44.0) -> None:
        super().__init__()
        self.size = size
        wavelength = torch.exp(torch.empty(size // 2).uniform_(math.log(shortest), math.log(longest)))  # [d / 2]
        heading = torch.empty(size // 2).uniform_(0, 2 * math.pi)  # [d / 2]
        angular = 2 * math.pi / wavelength
        self.angular = nn.Parameter(torch.stack([angular * heading.cos(), angular * heading.sin()]))  # [2, d / 2]

    def forward(self, vectors: Tensor, positions: Tensor) -> Tensor:
        angle = positions @ self.angular  # [..., d / 2]
        sine, cosine = angle.sin(), angle.cos()
        left, right = vectors.chunk(2, dim=-1)  # [..., d / 2] each
        return torch.cat([left * cosine - right * sine, left * sine + right * cosine], dim=-1)

    def turn(self, vectors: Tensor, seen: Tensor) -> Tensor:
        """Turns the first d of each vector's numbers by the position of its situation, [..., S]; the rest stays."""
        turned = self(vectors[..., : self.size], seen[..., :2].to(vectors.dtype))
        return torch.cat([turned, vectors[..., self.size :]], dim=-1)


def _is_free(kinds: Tensor) -> Tensor:
    return (kinds == _EMPTY) | (kinds == _FLOOR) | (kinds == _GOAL)


class GridFeatures(Features):
    """What state-actions and their goals read of situations [..., S]: [..., out_features].

    The direction; which cells around are blocked, or are doors; whether what is in front is free, blocked, a closed
    door or an open one. doors_apart: open doors and closed ones are told apart around, not only in front. A goal is
    where one can be, however the doors around it are by then: those seen closed now are open if the way led through
    them. places: position enters here, as Fourier features; otherwise representations are to be turned by
    `Rotary.turn`. things: also type (door, key, ball, box) and colour of each thing in the window.
    """

    def __init__(self, doors_apart: bool, places: bool = False, things: bool = False) -> None:
        super().__init__()
        self.doors_apart, self.things = doors_apart, things
        self.places = FourierFeatures((0.0, 0.0), (24.0, 24.0), (0.25, 0.5, 1.0, 2.0, 4.0)) if places else None
        further = 10 * WINDOW * things + (self.places.out_features if self.places else 0)
        self.out_features = DIRECTION_COUNT + (2 + doors_apart) * WINDOW + 4 + further

    def forward(self, seen: Tensor) -> Tensor:
        kinds, faced, state = seen[..., OWN : OWN + WINDOW], seen[..., 5], seen[..., 7]  # [..., 81], [...], [...]
        direction = functional.one_hot(seen[..., 2].long(), DIRECTION_COUNT)
        opened, closed = kinds == _DOOR, kinds == _SHUT + _CLOSED
        blocked = ~(_is_free(kinds) | opened | closed)
        doors = [opened, closed] if self.doors_apart else [opened | closed]
        free = _is_free(faced)
        shut, passable = (faced == _DOOR) & (state == _CLOSED), (faced == _DOOR) & (state == _OPEN)
        ahead = torch.stack([free, ~(free | shut | passable), shut, passable], dim=-1)  # [..., 4]
        features = [direction, blocked.float() - 0.5, *(mask.float() for mask in (*doors, ahead))]
        if self.things:
            features.append(_things(seen))
        if self.places:
            features.append(self.places(seen[..., :2].float()))
        return torch.cat(features, dim=-1)


def _things(seen: Tensor) -> Tensor:
    """[..., S] to [..., 10 x 81]: type and colour of each thing in the window."""
    kinds = seen[..., OWN : OWN + WINDOW].long()  # [..., 81]
    kinds = torch.where(kinds > _SHUT, _DOOR, kinds)
    is_thing = ((kinds >= _DOOR) & (kinds < _GOAL)).unsqueeze(-1)  # [..., 81, 1]
    kind = functional.one_hot((kinds - _DOOR).clamp(0, 3), 4) * is_thing
    colour = functional.one_hot(seen[..., OWN + WINDOW :].long().clamp(0, COLOURS - 1), COLOURS) * is_thing
    return torch.cat([kind, colour], dim=-1).flatten(-2).float()


class GridMeaningEncoder(nn.Module):
    """phi_B towards language: situations [..., S] to [..., d], from the thing faced and the place in the grid.

    Type, colour and place add up, so that a combination never seen is read as its parts.
    """

    def __init__(self, width: int, out_features: int) -> None:
        super().__init__()
        self.kind = nn.Embedding(TYPES, out_features)
        self.colour = nn.Embedding(COLOURS + 1, out_features)  # the last one: no thing, no colour
        self.place_features = FourierFeatures((-1.0, -1.0), (1.0, 1.0), (0.25, 0.5))
        self.place = tower(self.place_features.out_features, width, 2, out_features)

    def forward(self, goals: Tensor) -> Tensor:
        kind, colour = goals[..., 5].long(), goals[..., 6].long()  # [...] each
        is_thing = (kind >= _DOOR) & (kind < _GOAL)
        half = (goals[..., 3:5].float() - 1) / 2  # [..., 2]
        place = self.place(self.place_features((goals[..., :2].float() - half) / half))  # [..., d]
        output: Tensor = self.kind(kind) + self.colour(torch.where(is_thing, colour, COLOURS)) + place
        return output
