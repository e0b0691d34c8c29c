"""What a world asks of somebody else's dataset: sizes, kinds and bounds of what is observed, done and achieved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from goalbridge.data.episodes import Episode
from goalbridge.data.trajectories import DatasetError

_SLACK: Final = 1e-3  # of a coordinate's range: rounding is no reason to refuse
_SHOWN: Final = 4


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
        for what, has, needs in (
            ("observations", observations, len(self.observation_low)),
            ("goals", goals, len(self.goal_low)),
        ):
            if has != needs:
                raise DatasetError(
                    f"dataset={dataset}: {what} have {has} numbers each, those of {self.world} {needs}; "
                    "the env that the data is from would do"
                )
        if discrete != self.discrete:
            kinds = {True: "discrete", False: "continuous"}
            raise DatasetError(
                f"dataset={dataset}: actions are {kinds[discrete]}, those of {self.world} {kinds[self.discrete]}; "
                "the env that the data is from would do"
            )
        if actions != self.action_dim:
            raise DatasetError(
                f"dataset={dataset}: there are {actions} {'different' if discrete else 'numbers in'} actions, in "
                f"{self.world} {self.action_dim}; the env that the data is from would do"
            )

    def check_episode(self, episode: Episode) -> None:
        """DatasetError where an episode leaves the world's bounds."""
        goals = episode.observations if episode.goals is None else episode.goals
        self._check_bounds(episode, "observations", episode.observations, self.observation_low, self.observation_high)
        self._check_bounds(episode, "goals", goals, self.goal_low, self.goal_high)

    def _check_bounds(
        self, episode: Episode, what: str, rows: NDArray[Any], low: tuple[float, ...], high: tuple[float, ...]
    ) -> None:
        least, most = np.array(low), np.array(high)
        slack = _SLACK * np.where(np.isfinite(most - least), most - least, 0.0)
        outside = ((rows < least - slack) | (rows > most + slack)).any(axis=1)  # [T + 1]
        if outside.any():
            step = int(outside.argmax())
            which = int(((rows[step] < least - slack) | (rows[step] > most + slack)).argmax())
            shown = ", ".join(f"{value:g}" for value in rows[step, :_SHOWN]) + (", ..." if len(low) > _SHOWN else "")
            raise DatasetError(
                f"{episode.name}: {what}: at step {step} are ({shown}), but number {which} lies between {low[which]:g} "
                f"and {high[which]:g} in {self.world}; the env and layout that the data is from would do"
            )
