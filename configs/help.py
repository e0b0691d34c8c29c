"""What --help prints: the choices of each group, and a line for each setting: its name, its default, what it means."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

from goalbridge.configs.compose import Composer

WIDEST: Final = 40  # name and default; longer ones push the sentence to the right


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
    with Composer(kind) as composer:
        groups, values = composer.groups(), composer.values(arguments)
    parts = [usage.strip(), ""]
    if groups:
        parts += ["Groups (group=choice):", "", *(f"{name}: {', '.join(known)}" for name, known in groups.items()), ""]
    return "\n".join([*parts, "Settings (setting=value), with their defaults:", "", *_lines(kind, values)])


def _lines(kind: type[Any], values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The lines of a dataclass, those of its groups last, each after an empty line and the group's title."""
    hints, meanings = typing.get_type_hints(kind), sentences(kind)
    groups = [name for name, hint in hints.items() if is_dataclass(hint)]
    for name in hints:
        if name not in groups:
            yield f"{f'{prefix}{name}={shown(values.get(name))}':{WIDEST}} {meanings.get(name, '')}".rstrip()
    for name in groups:
        yield from ("", f"{name}: {meanings.get(name, '')}")
        yield from _lines(typing.cast(type[Any], hints[name]), values[name], f"{prefix}{name}.")


def shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: ""}[value]
    return f"[{','.join(map(shown, value))}]" if isinstance(value, list) else str(value)
