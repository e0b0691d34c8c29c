"""The networks of an agent, by the kind of what it observes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torch import nn

from goalbridge.configs.schema import AgentConfig
from goalbridge.encoders.grid import GridFeatures, GridMeaningEncoder, Rotary
from goalbridge.encoders.towers import Features, FourierFeatures, GoalEncoder, ImageFeatures, StateActionEncoder


class Spaces(Protocol):
    """What networks are built by; see `agents.spec.WorldSpec`."""

    @property
    def kind(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def goal_kind(self) -> str: ...
    @property
    def goal_shape(self) -> tuple[int, ...]: ...
    @property
    def observation_low(self) -> tuple[float, ...]: ...
    @property
    def observation_high(self) -> tuple[float, ...]: ...
    @property
    def goal_low(self) -> tuple[float, ...]: ...
    @property
    def goal_high(self) -> tuple[float, ...]: ...
    @property
    def action_dim(self) -> int: ...


class Networks(NamedTuple):
    """state_action, goal: towers of both. meaning: of goals towards language; None: the goal's serves both pairs.
    rotary: turns representations by the position; None: positions enter otherwise."""

    state_action: nn.Module
    goal: nn.Module
    meaning: nn.Module | None = None
    rotary: Rotary | None = None


def features_of(
    kind: str, low: Sequence[float], high: Sequence[float], frequencies: Sequence[float], shape: Sequence[int]
) -> Features:
    """The features of one kind of observation or goal ("box", "number", "image"; see `agents.spec.WorldSpec`).

    low, high: bounds of each coordinate. frequencies: of the Fourier features of coordinates; a vector that stands for
    a number has none. shape: of images.
    """
    if kind == "image":
        return ImageFeatures(shape)
    return FourierFeatures(low, high, frequencies if kind == "box" else ())


def networks_of(spaces: Spaces, config: AgentConfig) -> Networks:
    """The networks for what is observed and what is a goal. config reads: width, depth, embedding_dim, frequencies;
    in grids also rotary, language_in_actions."""
    width, depth, dim = config.width, config.depth, config.embedding_dim
    if spaces.kind == "grid":
        both = dim * (1 + config.language_in_actions)  # a part that meets places, and one that meets meanings
        seen = GridFeatures(True, not config.rotary, config.language_in_actions)
        rotary = Rotary(dim) if config.rotary else None
        states = StateActionEncoder(seen, spaces.action_dim, width, depth, both)
        goals = GoalEncoder(GridFeatures(False, not config.rotary), width, depth, dim)
        return Networks(states, goals, GridMeaningEncoder(width // 4, dim), rotary)
    low, high = spaces.observation_low, spaces.observation_high
    observed = features_of(spaces.kind, low, high, config.frequencies, spaces.shape)
    kind, shape = spaces.goal_kind or spaces.kind, spaces.goal_shape or spaces.shape
    achieved = features_of(kind, spaces.goal_low, spaces.goal_high, config.frequencies, shape)
    states = StateActionEncoder(observed, spaces.action_dim, width, depth, dim)
    return Networks(states, GoalEncoder(achieved, width, depth, dim))
