"""The networks of an agent, by the kind of what it observes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from torch import nn

from goalbridge.configs.schema import AgentConfig
from goalbridge.encoders.features import features_of
from goalbridge.encoders.grid import GridGoalEncoder, GridMeaningEncoder, GridStateActionEncoder, Rotary
from goalbridge.encoders.towers import GoalEncoder, StateActionEncoder


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


def _vector_networks(spaces: Spaces, config: AgentConfig) -> Networks:
    size = (config.width, config.depth, config.embedding_dim)
    low, high, shape = spaces.observation_low, spaces.observation_high, spaces.shape
    observed = features_of(spaces.kind, low, high, config.frequencies, shape)
    kind, shape = spaces.goal_kind or spaces.kind, spaces.goal_shape or shape
    goals = features_of(kind, spaces.goal_low, spaces.goal_high, config.frequencies, shape)
    return Networks(StateActionEncoder(observed, spaces.action_dim, *size), GoalEncoder(goals, *size))


def _grid_networks(spaces: Spaces, config: AgentConfig) -> Networks:
    width, depth, dim = config.width, config.depth, config.embedding_dim
    rotary = Rotary(dim) if config.rotary else None
    both = dim * (1 + config.language_in_actions)  # a part that meets places, and one that meets meanings
    states = GridStateActionEncoder(
        spaces.action_dim, width, depth, both, not config.rotary, config.language_in_actions
    )
    goals = GridGoalEncoder(width, depth, dim, not config.rotary)
    return Networks(states, goals, GridMeaningEncoder(width // 4, dim), rotary)


_BY_KIND: Final[dict[str, Callable[[Spaces, AgentConfig], Networks]]] = {"grid": _grid_networks}


def networks_of(spaces: Spaces, config: AgentConfig) -> Networks:
    """The networks for what is observed and what is a goal. config reads: width, depth, embedding_dim, frequencies;
    in grids also rotary, language_in_actions."""
    return _BY_KIND.get(spaces.kind, _vector_networks)(spaces, config)
