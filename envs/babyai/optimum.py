"""What a policy is measured against: the fewest actions in a grid that is wholly known, and minigrid's own bot."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from goalbridge.envs.babyai.simulator import CLOSED, DIRECTIONS, DOOR, FORWARD, LEFT, RIGHT, TOGGLE, free_cells

Pose = Sequence[int] | NDArray[np.integer]  # (x, y, direction)

_TIE_BREAK: Final = 1e-3  # what ties may cost on a path through all poses: less than an action, so no path gets longer


class PoseGraph:
    """Which pose leads to which in one grid, and in how many actions.

    A closed door costs an action more, for opening it; it stays open on the path, as no shortest path comes back
    through it. Locked doors and objects block: boxes are never toggled away.

    grid: uint8 [W, H, 3], walls all around. rng: picks among equally short walks; without it, the same one each time.
    """

    def __init__(self, grid: NDArray[np.uint8], rng: np.random.Generator | None = None) -> None:
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
        distances = dijkstra(self._back, indices=np.flatnonzero(goals), min_only=True)  # [4 W H]
        return np.asarray(distances, dtype=np.float64).reshape(self.shape)

    def walk(self, start: Pose, goal: Pose) -> list[int]:
        """A shortest sequence of actions between two poses; the doors that it opens are open from then on.

        Raises ValueError where there is no way.
        """
        pose, end = (int(np.ravel_multi_index(tuple(ends), self.shape)) for ends in (start, goal))
        _, following = dijkstra(self._back, indices=[end], return_predecessors=True)  # [1, 4 W H]
        actions: list[int] = []
        while pose != end:
            after = int(following[0, pose])
            if after < 0:
                raise ValueError(f"goal: expected a pose within reach of {tuple(start)}, got {tuple(goal)}")
            x, y, _ = np.unravel_index(after, self.shape)
            if pose // 4 == after // 4:
                actions.append(RIGHT if (pose + 1) % 4 == after % 4 else LEFT)
            elif self._closed[x, y]:
                self._closed[x, y] = False
                self._back.data.reshape(*self.shape, 3)[x, y, :, 2] -= 1.0
                actions += [TOGGLE, FORWARD]
            else:
                actions.append(FORWARD)
            pose = after
        return actions


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


def bot_steps(env: Any) -> tuple[bool, int]:
    """Let minigrid's bot play the episode that a level was reset to: whether it succeeded, and the actions taken.

    It sees 7x7 cells, may carry things, and is told the mission as code, not words. It has failed if the level gives no
    reward, if it gives up, or if it breaks down (it trips over some layouts); that counts as the level's `max_steps`.
    env: minigrid's own (`.unwrapped`), fresh from `reset`; played to its end. Raises ValueError for a level without a
    BabyAI mission, as FourRooms.
    """
    from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

    if not hasattr(env, "instrs"):
        raise ValueError(f"env: expected a BabyAI level after reset, got mission {env.mission!r}")
    with contextlib.suppress(DisappearedBoxError, AssertionError, LookupError, TypeError, AttributeError):
        bot: Any = BabyAIBot(env)  # type: ignore[no-untyped-call]
        finished = False
        while not finished:
            action = bot.replan()
            _, reward, terminated, truncated, _ = env.step(action)
            if reward > 0:
                return True, int(env.step_count)
            finished = terminated or truncated or action == env.actions.done  # done: it believes that it is
    return False, int(env.max_steps)
