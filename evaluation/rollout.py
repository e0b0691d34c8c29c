"""The one rollout: episodes of any world, many at once, every actor meeting the same starts, instructions and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.worlds import Actor, Begun, Episodes, Metrics, Reference, Task, World

Reword = Callable[[str], str]
Watch = Callable[[Begun, Mapping[str, Any]], bool]
_NO_METRIC: Final = ("is_success", "final_obs", "final_info")


def by_group(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """Tasks by their group, in the order in which groups first come."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.group, []).append(task)
    return groups


def play(
    world: World,
    tasks: Sequence[Task],
    make: Reference,
    reword: Reword | None = None,
    begun: Callable[[Begun], None] | None = None,
) -> dict[str, Episodes]:
    """The episodes of all tasks, by group.

    make: who plays the tasks of a group; groups that it cannot play are left out. reword: what the actor is told
    instead of a text. begun: is shown the episodes as they begin, part by part.
    """
    played = {}
    for group, own in by_group(tasks).items():
        player = make(own)
        if player is None:
            continue
        if not isinstance(player, Actor):
            played[group] = player.play(own)
            continue
        player.reset()
        starts = range(0, len(own), world.at_once)
        parts = [rollout(world, own[i : i + world.at_once], player, i, reword, begun) for i in starts]
        played[group] = joined(parts)
    return played


def rollout(
    world: World,
    tasks: Sequence[Task],
    actor: Actor,
    first: int = 0,
    reword: Reword | None = None,
    begun: Callable[[Begun], None] | None = None,
    watch: Watch | None = None,
) -> Episodes:
    """One episode of each task, side by side.

    The actor is shown episodes that go on, with the keys first, first + 1, ...; it is to have been reset. watch: is
    shown every moment, and ends all episodes where it says so; environments are then made to give pictures.
    """
    start = world.begin(tasks, render=watch is not None)
    if reword is not None:
        start = replace(start, tasks=tuple(replace(task, text=reword(task.text)) for task in start.tasks))
    if begun is not None:
        begun(start)
    env, seen, told = start.env, start.observation, [task.text for task in start.tasks]
    count = len(told)
    space: Any = env.single_action_space
    actions = np.zeros((count, *space.shape), dtype=space.dtype)
    success, steps, active = (np.zeros(count, np.bool_), np.zeros(count, np.int64), np.ones(count, np.bool_))
    achieved, info = [np.asarray(seen["achieved_goal"])], dict(start.facts)  # T + 1 of [B, G]
    stopped = watch is not None and watch(start, seen)
    while active.any() and not stopped:
        going = np.flatnonzero(active)
        chosen = actor.act(rows_of(seen["observation"], going), [told[i] for i in going], (first + going).tolist())
        actions[:] = 0
        actions[going] = chosen
        seen, _, terminated, truncated, said = env.step(actions)
        achieved.append(np.asarray(seen["achieved_goal"]))
        steps += active
        success |= active & said["is_success"]
        _keep_figures(info, said, active)
        active &= ~(terminated | truncated)
        stopped = watch is not None and watch(start, seen)
    goals = np.stack(achieved, axis=1)  # [B, T + 1, G]
    paths = tuple(path[: last + 1].copy() for path, last in zip(goals, steps.tolist(), strict=True))
    return Episodes(start.tasks, success, steps, paths, info)


def rows_of(observation: Any, rows: NDArray[np.int64]) -> Any:
    """Some rows [R] of a batched observation: an array, or a mapping of them."""
    if isinstance(observation, Mapping):
        return {name: rows_of(values, rows) for name, values in observation.items()}
    return observation[rows]


def _keep_figures(info: Metrics, said: Mapping[str, Any], active: NDArray[np.bool_]) -> None:
    """Keeps, of episodes that went on, the numbers [B] of an info."""
    for name, values in said.items():
        if name[0] == "_" or name in _NO_METRIC or not isinstance(values, np.ndarray):
            continue
        if values.shape == active.shape and values.dtype.kind in "biuf":
            kept = info.setdefault(name, np.full(len(active), np.nan))
            info[name] = np.where(active, values.astype(np.float64), kept)


def joined(parts: Sequence[Episodes]) -> Episodes:
    """Parts of one group, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Episodes(
        tuple(task for part in parts for task in part.tasks),
        np.concatenate([part.success for part in parts]),
        np.concatenate([part.steps for part in parts]),
        tuple(path for part in parts for path in part.goals),
        {name: np.concatenate([part.info[name] for part in parts]) for name in parts[0].info},
    )
