"""What is asked in a point maze, and how an episode is judged there: the half of `MazeWorld` that evaluation uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.envs.commands import Command, CommandError, distinct_regions
from goalbridge.envs.layouts import Layout
from goalbridge.envs.motion import STEP_SIZE
from goalbridge.envs.places import CATEGORIES
from goalbridge.envs.point_maze import PointMaze
from goalbridge.envs.suite import SATISFIABLE, draw_suite
from goalbridge.worlds._base import Begun, Episodes, Metrics, Reference, Task, World, spl

if TYPE_CHECKING:
    from goalbridge.agents import Agent

AMBIGUOUS: Final = "ambiguous"
EPISODES: Final = 1000
WATCHING_GOALS: Final = 1000  # a fifth of the bridge is a fifth of the time, and near enough to watch by
LINE_ESTIMATORS: Final = ("logsumexp", "direct", "max", "sample", "limit", "random")
SUITE_ESTIMATORS: Final = (
    *("logsumexp", "resampled", "tempered", "max", "likeliest", "sample", "direct", "planned"),
    *("limit", "random"),
)


class MazeEpisodes(World):
    """Commands of a maze as tasks; `meant` is a `Command`. spoken: the categories of places that captions speak of."""

    shown = ("success", "spl_grid", "steps")
    maze: PointMaze
    spoken: tuple[str, ...]

    @property
    def layout(self) -> Layout:
        """The maze's."""
        return self.maze.layout

    def make_mazes(self, count: int, phrasings: str) -> Any:
        """So many of these mazes, in a batch, whose own commands are worded by a split."""
        raise NotImplementedError

    def tasks(self, agent: Agent, settings: Any, episodes: int | None, seed: int) -> tuple[Task, ...]:
        """Rows and columns as the mazes draw them, or the suite that the settings name."""
        canonical = agent.text.canonical
        if settings.suite:
            if canonical:
                raise ConfigError(
                    f"suite={settings.suite}: expected an agent that reads words, got one of encoder=label; "
                    "leave suite out, or train with encoder=sentence"
                )
            commands = playable(suite_commands(self.maze, episodes or EPISODES, seed))
            return tuple(_asked(command, seed + i) for i, command in enumerate(commands))
        split = "label" if canonical else settings.phrasings
        mazes = self.make_mazes(episodes or EPISODES, split)
        mazes.reset(seed=seed)
        return tuple(
            Task(command.text, command.category, seed + i, options={"phrasings": split}, meant=command)
            for i, command in enumerate(mazes.unwrapped.current_commands)
        )

    def watched_tasks(self, agent: Agent, episodes: int, seed: int) -> tuple[Task, ...]:
        """The suite; an agent that reads labels is asked places by theirs."""
        commands = playable(suite_commands(self.maze, episodes, seed))
        if agent.text.canonical:
            spoken = set(self.spoken) & set(CATEGORIES)
            commands = tuple(replace(one, text=one.label) for one in commands if one.category in spoken)
        return tuple(_asked(command, seed + i) for i, command in enumerate(commands))

    def watching_options(self, agent: Agent) -> dict[str, Any]:
        """A part of the bridge goals."""
        return {"goals": agent.bridge_goals[:WATCHING_GOALS].cpu().numpy()}

    def begin(self, tasks: Sequence[Task], render: bool = False) -> Begun:
        """Mazes whose commands the tasks fix, or draw with the start."""
        commands = [task.options["command"] for task in tasks if "command" in task.options]
        mazes = self.make_mazes(len(tasks), tasks[0].options.get("phrasings", "train"))
        options = {"instructions": commands} if commands else None
        observation, _ = mazes.reset(seed=[task.seed for task in tasks], options=options)
        return Begun(mazes, observation, tuple(tasks))

    def references(self, agent: Agent, settings: Any, seed: int) -> Mapping[str, Reference]:
        """limit: the optimal policy, that knows maze, command and noise. expert: the data's. random: any direction."""
        from goalbridge.worlds.maze.references import Expert, OptimalPolicy, RandomDirections

        count = self._directions(agent, settings)
        layout, noise = self.layout, self.maze.action_noise_degrees
        return {
            "expert": lambda tasks: Expert(layout, _commands(tasks)),
            "limit": lambda tasks: OptimalPolicy(layout, _commands(tasks), noise, count),
            "random": lambda tasks: RandomDirections(self.candidates(count).actions, seed),
        }

    def _directions(self, agent: Agent, settings: Any) -> int:
        return int(settings.candidate_actions or agent.policy_config.candidate_actions)

    def default_estimators(self, agent: Agent, settings: Any) -> tuple[str, ...]:
        """Those of the table of rows and columns, or of the suite's."""
        return SUITE_ESTIMATORS if settings.suite else LINE_ESTIMATORS

    def policy_options(self, agent: Agent, settings: Any) -> dict[str, Any]:
        """Bridge goals, directions and whether noise is averaged over, as the settings say."""
        held = len(agent.bridge_goals)
        if settings.bridge_goals is not None and settings.bridge_goals > held:
            raise ConfigError(f"bridge_goals={settings.bridge_goals}: expected at most the agent's {held}")
        return {
            "goals": agent.bridge_goals.cpu().numpy()[: settings.bridge_goals],
            "candidates": self.candidates(self._directions(agent, settings)),
            "average_noise": settings.average_noise,
        }

    def metrics(self, episodes: Episodes) -> Metrics:
        """spl: against the true any-angle shortest path. spl_grid: against the 4-connected cells to the nearest
        satisfying one, less 1, for comparison with published figures. The path is steps x 0.5 cells in both."""
        from goalbridge.envs.expert import grid_shortest
        from goalbridge.envs.optimal import geodesic_shortest

        starts = np.stack([path[0] for path in episodes.goals])  # [E, 2]
        regions, which = distinct_regions(_commands(episodes.tasks))  # [K, H, W], [E]
        path = episodes.steps * STEP_SIZE  # [E]
        return {
            "spl": spl(episodes.success, geodesic_shortest(self.layout, starts, regions, which), path),
            "spl_grid": spl(episodes.success, grid_shortest(self.layout, starts, regions, which), path),
        }

    def about(self, settings: Any) -> dict[str, Any]:
        """Id, layout, noise, limit of steps, and what is asked."""
        asked = {"suite": settings.suite} if settings.suite else {"phrasings": settings.phrasings}
        return {
            "env": self.spec.env_id,
            **asked,
            "layout": self.fingerprint,
            "noise": self.maze.action_noise_degrees,
            "max_episode_steps": self.settings.max_episode_steps,
        }

    def facts(self, tasks: Sequence[Task]) -> dict[str, float]:
        """region_cells: the mean number of cells that satisfy a command."""
        return {"region_cells": float(np.mean([task.meant.region.sum() for task in tasks]))}

    def further_report(self, policy: Any, settings: Any, episodes: int | None, seed: int) -> dict[str, Any]:
        """Of the suite, how many texts are said not to be understood, those that nothing satisfies among them."""
        if not settings.suite:
            return {}
        commands = suite_commands(self.maze, episodes or EPISODES, seed)
        return {"understood": not_understood(policy, commands)}

    def notes(self, report: Mapping[str, Any]) -> list[str]:
        """Of the suite, the shares of texts that are said not to be understood."""
        if "understood" not in report:
            return []
        shares = {name: found["not_understood"]["mean"] for name, found in report["understood"].items()}
        alarms = [f"{name} {share:.1%}" for name, share in shares.items() if name in SATISFIABLE]
        rightly = [f"{name} {share:.1%}" for name, share in shares.items() if name not in SATISFIABLE]
        return [f"said not to be understood: falsely {', '.join(alarms)}; rightly {', '.join(rightly)}"]

    def task_arrays(self, tasks: Sequence[Task]) -> dict[str, NDArray[Any]]:
        """label: str [E]. region: bool [E, H, W]."""
        commands = _commands(tasks)
        return {
            "label": np.array([command.label for command in commands]),
            "region": np.stack([command.region for command in commands]),
        }

    def satisfied_by(self, task: Task, goals: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which positions [M, 2] lie in the commanded region."""
        return np.asarray(task.meant.holds(goals)) if task.meant.region.any() else None

    def places(self, goals: NDArray[Any]) -> NDArray[np.int64]:
        """Cells."""
        row, column = np.floor(goals).astype(np.int64).T
        return np.asarray(row * self.layout.walls.shape[1] + column)

    def follow_task(self, instruction: str, seed: int, settings: Any) -> tuple[Task, str]:
        """Judged where all parts of the instruction name places of this maze."""
        region = self._named(instruction)
        # Nobody has said which cells satisfy other words: they are followed to the end; the reader judges.
        cells = np.zeros_like(self.layout.walls) if region is None else region  # [H, W]
        command = Command("in the person's own words", "instruction", "instruction", cells)
        self.maze.cells_asking(self.maze.check_command(command))
        task = replace(_asked(command, seed), text=instruction)
        return task, _judgement(self.layout.walls, region)

    def _named(self, instruction: str) -> NDArray[np.bool_] | None:
        from goalbridge.worlds.maze.words import NamedRegions

        return NamedRegions(self.layout)(instruction)


def _asked(command: Command, seed: int) -> Task:
    return Task(command.text, command.category, seed, options={"command": command}, meant=command)


def _commands(tasks: Sequence[Task]) -> list[Command]:
    return [task.meant for task in tasks]


def _judgement(walls: NDArray[np.bool_], region: NDArray[np.bool_] | None) -> str:
    if region is None:
        return "names no places of this maze: it is followed, but cannot be judged"
    if not region.any():
        return "is true of no cell of this maze: it is followed, in vain"
    return f"is true of {region.sum()} of the {(~walls).sum()} free cells"


def suite_commands(maze: PointMaze, episodes: int, seed: int) -> tuple[Command, ...]:
    """The ambiguous suite's commands in the order of its categories, the same for the same seed.

    episodes: how many are to be played; each category of `SATISFIABLE` has as many, rounded up, and four at least, so
    that held-out phrasings are of every kind of place. Left out are those that hold everywhere or cannot be reached, in
    mazes that have such places. ConfigError where none can be played.
    """
    each = max(-(-episodes // len(SATISFIABLE)), len(CATEGORIES))
    commands = tuple(command for command in draw_suite(maze.layout, each, seed) if _can_be_asked(maze, command))
    if not playable(commands):
        raise ConfigError(f"suite={AMBIGUOUS}: expected a maze in which some of it can be asked; try a larger one")
    return commands


def _can_be_asked(maze: PointMaze, command: Command) -> bool:
    try:
        maze.cells_asking(maze.check_command(command))
    except CommandError:
        return False
    return True


def playable(commands: Sequence[Command]) -> tuple[Command, ...]:
    """Those that something satisfies."""
    return tuple(command for command in commands if command.category in SATISFIABLE)


def not_understood(policy: Any, commands: Sequence[Command]) -> dict[str, dict[str, Any]]:
    """By category: how many different texts there are, and which of them the policy did not understand, [T] each.

    not_understood: for either reason. unknown: it does not know the words. contradictory: the parts exclude each other.
    Where something satisfies the commands, they are false alarms.
    """
    policy.goal_posterior(list(dict.fromkeys(command.text for command in commands)))  # reads all at once
    report = {}
    for category in dict.fromkeys(command.category for command in commands):
        texts = dict.fromkeys(command.text for command in commands if command.category == category)
        read = [policy.understand(text) for text in texts]
        report[category] = {
            "texts": len(texts),
            "not_understood": np.array([not one.understood for one in read], np.float64),
            "unknown": np.array([not one.known for one in read], np.float64),
            "contradictory": np.array([not one.consistent for one in read], np.float64),
        }
    return report
