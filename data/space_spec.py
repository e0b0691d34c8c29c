"""What a world asks of somebody else's dataset: sizes, kinds and bounds of what is observed, done and achieved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from goalbridge.data.episodes import Episode
from goalbridge.data.trajectories import unexpected

_SLACK: Final = 1e-3  # of a coordinate's range: rounding is no reason to refuse


class DatasetReader(Protocol):
    """Makes rows of a dataset's values; DatasetError where it cannot, in one line that names field and step."""

    def observations(self, seen: Any) -> NDArray[Any]:
        """Rows [T + 1, S] of an episode's observations."""

    def actions(self, values: Any) -> NDArray[np.float32]:
        """Vectors [T, D] of an episode's actions."""

    def layout(self, seen: Any) -> int:
        """A number for the layout that an episode is in, from its observations."""


@dataclass(frozen=True)
class SpaceSpec:
    """The spaces of a world.

    world: its name, for messages. observation_low, observation_high, goal_low, goal_high: bounds of each number.
    action_dim: numbers of an action. discrete: whether vectors with a single one stand for actions. reader: made of a
    dataset's name and its spaces of observations and actions where it takes more than making rows of their values;
    None: it does not. form: what an exported dataset says of its observations: with a reader they are rows as the
    world has them, without one a Dict with achieved_goal.
    """

    world: str
    observation_low: tuple[float, ...]
    observation_high: tuple[float, ...]
    goal_low: tuple[float, ...]
    goal_high: tuple[float, ...]
    action_dim: int
    discrete: bool = False
    reader: Callable[[str, gymnasium.Space[Any], gymnasium.Space[Any]], DatasetReader] | None = None
    form: str = "Observations are a Dict: what is observed, and as achieved_goal what it achieves."

    def check_spaces(self, dataset: str, observations: int, goals: int, actions: int, discrete: bool) -> None:
        """DatasetError where a dataset's sizes and kind of action are others than the world's."""
        kinds = {True: "discrete", False: "continuous"}
        for what, has, needs in (
            ("numbers of an observation", observations, len(self.observation_low)),
            ("numbers of a goal", goals, len(self.goal_low)),
            ("actions", kinds[discrete], kinds[self.discrete]),
            ("different actions" if discrete else "numbers of an action", actions, self.action_dim),
        ):
            if has != needs:
                where, instead = f"dataset={dataset}: {what}", "the env that the data is from"
                raise unexpected(where, f"{needs}, as in {self.world}", has, instead)

    def check_episode(self, episode: Episode) -> None:
        """DatasetError where an episode leaves the world's bounds."""
        goals = episode.observations if episode.goals is None else episode.goals
        for what, rows, low, high in (
            ("observations", episode.observations, self.observation_low, self.observation_high),
            ("goals", goals, self.goal_low, self.goal_high),
        ):
            least, most = np.array(low), np.array(high)
            slack = _SLACK * np.where(np.isfinite(most - least), most - least, 0.0)
            outside = (rows < least - slack) | (rows > most + slack)  # [T + 1, D]
            if outside.any():
                step, which = np.argwhere(outside)[0].tolist()
                where = f"{episode.name}: {what}: step {step}: number {which}"
                bounds = f"{low[which]:g} to {high[which]:g}, as in {self.world}"
                raise unexpected(where, bounds, f"{rows[step, which]:g}", "the env and layout that the data is from")
