"""What --help prints: the choices of each group, and a line for each setting: its name, its default, what it means."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

from goalbridge.configs.compose import Composer
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.load import settings_in
from goalbridge.configs.world_settings import evaluation_of

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
