"""What evaluate.py does with the agent of a point maze: compares the estimators, or follows one instruction."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from rich.console import Console

from agents import Agent
from agents.storage import write_json
from configs.schema import ConfigError, EnvConfig, EvaluateConfig
from envs.commands import Command
from evaluation.compare import (
    EPISODES,
    ESTIMATORS,
    OWN_ESTIMATORS,
    actor_for,
    bridge_health,
    chosen_estimators,
    compare,
    summary,
    table,
)
from evaluation.rollouts import Instructed, play
from evaluation.watch import gif, posterior_map, rollout_frames, write_animations
from evaluation.worlds import make_world, surface

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
        self.estimators = chosen_estimators(config.estimators, OWN_ESTIMATORS, ESTIMATORS)
        self.agent, self.config, self.env, self.folder, self.phrasings = agent, config, env, folder, phrasings

    def compare(self) -> None:
        """Compares the estimators, prints the table, writes evaluation.json, GIFs and TensorBoard animations."""
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
        layout = surface(make_world(env, 1)).layout
        shown = min(config.rollouts, count)
        animations = {f"{first}_{i}": gif(rollout_frames(layout, episodes[first], i)) for i in range(shown)}
        write_animations(animations, self.folder)
        console.print(
            f"wrote {self.folder / 'evaluation.json'}; watch: tensorboard --logdir {self.folder}", soft_wrap=True
        )

    def follow(self, instruction: str) -> None:
        """Follows one instruction from a few starts; says where it ended, draws it, judges it if it is a command."""
        agent, config, env = self.agent, self.config, self.env
        console = Console(markup=False)  # an instruction may hold brackets
        shown = textwrap.shorten(instruction, SHOWN_LENGTH, placeholder=" ...")
        world = make_world(env, max(1, config.rollouts))
        maze = surface(world)
        command = maze.commands.parse(instruction)
        if command is None:
            # Nobody has said which cells satisfy these words: follow them to the end; the reader judges.
            command = Command("unjudged", "unjudged", "unjudged", np.zeros_like(maze.layout.walls))
            console.print(f"{shown!r} is none of this maze's commands: it is followed, but cannot be judged")
        actor = Instructed(actor_for(self.estimators[0], agent, config, env, world, [command]), instruction)
        posterior = agent.policy().goal_posterior([instruction])[0]  # [M]
        goals = agent.bridge_goals.cpu().numpy()  # [M, 2]
        likeliest = goals[np.argsort(-posterior)[:3]]
        console.print("likeliest goals (row, column): " + ", ".join(f"({r:.1f}, {c:.1f})" for r, c in likeliest))
        episodes = play(world, actor, config.seed, {"instruction": command})
        for i in range(world.num_envs):
            start, end = episodes.path(i)[0], episodes.path(i)[-1]
            outcome = "" if command.category == "unjudged" else (": there" if episodes.success[i] else ": not there")
            places = f"from ({start[0]:.1f}, {start[1]:.1f}) to ({end[0]:.1f}, {end[1]:.1f})"
            console.print(f"{places} in {episodes.steps[i]} steps{outcome}")
        heat = posterior_map(maze.layout, goals, posterior)
        animations = {
            f"instruction_{i}": gif(rollout_frames(maze.layout, episodes, i, heat, shown))
            for i in range(world.num_envs)
        }
        write_animations(animations, self.folder)
