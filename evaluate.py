"""Evaluate a trained agent: a table with intervals, evaluation.json and rollout GIFs, all in its run_dir.

python evaluate.py run_dir=runs/fork episodes=1000
python evaluate.py run_dir=pretrained/fork_maze estimators=[logsumexp,direct,limit]
python evaluate.py run_dir=runs/fork suite=ambiguous
python evaluate.py run_dir=runs/fork instruction="go to row 3 or column 5"
python evaluate.py run_dir=runs/fork instruction=-    # each line of standard input
python evaluate.py run_dir=runs/babyai levels=[GoToLocal,GoTo] episodes=50 view=partial
python evaluate.py run_dir=runs/babyai instruction="go to a red thing"
python evaluate.py run_dir='runs/sweep/*'             # all runs of a sweep: groups by settings, intervals over seeds
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from goalbridge.agents import Agent
from goalbridge.configs.checks import UserError
from goalbridge.configs.evaluation import LINES, EvaluateConfig
from goalbridge.configs.load import command_line
from goalbridge.configs.run_folder import read_run_config
from goalbridge.encoders import check_instruction
from goalbridge.evaluation.aggregate import aggregate, is_pattern
from goalbridge.evaluation.evaluation import Evaluation
from goalbridge.training.device import resolve_device
from goalbridge.worlds import open_trained, require_same


def evaluation_of(config: EvaluateConfig) -> Evaluation:
    """The evaluation that the settings ask for, of the agent in run_dir, in the world that it was trained in."""
    folder = Path(config.run_dir)
    run = read_run_config(folder)
    world = open_trained(run, folder)
    agent = Agent.from_pretrained(folder, resolve_device(config.device))
    require_same(world, agent.world, str(folder))
    return Evaluation(agent, world, config, config, folder)


def typed_lines() -> Iterator[str]:
    """The lines of standard input until its end; a person at a terminal is shown a prompt for each."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    prompt = "instruction> " if sys.stdin.isatty() else ""
    while True:
        try:
            line = input(prompt)
        except EOFError:
            return
        yield line


def follow_each(evaluation: Evaluation, lines: Iterable[str]) -> None:
    """Follows each instruction in turn, and goes on after one that cannot be followed; empty lines are skipped."""
    for number, line in enumerate((line for line in lines if line.strip()), start=1):
        try:
            check_instruction(line)
            evaluation.follow(line, f"instruction_{number}")
        except UserError as error:
            print(f"cannot be followed: {' '.join(str(error).split())}")


def main(config: EvaluateConfig) -> None:
    """Evaluates the agent of one run_dir, or those of all that match a pattern, as `config` says."""
    torch.set_flush_denormal(True)
    if is_pattern(config.run_dir):
        aggregate(config, evaluation_of)
        return
    evaluation = evaluation_of(config)
    if config.instruction is None:
        evaluation.compare()
    elif config.instruction == LINES:
        follow_each(evaluation, typed_lines())
    else:
        check_instruction(config.instruction)
        evaluation.follow(config.instruction)


def command() -> None:
    """What `goalbridge-evaluate` runs."""
    command_line("evaluate", EvaluateConfig, main)


if __name__ == "__main__":
    command()
