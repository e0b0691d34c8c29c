"""Checks of settings: one line that names the setting, its value and what it must be."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import field, fields
from typing import Any

LONGEST = 800  # letters of a message
DEVICES = ("auto", "cpu", "cuda", "mps")


class UserError(ValueError):
    """What the person at the terminal can mend; in one line: what was expected, what was got, what to try."""

    def __str__(self) -> str:
        """One line, however long the value is that it shows."""
        line = " ".join(super().__str__().split())
        return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


class ConfigError(UserError):
    """A setting that cannot be used."""


class CheckpointError(UserError):
    """A checkpoint or agent that is missing, damaged, or not of this environment; the message is one line."""


def require(holds: bool, name: str, value: object, needed: str) -> None:
    """ConfigError with the setting's name, its value and what is needed, unless it `holds`."""
    if not holds:
        raise ConfigError(f"{name}={value}: {needed}")


def one_of(name: str, value: str, choices: Sequence[str]) -> None:
    """A setting that must be among `choices`; the nearest is named otherwise."""
    nearest = difflib.get_close_matches(value, choices, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    require(value in choices, name, value, f"must be one of {', '.join(choices)}{hint}")


def check_device(value: str) -> None:
    """A setting that names a device, such as "auto", "cpu" or "cuda:1"."""
    name, colon, index = value.partition(":")
    one_of("device", name, DEVICES)
    require(not colon or index.isdecimal(), "device", value, "must be a name, or one with a number such as cuda:1")


def number(
    default: Any,
    least: float = -math.inf,
    most: float = math.inf,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A dataclass's field for a finite number, or a tuple of them, within these bounds: see `check_fields`."""
    needed = f"at least {least}" if above is None else f"above {above}"
    needed = needed if below is None else f"{needed} and below {below}"
    needed = needed if most == math.inf else f"between {least} and {most}"
    low, high = -math.inf if above is None else above, math.inf if below is None else below

    def check(name: str, value: float) -> None:
        require(least <= value <= most and low < value < high, name, value, f"must be {needed}")

    return field(default=default, metadata={"check": check})


def choice(default: Any, choices: Sequence[str] | Callable[[], Sequence[str]]) -> Any:
    """A dataclass's field for one of these texts, or a tuple of them: see `check_fields`."""

    def check(name: str, value: str) -> None:
        one_of(name, value, choices() if callable(choices) else choices)

    return field(default=default, metadata={"check": check})


def check_fields(config: Any, group: str = "") -> None:
    """ConfigError for the first field of a dataclass whose value is not what `number` or `choice` asked for.

    group: of the settings, such as "train."; None is a value that nobody gave.
    """
    for one in fields(config):
        value, check = getattr(config, one.name), one.metadata.get("check")
        if check is not None and value is not None:
            for part in value if isinstance(value, tuple) else (value,):
                check(f"{group}{one.name}", part)
