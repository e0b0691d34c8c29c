"""Point mazes as a `World`."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.agents.spec import CandidateActions, WorldSpec
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.registries import worlds
from goalbridge.configs.schema import RunConfig
from goalbridge.data import TrajectoryBuffer
from goalbridge.data.online import SelfPlayEnv
from goalbridge.envs.commands import Command, distinct_regions
from goalbridge.envs.expert import ShortestPaths, expert_directions, grid_shortest
from goalbridge.envs.maze import PointMazeVectorEnv
from goalbridge.envs.motion import STEP_SIZE, execution_kernel, unit_directions
from goalbridge.envs.places import CATEGORIES, MazePlaces
from goalbridge.envs.suite import COMPOUND, SATISFIABLE, MazeCompounds
from goalbridge.worlds._base import Begun, Episodes, Metrics, Reference, Task, first_goals, spl
from goalbridge.worlds.maze.collect import MazeSelfPlay, collect_maze
from goalbridge.worlds.maze.pictures import MazePictures
from goalbridge.worlds.maze.settings import MazeEvaluation, MazeSettings
from goalbridge.worlds.maze.words import NamedRegions, not_understood, playable, suite_commands

if TYPE_CHECKING:
    from goalbridge.agents import Agent

EPISODES: Final = 1000
WATCHING_GOALS: Final = 1000  # a fifth of the bridge is a fifth of the time, and near enough to watch by
LINE_ESTIMATORS: Final = ("logsumexp", "direct", "max", "sample", "limit", "random")
SUITE_ESTIMATORS: Final = (
    *("logsumexp", "resampled", "tempered", "max", "likeliest", "sample", "direct", "planned"),
    *("limit", "random"),
)


def make_world(
    config: MazeSettings,
    episodes: int,
    phrasings: str = "train",
    autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
) -> PointMazeVectorEnv:
    """A batch of `episodes` mazes; unless told otherwise, one that has ended begins anew in the next step.

    Raises ConfigError for an id that is no maze's, LayoutError for an unusable layout.
    """
    mazes = PointMazeVectorEnv.__module__
    known = [name for name, spec in gymnasium.registry.items() if str(spec.entry_point).startswith(mazes)]
    if config.id not in known:
        nearest = difflib.get_close_matches(config.id, known, n=1, cutoff=0.0)
        raise ConfigError(
            f"env.id={config.id}: expected one of this project's mazes; did you mean {nearest[0]}? "
            "A world of your own is env=own"
        )
    if not config.layout and config.id == "goalbridge/PointMaze-v0":
        raise ConfigError("env.layout: is empty; give a text file ('#' wall, '.' free), as in env.layout=my_maze.txt")
    layout: dict[str, Any] = {"layout": config.layout} if config.layout else {}
    made = gymnasium.make_vec(
        config.id,
        num_envs=episodes,
        phrasings=phrasings,
        action_noise_degrees=config.action_noise_degrees,
        max_episode_steps=config.max_episode_steps,
        autoreset_mode=autoreset_mode,
        **layout,
    )
    return cast(PointMazeVectorEnv, made.unwrapped)


@worlds.register("maze")
class MazeWorld(MazePictures):
    """One maze and its places; the `meant` of a task is a `Command`.

    Raises ConfigError for an id that is no maze's, LayoutError for an unusable layout.
    """

    Settings = MazeSettings
    EvaluationSettings = MazeEvaluation
    settings: MazeSettings
    shown = ("success", "spl_grid", "steps")

    def __init__(self, settings: MazeSettings) -> None:
        self.settings = settings
        mazes = make_world(settings, 1)
        self.maze, self.layout = mazes.world, mazes.layout
        self.layout_text = self.layout.to_text()
        self._directions = mazes.single_action_space
        further = MazeCompounds(self.layout).known if COMPOUND in settings.categories else ()
        places = [category for category in settings.categories if category != COMPOUND]
        self.captions = MazePlaces(self.layout, places or CATEGORIES, further)

    @property
    def spec(self) -> WorldSpec:
        low, high = (0.0, 0.0), tuple(float(side) for side in self.layout.walls.shape)
        fingerprint = hashlib.sha256(self.layout_text.encode()).hexdigest()[:16]
        return WorldSpec(self.settings.id, fingerprint, low, high, low, high, action_dim=2)

    def candidates(self, count: int) -> CandidateActions:
        """`count` directions, and what the noise makes of each."""
        return CandidateActions(unit_directions(count), execution_kernel(count, self.maze.action_noise_degrees))

    def action_pool(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        self._directions.seed(int(rng.integers(2**31)))
        return np.stack([self._directions.sample() for _ in range(count)])

    def collect(self, data: DataConfig, seed: int) -> TrajectoryBuffer:
        return collect_maze(self.layout, data, seed)

    def self_play(self, data: DataConfig, seed: int) -> SelfPlayEnv:
        """As many mazes as `data` says, which begin anew only when told to."""
        settings = replace(self.settings, max_episode_steps=data.walk_length)
        mazes = make_world(settings, data.environments, autoreset_mode=AutoresetMode.DISABLED)
        return MazeSelfPlay(mazes, self.settings.episode_segments if self.settings.start == "corner" else None)

    @classmethod
    def open_trained(cls, config: RunConfig, folder: Path) -> MazeWorld:
        """The maze that the run was trained in; a layout of the user's own is the copy that the run kept."""
        settings, kept = cast(MazeSettings, config.env), folder / "layout.txt"
        return cls(replace(settings, layout=str(kept)) if settings.layout and kept.is_file() else settings)

    # Episodes

    def tasks(self, agent: Agent, settings: Any, episodes: int | None, seed: int) -> tuple[Task, ...]:
        """Rows and columns as the mazes draw them, or the suite that the settings name."""
        canonical, count = agent.text.canonical, episodes or EPISODES
        if settings.suite:
            if canonical:
                raise ConfigError(
                    f"suite={settings.suite}: expected an agent that reads words, got one of encoder=label; "
                    "leave suite out, or train with encoder=sentence"
                )
            commands = playable(suite_commands(self.maze, count, seed))
            return tuple(_asked(command, seed + i) for i, command in enumerate(commands))
        split = "label" if canonical else settings.phrasings
        mazes = make_world(self.settings, count, split)
        mazes.reset(seed=seed)
        return tuple(
            Task(command.text, command.category, seed + i, options={"phrasings": split}, meant=command)
            for i, command in enumerate(mazes.current_commands)
        )

    def watched_tasks(self, agent: Agent, episodes: int, seed: int) -> tuple[Task, ...]:
        """The suite; an agent that reads labels is asked places by theirs."""
        commands = playable(suite_commands(self.maze, episodes, seed))
        if agent.text.canonical:
            spoken = set(self.settings.categories or CATEGORIES) & set(CATEGORIES)
            commands = tuple(replace(one, text=one.label) for one in commands if one.category in spoken)
        return tuple(_asked(command, seed + i) for i, command in enumerate(commands))

    def watching_options(self, agent: Agent) -> dict[str, Any]:
        return {"goals": agent.bridge_goals[:WATCHING_GOALS].cpu().numpy()}

    def begin(self, tasks: Sequence[Task], render: bool = False) -> Begun:
        """Mazes whose commands the tasks fix, or draw with the start."""
        commands = [task.options["command"] for task in tasks if "command" in task.options]
        mazes = make_world(self.settings, len(tasks), tasks[0].options.get("phrasings", "train"))
        options = {"instructions": commands} if commands else None
        observation, _ = mazes.reset(seed=[task.seed for task in tasks], options=options)
        return Begun(mazes, observation, tuple(tasks))

    def references(self, agent: Agent, settings: Any, seed: int) -> Mapping[str, Reference]:
        """limit: the optimal policy, that knows maze, command and noise: what no policy with these actions can pass on
        average. expert: as of the data, without noise. random: any direction."""

        def limit(tasks: Sequence[Task]) -> InformedActor:
            from goalbridge.envs.optimal import MazeValueIteration

            return InformedActor(tasks, MazeValueIteration(self.layout, self.maze.action_noise_degrees, count).act)

        def expert(tasks: Sequence[Task]) -> InformedActor:
            paths = ShortestPaths(self.layout)
            return InformedActor(tasks, lambda *seen: expert_directions(paths, *seen).astype(np.float32))

        count = self._weighed(agent, settings)
        random = RandomDirections(unit_directions(count), seed)
        return {"expert": expert, "limit": limit, "random": lambda _tasks: random}

    def _weighed(self, agent: Agent, settings: Any) -> int:
        return int(settings.candidate_actions or agent.policy_config.candidate_actions)

    def default_estimators(self, agent: Agent, settings: Any) -> tuple[str, ...]:
        """Those of the table of rows and columns, or of the suite's."""
        return SUITE_ESTIMATORS if settings.suite else LINE_ESTIMATORS

    def policy_options(self, agent: Agent, settings: Any) -> dict[str, Any]:
        return {
            "goals": first_goals(agent, settings.bridge_goals),
            "candidates": self.candidates(self._weighed(agent, settings)),
            "average_noise": settings.average_noise,
        }

    def metrics(self, episodes: Episodes) -> Metrics:
        """spl: against the true any-angle shortest path. spl_grid: against the 4-connected cells to the nearest
        satisfying one, less 1, for comparison with published figures. The path is steps x 0.5 cells in both."""
        from goalbridge.envs.optimal import geodesic_shortest

        starts = np.stack([path[0] for path in episodes.goals])  # [E, 2]
        regions, which = distinct_regions(_commands(episodes.tasks))  # [K, H, W], [E]
        shortest = {"spl": geodesic_shortest, "spl_grid": grid_shortest}
        return {
            name: spl(episodes.success, of(self.layout, starts, regions, which), episodes.steps * STEP_SIZE)
            for name, of in shortest.items()
        }

    def about(self, settings: Any) -> dict[str, Any]:
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
        return {"understood": not_understood(policy, suite_commands(self.maze, episodes or EPISODES, seed))}

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
        row, column = np.floor(goals).astype(np.int64).T
        return np.asarray(row * self.layout.walls.shape[1] + column)

    def follow_task(self, instruction: str, seed: int, settings: Any) -> tuple[Task, str]:
        """Judged where all parts of the instruction name places of this maze."""
        region, said = NamedRegions(self.layout).judgement(instruction)
        command = Command("in the person's own words", "instruction", "instruction", region)
        self.maze.cells_asking(self.maze.check_command(command))
        return replace(_asked(command, seed), text=instruction), said


class InformedActor:
    """An actor that is told each episode's command, which no trained policy is.

    act_for: directions [B, 2] from positions [B, 2], regions [K, H, W] and which of those each position's is, [B].
    """

    def __init__(self, tasks: Sequence[Task], act_for: Callable[..., NDArray[np.float32]]) -> None:
        self._regions, self._which = distinct_regions(_commands(tasks))  # [K, H, W], [E]
        self._act_for = act_for

    def reset(self) -> None:
        """Nothing is remembered of episodes."""

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        rows = np.arange(len(observation)) if episodes is None else np.asarray(episodes)
        return self._act_for(observation, self._regions, self._which[rows])


class RandomDirections:
    """Any of the candidate actions [A, D], each as likely."""

    def __init__(self, actions: NDArray[np.float32], seed: int) -> None:
        self._actions, self._seed = actions, seed
        self.reset()

    def reset(self) -> None:
        self._rng = np.random.default_rng(self._seed)

    def act(self, observation: Any, instructions: Sequence[str], episodes: Sequence[int] | None = None) -> NDArray[Any]:
        return self._actions[self._rng.integers(len(self._actions), size=len(observation))]


def _asked(command: Command, seed: int) -> Task:
    return Task(command.text, command.category, seed, options={"command": command}, meant=command)


def _commands(tasks: Sequence[Task]) -> list[Command]:
    return [task.meant for task in tasks]
