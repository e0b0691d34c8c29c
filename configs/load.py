"""From the command line to frozen dataclasses, by way of Hydra; one clear line where something is amiss."""

from __future__ import annotations

import difflib
import re
import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from goalbridge.configs.checks import ConfigError, UserError, require
from goalbridge.configs.failing import fail

FOLDER = Path(__file__).parent
MULTIRUN = ("-m", "--multirun")
T = TypeVar("T")


def build(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """The dataclass `kind` from nested plain values; ConfigError names an unknown, missing or ill-typed setting."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix.rstrip('.') or 'settings'}={values}: must be a group of settings")
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(f"{prefix}{name}={values[name]}: no such setting{_nearest(name, known, prefix)}")
    arguments = {}
    for name, setting in known.items():
        if name in values:
            arguments[name] = _convert(hints[name], values[name], prefix + name)
        elif setting.default is MISSING and setting.default_factory is MISSING:
            raise ConfigError(f"{prefix}{name}: is missing; give {prefix}{name}=...")
    return kind(**arguments)


def settings(kind: type[T], config: DictConfig) -> T:
    """The dataclass `kind` from a composed config; ConfigError in one line for what cannot be used."""
    try:
        values = typing.cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    return build(kind, {name: value for name, value in values.items() if value != "???"})


def _convert(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return build(typing.cast(type[Any], hint), value, name + ".")
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return None if value is None else _convert(options[0], value, name)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ConfigError(f"{name}={value}: must be a list, such as [1, 2]")
        return tuple(_convert(typing.get_args(hint)[0], item, f"{name}[{i}]") for i, item in enumerate(value))
    needed = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[hint]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a folder or an instruction may look like a number
    if hint is str and value is None:
        return ""
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"{name}={value}: must be {needed}")
    return value


def _nearest(name: str, choices: Iterable[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.4)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def _no_such_choice(group: str, name: object) -> str:
    known = sorted(path.stem for path in (FOLDER / group).glob("*.yaml"))
    return f"{group}={name}: no such choice{_nearest(str(name), known)} (there are {', '.join(known)})"


def _takes_text(kind: type, name: str) -> bool:
    """Whether the setting of the dotted name is a text of `kind` or of a group in it."""
    first, _, rest = name.partition(".")
    hint = typing.get_type_hints(kind).get(first)
    if rest:
        return isinstance(hint, type) and is_dataclass(hint) and _takes_text(hint, rest)
    return hint is str or hint == str | None


def quote_text(kind: type, argument: str) -> str:
    """The override setting=value with the value in quotes where it is a text, so that Hydra's grammar leaves it alone.

    A folder or an instruction may hold commas, brackets, quotes or any script; what is in quotes already stays.
    """
    name, equals, value = argument.partition("=")
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    if not equals or quoted or value in ("", "null") or not _takes_text(kind, name.lstrip("+")):
        return argument
    # In quotes a backslash is one, unless a quote follows it.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"{name}='{escaped}'"


def _keys(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in values.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            found += _keys(value, f"{prefix}{key}.")
    return found


def _explain(error: Exception, overrides: Sequence[str], config_name: str) -> str:
    """One line for a Hydra error: the override at fault and the nearest that would do."""
    text = str(error)
    key = re.search(r"Could not (?:override|delete from config\.|append to config\.?)[^']*'([^']+)'", text)
    if key is None:
        key = re.search(r"Key '([^']+)' is not in struct", text)
    if key:
        name = key.group(1)
        given = next((o for o in overrides if o.lstrip("+~").startswith(name)), name)
        plain = OmegaConf.to_container(hydra.compose(config_name), resolve=False)
        known = _keys(typing.cast(dict[str, Any], plain))
        return f"{given}: no such setting{_nearest(name, known)}; --help lists them all"
    first = text.splitlines()[0] if text else type(error).__name__
    return f"{' '.join(overrides)}: {first}"


def check_overrides(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Composes the config, or raises ConfigError with one line that names the override at fault."""
    with hydra.initialize_config_dir(str(FOLDER), version_base="1.3"):
        try:
            _check_form(overrides)
            return hydra.compose(config_name, list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_explain(error, overrides, config_name)) from error


def _check_form(overrides: Sequence[str]) -> None:
    """ConfigError for what is no setting=value, for several values, and for a group's choice that is not there."""
    parser = OverridesParser.create()
    for given in overrides:
        if not given.startswith("~") and not given.partition("=")[0].strip("+ "):
            raise ConfigError(f"{given}: must be written setting=value, such as seed=1")
        try:
            override = parser.parse_override(given)
        except HydraException as error:
            needed = "put a text with special characters in quotes" if "=" in given else "such as seed=1"
            raise ConfigError(f"{given}: must be written setting=value; {needed}") from error
        if override.is_sweep_override():
            raise ConfigError(f"{given}: gives several values; one would do, or a list such as [1, 2]")
        group, value = override.key_or_group, override.value()
        is_choice = (FOLDER / group).is_dir() and not override.is_delete()
        if is_choice and not (FOLDER / group / f"{value}.yaml").is_file():
            raise ConfigError(_no_such_choice(group, value))


def command_line(
    config_name: str,
    kind: type[T],
    run: Callable[[T], None],
    sweep: Callable[[list[str]], int] | None = None,
) -> None:
    """Runs `run` with the settings of the command line; with -m, `sweep` with the other arguments.

    Bad settings, and a `UserError` of `run`, end the process with one line on stderr and exit code 2. A
    sweep ends it with the exit code that it returns.
    """
    given = sys.argv
    arguments = given[1:]
    warnings.formatwarning = lambda message, *_arguments, **_options: f"warning: {message}\n"

    def with_settings(config: DictConfig) -> None:
        sys.argv = given  # what the person typed, for the record of the run
        try:
            values = settings(kind, config)
        except ConfigError as error:
            fail(error, everywhere=True)
        try:
            run(values)
        except UserError as error:
            fail(error)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise SystemExit(130) from None

    others = [argument for argument in arguments if argument not in MULTIRUN]
    if others != arguments and not any(argument.startswith("-") for argument in others):
        try:
            require(sweep is not None, "-m", config_name, "is for train.py; run_dir='runs/sweep/*' evaluates a sweep")
            raise SystemExit(sweep(others))  # type: ignore[misc]
        except ConfigError as error:
            fail(error)
    if not any(argument.startswith("-") for argument in arguments):
        arguments = [quote_text(kind, argument) for argument in arguments]
        sys.argv = [given[0], *arguments]
        try:
            check_overrides(config_name, arguments)
        except ConfigError as error:
            fail(error, everywhere=True)
    hydra.main(version_base="1.3", config_path=str(FOLDER), config_name=config_name)(with_settings)()
