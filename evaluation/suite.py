"""The ambiguous suite (`envs.suite`): its commands, what evaluation.json and episodes.npz say of it.

Commands that something satisfies are played, by every estimator alike. Of all commands, also those that nothing
satisfies, it is told how many different texts the agent says that it did not understand.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from goalbridge.agents import Policy
from goalbridge.configs.checks import ConfigError
from goalbridge.envs.commands import Command, CommandError
from goalbridge.envs.places import CATEGORIES
from goalbridge.envs.point_maze import PointMaze
from goalbridge.envs.suite import SATISFIABLE, draw_suite
from goalbridge.evaluation.compare import Metrics, estimates, summary
from goalbridge.evaluation.metrics import METRICS
from goalbridge.evaluation.rollouts import Episodes

AMBIGUOUS: Final = "ambiguous"
SUITE_ESTIMATORS: Final = (
    "logsumexp",
    "resampled",
    "tempered",
    "max",
    "likeliest",
    "sample",
    "direct",
    "planned",
    "limit",
    "random",
)


def suite_commands(world: PointMaze, episodes: int, seed: int) -> tuple[Command, ...]:
    """The suite's commands in the order of its categories, the same for the same seed.

    episodes: how many are to be played; each category of `SATISFIABLE` has as many, rounded up, and four at least, so
    that held-out phrasings are of every kind of place. Left out are those that hold everywhere or cannot be reached, in
    mazes that have such places. ConfigError where none can be played.
    """
    each = max(-(-episodes // len(SATISFIABLE)), len(CATEGORIES))
    drawn = draw_suite(world.layout, each, seed)
    commands = tuple(command for command in drawn if _can_be_asked(world, command))
    if not playable(commands):
        raise ConfigError(f"suite={AMBIGUOUS}: nothing of it can be asked in this maze; a larger maze would do")
    return commands


def _can_be_asked(world: PointMaze, command: Command) -> bool:
    try:
        world.cells_asking(world.check_command(command))
    except CommandError:
        return False
    return True


def playable(commands: Sequence[Command]) -> tuple[Command, ...]:
    """Those that something satisfies."""
    return tuple(command for command in commands if command.category in SATISFIABLE)


def suite_summary(
    metrics: Mapping[str, Metrics], episodes: Mapping[str, Episodes], env_id: str, seed: int
) -> dict[str, Any]:
    """What evaluation.json holds of the episodes.

    As `evaluation.compare.summary`; besides, each category has `region_cells`, the mean number of cells that satisfy
    its commands, and the paired differences stand there by category too, under `categories`.
    """
    report = summary(metrics, episodes, env_id, seed)
    names = list(metrics)
    first, others = names[0], names[1:]
    played = episodes[first].commands
    of_category, cells = _column(played, "category"), np.array([command.region.sum() for command in played])
    categories, differences = {}, {}
    for category in _in_order(played):
        rows = of_category == category  # [E]
        categories[category] = report["categories"][category] | {"region_cells": float(cells[rows].mean())}
        differences[category] = {
            name: estimates({metric: metrics[name][metric][rows] - metrics[first][metric][rows] for metric in METRICS})
            for name in others
        }
    report["categories"] = categories
    report["paired_difference_from_" + first]["categories"] = differences
    return {"env": report.pop("env"), "suite": AMBIGUOUS, **report}


def understood(policy: Policy, commands: Sequence[Command]) -> dict[str, dict[str, Any]]:
    """By category: how many different texts there are, and the shares of them that the policy did not understand.

    not_understood: for either reason. unknown: it does not know the words. contradictory: the parts exclude each other.
    Each is a mean with its interval; where something satisfies the commands, they are false alarms.
    """
    policy.goal_posterior(list(dict.fromkeys(command.text for command in commands)))  # hears all at once
    report = {}
    for category in _in_order(commands):
        texts = dict.fromkeys(command.text for command in commands if command.category == category)
        heard = [policy.understand(text) for text in texts]
        shares = {
            "not_understood": np.array([not one.understood for one in heard], np.float64),
            "unknown": np.array([not one.known for one in heard], np.float64),
            "contradictory": np.array([not one.consistent for one in heard], np.float64),
        }
        report[category] = {"texts": len(texts), **estimates(shares)}
    return report


def episodes_file(episodes: Mapping[str, Episodes], metrics: Mapping[str, Metrics]) -> bytes:
    """Every episode of N estimators as an .npz without pickle, for `numpy.load`.

    text, label, category: str [E]. region: bool [E, H, W]. start: [E, 2]. estimator: str [N]. success: bool [N, E].
    steps: int [N, E]. path: [N, E, T + 1, 2], in cells; the last position repeats once an episode is over. spl,
    spl_grid: [N, E].
    """
    played = list(episodes.values())
    commands = played[0].commands
    longest = max(one.paths.shape[1] for one in played)
    paths = [np.pad(one.paths, ((0, 0), (0, longest - one.paths.shape[1]), (0, 0)), "edge") for one in played]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        **{name: _column(commands, name) for name in ("text", "label", "category")},  # type: ignore[arg-type]
        region=np.stack([command.region for command in commands]),
        start=played[0].starts,
        estimator=np.array(list(episodes)),
        success=np.stack([one.success for one in played]),
        steps=np.stack([one.steps for one in played]),
        path=np.stack(paths),
        **{name: np.stack([metrics[one][name] for one in episodes]) for name in ("spl", "spl_grid")},  # type: ignore[arg-type]
    )
    return buffer.getvalue()


def _column(commands: Sequence[Command], name: str) -> np.ndarray[Any, np.dtype[np.str_]]:
    return np.array([getattr(command, name) for command in commands])


def _in_order(commands: Sequence[Command]) -> list[str]:
    return list(dict.fromkeys(command.category for command in commands))
