"""What batches of both worlds share: seeds, masked resets, autoresets, and infos as Gymnasium lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from goalbridge.envs.spaces import Observation

Step = tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class BatchEnv(VectorEnv[Observation, NDArray[Any], NDArray[Any]]):
    """B environments stepped together, bit for bit what a `gymnasium.vector.SyncVectorEnv` of single ones gives.

    Seed s seeds environment i with s + i. Observations are batched, `instruction` a tuple of B strings. `reset` takes
    the option "reset_mask", bool [B], to reset some environments only.

    num_envs: B. render_mode: None or "rgb_array".
    autoreset_mode: when a finished environment begins anew: in the next step, in the same step, or, DISABLED, only
        when it is told to with "reset_mask".
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 10,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    ended_ones_wait: ClassVar[bool] = False
    """Where autoreset is disabled: whether ended episodes wait for the others, or may not be stepped."""

    def __init__(
        self,
        num_envs: int,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        render_mode: str | None,
        autoreset_mode: AutoresetMode | str,
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}  # type: ignore[misc]
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.begun = False
        self._flags = np.zeros((3, num_envs), dtype=np.bool_)  # terminated, truncated, is_success of the last step

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes, in all environments or in those of options["reset_mask"]; ValueError on bad options."""
        options = dict(options or {})
        mask = self._read_mask(options.pop("reset_mask", None))
        rows = np.flatnonzero(mask)  # [R]
        fixed = self.read_options(options, rows)
        self.begin(rows, self._read_seeds(seed), fixed)
        self._flags[:, rows] = False
        self.begun = True
        return self.observe(), {"is_success": self.holds() & mask, "_is_success": mask}

    def step(self, actions: NDArray[Any]) -> Step:
        """Take an action [B] each, or begin anew, or wait, where an episode has ended.

        Returns batched observations, rewards float64, terminated, truncated, and infos with "is_success". ValueError
        for unusable actions, ResetNeeded before the first reset or where no step may be taken.
        """
        chosen = self.read_actions(actions)
        self.check_begun()
        over = self._flags[0] | self._flags[1]
        rows = np.flatnonzero(over)
        disabled = self.autoreset_mode == AutoresetMode.DISABLED
        if disabled and len(rows) and not self.ended_ones_wait:
            raise gymnasium.error.ResetNeeded(
                f"step: expected episodes that go on, but those of environments {rows.tolist()} have ended; "
                "try reset with options['reset_mask']"
            )
        rewards, terminated, truncated = self.advance(chosen, ~over)
        is_success = rewards > 0
        if len(rows):
            rewards[rows] = 0.0
            for flags, before in zip((terminated, truncated, is_success), self._flags, strict=True):
                flags[rows] = before[rows] & disabled
            if not disabled:
                self.begin(rows)
        self._flags = np.stack([terminated, truncated, is_success])
        infos: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and (terminated | truncated).any():
            infos = self._begin_ended()
            is_success = self._flags[2].copy()
        infos["is_success"], infos["_is_success"] = is_success, np.ones(self.num_envs, dtype=np.bool_)
        return self.observe(), rewards, terminated, truncated, infos

    def check_begun(self) -> None:
        """ResetNeeded before the first reset."""
        if not self.begun:
            raise gymnasium.error.ResetNeeded("step: expected an episode, got none; try reset() first")

    def _begin_ended(self) -> dict[str, Any]:
        """Begin ended episodes anew; what they saw last, as Gymnasium lays it out."""
        done = self._flags[0] | self._flags[1]
        final_obs = np.full(self.num_envs, None, dtype=object)
        for row in np.flatnonzero(done).tolist():
            final_obs[row] = self.observe_one(row)
        final_info = {"is_success": self._flags[2] & done, "_is_success": done.copy()}
        self.begin(np.flatnonzero(done))
        self._flags[:, done] = False
        return {"final_obs": final_obs, "_final_obs": done, "final_info": final_info, "_final_info": done.copy()}

    def _read_mask(self, mask: Any) -> NDArray[np.bool_]:
        """Which environments to reset, bool [B]; all where there is no mask."""
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise ValueError(f"reset_mask: expected a bool array of shape ({self.num_envs},), got {mask!r}")
        if not mask.any():
            raise ValueError("reset_mask: expected at least one True, got none")
        if not self.begun and not mask.all():
            raise ValueError("reset_mask: expected all at the first reset, got only some")
        return mask.copy()

    def _read_seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        """A seed for each environment."""
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + row for row in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"seed: expected one for each of {self.num_envs} environments, got {len(seed)}")
        return list(seed)

    def read_options(self, options: dict[str, Any], rows: NDArray[np.int64]) -> Any:
        """What the options fix of the episodes of rows [R]; ValueError for bad ones."""
        raise NotImplementedError

    def read_actions(self, actions: NDArray[Any]) -> NDArray[Any]:
        raise NotImplementedError

    def begin(self, rows: NDArray[np.int64], seeds: list[int | None] | None = None, fixed: Any = None) -> None:
        """Begin episodes in rows [R], with new generators where there are seeds [B]."""
        raise NotImplementedError

    def advance(
        self, actions: NDArray[Any], active: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Rewards, terminated, truncated [B] of a step, arrays of their own; anything where not `active` [B]."""
        raise NotImplementedError

    def holds(self) -> NDArray[np.bool_]:
        """Bool [B]: where the command holds already when an episode begins."""
        raise NotImplementedError

    def observe(self) -> Observation:
        raise NotImplementedError

    def observe_one(self, row: int) -> Observation:
        raise NotImplementedError


def check_batch(num_envs: int, render_mode: str | None) -> None:
    """ValueError for a batch of none, or a render mode that is not drawn."""
    if num_envs < 1:
        raise ValueError(f"num_envs: expected 1 or more, got {num_envs}")
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode: expected 'rgb_array' or None, got {render_mode!r}")
