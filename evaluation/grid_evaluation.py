"""What evaluate.py does with an agent of BabyAI's levels: compares the estimators, or follows one instruction."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.levels import LEVELS, level
from goalbridge.envs.babyai.phrasing import other_action
from goalbridge.evaluation.grid_actors import BOT, grid_actor, grid_estimators
from goalbridge.evaluation.grid_compare import Outcomes, compare_level, reworder
from goalbridge.evaluation.grid_follow import Fulfilment, is_true_of, likeliest_places
from goalbridge.evaluation.grid_metrics import METRICS, columns
from goalbridge.evaluation.grid_report import level_table, overall_table, slices_line, summary
from goalbridge.evaluation.grid_watch import Recording, record, recording_frames
from goalbridge.evaluation.grid_world import GridHome
from goalbridge.evaluation.watch import gif, write_animations

EPISODES = 100  # of each level
SHOWN_LENGTH = 100
NOTE = "steps: a failure counts as its level's own limit"
BOT_NOTE = "; the bot sees 7 x 7 cells, whatever the view"


class GridEvaluation:
    """One agent in levels of BabyAI; all that is written lies in `folder`.

    Raises ConfigError where `config` asks for what grids or this agent cannot do, LevelError for unknown levels.
    """

    def __init__(self, agent: Agent, config: EvaluateConfig, world: GridHome, folder: Path) -> None:
        _refuse_maze_settings(config)
        self.agent, self.config, self.folder = agent, config, folder
        assert isinstance(world.captions, GridCaptions)
        self.captions = world.captions
        self.env_id, self.first_level = world.env.id, world.levels[0]
        self.levels = tuple(dict.fromkeys(level(name).name for name in config.levels)) or self._readable_levels()
        self.estimators = grid_estimators(agent, config.estimators)
        self.view = config.view or world.env.view
        self.episodes = config.episodes or EPISODES
        self.reword = reworder(agent, self.captions)
        if self.estimators == (BOT,) and all(LEVELS[name].family == "four_rooms" for name in self.levels):
            raise ConfigError("estimators=bot: cannot read the commands of FourRooms; random would do")

    def _readable_levels(self) -> tuple[str, ...]:
        """All levels, but for an agent without language those of sequences, which no label words."""
        skipped = ("sequence",) if self.agent.text.canonical else ()
        return tuple(name for name, known in LEVELS.items() if known.family not in skipped)

    @property
    def episodes_of(self) -> dict[str, Any]:
        """What decides, beside the settings of the evaluation, which episodes are played: env is the world's id."""
        return {"env": self.env_id, "levels": self.levels, "view": self.view}

    def measure(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Each estimator's metrics [E] over the episodes of all levels; writes and prints nothing.

        Left out are estimators that do not play in all levels, and metrics that not all levels have.
        """
        by_level = [
            {name: columns(outcome) for name, outcome in outcomes.items()}
            for outcomes in self._play(lambda _: None).values()
        ]
        return {
            name: {
                metric: np.concatenate([level[name][metric] for level in by_level])
                for metric in METRICS
                if all(metric in level[name] for level in by_level)
            }
            for name in self.estimators
            if all(name in level for level in by_level)
        }

    def _play(self, report: Callable[[str], None]) -> dict[str, Outcomes]:
        """The outcomes of each level. report: is told what is about to be played."""
        played = {}
        for place, name in enumerate(self.levels, start=1):
            where = f"{self.episodes} episodes of {name} ({place} of {len(self.levels)})"
            played[name] = compare_level(
                name,
                self.estimators,
                self.agent,
                self.config,
                self.episodes,
                self.view,
                self.reword,
                lambda estimator, where=where: report(f"{where}: {estimator}"),  # type: ignore[misc]
            )
        return played

    def compare(self) -> None:
        """Compares the estimators, prints the tables, writes evaluation.json, GIFs and TensorBoard animations."""
        console = Console()
        with console.status("") as status:
            played = self._play(status.update)
        about = {"env": self.env_id, "episodes": self.episodes, "seed": self.config.seed, "view": self.view}
        report = summary(played, self.estimators, about)
        write_json(self.folder / "evaluation.json", report)
        console.print(level_table(report, console.width))
        console.print()
        console.print(overall_table(report))
        console.print()
        console.print(slices_line(report), soft_wrap=True)
        console.print(NOTE + BOT_NOTE * (BOT in self.estimators), soft_wrap=True)
        self._draw()
        written = self.folder / "evaluation.json"
        console.print(f"wrote {written}; watch: tensorboard --logdir {self.folder}", soft_wrap=True)

    def _draw(self) -> None:
        """Draws the first episodes of the first estimator but the bot, which plays without being watched."""
        names = [name for name in self.estimators if name != BOT]
        if not names:
            return
        animations = {}
        for name, episode in self._watched():
            actor = grid_actor(names[0], self.agent, self.config)
            recording = record(name, actor, episode, self.config.seed, self.view, self.reword)
            believes = self.agent.policy(names[0]) if names[0] != "random" else None
            animations[f"{name}_{names[0]}_{episode}"] = gif(recording_frames(recording, believes))
        write_animations(animations, self.folder)

    def _watched(self) -> list[tuple[str, int]]:
        """Levels and numbers of the episodes to be drawn, `rollouts` in all: families of levels in turn."""
        families: dict[str, list[str]] = {}
        for name in self.levels:
            families.setdefault(LEVELS[name].family, []).append(name)
        turns = [name for name in chain.from_iterable(zip_longest(*families.values())) if name is not None]
        every = [(name, episode) for episode in range(self.episodes) for name in turns]
        return every[: self.config.rollouts]

    def follow(self, instruction: str, name: str = "instruction") -> None:
        """Follows one instruction in a few layouts; says where it ended and draws it, in files of that name."""
        console = Console(markup=False)  # an instruction may hold brackets
        shown = textwrap.shorten(instruction, SHOWN_LENGTH, placeholder=" ...")
        level = self.levels[0] if self.config.levels else self.first_level
        label = self.captions.label_id(instruction)
        known = "is in no caption" if label is None else f"words the caption {self.captions.labels[label]!r}"
        if (action := other_action(instruction)) is not None:
            known = f"asks to {action}, a mission of other levels: this agent goes to things and places, and no more"
        console.print(
            f"{shown!r} {known}; no verifier judges it: in layouts of {level}, it is followed until the agent stands "
            "where it thinks that it was sent, or to the level's limit of steps",
            soft_wrap=True,
        )
        estimator = next((chosen for chosen in self.estimators if chosen != BOT), self.agent.policy_config.name)
        told = instruction if self.reword is None else self.reword(instruction)
        animations = {}
        for episode in range(max(1, self.config.rollouts)):
            actor = grid_actor(estimator, self.agent, self.config)
            there = Fulfilment(self.agent, told)
            recording = record(level, actor, episode, self.config.seed, self.view, lambda _: told, there)
            policy = self.agent.policy()
            places = likeliest_places(policy, recording.moments[0], told)
            console.print(f"likeliest goals: {', '.join(places)}", soft_wrap=True)
            console.print(self._ending(recording, label), soft_wrap=True)
            animations[f"{name}_{episode}"] = gif(recording_frames(recording, policy, shown))
        write_animations(animations, self.folder)

    def _ending(self, recording: Recording, label: int | None) -> str:
        """Where a recording ended and why, and whether the caption is true there, if the instruction words one."""
        start, end = recording.path[0], recording.path[-1]
        why = "stands where it thinks that it was sent" if recording.stopped else "the level's limit of steps"
        judged = ""
        if label is not None:
            judged = (
                "; the caption is true there"
                if is_true_of(self.captions, label, recording)
                else "; it is not true there"
            )
        steps = len(recording.moments) - 1
        return f"from ({start[0]}, {start[1]}) to ({end[0]}, {end[1]}) in {steps} steps: {why}{judged}"


def _refuse_maze_settings(config: EvaluateConfig) -> None:
    for name in ("candidate_actions", "average_noise", "bridge_goals"):
        value = getattr(config, name)
        if value is not None:
            raise ConfigError(
                f"{name}={value}: is for point mazes; grids have four actions and goals of their own; leave it out"
            )
    if config.phrasings != "held_out":
        raise ConfigError(
            f"phrasings={config.phrasings}: is for point mazes; BabyAI's missions are the levels' own; leave it out"
        )
