"""What evaluate.py does with the agent of a point maze: compares the estimators, or follows instructions."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from goalbridge.agents import Agent, Policy
from goalbridge.agents.storage import write_atomically, write_json
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.schema import EnvConfig
from goalbridge.encoders import check_instruction
from goalbridge.envs.commands import Command
from goalbridge.evaluation.compare import (
    EPISODES,
    ESTIMATORS,
    OWN_ESTIMATORS,
    Metrics,
    actor_for,
    bridge_health,
    chosen_estimators,
    compare,
    summary,
    table,
)
from goalbridge.evaluation.rollouts import Episodes, Instructed, play
from goalbridge.evaluation.suite import (
    SUITE_ESTIMATORS,
    episodes_file,
    playable,
    suite_commands,
    suite_summary,
    understood,
)
from goalbridge.evaluation.suite_plots import category_plot, write_pictures
from goalbridge.evaluation.suite_report import LEGEND, SHOWN, category_table, understood_table
from goalbridge.evaluation.suite_words import NamedRegions, plain_words
from goalbridge.evaluation.watch import gif, posterior_map, rollout_frames, write_animations
from goalbridge.evaluation.worlds import make_world, surface

SHOWN_LENGTH = 100


class MazeEvaluation:
    """One agent in the maze that it was trained in; all that is written lies in `folder`.

    phrasings: the wordings of the commands. Raises ConfigError where `config` asks for what mazes do not have.
    """

    def __init__(self, agent: Agent, config: EvaluateConfig, env: EnvConfig, folder: Path, phrasings: str) -> None:
        for name, value in (("levels", config.levels and f"[{', '.join(config.levels)}]"), ("view", config.view)):
            if value:
                raise ConfigError(
                    f"{name}={value}: is for BabyAI's agents; this one was trained in {env.id}; leave it out"
                )
        if config.bridge_goals is not None and config.bridge_goals > len(agent.bridge_goals):
            raise ConfigError(
                f"bridge_goals={config.bridge_goals}: the agent holds {len(agent.bridge_goals)}; "
                "at most that many would do"
            )
        if config.suite and agent.text.canonical:
            raise ConfigError(
                f"suite={config.suite}: is in words, which an agent of encoder=label cannot read; "
                "leave it out, or train one with encoder=sentence"
            )
        own = SUITE_ESTIMATORS if config.suite else OWN_ESTIMATORS
        self.estimators = chosen_estimators(config.estimators, own, ESTIMATORS)
        self.agent, self.env, self.folder, self.phrasings = agent, env, folder, phrasings
        self.config = replace(config, estimators=self.estimators)
        self.maze = surface(make_world(env, 1))

    @property
    def episodes_of(self) -> dict[str, Any]:
        """What decides, beside the settings of the evaluation, which episodes are played: env is the world's id."""
        env = self.env
        noise, steps = env.action_noise_degrees, env.max_episode_steps
        return {"env": env.id, "layout": self.agent.world.fingerprint, "noise": noise, "max_episode_steps": steps,
                "phrasings": self.phrasings}  # fmt: skip

    def measure(self) -> dict[str, Metrics]:
        """Each estimator's metrics [E]; writes and prints nothing."""
        commands = self._suite() if self.config.suite else None
        played = None if commands is None else playable(commands)
        return compare(self.agent, self.config, self.env, self.phrasings, played)[1]

    def _suite(self) -> tuple[Command, ...]:
        return suite_commands(self.maze.world, self.config.episodes or EPISODES, self.config.seed)

    def compare(self) -> None:
        """Compares the estimators, prints tables, writes evaluation.json, GIFs and TensorBoard animations.

        On rows and columns, or on the suite that `config` names; then also episodes.npz and plots.
        """
        if self.config.suite:
            self._compare_on_suite()
        else:
            self._compare_on_lines()

    def _compare_on_lines(self) -> None:
        agent, config, env = self.agent, self.config, self.env
        console = Console()
        count, first = config.episodes or EPISODES, self.estimators[0]
        with console.status(f"{count} episodes of {', '.join(self.estimators)}"):
            episodes, metrics = compare(agent, config, env, self.phrasings)
            report = summary(metrics, episodes, env.id, config.seed)
            policy = agent.policy("logsumexp")
            report["bridge"] = bridge_health(policy, episodes[first]) | {"goals": len(policy.goals)}
        write_json(self.folder / "evaluation.json", report)
        console.print(table(report))
        bridge = report["bridge"]
        console.print(
            f"bridge: {bridge['goals']} goals, effective sample size {bridge['effective_sample_size']:.0f}, "
            f"standard error of a score {bridge['standard_error']:.2f} nats (medians)",
            soft_wrap=True,
        )
        shown = min(config.rollouts, count)
        animations = {f"{first}_{i}": gif(rollout_frames(self.maze.layout, episodes[first], i)) for i in range(shown)}
        write_animations(animations, self.folder)
        console.print(
            f"wrote {self.folder / 'evaluation.json'}; watch: tensorboard --logdir {self.folder}", soft_wrap=True
        )

    def _compare_on_suite(self) -> None:
        config, folder = self.config, self.folder
        console = Console()
        commands = self._suite()
        played = playable(commands)
        with console.status("") as status:

            def begin(estimator: str) -> None:
                status.update(f"{len(played)} episodes of {estimator}")

            episodes, metrics = compare(self.agent, config, self.env, self.phrasings, played, begin)
            status.update("intervals and plots")
            report = suite_summary(metrics, episodes, self.env.id, config.seed)
            report["understood"] = understood(self._policy, commands)
            plots = {f"plots/{metric}": category_plot(report, metric) for metric in SHOWN}
        write_json(folder / "evaluation.json", report)
        write_atomically(folder / "episodes.npz", episodes_file(episodes, metrics))
        for metric in SHOWN:
            console.print(category_table(report, metric))
            console.print()
        console.print(LEGEND.format(first=self.estimators[0]))
        console.print()
        console.print(understood_table(report))
        write_animations(self._animations(episodes[self.estimators[0]]), folder)
        write_pictures(plots, folder)
        written = f"wrote {folder / 'evaluation.json'} and {folder / 'episodes.npz'}"
        console.print(f"{written}; watch: tensorboard --logdir {folder}", soft_wrap=True)

    def _animations(self, episodes: Episodes) -> dict[str, bytes]:
        """GIFs of `rollouts` episodes of the first estimator, spread over the categories."""
        count = min(self.config.rollouts, len(episodes.commands))
        animations = {}
        for i in [len(episodes.commands) * turn // count for turn in range(count)]:
            command = episodes.commands[i]
            frames = rollout_frames(self.maze.layout, episodes, i, self._heat(command.text))
            animations[f"{self.estimators[0]}_{command.category}_{i}"] = gif(frames)
        return animations

    @cached_property
    def _policy(self) -> Policy:
        """By which it is told what the agent understands; over as many bridge goals as `config` asks for."""
        policy: Policy = self.agent.policy("logsumexp", self._goals)
        return policy

    @property
    def _goals(self) -> NDArray[np.float32]:
        goals: NDArray[np.float32] = self.agent.bridge_goals.cpu().numpy()[: self.config.bridge_goals]  # [M, 2]
        return goals

    def _heat(self, text: str) -> NDArray[np.float64]:
        """How much of p(g | text) is in each cell, [H, W]."""
        return posterior_map(self.maze.layout, self._goals, self._policy.goal_posterior([text])[0])

    @cached_property
    def _named(self) -> NamedRegions:
        return NamedRegions(self.maze.layout)

    def follow(self, instruction: str, name: str = "instruction") -> None:
        """Follows one instruction from a few starts and draws it.

        Says what the agent understood and where it ended, and judges that if the words name places of this maze. name:
        of the files in `folder`/rollouts.
        """
        check_instruction(instruction)
        console = Console(markup=False)  # an instruction may hold brackets
        shown = textwrap.shorten(instruction, SHOWN_LENGTH, placeholder=" ...")
        region = self._named(instruction)
        # Nobody has said which cells satisfy other words: they are followed to the end; the reader judges.
        cells = np.zeros_like(self.maze.layout.walls) if region is None else region  # [H, W]
        command = Command("unjudged" if region is None else shown, "instruction", "instruction", cells)
        self.maze.world.cells_asking(self.maze.world.check_command(command))
        world = make_world(self.env, max(1, self.config.rollouts))
        actor = actor_for(self.estimators[0], self.agent, self.config, self.env, world, [command] * world.num_envs)
        understanding = self._policy.understand(instruction)
        console.print(f"{shown!r} {_judgement(self.maze.layout.walls, region)}", soft_wrap=True)
        for line in plain_words(understanding, self.agent, len(self._goals)):
            console.print(line, soft_wrap=True)
        episodes = play(world, Instructed(actor, instruction), self.config.seed, {"instruction": command})
        for i in range(world.num_envs):
            console.print(_ending(episodes, i), soft_wrap=True)
        heat = self._heat(instruction)
        every = [rollout_frames(self.maze.layout, episodes, i, heat, shown) for i in range(world.num_envs)]
        write_animations({f"{name}_{i}": gif(frames) for i, frames in enumerate(every)}, self.folder)
        write_pictures({f"rollouts/{name}_posterior": every[0][0]}, self.folder)


def _judgement(walls: NDArray[np.bool_], region: NDArray[np.bool_] | None) -> str:
    if region is None:
        return "names no places of this maze: it is followed, but cannot be judged"
    if not region.any():
        return "is true of no cell of this maze: it is followed, in vain"
    return f"is true of {region.sum()} of the {(~walls).sum()} free cells"


def _ending(episodes: Episodes, i: int) -> str:
    """Where an episode began and ended, and whether the command holds there, if anything can satisfy it."""
    start, end = episodes.path(i)[0], episodes.path(i)[-1]
    outcome = ""
    if episodes.commands[i].region.any():
        outcome = ": there" if episodes.success[i] else ": not there"
    places = f"from ({start[0]:.1f}, {start[1]:.1f}) to ({end[0]:.1f}, {end[1]:.1f})"
    return f"{places} in {episodes.steps[i]} steps{outcome}"
