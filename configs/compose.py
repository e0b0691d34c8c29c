"""From the words of a command line to settings, by way of Hydra's groups of choices; one line for what is mistyped.

The dataclasses are the only home of a default: Hydra finds their values as plain nodes of its ConfigStore, and the YAML
files of this folder hold what a choice does otherwise.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.load import build, defaults, nearest
from goalbridge.configs.registries import text_encoders
from goalbridge.configs.schema import AgentConfig, EncoderConfig, EnvConfig, PolicyConfig, RunConfig, TrainConfig

FOLDER: Final = Path(__file__).parent
SCRIPTS: Final[dict[type[Any], str]] = {RunConfig: "train", EvaluateConfig: "evaluate"}
# The choice of each group that is the defaults themselves.
BASES: Final[dict[str, tuple[str, type[Any]]]] = {
    "agent": ("default", AgentConfig),
    "data": ("expert", DataConfig),
    "encoder": ("sentence", EncoderConfig),
    "env": ("maze", EnvConfig),
    "policy": ("default", PolicyConfig),
    "train": ("default", TrainConfig),
}
T = TypeVar("T")


class Composer:
    """Hydra on the settings of one script, open within a `with`. kind: the dataclass that they become."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind, self.script = kind, SCRIPTS[kind]
        self._hydra = hydra.initialize_config_dir(str(FOLDER), job_name=self.script, version_base="1.3")

    def __enter__(self) -> Composer:
        store = ConfigStore.instance()
        store.store("run_defaults", defaults(RunConfig))
        store.store("evaluate", defaults(EvaluateConfig))
        for group, (name, base) in BASES.items():
            store.store(name, defaults(base), group)
        for name in text_encoders.names():
            store.store(name, defaults(EncoderConfig) | {"kind": name}, "encoder")
        self._hydra.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._hydra.__exit__(*exception)

    def groups(self) -> dict[str, list[str]]:
        """The groups of choices and their choices."""
        names = [] if self.kind is EvaluateConfig else list(BASES)
        return {name: GlobalHydra.instance().config_loader().get_group_options(name) for name in names}

    def compose(self, arguments: Sequence[str]) -> DictConfig:
        """The config of these setting=value, Hydra's own among it; ConfigError names the argument at fault."""
        self._check_form(arguments)
        try:
            return hydra.compose(self.script, list(arguments), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(self._explain(error, arguments)) from error

    def values(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The settings as nested plain values; those left out that have no default."""
        config = self.compose(arguments)
        try:
            return {
                name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
                for name in map(str, config)
                if name != "hydra" and not OmegaConf.is_missing(config, name)
                for value in [config[name]]
            }
        except OmegaConfBaseException as error:
            raise ConfigError(str(error).splitlines()[0]) from error

    def _explain(self, error: Exception, arguments: Sequence[str]) -> str:
        """One line for a Hydra error: the argument at fault and the nearest setting."""
        text = str(error)
        key = re.search(r"Could not (?:override|delete from config\.|append to config\.?)[^']*'([^']+)'", text)
        if key is None:
            key = re.search(r"Key '([^']+)' is not in struct", text)
        if key:
            name = key.group(1)
            given = next((o for o in arguments if o.lstrip("+~").startswith(name)), name)
            return f"{given}: no such setting{nearest(name, _names(self.values([])))}; --help lists them all"
        first = text.splitlines()[0] if text else type(error).__name__
        return f"{' '.join(arguments)}: {first}"

    def _check_form(self, arguments: Sequence[str]) -> None:
        """ConfigError for what is no setting=value, for several values, and for a choice that a group has not."""
        groups = self.groups()
        for given in arguments:
            override = parsed(given)
            if override.is_sweep_override():
                raise ConfigError(f"{given}: gives several values; one would do, or a list such as [1, 2]")
            group, value = override.key_or_group, override.value()
            known = groups.get(group)
            if known is not None and not override.is_delete() and str(value) not in known:
                hint = nearest(str(value), known)
                raise ConfigError(f"{group}={value}: no such choice{hint} (there are {', '.join(known)})")


def parsed(given: str) -> Override:
    """What Hydra's grammar reads in an argument; ConfigError where it is no setting=value."""
    if not given.startswith("~") and not given.partition("=")[0].strip("+ "):
        raise ConfigError(f"{given}: must be written setting=value, such as seed=1")
    try:
        return OverridesParser.create().parse_override(given)
    except HydraException as error:
        needed = "put a text with special characters in quotes" if "=" in given else "such as seed=1"
        raise ConfigError(f"{given}: must be written setting=value; {needed}") from error


def settings(kind: type[T], arguments: Sequence[str]) -> T:
    """The settings of a command line; ConfigError in one line for what cannot be used."""
    with Composer(kind) as composer:
        values = composer.values([quote_text(kind, argument) for argument in arguments])
    return build(kind, values)


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
    if not equals or is_quoted(value) or value in ("", "null") or not _takes_text(kind, name.lstrip("+")):
        return argument
    return f"{name}={quoted(value)}"


def is_quoted(value: str) -> bool:
    """Whether Hydra's grammar takes it for a text in quotes."""
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\""


def quoted(value: str) -> str:
    """In quotes for Hydra's grammar, in which a backslash is one, unless a quote follows it."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"'{escaped}'"


def _names(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in values.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            found += _names(value, f"{prefix}{key}.")
    return found
