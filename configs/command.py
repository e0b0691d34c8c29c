"""A script's command line: its settings, --help, --cfg job and -m, and a line for what people mistype.

Nothing heavy is imported here: a script imports what it runs with once its settings are known to be good.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
import os
import re
import shlex
import sys
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from omegaconf import OmegaConf

from goalbridge.configs.checks import ConfigError, UserError, require
from goalbridge.configs.compose import SCRIPTS, Composer, settings
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.failing import fail
from goalbridge.configs.load import settings_in
from goalbridge.configs.world_settings import evaluation_of

MULTIRUN: Final = ("-m", "--multirun")
HELP: Final = ("-h", "--help")
SHOW: Final = (("--cfg", "job"), ("-c", "job"))  # as Hydra's own command lines take it
WIDEST: Final = 40  # name and default in --help; longer ones push the sentence to the right
INSTALLED: Final = "goalbridge-"
T = TypeVar("T")


def command_line(
    kind: type[T], usage: str, run: Callable[[T], None], sweep: Callable[[list[str]], int] | None = None
) -> None:
    """Runs `run` with the settings of the command line; with -m, `sweep` with the other arguments.

    --help and --cfg job only print, the latter the settings as YAML. usage: the first part of what --help prints. Bad
    settings, and a `UserError` of `run`, end the process with one line on stderr and exit code 2. A sweep ends it with
    the exit code that it returns.
    """
    warnings.formatwarning = lambda message, *_arguments, **_options: f"warning: {message}\n"
    arguments = sys.argv[1:]
    shown = next((i for i, pair in enumerate(itertools.pairwise(arguments)) if pair in SHOW), None)
    if shown is not None:
        del arguments[shown : shown + 2]
    options = [argument for argument in arguments if argument in (*MULTIRUN, *HELP)]
    given = [argument for argument in arguments if argument not in options]
    try:
        _refuse_mistyped(kind, given)
        if set(options) & set(HELP):
            print(help_text(kind, as_called(usage), given))
            return
        if shown is not None:
            with Composer(kind, given) as composer:
                print(OmegaConf.to_yaml(composer.values(given)), end="")
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


def sentences(kind: type[Any]) -> dict[str, str]:
    """What each setting of a dataclass means, as its docstring says in lines "name: what it means".

    A line that is indented further goes on with the one before.
    """
    names = {setting.name for setting in fields(kind)}
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        begins = re.match(r"(\w+): (.*)", line)
        if begins and begins[1] in names:
            name = begins[1]
            found[name] = begins[2]
        elif name and line.startswith(" "):
            found[name] += f" {line.strip()}"
        else:
            name = ""
    return found


def help_text(kind: type[Any], usage: str, arguments: Sequence[str]) -> str:
    """All settings of a script with the values that `arguments` leave them at. usage: what comes before."""
    with Composer(kind, arguments) as composer:
        groups, values = composer.groups(), composer.values(arguments)
    parts = [usage.strip(), ""]
    if groups:
        parts += ["Groups (group=choice):", "", *(f"{name}: {', '.join(known)}" for name, known in groups.items()), ""]
    other = "; those of another world: env=WORLD --help" if groups else ""
    parts += [f"Settings (setting=value), with their defaults{other}:", "", *_lines(kind, values)]
    if kind is EvaluateConfig:
        for world in composer.worlds:
            own = evaluation_of(world)
            if settings_in(own):
                parts += ["", f"of agents of the world {world}: {title(own)}", *_lines(own, values)]
    return "\n".join(parts)


def title(kind: type[Any]) -> str:
    """The first line of a dataclass's docstring."""
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def _lines(kind: type[Any], values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The lines of a dataclass, those of its groups last, each after an empty line and the group's title."""
    hints, meanings = typing.get_type_hints(kind), sentences(kind)
    names = [setting.name for setting in settings_in(kind)]
    groups = [name for name in names if is_dataclass(hints[name])]
    for name in names:
        if name not in groups:
            yield f"{f'{prefix}{name}={shown(values.get(name))}':{WIDEST}} {meanings.get(name, '')}".rstrip()
    for name in groups:
        hint = typing.cast(type[Any], hints[name])
        own = hint.chosen(values[name]) if hasattr(hint, "chosen") else hint
        yield from ("", f"{name}: {title(own)}")
        yield from _lines(own, values[name], f"{prefix}{name}.")


def shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: ""}[value]
    return f"[{','.join(map(shown, value))}]" if isinstance(value, list) else str(value)


def as_called(text: str) -> str:
    """A text whose commands are those of a clone, for who called an installed script: `goalbridge-train`, ..."""
    if not Path(sys.argv[0]).name.startswith(INSTALLED):
        return text
    text = re.sub(r"python (train|evaluate)\.py", rf"{INSTALLED}\1", text)
    return re.sub(r"(torchrun .*?)(train)\.py", r"\1-m goalbridge.\2", text)


def _refuse_mistyped(kind: type[Any], arguments: Sequence[str]) -> None:
    """ConfigError for the first argument that is no setting=value, with what to type instead."""
    for i, given in enumerate(arguments):
        before, after = arguments[:i], arguments[i + 1 :]
        if given.startswith("-"):
            name, _, value = given.lstrip("-").partition("=")
            follows = after and "=" not in after[0] and not after[0].startswith("-")
            near = difflib.get_close_matches(given, [*MULTIRUN, *HELP, "--cfg job"], n=1, cutoff=0.7)
            typed = f"{name or 'setting'}={value or (after[0] if follows else '...')}"
            raise ConfigError(f"{given}: expected setting=value; try {near[0] if near else typed}")
        if "=" not in given and not given.startswith("~"):
            raise ConfigError(f"{given}: must be written setting=value{_instead(kind, before, given, after)}")


def _instead(kind: type[Any], before: Sequence[str], given: str, after: Sequence[str]) -> str:
    """What somebody may have meant who typed no more than a value."""
    name, _, begun = before[-1].partition("=") if before else ("", "", "")
    if begun:
        text = " ".join([begun, given, *itertools.takewhile(lambda word: "=" not in word, after)])
        return f"; if it belongs to {name}, try {name}={shlex.quote(text)}"
    with Composer(kind) as composer:
        groups = [name for name, choices in composer.groups().items() if given in choices]
    if groups:
        return f"; try {groups[-1]}={given}"
    if "/" in given or Path(given).is_dir():
        return f"; try run_dir={shlex.quote(given)}"
    return ", such as seed=1"
