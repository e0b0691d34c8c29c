"""What the batched worlds share: seeds, reset masks, autoreset, and the infos as Gymnasium lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from goalbridge.envs.spaces import Observation, check_render_mode

Flags = NDArray[np.bool_]  # [B]
Seeds = list[int | None]


def row_of(observation: Observation, row: int) -> Observation:
    """What one environment of a batch sees."""
    return {name: row_of(value, row) if isinstance(value, dict) else value[row] for name, value in observation.items()}


class BatchedEnv(VectorEnv[Observation, NDArray[Any], NDArray[Any]]):
    """`num_envs` (B) environments of one kind, bit for bit as `gymnasium.vector.SyncVectorEnv` steps single ones.

    Seed s seeds environment i with s + i; each draws from its own generator. Observations are batched, `instruction`
    is a tuple of B strings. `reset` takes options["reset_mask"], bool [B], to reset some environments only.
    autoreset_mode: when a finished environment begins anew: NEXT_STEP, SAME_STEP, or DISABLED, only by "reset_mask".
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 10,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        render_mode: str | None,
        autoreset_mode: AutoresetMode | str,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs: expected 1 or more, got {num_envs}")
        self.num_envs, self.render_mode = num_envs, check_render_mode(render_mode)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}  # type: ignore[misc]
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self._flags = np.zeros((3, num_envs), dtype=np.bool_)  # terminated, truncated, is_success
        self._begun = False

    def _read_actions(self, actions: NDArray[Any]) -> NDArray[Any]:
        """The actions, checked."""
        raise NotImplementedError

    def _begin(self, rows: NDArray[np.int64], seeds: Seeds | None = None, options: Observation | None = None) -> Flags:
        """Begins episodes in some rows [R], or refuses the options; in which of all [B] the command holds already."""
        raise NotImplementedError

    def _advance(self, actions: NDArray[Any], active: Flags) -> tuple[NDArray[np.float64], Flags, Flags]:
        """Steps the active rows: rewards, terminated, truncated, [B] each, undefined in the other rows."""
        raise NotImplementedError

    def _observe(self) -> Observation:
        """The observations, in arrays of their own."""
        raise NotImplementedError

    def _picture(self, row: int) -> NDArray[np.uint8]:
        raise NotImplementedError

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begins episodes, in all environments or in those of options["reset_mask"]; ValueError on bad options."""
        others = dict(options or {})
        is_reset = self._read_mask(others.pop("reset_mask", None))
        holds = self._begin(np.flatnonzero(is_reset), self._read_seeds(seed), others)
        self._flags[:, is_reset] = False
        self._begun = True
        return self._observe(), {"is_success": holds & is_reset, "_is_success": is_reset}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One step each; an episode that has ended begins anew, or with autoreset DISABLED waits as it is.

        actions: [B, ...]; those of environments that take no step are ignored.
        Returns observations, rewards float64 [B], terminated [B], truncated [B], infos with "is_success" [B].
        Raises ValueError for what is no such action, gymnasium.error.ResetNeeded before the first reset.
        """
        chosen = self._read_actions(actions)
        if not self._begun:
            raise gymnasium.error.ResetNeeded("step: expected a reset() first")
        ended = self._flags[0] | self._flags[1]
        rewards, terminated, truncated = self._advance(chosen, ~ended)
        flags, infos = np.array([terminated, truncated, rewards > 0]), dict[str, Any]()
        if ended.any():
            rewards[ended], flags[:, ended] = 0.0, self._flags[:, ended]
            if self.autoreset_mode == AutoresetMode.NEXT_STEP:
                flags[:, ended] = False
                self._begin(np.flatnonzero(ended))
        self._flags = flags
        terminated, truncated, is_success = flags.copy()
        if self.autoreset_mode == AutoresetMode.SAME_STEP and (done := terminated | truncated).any():
            rows = np.flatnonzero(done)
            final_obs = np.full(self.num_envs, None, dtype=object)
            seen = self._observe()
            for row in rows.tolist():
                final_obs[row] = row_of(seen, row)
            final_info = {"is_success": is_success & done, "_is_success": done.copy()}
            infos = {"final_obs": final_obs, "_final_obs": done.copy(), "final_info": final_info, "_final_info": done}
            self._begin(rows)
            self._flags[:, rows] = False
            is_success &= ~done
        infos["is_success"], infos["_is_success"] = is_success, np.ones(self.num_envs, dtype=np.bool_)
        return self._observe(), rewards, terminated, truncated, infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """B frames, uint8 [h, w, 3], as the single environment draws them; None without a render mode."""
        if self.render_mode is None or not self._begun:
            return None
        return tuple(self._picture(row) for row in range(self.num_envs))

    def _read_mask(self, mask: Any) -> Flags:
        """Which environments to reset, bool [B], a copy; all where there is no mask."""
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise ValueError(f"reset_mask: expected a bool array of shape ({self.num_envs},), got {mask!r}")
        if not (mask.any() if self._begun else mask.all()):
            raise ValueError(f"reset_mask: expected {'at least one' if self._begun else 'all, at first'}, got {mask}")
        return mask.copy()

    def _read_seeds(self, seed: int | Sequence[int | None] | None) -> Seeds:
        """A seed for each environment; ValueError where there are not B of them."""
        if seed is None or isinstance(seed, int | np.integer):
            return [None if seed is None else int(seed) + row for row in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"seed: expected one for each of {self.num_envs} environments, got {len(seed)}")
        return list(seed)
