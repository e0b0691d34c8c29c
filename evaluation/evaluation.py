"""One agent in its world: estimators compared in the same episodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from goalbridge.agents import Agent
from goalbridge.agents.device import resolve_device
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError, one_of
from goalbridge.configs.durable import write_atomically
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.registries import estimators, metrics
from goalbridge.configs.run_folder import read_run_config
from goalbridge.evaluation.metrics import UnderstandingRecord, measured
from goalbridge.evaluation.report import (
    LEGEND,
    Played,
    Results,
    category_tables,
    episodes_file,
    overall_table,
    slices_line,
    summary,
)
from goalbridge.evaluation.rollout import by_group, play, rows_of
from goalbridge.evaluation.statistics import estimated
from goalbridge.evaluation.watch import category_plot, frames, gif, png, record, write_pictures
from goalbridge.worlds import Actor, Begun, Metrics, Reference, Task, World, open_trained, require_same

PLOTTED: Final = range(3, 13)  # so many categories make a picture
_STARTS: Final = 200  # episodes at whose starts it is looked how far LogSumExp can be trusted


class Evaluation:
    """What evaluate.py does with one agent; all that is written lies in `folder`.

    world: that it was trained in. config: the common settings (`configs.evaluation`). settings: the world's own. Raises
    ConfigError where they ask for what this world or this agent cannot do.
    """

    def __init__(self, agent: Agent, world: World, config: Any, settings: Any, folder: Path) -> None:
        self.agent, self.world, self.config, self.settings, self.folder = agent, world, config, settings, folder
        self.references = world.references(agent, settings, config.seed)
        for name in config.estimators:
            one_of("estimators", name, (*estimators.names(), *self.references))
        self.estimators = tuple(dict.fromkeys(config.estimators or world.default_estimators(agent, settings)))
        self.tasks = world.tasks(agent, settings, config.episodes, config.seed)
        self.groups = by_group(self.tasks)
        self._health: dict[str, float] = {}
        self._policies = {name: self._policy(name) for name in self.estimators if name not in self.references}

    def _policy(self, name: str) -> Any:
        options = self.world.policy_options(self.agent, self.settings)
        return self.agent.policy(name, mask_blocked=self.config.mask_blocked, seed=self.config.seed, **options)

    @cached_property
    def reader(self) -> Any:
        """The policy by which it is told what the agent understands, and which follows somebody's own words."""
        return next(iter(self._policies.values()), None) or self._policy(self.agent.policy_config.name)

    @property
    def episodes_of(self) -> dict[str, Any]:
        """What decides on the episodes beside the settings of the evaluation."""
        return self.world.about(self.settings) | {"groups": list(self.groups)}

    def make(self, name: str) -> Reference:
        """Who plays under that name."""
        return self.references.get(name) or (lambda _tasks: self._policies[name])

    def play(self, report: Callable[[str], None] = lambda _: None) -> Results:
        """Each estimator's episodes and metrics by group: the same starts, instructions and noise for all.

        report: is told what is about to be played.
        """
        believed: dict[str, UnderstandingRecord] = {}
        results: dict[str, dict[str, Played]] = {}
        # All are made before anybody plays: what the last one cannot do is not to show at the end of an hour.
        players = {
            name: {group: self.make(name)(own) for group, own in self.groups.items()} for name in self.estimators
        }
        if all(player is None for made in players.values() for player in made.values()):
            asked = ", ".join(self.groups)
            raise ConfigError(f"estimators={self.estimators[0]}: expected one that can play {asked}; try random")
        for name in self.estimators:
            report(f"{len(self.tasks)} episodes of {name}")
            reads = name in self._policies and self.agent.has_goal_posterior and estimators.get(name).needs_goals
            begun = partial(self._take_in, believed, self._policies.get(name)) if reads and not believed else None
            episodes = play(self.world, self.tasks, partial(_made_for, players[name]), begun=begun)
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
        found: dict[str, Metrics] = {}
        for name, own in self.play().items():
            if len(own) == len(self.groups):
                columns = [played.metrics for played in own.values()]
                shared = [metric for metric in columns[0] if all(metric in column for column in columns)]
                found[name] = {metric: np.concatenate([column[metric] for column in columns]) for metric in shared}
        return found

    def compare(self) -> None:
        """Compares the estimators, prints the tables, writes evaluation.json, episodes.npz, plots and GIFs."""
        if not os.access(self.folder, os.W_OK):
            raise ConfigError(f"run_dir={self.folder}: expected a folder that can be written; try a copy of it")
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
        count = len(self.tasks) // len(self.groups) if self.world.grouped else len(self.tasks)
        about = self.world.about(self.settings) | {"episodes": count, "seed": self.config.seed}
        about |= {"bridge": self._health} if self._health else {}
        further = self.world.further_report(self.reader, self.settings, self.config.episodes, self.config.seed)
        found: dict[str, Any] = summary(self.world, results, about) | estimated(further)
        return found

    def _print(self, console: Console, report: dict[str, Any]) -> None:
        many = len(report["categories"]) > 1
        for table in category_tables(report, self.world.shown[1], console.width) if many else ():
            console.print(table)
            console.print()
        each = " each" if self.world.grouped and many else ""
        title = f"{report['env']}, {report['episodes']} paired episodes{each} (95 % intervals)"
        shown = dict.fromkeys([*self.world.shown, "mass", "first_guess", "wrong_visits", *metrics.names()])
        console.print(overall_table(report, title, tuple(shown)))
        console.print(LEGEND, soft_wrap=True)
        health = report.get("bridge")
        bridge = health and (
            f"bridge: {health['goals']:.0f} goals, effective sample size {health['effective_sample_size']:.0f}, "
            f"standard error of a score {health['standard_error']:.2f} nats (medians)"
        )
        for line in (bridge, slices_line(report), *self.world.notes(report)):
            if line:
                console.print(line, soft_wrap=True)

    def _plots(self, report: Mapping[str, Any]) -> dict[str, bytes]:
        if len(report["categories"]) not in PLOTTED:
            return {}
        shown = [metric for metric in (*self.world.shown[:2], "mass") if metric != "steps"]
        return {f"plots/{metric}.png": png(category_plot(report, metric)) for metric in shown}

    def _animations(self, results: Results) -> dict[str, bytes]:
        """GIFs of `rollouts` episodes of the first estimator that can be watched, the categories in turn."""
        if self.config.rollouts == 0:
            return {}
        for name in results:
            drawn = {}
            for number, (group, row) in enumerate(self._watched()):
                own = self.groups[group]
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
        for group, own in self.groups.items():
            for row, task in enumerate(own):
                places.setdefault(task.category, []).append((group, row))
        turns = chain.from_iterable(zip_longest(*places.values()))
        return [place for place in turns if place is not None][: self.config.rollouts]


def _made_for(players: Mapping[str, Any], tasks: Sequence[Task]) -> Any:
    return players[tasks[0].group]


def evaluation_of(config: EvaluateConfig) -> Evaluation:
    """The evaluation that the settings ask for, of the agent in run_dir, in the world that it was trained in."""
    folder = Path(config.run_dir)
    run = read_run_config(folder)
    settings = config.of_world(run.env.world)
    world = open_trained(run, folder, config.trust_remote_code)
    agent = Agent.from_pretrained(folder, resolve_device(config.device), config.trust_remote_code)
    require_same(world, agent.world, str(folder))
    return Evaluation(agent, world, config, settings, folder)
