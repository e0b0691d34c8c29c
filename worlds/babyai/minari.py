"""BabyAI episodes of Minari datasets as situations.

What is observed may be
- situations (`encoders.grid`), a Box of bytes, as this project exports them,
- a Dict of "observation", in it "grid" and "pose", as this project's environments give them, or
- a Dict of "image" and "direction", as minigrid's FullyObsWrapper gives them: the agent is one of the image's cells.
A partial view does not say where in the grid the agent is, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from minigrid.core.actions import Actions as MinigridActions
from minigrid.core.constants import OBJECT_TO_IDX
from numpy.typing import NDArray

from goalbridge.data.trajectories import DatasetError
from goalbridge.encoders.grid import SITUATION, situations
from goalbridge.envs.babyai.simulator import ACTIONS, MINIGRID_ACTIONS

_AGENT: Final = OBJECT_TO_IDX["agent"]
_EMPTY: Final = (OBJECT_TO_IDX["empty"], 0, 0)
_MINIGRID: Final = len(MinigridActions)


FORM: Final = (
    "Observations are situations, bytes read off a grid: x, y, direction, the grid's width and height, type, "
    "colour and state of the cell ahead (minigrid's indices), then types and colours of the 9 x 9 cells around, "
    "doors that are closed or locked as types 11 and 12. options/layout of an episode: which layout it is in."
)


class GridReader:
    """How to read the observations and actions of one dataset, as `data.space_spec.DatasetReader`.

    Raises:
        DatasetError: its spaces are none of a grid world's; while reading, where an episode does something else than
            turn, go forward and toggle, or its image shows no agent.
    """

    def __init__(self, dataset: str, observed: gymnasium.Space[Any], acted: gymnasium.Space[Any]) -> None:
        self._form = _form(observed)
        if not self._form:
            raise DatasetError(
                f"dataset={dataset}: expected observations of whole grids, got {_short(observed)}; try a Dict of image "
                "and direction, as minigrid's FullyObsWrapper gives them, or of grid and pose"
            )
        count = int(acted.n) if isinstance(acted, Discrete) else 0
        if count not in (len(ACTIONS), _MINIGRID):
            raise DatasetError(
                f"dataset={dataset}: expected actions Discrete({_MINIGRID}), as minigrid's, or "
                f"Discrete({len(ACTIONS)}) ({', '.join(ACTIONS)}), got {_short(acted)}; try minigrid's levels"
            )
        self._means = MINIGRID_ACTIONS if count == _MINIGRID else tuple(range(len(ACTIONS)))
        self._layouts: dict[bytes, int] = {}

    def actions(self, values: Any) -> NDArray[np.float32]:
        """Vectors [T, 4] with a single one for the numbers of actions [T]."""
        numbers = np.asarray(values).reshape(-1)
        known = np.isin(numbers, self._means)
        if not known.all():
            step = int((~known).argmax())
            named = MinigridActions(int(numbers[step])).name if 0 <= numbers[step] < _MINIGRID else "unknown"
            raise DatasetError(
                f"actions: expected {', '.join(ACTIONS)}, got {numbers[step]} ({named}) at step {step}; "
                "try levels that are solved by going somewhere"
            )
        order = np.argsort(self._means)
        return np.eye(len(ACTIONS), dtype=np.float32)[order[np.searchsorted(np.sort(self._means), numbers)]]

    def observations(self, seen: Any) -> NDArray[np.uint8]:
        """Situations [T + 1, S] of an episode's observations."""
        if self._form == "situations":
            return np.asarray(seen, dtype=np.uint8)
        grids, poses = self._grids(seen)
        beyond = (poses[:, :2] < 1) | (poses[:, :2] >= np.array(grids.shape[1:3]) - 1)  # [T + 1, 2]
        if beyond.any() or not np.isin(poses[:, 2], range(4)).all():
            raise DatasetError("observations: expected poses (x, y, direction) within the outer walls, got one beyond")
        return situations(grids, poses)

    def layout(self, seen: Any) -> int:
        """A number for the layout that an episode begins in: the same for the same grid; situations do not tell."""
        if self._form == "situations":
            return self._layouts.setdefault(len(self._layouts).to_bytes(8, "big"), len(self._layouts))
        grids, _ = self._grids(seen)
        return self._layouts.setdefault(grids[0].tobytes() + bytes(grids.shape[1:3]), len(self._layouts))

    def _grids(self, seen: Mapping[str, Any]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Grids [T + 1, W, H, 3] without the agent, and its poses [T + 1, 3]."""
        if self._form == "grid and pose":
            inner = seen["observation"]
            return np.asarray(inner["grid"], dtype=np.uint8), np.asarray(inner["pose"], dtype=np.int64)
        images = np.array(seen["image"], dtype=np.uint8)  # [T + 1, W, H, 3]
        here = images[..., 0] == _AGENT  # [T + 1, W, H]
        shown = here.sum(axis=(1, 2))  # [T + 1]
        if (shown != 1).any():
            step = int((shown != 1).argmax())
            raise DatasetError(
                f"observations: expected one agent in each image, got {shown[step]} at step {step}; try minigrid's "
                "FullyObsWrapper (a partial view does not say where the agent is)"
            )
        places = np.argwhere(here)[:, 1:]  # [T + 1, 2]
        for step, (x, y) in enumerate(places.tolist()):  # what the agent stands on is what was seen there before
            images[step, x, y] = images[step - 1, x, y] if step else _EMPTY
        return images, np.column_stack([places, np.asarray(seen["direction"]).reshape(-1)]).astype(np.int64)


def _form(space: gymnasium.Space[Any]) -> str:
    """Which of the forms a space has; "" for none."""
    if isinstance(space, Box) and space.shape == (SITUATION,):
        return "situations"
    if not isinstance(space, Dict):
        return ""
    inner = space.spaces.get("observation")
    if isinstance(inner, Dict) and {"grid", "pose"} <= set(inner.spaces):
        return "grid and pose"
    image = space.spaces.get("image")
    is_whole = isinstance(image, Box) and len(image.shape) == 3 and image.shape[2] == 3
    return "image and direction" if is_whole and "direction" in space.spaces else ""


def _short(space: gymnasium.Space[Any]) -> str:
    return f"Dict({', '.join(space.spaces)})" if isinstance(space, Dict) else str(space)
