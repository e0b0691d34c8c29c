"""Fewest actions in a BabyAI grid that is wholly known: what a policy's path is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.layouts import free_cells
from goalbridge.envs.babyai.simulator import CLOSED, DIRECTIONS, DOOR, FORWARD, LEFT, RIGHT, TOGGLE

Pose = Sequence[int] | NDArray[np.integer]  # (x, y, direction)

_TIE_BREAK: Final = 1e-3  # what ties may cost on a path through all poses: less than an action, so no path gets longer


class PoseGraph:
    """Which pose leads to which in one grid, and in how many actions.

    A closed door costs an action more, for opening it; it stays open on the path, as no shortest path comes back
    through it. Locked doors and objects block: boxes are never toggled away.

    grid: uint8 [W, H, 3], walls all around. rng: picks among equally short walks; without it, the same one each time.
    """

    def __init__(self, grid: NDArray[np.uint8], rng: np.random.Generator | None = None) -> None:
        from scipy.sparse import csr_array

        width, height = grid.shape[:2]
        self.shape = (width, height, 4)
        self._closed = (grid[..., 0] == DOOR) & (grid[..., 2] == CLOSED)  # [W, H]
        free = free_cells(grid)  # [W, H]
        pose = np.arange(width * height * 4).reshape(self.shape)
        behind = np.stack([np.roll(pose[..., d], step, (0, 1)) for d, step in enumerate(DIRECTIONS)], axis=-1)
        passable = np.stack([free & np.roll(free, step, (0, 1)) for step in DIRECTIONS], axis=-1)  # [W, H, 4]
        # Three ways into every pose: a left turn, a right turn, a step from behind (or, where blocked, from itself).
        sources = np.stack([np.roll(pose, -1, 2), np.roll(pose, 1, 2), np.where(passable, behind, pose)], axis=-1)
        costs = np.ones(sources.shape)  # [W, H, 4, 3]
        costs[self._closed, :, 2] = 2.0
        if rng is not None:
            costs += rng.uniform(0.0, _TIE_BREAK / pose.size, size=costs.shape)
        # From a pose to those that lead to it, so that one search from the goals finds the way from everywhere.
        starts = np.arange(0, sources.size + 1, 3)
        self._back = csr_array((costs.reshape(-1), sources.reshape(-1), starts), shape=(pose.size, pose.size))

    def distances(self, goals: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Fewest actions from each pose to the nearest of the goals, float64 and bool [W, H, 4]; inf: no way."""
        from scipy.sparse.csgraph import dijkstra

        distances = dijkstra(self._back, indices=np.flatnonzero(goals), min_only=True)  # [4 W H]
        return np.asarray(distances, dtype=np.float64).reshape(self.shape)

    def walk(self, start: Pose, goal: Pose) -> list[int]:
        """A shortest sequence of actions between two poses; the doors that it opens are open from then on.

        Raises ValueError where there is no way.
        """
        from scipy.sparse.csgraph import dijkstra

        pose, end = (int(np.ravel_multi_index(tuple(ends), self.shape)) for ends in (start, goal))
        _, following = dijkstra(self._back, indices=[end], return_predecessors=True)  # [1, 4 W H]
        actions: list[int] = []
        while pose != end:
            after = int(following[0, pose])
            if after < 0:
                raise ValueError(f"goal: expected a pose within reach of {tuple(start)}, got {tuple(goal)}")
            actions += self._leading(pose, after)
            pose = after
        return actions

    def _leading(self, pose: int, after: int) -> list[int]:
        """The actions from a pose to one that follows it, doors opened."""
        if pose // 4 == after // 4:
            return [RIGHT if (pose + 1) % 4 == after % 4 else LEFT]
        x, y, _ = np.unravel_index(after, self.shape)
        if not self._closed[x, y]:
            return [FORWARD]
        self._closed[x, y] = False
        self._back.data.reshape(*self.shape, 3)[x, y, :, 2] -= 1.0
        return [TOGGLE, FORWARD]


def facing(targets: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Poses bool [W, H, 4] with a target cell in front, in walls too; targets: bool [W, H], none in a corner."""
    return np.stack([np.roll(targets, -step, (0, 1)) for step in DIRECTIONS], axis=-1)


def fewest_steps(
    grid: NDArray[np.uint8], start: Pose, targets: NDArray[np.bool_], faced: bool = True, at_least: int = 1
) -> float:
    """Fewest actions until a target cell [W, H] is in front, or, unless `faced`, is stood in; inf if it cannot be.

    at_least: the result where it is already; 1 as minigrid judges after an action only, and toggling or bumping into
    the target keeps it in front.
    """
    goals = facing(targets) if faced else np.repeat(targets[..., None], 4, axis=-1)
    return max(float(at_least), float(PoseGraph(grid).distances(goals)[tuple(start)]))


def mission_targets(env: Any) -> NDArray[np.bool_]:
    """Cells bool [W, H] that satisfy the mission of a level that was reset: those of the objects that it names.

    env: minigrid's own level (`.unwrapped`). Raises ValueError unless its mission is to go to one object.
    """
    from minigrid.envs.babyai.core.verifier import GoToInstr

    instruction = getattr(env, "instrs", None)
    if not isinstance(instruction, GoToInstr):
        raise ValueError(f"mission: expected one to go to one object, got {env.mission!r}")
    targets = np.zeros((env.width, env.height), dtype=np.bool_)
    targets[tuple(np.transpose(instruction.desc.obj_poss))] = True
    return targets
