"""One agent in its world: estimators compared in the same episodes, or somebody's own words followed."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError, one_of
from goalbridge.configs.durable import write_atomically
from goalbridge.configs.registries import estimators, metrics
from goalbridge.encoders import check_instruction
from goalbridge.evaluation.metrics import measured
from goalbridge.evaluation.report import (
    LEGEND,
    Played,
    Results,
    category_tables,
    overall_table,
    slices_line,
    summary,
    tasks_of,
)
from goalbridge.evaluation.rollout import Reword, by_group, play, rows_of
from goalbridge.evaluation.statistics import estimated
from goalbridge.evaluation.understanding import UnderstandingRecord
from goalbridge.evaluation.watch import MOST_FRAMES, Recording, frames, gif, png, record, write_pictures
from goalbridge.worlds import Actor, Begun, Metrics, Player, Reference, Task, World

SHOWN_LENGTH: Final = 100  # letters of an instruction
PLOTTED: Final = range(3, 13)  # so many categories make a picture
_LIKELIEST: Final = 3
_STARTS: Final = 200  # episodes at whose starts it is looked how far LogSumExp can be trusted


class Evaluation:
    """What evaluate.py does with one agent; all that is written lies in `folder`.

    world: that it was trained in. config: the common settings (`configs.evaluation`). settings: the world's own. Raises
    ConfigError where they ask for what this world or this agent cannot do.
    """

    def __init__(self, agent: Agent, world: World, config: Any, settings: Any, folder: Path) -> None:
        self.agent, self.world, self.config, self.settings, self.folder = agent, world, config, settings, folder
        self.references = world.references(agent, settings, config.seed)
        self.estimators = self._chosen()
        self.tasks = world.tasks(agent, settings, config.episodes, config.seed)
        self._health: dict[str, float] = {}
        self._policies = {name: self._policy(name) for name in self.estimators if name not in self.references}

    def _chosen(self) -> tuple[str, ...]:
        """The estimators to compare, each once; ConfigError for one that there is not."""
        possible = (*estimators.names(), *self.references)
        for name in self.config.estimators:
            one_of("estimators", name, possible)
        return tuple(dict.fromkeys(self.config.estimators or self.world.default_estimators(self.agent, self.settings)))

    def _policy(self, name: str) -> Any:
        options = self.world.policy_options(self.agent, self.settings)
        return self.agent.policy(name, mask_blocked=self.config.mask_blocked, seed=self.config.seed, **options)

    @cached_property
    def _reader(self) -> Any:
        """The policy by which it is told what the agent understands."""
        return next(iter(self._policies.values()), None) or self._policy(self.agent.policy_config.name)

    @property
    def episodes_of(self) -> dict[str, Any]:
        """What decides on the episodes beside the settings of the evaluation."""
        about = self.world.about(self.settings)
        return about | {"groups": list(by_group(self.tasks))}

    def make(self, name: str) -> Reference:
        """Who plays under that name."""
        return self.references.get(name) or (lambda _tasks: self._policies[name])

    def play(self, report: Callable[[str], None] = lambda _: None, reword: Reword | None = None) -> Results:
        """Each estimator's episodes and metrics by group: the same starts, instructions and noise for all.

        report: is told what is about to be played. reword: what the agent is told instead of a text.
        """
        believed: dict[str, UnderstandingRecord] = {}
        results: dict[str, dict[str, Played]] = {}
        groups = by_group(self.tasks)
        # All are made before anybody plays: what the last one cannot do is not to show at the end of an hour.
        players = {name: {group: self.make(name)(own) for group, own in groups.items()} for name in self.estimators}
        if all(player is None for made in players.values() for player in made.values()):
            asked = ", ".join(groups)
            raise ConfigError(f"estimators={self.estimators[0]}: expected one that can play {asked}; try random")
        for name in self.estimators:
            report(f"{len(self.tasks)} episodes of {name}")
            reads = name in self._policies and self.agent.has_goal_posterior and estimators.get(name).needs_goals
            begun = partial(self._take_in, believed, self._policies.get(name)) if reads and not believed else None
            episodes = play(self.world, self.tasks, partial(_of_group, players[name]), reword, begun)
            results[name] = {
                group: Played(own, measured(self.world, own, believed[group] if reads else None))
                for group, own in episodes.items()
            }
        return results

    def _take_in(self, believed: dict[str, UnderstandingRecord], policy: Any, begun: Begun) -> None:
        if not believed:
            self._health = self._bridge_health(begun)
        believed.setdefault(begun.tasks[0].group, UnderstandingRecord(self.world, policy)).add(begun)

    def _bridge_health(self, begun: Begun) -> dict[str, float]:
        """How far LogSumExp can be trusted at the starts of (at most `_STARTS`) episodes, medians.

        goals: M, of an episode. effective_sample_size: of those. standard_error: of a score, in nats.
        """
        rows = np.arange(min(len(begun.tasks), _STARTS))
        observation = rows_of(begun.observation["observation"], rows)
        texts = [task.text for task in begun.tasks[: len(rows)]]
        policy = self.agent.policy("logsumexp")
        size, error = policy.diagnose(observation, policy.act(observation, texts), texts)
        goals = policy.goals(observation)
        count = len(goals) if isinstance(goals, np.ndarray) else float(np.median([len(own) for own in goals]))
        return {
            "effective_sample_size": float(size.median()),
            "standard_error": float(error.median()),
            "goals": count,
        }

    def measure(self) -> dict[str, Metrics]:
        """Each estimator's metrics over the episodes of all groups; writes and prints nothing.

        Left out are estimators that do not play in all groups, and metrics that not all groups have.
        """
        results, groups = self.play(), by_group(self.tasks)
        found: dict[str, Metrics] = {}
        for name, own in results.items():
            if len(own) == len(groups):
                columns = [played.metrics for played in own.values()]
                shared = [metric for metric in columns[0] if all(metric in column for column in columns)]
                found[name] = {metric: np.concatenate([column[metric] for column in columns]) for metric in shared}
        return found

    def compare(self) -> None:
        """Compares the estimators, prints the tables, writes evaluation.json, episodes.npz, plots and GIFs."""
        console = Console()
        with console.status("") as status:
            results = self.play(status.update)
            status.update("intervals")
            report = self.report(results)
        write_json(self.folder / "evaluation.json", report)
        write_atomically(self.folder / "episodes.npz", episodes_file(self.world, results))
        self._print(console, report)
        write_pictures(self._plots(report) | self._animations(results), self.folder)
        written = f"wrote {self.folder / 'evaluation.json'} and {self.folder / 'episodes.npz'}"
        console.print(f"{written}; watch: tensorboard --logdir {self.folder}", soft_wrap=True)

    def report(self, results: Results) -> dict[str, Any]:
        """What evaluation.json holds."""
        groups = by_group(self.tasks)
        count = len(self.tasks) // len(groups) if self.world.grouped else len(self.tasks)
        about = self.world.about(self.settings) | {"episodes": count, "seed": self.config.seed}
        about |= {"bridge": self._health} if self._health else {}
        further = self.world.further_report(self._reader, self.settings, self.config.episodes, self.config.seed)
        found: dict[str, Any] = summary(self.world, results, about) | estimated(further)
        return found

    def _print(self, console: Console, report: Mapping[str, Any]) -> None:
        many = len(report["categories"]) > 1
        if many:
            for table in category_tables(dict(report), self.world.shown[1], console.width):
                console.print(table)
                console.print()
        each = " each" if self.world.grouped and many else ""
        title = f"{report['env']}, {report['episodes']} paired episodes{each} (95 % intervals)"
        shown = dict.fromkeys([*self.world.shown, "mass", "first_guess", "wrong_visits", *metrics.names()])
        console.print(overall_table(dict(report), title, tuple(shown)))
        console.print(LEGEND, soft_wrap=True)
        health = report.get("bridge")
        bridge = health and (
            f"bridge: {health['goals']:.0f} goals, effective sample size {health['effective_sample_size']:.0f}, "
            f"standard error of a score {health['standard_error']:.2f} nats (medians)"
        )
        for line in (bridge, slices_line(dict(report)), *self.world.notes(report)):
            if line:
                console.print(line, soft_wrap=True)

    def _plots(self, report: Mapping[str, Any]) -> dict[str, bytes]:
        if len(report["categories"]) not in PLOTTED:
            return {}
        from goalbridge.evaluation.plots import category_plot

        shown = [metric for metric in (*self.world.shown[:2], "mass") if metric != "steps"]
        return {f"plots/{metric}.png": png(category_plot(report, metric)) for metric in shown}

    def _animations(self, results: Results) -> dict[str, bytes]:
        """GIFs of `rollouts` episodes of the first estimator that can be watched, the categories in turn."""
        if self.config.rollouts == 0:
            return {}
        for name in results:
            drawn = {}
            for number, (group, row) in enumerate(self._watched()):
                own = [task for task in self.tasks if task.group == group]
                actor = self.make(name)(own)
                if not isinstance(actor, Actor):
                    break
                recording = record(self.world, own[row], actor, row)
                believes = self._policies.get(name) if self.agent.has_goal_posterior else None
                drawn[f"rollouts/{name}_{number}.gif"] = gif(frames(self.world, recording, believes))
            if drawn and not all(drawn.values()):
                print(f"no rollouts are drawn: {self.world.spec.env_id} offers no rgb_array pictures here")
                return {}
            if drawn:
                return drawn
        return {}

    def _watched(self) -> list[tuple[str, int]]:
        """Groups and rows in them of the episodes to be drawn: one of each category, then another of each, ..."""
        places: dict[str, list[tuple[str, int]]] = {}
        for group, own in by_group(self.tasks).items():
            for row, task in enumerate(own):
                places.setdefault(task.category, []).append((group, row))
        deepest = max(map(len, places.values()))
        turns = [own[turn] for turn in range(deepest) for own in places.values() if turn < len(own)]
        return turns[: self.config.rollouts]

    def follow(self, instruction: str, name: str = "instruction") -> None:
        """Follows one instruction from a few starts: says how it was understood, where it ended, and draws it.

        Says too whether it was fulfilled, where the words are ones that the world can judge. name: of the files in
        `folder`/rollouts.
        """
        check_instruction(instruction)
        console = Console(markup=False)  # an instruction may hold brackets
        shown = textwrap.shorten(instruction, SHOWN_LENGTH, placeholder=" ...")
        count = max(1, self.config.rollouts)
        followed = [self.world.follow_task(instruction, self.config.seed + i, self.settings) for i in range(count)]
        console.print(f"{shown!r} {followed[0][1]}", soft_wrap=True)
        recordings = [self._follow(task, i) for i, (task, _) in enumerate(followed)]
        for line in self._understood(instruction, recordings[0]):
            console.print(line, soft_wrap=True)
        for recording in recordings:
            console.print(self._ending(recording), soft_wrap=True)
        if self.config.rollouts == 0:
            return
        believes = self._reader if self.agent.has_goal_posterior else None
        drawn = [frames(self.world, recording, believes, shown, MOST_FRAMES) for recording in recordings]
        if all(drawn):
            pictures = {f"rollouts/{name}_{i}.gif": gif(every) for i, every in enumerate(drawn)}
            write_pictures(pictures | {f"rollouts/{name}_posterior.png": png(drawn[0][0])}, self.folder)

    def _follow(self, task: Task, key: int) -> Recording:
        policy = self._reader
        actor = next(iter(self._policies.values()), policy)
        stop = None
        if self.world.ends_where_meant():
            there = policy.fulfilment(task.text)
            stop = lambda observation: bool(there(observation))  # noqa: E731
        return record(self.world, task, actor, key, stop)

    def _understood(self, instruction: str, recording: Recording) -> list[str]:
        """What the agent took an instruction to mean, line by line."""
        found = self._reader.understand(instruction, recording.moments[0].observation)
        said = [f"read as: {found.reading}"] if found.reading else []
        places = list(dict.fromkeys(self.world.describe(goal) for goal in found.likeliest))[:_LIKELIEST]
        said.append(f"likeliest goals: {', '.join(places)}")
        said.append(f"meant: about {math.exp(found.entropy):.0f} of {found.goals} goals")
        if not found.known:
            said.append(
                f"not understood: familiarity {found.familiarity:.2f}; instructions that it knows have "
                f"{float(self.agent.least_familiarity):.2f} or more"
            )
        if not found.consistent:
            said.append(f"not understood: the parts contradict each other (agreement {found.agreement:.1f} nats)")
        return said

    def _ending(self, recording: Recording) -> str:
        """Where an episode began and ended, and whether it is what was asked for, where anybody can say so."""
        episodes, (task,) = recording.outcome, recording.outcome.tasks
        path = episodes.goals[0]
        outcome = ": it stands where it takes itself to be sent" if recording.stopped else ""
        meant = self.world.satisfied_by(task, path)  # [T + 1]
        if meant is not None:
            outcome += ": there" if meant[-1] else ": not there"
        places = f"from {self.world.describe(path[0])} to {self.world.describe(path[-1])}"
        return f"{places} in {episodes.steps[0]} steps{outcome}"


def _of_group(players: Mapping[str, Actor | Player | None], tasks: Sequence[Task]) -> Actor | Player | None:
    return players[tasks[0].group]


def episodes_file(world: World, results: Results) -> bytes:
    """Every episode of N estimators as an .npz without pickle, for `numpy.load`.

    group, category, text: str [E]. seed: int [E]. estimator: str [N]. Every metric: float64 [N, E], NaN where an
    estimator did not play, or the metric says nothing. Where there is one group, path: [N, E, T + 1, G], the goals
    achieved, the last one repeated. What the world adds: see `World.task_arrays`.
    """
    tasks = tasks_of(results)
    every = [task for own in tasks.values() for task in own]
    names = dict.fromkeys(m for own in results.values() for played in own.values() for m in played.metrics)
    arrays = {metric: np.stack([_column(own, tasks, metric) for own in results.values()]) for metric in names}
    if not world.grouped:
        arrays["path"] = _paths([path for own in results.values() for played in own.values() for path in played.goals])
        arrays["path"] = arrays["path"].reshape(len(results), len(every), *arrays["path"].shape[1:])
    buffer = io.BytesIO()
    said = {name: np.array([getattr(task, name) for task in every]) for name in ("group", "category", "text", "seed")}
    content: dict[str, Any] = {**said, "estimator": np.array(list(results)), **arrays, **world.task_arrays(every)}
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


def _column(own: Mapping[str, Played], tasks: Mapping[str, Sequence[Task]], metric: str) -> NDArray[np.float64]:
    """One metric of one estimator over all groups, [E]; NaN where it is not known."""
    unknown = {group: np.full(len(some), np.nan) for group, some in tasks.items()}
    return np.concatenate(
        [own[group].metrics.get(metric, unknown[group]) if group in own else unknown[group] for group in tasks]
    )


def _paths(paths: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Paths [t + 1, G] brought to one length, [P, T + 1, G]."""
    longest = max(map(len, paths))
    return np.stack([np.pad(path, ((0, longest - len(path)), (0, 0)), "edge") for path in paths])
