"""A script's command line: its settings, --help and -m, and a line for what people mistype.

Nothing heavy is imported here: a script imports what it runs with once its settings are known to be good.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from goalbridge.configs.checks import ConfigError, UserError, require
from goalbridge.configs.compose import SCRIPTS, Composer, settings
from goalbridge.configs.failing import fail
from goalbridge.configs.help import help_text

MULTIRUN: Final = ("-m", "--multirun")
HELP: Final = ("-h", "--help")
INSTALLED: Final = "goalbridge-"
T = TypeVar("T")


def command_line(
    kind: type[T], usage: str, run: Callable[[T], None], sweep: Callable[[list[str]], int] | None = None
) -> None:
    """Runs `run` with the settings of the command line; with -m, `sweep` with the other arguments.

    usage: the first part of what --help prints. Bad settings, and a `UserError` of `run`, end the process with one line
    on stderr and exit code 2. A sweep ends it with the exit code that it returns.
    """
    warnings.formatwarning = lambda message, *_arguments, **_options: f"warning: {message}\n"
    arguments = sys.argv[1:]
    options = [argument for argument in arguments if argument in (*MULTIRUN, *HELP)]
    given = [argument for argument in arguments if argument not in options]
    try:
        _refuse_mistyped(kind, given)
        if set(options) & set(HELP):
            print(help_text(kind, as_called(usage), given))
            return
        if options:
            script = SCRIPTS[kind]
            require(sweep is not None, options[0], script, "is for train.py; run_dir='runs/sweep/*' evaluates a sweep")
            raise SystemExit(sweep(given))  # type: ignore[misc]
        values = settings(kind, given)
    except ConfigError as error:
        fail(error, everywhere=True)
    try:
        run(values)
    except UserError as error:
        fail(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python would still flush there
        fail(UserError("standard output was closed before all was printed; try > FILE, and look at that"))
    except OSError as error:
        fail(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def as_called(text: str) -> str:
    """A text whose commands are those of a clone, for who called an installed script: `goalbridge-train`, ..."""
    if not Path(sys.argv[0]).name.startswith(INSTALLED):
        return text
    text = re.sub(r"python (train|evaluate)\.py", rf"{INSTALLED}\1", text)
    return re.sub(r"(torchrun .*?)(train)\.py", r"\1-m goalbridge.\2", text)


def _refuse_mistyped(kind: type[Any], arguments: Sequence[str]) -> None:
    """ConfigError for the first argument that is no setting=value, with what to type instead."""
    for i, given in enumerate(arguments):
        following = next(iter(arguments[i + 1 :]), "")
        if given.startswith("-"):
            name, _, value = given.lstrip("-").partition("=")
            near = difflib.get_close_matches(given, [*MULTIRUN, *HELP], n=1, cutoff=0.7)
            instead = near[0] if near else f"{name or 'setting'}={value or _value(following)}"
            raise ConfigError(f"{given}: expected setting=value; try {instead}")
        if "=" not in given and not given.startswith("~"):
            before = _words_before(arguments[:i])
            words = [*before, given]
            for word in arguments[i + 1 :]:
                if "=" in word:
                    break
                words.append(word)
            instead = _instead(kind, given) if not before else _whole(words)
            raise ConfigError(f"{given}: must be written setting=value{instead}")


def _value(following: str) -> str:
    return following if following and "=" not in following and not following.startswith("-") else "..."


def _words_before(arguments: Sequence[str]) -> list[str]:
    """The last argument, if a text may have begun in it."""
    return [arguments[-1]] if arguments and "=" in arguments[-1] and arguments[-1].partition("=")[2] else []


def _whole(words: Sequence[str]) -> str:
    name, _, first = words[0].partition("=")
    return f"; if it belongs to {name}, try {name}={shlex.quote(' '.join([first, *words[1:]]))}"


def _instead(kind: type[Any], given: str) -> str:
    """What somebody may have meant who typed no more than a value."""
    with Composer(kind) as composer:
        groups = [name for name, choices in composer.groups().items() if given in choices]
    if groups:
        return f"; try {groups[-1]}={given}"
    if "/" in given or Path(given).is_dir():
        return f"; try run_dir={shlex.quote(given)}"
    return ", such as seed=1"
