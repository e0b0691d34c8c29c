"""Checks of settings: one line that names the setting, its value and what would do."""

from __future__ import annotations

import difflib
import math

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


def at_least(minimum: float, **values: float) -> None:
    """Settings that must be finite and no less than `minimum`; "__" in a name stands for a dot."""
    for name, value in values.items():
        require(
            math.isfinite(value) and value >= minimum, name.replace("__", "."), value, f"must be at least {minimum}"
        )


def positive(**values: float) -> None:
    """Settings that must be finite and above 0; "__" in a name stands for a dot."""
    for name, value in values.items():
        require(math.isfinite(value) and value > 0, name.replace("__", "."), value, "must be above 0")


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """A setting that must be among `choices`; the nearest is named otherwise."""
    nearest = difflib.get_close_matches(value, choices, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    require(value in choices, name, value, f"must be one of {', '.join(choices)}{hint}")


def check_device(value: str) -> None:
    """A setting that names a device, such as "auto", "cpu" or "cuda:1"."""
    name, colon, index = value.partition(":")
    one_of("device", name, DEVICES)
    require(not colon or index.isdecimal(), "device", value, "must be a name, or one with a number such as cuda:1")
