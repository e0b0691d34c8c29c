"""Evaluate a trained agent: a table with intervals, evaluation.json and rollout GIFs, all in its run_dir.

python evaluate.py run_dir=runs/fork episodes=1000
python evaluate.py run_dir=pretrained/fork_maze estimators=[logsumexp,direct,limit]
python evaluate.py run_dir=runs/fork instruction="go to row 3"
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from agents import Agent
from agents.storage import write_atomically, write_json
from configs.load import command_line
from configs.run_folder import read_run_config
from configs.schema import ConfigError, EnvConfig, EvaluateConfig, RunConfig
from encoders import check_instruction
from envs.commands import Command
from evaluation.compare import actor_for, bridge_health, compare, summary, table
from evaluation.errors import EXPECTED
from evaluation.rollouts import Instructed, play
from evaluation.watch import add_animation, gif, posterior_map, rollout_frames
from evaluation.worlds import make_world, require_same_world, resolve_device, surface

SHOWN_LENGTH = 100


def trained_env(run: RunConfig, folder: Path) -> EnvConfig:
    """The world that the run was trained in; a layout of the user's own is the copy that the run kept."""
    kept = folder / "layout.txt"
    return replace(run.env, layout=str(kept)) if run.env.layout and kept.is_file() else run.env


def main(config: EvaluateConfig) -> None:
    """Evaluates the agent of one run_dir as `config` says."""
    torch.set_flush_denormal(True)
    folder = Path(config.run_dir)
    run = read_run_config(folder)
    env = trained_env(run, folder)
    agent = Agent.from_pretrained(folder, resolve_device(config.device))
    require_same_world(agent.world, make_world(env, 1), env.id, str(folder))
    if config.bridge_goals is not None and config.bridge_goals > len(agent.bridge_goals):
        stored = len(agent.bridge_goals)
        raise ConfigError(f"bridge_goals={config.bridge_goals}: the agent holds {stored}; at most that many would do")
    if config.instruction is not None:
        check_instruction(config.instruction)
        follow(agent, config.instruction, config, env, folder)
    else:
        evaluate(agent, config, env, folder, "label" if run.encoder.kind == "label" else config.phrasings)


def evaluate(agent: Agent, config: EvaluateConfig, env: EnvConfig, folder: Path, phrasings: str) -> None:
    """Compares the estimators, prints the table, writes evaluation.json, GIFs and TensorBoard animations."""
    console = Console()
    with console.status(f"{config.episodes} episodes of {', '.join(config.estimators)}"):
        episodes, metrics = compare(agent, config, env, phrasings)
        report = summary(metrics, episodes, env.id, config.seed)
        policy = agent.policy("logsumexp")
        report["bridge"] = bridge_health(policy, episodes[config.estimators[0]]) | {"goals": len(policy.goals)}
    write_json(folder / "evaluation.json", report)
    console.print(table(report))
    bridge = report["bridge"]
    console.print(
        f"bridge: {bridge['goals']} goals, effective sample size {bridge['effective_sample_size']:.0f}, "
        f"standard error of a score {bridge['standard_error']:.2f} nats (medians)",
        soft_wrap=True,
    )
    layout = surface(make_world(env, 1)).layout
    name = config.estimators[0]
    shown = min(config.rollouts, config.episodes)
    animations = {f"{name}_{i}": gif(rollout_frames(layout, episodes[name], i)) for i in range(shown)}
    _write_animations(animations, folder)
    console.print(f"wrote {folder / 'evaluation.json'}; watch: tensorboard --logdir {folder}", soft_wrap=True)


def follow(agent: Agent, instruction: str, config: EvaluateConfig, env: EnvConfig, folder: Path) -> None:
    """Follows one instruction from a few starts; says where it ended, draws it, and judges it if it is a command."""
    console = Console(markup=False)  # an instruction may hold brackets
    shown = textwrap.shorten(instruction, SHOWN_LENGTH, placeholder=" ...")
    world = make_world(env, max(1, config.rollouts))
    maze = surface(world)
    command = maze.commands.parse(instruction)
    if command is None:
        # Nobody has said which cells satisfy these words: follow them to the end, and leave the judging to the reader.
        command = Command("unjudged", "unjudged", "unjudged", np.zeros_like(maze.layout.walls))
        console.print(f"{shown!r} is none of this maze's commands: it is followed, but cannot be judged")
    actor = Instructed(actor_for(config.estimators[0], agent, config, env, world, [command]), instruction)
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
        f"instruction_{i}": gif(rollout_frames(maze.layout, episodes, i, heat, shown)) for i in range(world.num_envs)
    }
    _write_animations(animations, folder)


def _write_animations(animations: dict[str, bytes], folder: Path) -> None:
    writer = SummaryWriter(str(folder))
    for name, animation in animations.items():
        path = folder / "rollouts" / f"{name}.gif"
        write_atomically(path, animation)
        add_animation(writer, f"rollouts/{name}", animation, 0)
        print(f"rollout: {path}")
    writer.close()


if __name__ == "__main__":
    command_line("evaluate", EvaluateConfig, main, EXPECTED)
