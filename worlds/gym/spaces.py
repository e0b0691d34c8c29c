"""Gymnasium's spaces as the learner knows them: which rows stand for observations, goals and actions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from goalbridge.agents.spec import as_rows
from goalbridge.configs.checks import ConfigError

_IMAGE_SIDE: Final = 8  # pixels: a smaller array of uint8 is a vector
_CLAIMED: Final = 10.0  # times what 98 % of the data take up
_HOLDS: Final = (1, 2, 4, 8)  # steps for which random play holds an action, on average; another in each episode


@dataclass(frozen=True, eq=False)
class Reading:
    """How values of one space become rows [N, size] and back; kind and shape as in `agents.spec.WorldSpec`.

    what: begins a message.
    """

    space: spaces.Box | spaces.Discrete | spaces.MultiBinary | spaces.MultiDiscrete
    what: str
    kind: str
    size: int
    shape: tuple[int, ...]

    def row(self, value: Any) -> NDArray[Any]:
        """One value as a row [size]; ConfigError for one of another size, or that is not finite."""
        if self.kind == "number":
            one: NDArray[Any] = as_rows(np.array([int(value)]), self.kind, self.size)[0]
            return one
        try:
            row = np.asarray(value, np.uint8 if self.kind == "image" else np.float32).reshape(self.size).copy()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.what}: expected {self.space}, got {str(value)[:60]!r} ({error})") from error
        if self.kind != "image" and not np.isfinite(row).all():
            raise ConfigError(f"{self.what}: expected finite numbers, got {str(value)[:60]}; try clipping them")
        return row

    def value(self, row: NDArray[Any]) -> Any:
        """What a row [size] stands for, as the environment gives it."""
        if self.kind == "number":
            return int(row.argmax())
        assert self.space.shape is not None
        whole = np.issubdtype(self.space.dtype, np.integer)
        return (np.rint(row) if whole else np.asarray(row)).reshape(self.space.shape).astype(self.space.dtype)

    def bounds(self, rows: NDArray[Any] | None = None) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Lower and upper limit of each coordinate; the range of rows [N, size] where the space has no limit.

        So it is, with a warning, where the space claims many times what most rows take up: numbers that are scaled by
        such limits are all alike to a network.
        """
        if isinstance(self.space, spaces.Box):
            low, high = (edge.reshape(-1).astype(np.float64) for edge in (self.space.low, self.space.high))
        elif isinstance(self.space, spaces.MultiDiscrete):
            low = self.space.start.reshape(-1).astype(np.float64)
            high = low + self.space.nvec.reshape(-1) - 1
        else:
            low, high = np.zeros(self.size), np.ones(self.size)
        if rows is not None:
            large = np.finfo(np.float32).max / 2
            least, most = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
            middle = np.subtract(*np.quantile(rows[:: max(1, len(rows) // 10_000)], (0.99, 0.01), axis=0))  # [size]
            bounded = (low > -large) & (high < large)
            claimed = bounded & (middle > 0) & (high - low > _CLAIMED * middle)
            if claimed.any() and self.kind != "image":
                one = int(claimed.argmax())
                warnings.warn(
                    f"{self.what}: number {one} may be from {low[one]:g} to {high[one]:g}, but the data lie between "
                    f"{least[one]:g} and {most[one]:g}; scaled by the data",
                    stacklevel=2,
                )
                low, high = np.where(claimed, least, low), np.where(claimed, most, high)
            low, high = np.where(low > -large, low, least), np.where(high < large, high, most)
        flat = high <= low  # a coordinate that never changes
        return tuple((low - 0.5 * flat).tolist()), tuple((high + 0.5 * flat).tolist())


def read_space(space: spaces.Space[Any], what: str) -> Reading:
    """The reading of an observation or a goal; ConfigError, which begins with `what`, for an unsupported kind."""
    if isinstance(space, spaces.Discrete):
        if space.start != 0:
            raise ConfigError(f"{what} space: expected numbers from 0 on, got {space}; try start=0")
        return Reading(space, what, "number", int(space.n), ())
    if isinstance(space, spaces.MultiBinary | spaces.MultiDiscrete):
        return Reading(space, what, "box", int(np.prod(space.shape)), ())
    if not isinstance(space, spaces.Box):
        raise ConfigError(
            f"{what} space: expected Box, Discrete, MultiBinary, MultiDiscrete, or a Dict with 'observation', got "
            f"{type(space).__name__}; try gymnasium.wrappers.FlattenObservation"
        )
    size = int(np.prod(space.shape))
    if size == 0:
        raise ConfigError(f"{what} space: expected at least one number, got {space}")
    if space.dtype == np.uint8 and len(space.shape) in (2, 3) and min(space.shape[:2]) >= _IMAGE_SIDE:
        return Reading(space, what, "image", size, (*space.shape, 1)[:3])
    if space.dtype == np.uint8 and len(space.shape) == 3 and min(space.shape[1:]) >= _IMAGE_SIDE:
        raise ConfigError(
            f"{what} space: expected images of (height, width, channels), got {space.shape}; try "
            "gymnasium.wrappers.TransformObservation with a transpose"
        )
    return Reading(space, what, "box", size, ())


@dataclass(frozen=True, eq=False)
class Actions:
    """A Discrete or bounded Box space of actions; ConfigError, which begins with `what`, for others."""

    space: spaces.Space[Any]
    what: str

    def __post_init__(self) -> None:
        discrete = isinstance(self.space, spaces.Discrete) and self.space.start == 0 and self.space.n > 1
        box = isinstance(self.space, spaces.Box) and self.space.is_bounded() and np.prod(self.space.shape) > 0
        if not (discrete or box):
            shown = " ".join(str(self.space).split())
            raise ConfigError(
                f"{self.what}: action space: expected Discrete from 0 on or a bounded Box, got {shown}; try "
                "gymnasium.wrappers.RescaleAction, or TransformAction"
            )

    @property
    def discrete(self) -> bool:
        return isinstance(self.space, spaces.Discrete)

    @property
    def size(self) -> int:
        """Length of the vector that stands for an action."""
        return int(self.space.n) if isinstance(self.space, spaces.Discrete) else int(np.prod(self.space.shape or ()))

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Uniform actions [count, D], as vectors."""
        if not isinstance(self.space, spaces.Box):
            return np.eye(self.size, dtype=np.float32)[rng.integers(self.size, size=count)]
        low, high = self._limits
        if self._whole:
            return rng.integers(low.astype(np.int64), high.astype(np.int64) + 1, (count, self.size)).astype(np.float32)
        return rng.uniform(low, high, size=(count, self.size)).astype(np.float32)

    def candidates(self, count: int) -> NDArray[np.float32]:
        """All actions, or at most `count` of a Box, [A, D]: a grid with its corners, or evenly spread where that is
        too coarse."""
        if not isinstance(self.space, spaces.Box):
            return np.eye(self.size, dtype=np.float32)
        low, high = self._limits
        along = int(round(count ** (1 / self.size), 9))  # of a grid of so many a side
        if along >= 2:
            axes = np.meshgrid(*[np.linspace(0, 1, along)] * self.size, indexing="ij")
            unit = np.stack(axes, axis=-1).reshape(-1, self.size)  # [A, D]
        else:
            from scipy.stats import qmc

            unit = qmc.Halton(self.size, scramble=False).random(count)  # [A, D]
        actions = (low + unit * (high - low)).astype(np.float32)
        return np.unique(np.rint(actions), axis=0) if self._whole else actions

    def given(self, vectors: NDArray[np.floating]) -> NDArray[Any]:
        """Vectors [B, D] as policies give actions: numbers [B] if discrete."""
        return vectors.argmax(axis=1) if self.discrete else vectors

    def to_env(self, action: Any) -> Any:
        """One action of `given` as the environment takes it."""
        if not isinstance(self.space, spaces.Box):
            return int(action)
        low, high = self.space.low, self.space.high
        chosen = np.rint(action) if self._whole else action
        return np.clip(np.asarray(chosen).reshape(self.space.shape), low, high).astype(self.space.dtype)

    @property
    def _whole(self) -> bool:
        """Whether a Box is of whole numbers, both limits included."""
        return np.issubdtype(self.space.dtype, np.integer)

    @property
    def _limits(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        assert isinstance(self.space, spaces.Box)
        return self.space.low.reshape(-1).astype(np.float64), self.space.high.reshape(-1).astype(np.float64)


class RandomPlay:
    """Actions at random, some held for a while: who draws anew at every step of a fine clock stays where it is."""

    def __init__(self, actions: Actions, rng: np.random.Generator) -> None:
        self._actions, self._rng = actions, rng
        self._hold = int(rng.choice(_HOLDS))
        self._held = actions.draw(1, rng)  # [1, D]

    def act(self) -> NDArray[np.float32]:
        """The next action as a vector [D]."""
        if self._rng.random() * self._hold < 1:
            self._held = self._actions.draw(1, self._rng)
        return np.asarray(self._held[0])

    def given(self) -> Any:
        """The next action as policies give it."""
        return self._actions.given(self.act()[None])[0]
