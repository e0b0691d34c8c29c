"""Somebody's own words followed: how they were understood, where the agent went, and what it looked like."""

from __future__ import annotations

import importlib
import io
import math
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from rich.console import Console

from goalbridge.configs.checks import ConfigError, UserError
from goalbridge.encoders import check_instruction
from goalbridge.evaluation.evaluation import Evaluation
from goalbridge.evaluation.watch import MOST_FRAMES, Recording, frames, gif, png, record, write_pictures
from goalbridge.worlds import Task

SHOWN_LENGTH: Final = 100  # letters of an instruction
HELP: Final = "say where to go, a line each; arrows edit and bring back lines; help shows this; quit ends"
_LIKELIEST: Final = 3


def typed_lines() -> Iterator[str]:
    """The lines of standard input until its end; a person at a terminal gets a prompt, history, `help` and `quit`."""
    if sys.stdin is None:
        raise ConfigError("instruction=-: expected lines on standard input, got none: it is closed; try < lines.txt")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    prompt = ""
    if sys.stdin.isatty():
        prompt = "instruction> "
        with suppress(ImportError):
            importlib.import_module("readline")  # from here on, input() edits lines and remembers them
        print(HELP)
    while True:
        try:
            line = input(prompt)
        except EOFError:
            return
        if prompt and line.strip().lower() in ("quit", "exit"):
            return
        if prompt and line.strip().lower() in ("help", "?"):
            print(HELP)
            continue
        yield line


def follow_each(evaluation: Evaluation, lines: Iterable[str]) -> None:
    """Follows each instruction in turn, and goes on after one that cannot be followed; empty lines are skipped."""
    for number, line in enumerate((line for line in lines if line.strip()), start=1):
        try:
            follow(evaluation, line, f"instruction_{number}")
        except UserError as error:
            print(f"cannot be followed: {' '.join(str(error).split())}")


def follow(evaluation: Evaluation, instruction: str, name: str = "instruction") -> None:
    """Follows one instruction from a few starts: says how it was understood, where it ended, and draws it.

    Says too whether it was fulfilled, where the words are ones that the world can judge. name: of the files in
    run_dir/rollouts. Raises InstructionError for an empty one.
    """
    check_instruction(instruction)
    world, config, reader = evaluation.world, evaluation.config, evaluation.reader
    console = Console(markup=False)  # an instruction may hold brackets
    shown = textwrap.shorten(instruction, SHOWN_LENGTH, placeholder=" ...")
    count = max(1, config.rollouts)
    followed = [world.follow_task(instruction, config.seed + i, evaluation.settings) for i in range(count)]
    console.print(f"{shown!r} {followed[0][1]}", soft_wrap=True)
    recordings = [_played(evaluation, task, i) for i, (task, _) in enumerate(followed)]
    endings = [_ending(evaluation, recording) for recording in recordings]
    for line in [*_understood(evaluation, instruction, recordings[0]), *endings]:
        console.print(line, soft_wrap=True)
    if config.rollouts == 0:
        return
    believes = reader if evaluation.agent.has_goal_posterior else None
    drawn = [frames(world, recording, believes, shown, MOST_FRAMES) for recording in recordings]
    if all(drawn):
        pictures = {f"rollouts/{name}_{i}.gif": gif(every) for i, every in enumerate(drawn)}
        write_pictures(pictures | {f"rollouts/{name}_posterior.png": png(drawn[0][0])}, evaluation.folder)


def _played(evaluation: Evaluation, task: Task, key: int) -> Recording:
    stop = None
    if evaluation.world.ends_where_meant():
        there = evaluation.reader.fulfilment(task.text)
        stop = lambda observation: bool(there(observation))  # noqa: E731
    return record(evaluation.world, task, evaluation.reader, key, stop)


def _understood(evaluation: Evaluation, instruction: str, recording: Recording) -> list[str]:
    """What the agent took an instruction to mean, line by line."""
    found = evaluation.reader.understand(instruction, recording.moments[0].observation)
    said = [f"read as: {found.reading}"] if found.reading else []
    places = list(dict.fromkeys(evaluation.world.describe(goal) for goal in found.likeliest))[:_LIKELIEST]
    said.append(f"likeliest goals: {', '.join(places)}")
    said.append(f"meant: about {math.exp(found.entropy):.0f} of {found.goals} goals")
    if not found.known:
        said.append(
            f"not understood: familiarity {found.familiarity:.2f}; instructions that it knows have "
            f"{float(evaluation.agent.least_familiarity):.2f} or more"
        )
    if not found.consistent:
        said.append(f"not understood: the parts contradict each other (agreement {found.agreement:.1f} nats)")
    return said


def _ending(evaluation: Evaluation, recording: Recording) -> str:
    """Where an episode began and ended, and whether it is what was asked for, where anybody can say so."""
    episodes, (task,) = recording.outcome, recording.outcome.tasks
    world, path = evaluation.world, episodes.goals[0]
    outcome = ": it stands where it takes itself to be sent" if recording.stopped else ""
    meant = world.satisfied_by(task, path)  # [T + 1]
    if meant is not None:
        outcome += ": there" if meant[-1] else ": not there"
    return f"from {world.describe(path[0])} to {world.describe(path[-1])} in {episodes.steps[0]} steps{outcome}"
