"""From plain nested values to frozen dataclasses; one clear line where something is amiss."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Final, TypeVar

from goalbridge.configs.checks import ConfigError

T = TypeVar("T")
NO_SETTING: Final[Mapping[str, Any]] = {"setting": False}  # metadata of a field that nobody sets by its name


def build(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """The dataclass `kind` from nested plain values; ConfigError names an unknown, missing or ill-typed setting."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix.rstrip('.') or 'settings'}={values}: must be a group of settings")
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in settings_in(kind)}
    for name in values:
        if name not in known:
            raise ConfigError(f"{prefix}{name}={values[name]}: no such setting{nearest(name, known, prefix)}")
    arguments = {}
    for name, setting in known.items():
        if name in values:
            arguments[name] = _convert(hints[name], values[name], prefix + name)
        elif setting.default is MISSING and setting.default_factory is MISSING:
            raise ConfigError(f"{prefix}{name}: is missing; give {prefix}{name}=...")
    return kind(**arguments)


def _convert(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        if hasattr(hint, "chosen") and isinstance(value, Mapping):
            hint = hint.chosen(value)  # a group whose settings depend on what is chosen
        return build(typing.cast(type[Any], hint), value, name + ".")
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return None if value is None else _convert(options[0], value, name)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ConfigError(f"{name}={value}: must be a list; try {name}=[{value}]")
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


def nearest(name: str, choices: Iterable[str], prefix: str = "") -> str:
    """The end of a message that names the most similar choice, "" where none is."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.4)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def settings_in(kind: type[Any]) -> tuple[Field[Any], ...]:
    """The fields of a dataclass that are settings."""
    return tuple(one for one in fields(kind) if one.metadata.get("setting", True))


def defaults(kind: type[Any]) -> dict[str, Any]:
    """The defaults of a dataclass as plain values, those of groups left out; "???" where a setting has none."""
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for setting in settings_in(kind):
        if not is_dataclass(hints[setting.name]):
            default = "???" if setting.default is MISSING else setting.default
            found[setting.name] = list(default) if isinstance(default, tuple) else default
    return found
