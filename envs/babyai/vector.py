"""Several environments of one BabyAI level, stepped in turn, without one observation each in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from goalbridge.envs.babyai import levels
from goalbridge.envs.babyai.levels import Level
from goalbridge.envs.babyai.navigation import Navigation, Observation, check_options
from goalbridge.envs.babyai.simulator import ACTIONS
from goalbridge.envs.resets import read_mask, read_seeds


class BabyAIVectorEnv(VectorEnv[Observation, NDArray[np.integer], NDArray[Any]]):
    """`num_envs` environments of one level; see `envs.babyai.navigation.Navigation` for each of them.

    Bit for bit what a `gymnasium.vector.SyncVectorEnv` of single environments gives: seed s seeds environment i with
    s + i. Observations are batched, `instruction` is a tuple of B strings. `envs[i].unwrapped` is minigrid's own
    environment. `reset` takes the option "reset_mask", bool [B], to reset some environments only.

    With autoreset DISABLED, unlike in the point mazes, an episode that has ended waits while the others go on: its
    observation, its terminated and truncated flags and its "is_success" stay as they were, with reward 0 and whatever
    the action, until "reset_mask" begins it anew.

    Args:
        num_envs: B.
        level, view: as for the single environment.
        render_mode: None or "rgb_array".
        autoreset_mode: when a finished environment begins anew: in the next step (default), in the same step, or,
            DISABLED, only when it is told to.

    Raises:
        LevelError: it is no navigation level.
        ValueError: any other argument is out of range.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 10,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int,
        level: str,
        view: str = "full",
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs: {num_envs} is too few; 1 or more would do")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: {render_mode!r} is not drawn here; 'rgb_array' or None would do")
        levels.check_minigrid_version()
        self.envs: Final = tuple(Navigation(level, view, render_mode) for _ in range(num_envs))
        self.level: Final[Level] = self.envs[0].level
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}  # type: ignore[misc]
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._grids = np.zeros((num_envs, *self.envs[0].grid.shape), dtype=np.uint8)  # [B, W, H, 3]
        self._terminated = np.zeros(num_envs, dtype=np.bool_)
        self._truncated = np.zeros(num_envs, dtype=np.bool_)
        self._is_success = np.zeros(num_envs, dtype=np.bool_)
        self._begun = False

    @property
    def missions(self) -> tuple[str, ...]:
        """The missions of the present episodes, B of them."""
        return tuple(env.mission for env in self.envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes, in all environments or in those of options["reset_mask"]; ValueError on bad options."""
        options = dict(options or {})
        is_reset = read_mask(options.pop("reset_mask", None), self.num_envs, self._begun)
        check_options(options)
        seeds = read_seeds(seed, self.num_envs)
        for row in np.flatnonzero(is_reset).tolist():
            self._begin(row, seeds[row])
        for flags in (self._terminated, self._truncated, self._is_success):
            flags[is_reset] = False
        self._begun = True
        return self._observe(), {"is_success": np.zeros_like(is_reset), "_is_success": is_reset}

    def step(
        self, actions: NDArray[np.integer]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Take minigrid's step in each environment, or begin anew, or wait, where an episode has ended.

        Args:
            actions: int [B]; those of environments that take no step are ignored.

        Returns:
            Observations, minigrid's rewards float64 [B], terminated [B], truncated [B], infos with "is_success" [B].

        Raises:
            ValueError: actions of another shape or type, or out of range.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        chosen = self._read_actions(actions)
        if not self._begun:
            raise gymnasium.error.ResetNeeded("step: no episode has begun; reset() first would do")
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        finals: dict[int, Observation] = {}
        ended = (self._terminated | self._truncated).tolist()
        for row, action in enumerate(chosen):
            if not ended[row]:
                rewards[row], self._terminated[row], self._truncated[row] = self._advance(row, action)
                self._is_success[row] = rewards[row] > 0
                if self.autoreset_mode == AutoresetMode.SAME_STEP and (self._terminated[row] or self._truncated[row]):
                    finals[row] = self.envs[row].observe()
                    self._begin(row)
            elif self.autoreset_mode == AutoresetMode.NEXT_STEP:
                self._begin(row)
                self._terminated[row] = self._truncated[row] = self._is_success[row] = False
        return self._outcome(rewards, finals)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """B frames, uint8 [h, w, 3] each, as minigrid draws them; None without a render mode."""
        if self.render_mode is None or not self._begun:
            return None
        return tuple(np.asarray(env.render(), dtype=np.uint8) for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()

    def _begin(self, row: int, seed: int | None = None) -> None:
        self.envs[row].begin(seed)
        self._grids[row] = self.envs[row].grid

    def _advance(self, row: int, action: int) -> tuple[float, bool, bool]:
        outcome = self.envs[row].advance(action)
        self._grids[row] = self.envs[row].grid
        return outcome

    def _outcome(
        self, rewards: NDArray[np.float64], finals: dict[int, Observation]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """What a step returns; `finals` are the last observations of the episodes that have made way for others."""
        terminated, truncated, is_success = self._terminated.copy(), self._truncated.copy(), self._is_success.copy()
        infos: dict[str, Any] = {}
        if finals:
            done = terminated | truncated
            final_obs = np.full(self.num_envs, None, dtype=object)
            for row, observation in finals.items():
                final_obs[row] = observation
            final_info = {"is_success": is_success & done, "_is_success": done.copy()}
            infos = {"final_obs": final_obs, "_final_obs": done.copy(), "final_info": final_info, "_final_info": done}
            is_success &= ~done
            for flags in (self._terminated, self._truncated, self._is_success):
                flags[done] = False
        infos["is_success"], infos["_is_success"] = is_success, np.ones(self.num_envs, dtype=np.bool_)
        return self._observe(), rewards, terminated, truncated, infos

    def _observe(self) -> Observation:
        goals = np.array([env.goal() for env in self.envs], dtype=np.int64)  # [B, 7]
        return {
            "observation": {"grid": self._grids.copy(), "pose": goals[:, :3].copy()},
            "achieved_goal": goals,
            "instruction": self.missions,
        }

    def _read_actions(self, actions: NDArray[np.integer]) -> list[int]:
        chosen = np.asarray(actions)
        if chosen.shape != (self.num_envs,) or not np.issubdtype(chosen.dtype, np.integer):
            raise ValueError(f"actions: {chosen.dtype} of shape {chosen.shape}; integers ({self.num_envs},) would do")
        if chosen.min() < 0 or chosen.max() >= len(ACTIONS):
            raise ValueError(f"actions: from {chosen.min()} to {chosen.max()}; 0 (left) to 3 (toggle) would do")
        return [int(action) for action in chosen.tolist()]
