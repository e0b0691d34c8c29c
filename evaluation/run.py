"""One evaluation, of a run or of all that a pattern matches; or an instruction that is followed."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from goalbridge.agents import Agent
from goalbridge.agents.device import resolve_device
from goalbridge.configs.checks import ConfigError, UserError
from goalbridge.configs.evaluation import LINES, EvaluateConfig
from goalbridge.configs.run_folder import read_run_config
from goalbridge.encoders import check_instruction
from goalbridge.evaluation.aggregate import aggregate, is_pattern
from goalbridge.evaluation.evaluation import Evaluation
from goalbridge.worlds import open_trained, require_same


def evaluation_of(config: EvaluateConfig) -> Evaluation:
    """The evaluation that the settings ask for, of the agent in run_dir, in the world that it was trained in."""
    folder = Path(config.run_dir)
    run = read_run_config(folder)
    settings = config.of_world(run.env.world)
    world = open_trained(run, folder)
    agent = Agent.from_pretrained(folder, resolve_device(config.device))
    require_same(world, agent.world, str(folder))
    return Evaluation(agent, world, config, settings, folder)


def typed_lines() -> Iterator[str]:
    """The lines of standard input until its end; a person at a terminal is shown a prompt for each."""
    if sys.stdin is None:
        raise ConfigError("instruction=-: expected lines on standard input, got none: it is closed; try < lines.txt")
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


def evaluate(config: EvaluateConfig) -> None:
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
