"""From the words of a command line to settings, by way of Hydra's groups of choices; one line for what is mistyped.

The dataclasses are the only home of a default: Hydra finds their values as plain nodes of its ConfigStore, and the YAML
files of this folder hold what a choice does otherwise.
"""

from __future__ import annotations

import glob
import re
import typing
from collections import ChainMap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
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
from goalbridge.configs.load import build, defaults, nearest, settings_in
from goalbridge.configs.registries import text_encoders, worlds
from goalbridge.configs.renamed import RENAMED
from goalbridge.configs.run_folder import flat, read_run_config
from goalbridge.configs.schema import AgentConfig, EncoderConfig, PolicyConfig, RunConfig, TrainConfig
from goalbridge.configs.world_settings import evaluation_of, settings_of

FOLDER: Final = Path(__file__).parent
SCRIPTS: Final[dict[type[Any], str]] = {RunConfig: "train", EvaluateConfig: "evaluate"}
WORLD: Final = "env"  # the group whose settings are a world's own
# The choice of each other group that is the defaults themselves.
BASES: Final[dict[str, tuple[str, type[Any]]]] = {
    "agent": ("default", AgentConfig),
    "data": ("expert", DataConfig),
    "encoder": ("sentence", EncoderConfig),
    "policy": ("default", PolicyConfig),
    "train": ("default", TrainConfig),
}
T = TypeVar("T")


class Composer:
    """Hydra on the settings of one script, open within a `with`.

    kind: the dataclass that they become. arguments: those that tell which worlds' settings there are: the project's
    own worlds and plug-ins that are named, or for evaluations the worlds of the runs in run_dir, if they can be read.
    """

    def __init__(self, kind: type[Any], arguments: Sequence[str] = ()) -> None:
        self.kind, self.script = kind, SCRIPTS[kind]
        self.worlds = (kind is EvaluateConfig and worlds_of_runs(arguments)) or _named(arguments)

    def __enter__(self) -> Composer:
        store = ConfigStore.instance()
        if self.kind is EvaluateConfig:
            own = [defaults(evaluation_of(world)) for world in self.worlds]
            store.store("evaluate", dict(ChainMap(defaults(EvaluateConfig), *own)))
        else:
            store.store("run_defaults", defaults(RunConfig))
            for group, (name, base) in BASES.items():
                store.store(name, defaults(base), group)
            for name in text_encoders.names():
                store.store(name, defaults(EncoderConfig) | {"kind": name}, "encoder")
            for world in self.worlds:
                own_defaults = defaults(settings_of(world)) | {"world": world}
                store.store(world, own_defaults, "world")
                if not (FOLDER / WORLD / f"{world}.yaml").is_file():
                    store.store(world, own_defaults, WORLD)
        self._hydra = hydra.initialize_config_dir(str(FOLDER), job_name=self.script, version_base="1.3")
        return self

    def __exit__(self, *exception: Any) -> None:
        self._hydra.__exit__(*exception)

    def groups(self) -> dict[str, list[str]]:
        """The groups of choices and their choices."""
        if self.kind is EvaluateConfig:
            return {}
        options = GlobalHydra.instance().config_loader().get_group_options
        further = {WORLD: worlds.names()}
        return {name: sorted({*options(name), *further.get(name, ())}) for name in sorted([*BASES, WORLD])}

    def compose(self, arguments: Sequence[str]) -> DictConfig:
        """The config of these setting=value, Hydra's own among it; ConfigError names the argument at fault."""
        self._check_form(arguments)
        try:
            return hydra.compose(self.script, list(arguments), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(self._explain(error, arguments)) from error

    def values(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The settings as nested plain values; those left out that have no default."""
        config = self.compose([self.quoted(argument) for argument in arguments])
        try:
            return {
                name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
                for name in map(str, config)
                if name != "hydra" and not OmegaConf.is_missing(config, name)
                for value in [config[name]]
            }
        except OmegaConfBaseException as error:
            raise ConfigError(str(error).splitlines()[0]) from error

    def quoted(self, argument: str) -> str:
        """The override setting=value with the value in quotes where it is a text; Hydra's grammar leaves it alone then.

        A folder or an instruction may hold commas, brackets, quotes or any script; what is in quotes already stays.
        """
        name, equals, value = argument.partition("=")
        if not equals or is_quoted(value) or value in ("", "null") or not self._takes_text(name.lstrip("+")):
            return argument
        return f"{name}={quoted(value)}"

    def _takes_text(self, name: str) -> bool:
        """Whether the setting of the dotted name is a text."""
        group, _, rest = name.rpartition(".")
        if self.kind is EvaluateConfig:
            kinds: dict[str, list[type[Any]]] = {"": [EvaluateConfig, *map(evaluation_of, self.worlds)]}
        else:
            kinds = {"": [RunConfig], WORLD: list(map(settings_of, self.worlds))}
            kinds |= {name: [base] for name, (_, base) in BASES.items()}
        return any(typing.get_type_hints(kind).get(rest) in (str, str | None) for kind in kinds.get(group, ()))

    def _explain(self, error: Exception, arguments: Sequence[str]) -> str:
        """One line for a Hydra error: the argument at fault and the nearest setting."""
        text = str(error)
        key = re.search(r"Could not (?:override|delete from config\.|append to config\.?)[^']*'([^']+)'", text)
        if key is None:
            key = re.search(r"Key '([^']+)' is not in struct", text)
        if key:
            name = key.group(1)
            given = next((o for o in arguments if o.lstrip("+~").startswith(name)), name)
            setting, _, value = given.partition("=")
            given = f"{setting}={value[1:-1]}" if is_quoted(value) else given  # as it was typed
            if name in RENAMED:
                return f"{given}: is now {RENAMED[name]}"
            if self.kind is EvaluateConfig:
                others = [world for world in _named(()) if name in defaults(evaluation_of(world))]
                if others:
                    here, there = " or ".join(self.worlds), " or ".join(others)
                    return f"{given}: no such setting for agents of {here}, only of {there}; --help lists them all"
            values = self.values([one for one in arguments if one.partition("=")[0] in (*BASES, WORLD)])
            return f"{given}: no such setting{nearest(name, [*values, *flat(values)])}; --help lists them all"
        first = text.splitlines()[0] if text else type(error).__name__
        return f"{' '.join(arguments)}: {first}"

    def _check_form(self, arguments: Sequence[str]) -> None:
        """ConfigError for what is no setting=value, for several values, and for a choice that a group has not."""
        overrides = [parsed(given) for given in arguments]
        groups = self.groups() if any(one.key_or_group in (*BASES, WORLD) for one in overrides) else {}
        for given, override in zip(arguments, overrides, strict=True):
            if override.is_sweep_override():
                raise ConfigError(f"{given}: expected one value, got several; try one, or a list such as [1, 2]")
            group, value = override.key_or_group, override.value()
            known = groups.get(group)
            if known is not None and not override.is_delete() and str(value) not in known:
                hint = nearest(str(value), known)
                raise ConfigError(f"{group}={value}: no such choice{hint} (there are {', '.join(known)})")


def _named(arguments: Sequence[str]) -> tuple[str, ...]:
    """The project's own worlds, and those of plug-ins that are chosen: others are not imported."""
    chosen = {name for one in arguments if one.startswith(f"{WORLD}=") for name in re.split("[=,]", one)}
    return tuple(name for name in worlds.names() if worlds.module_of(name) or name in chosen)


def worlds_of_runs(arguments: Sequence[str]) -> tuple[str, ...]:
    """The worlds of the runs that run_dir=... names, of those that can be read."""
    found: dict[str, None] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name == "run_dir":
            value = value[1:-1] if is_quoted(value) else value
            for folder in [value, *glob.glob(value)]:
                with suppress(ConfigError):
                    found[read_run_config(Path(folder)).env.world] = None
    return tuple(found)


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
    with Composer(kind, arguments) as composer:
        values = composer.values(arguments)
    if kind is not EvaluateConfig:
        return build(kind, values)
    return typing.cast(T, _evaluation(values, composer.worlds))


def _evaluation(values: Mapping[str, Any], known: Sequence[str]) -> EvaluateConfig:
    """An evaluation's settings. known: worlds of which one at least must have what is given beside the common ones."""
    common = {one.name for one in settings_in(EvaluateConfig)}
    usual = {name: value for world in known for name, value in defaults(evaluation_of(world)).items()}
    further = {name: value for name, value in values.items() if name not in common and value != usual[name]}
    config = build(EvaluateConfig, {name: value for name, value in values.items() if name in common})
    config = replace(config, further=further)
    able = [world for world in known if set(further) <= set(defaults(evaluation_of(world)))] or known
    errors = []
    for world in able:
        try:
            config.of_world(world)
            return config
        except ConfigError as error:
            errors.append(error)
    raise errors[0]


def is_quoted(value: str) -> bool:
    """Whether Hydra's grammar takes it for a text in quotes."""
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\""


def quoted(value: str) -> str:
    """In quotes for Hydra's grammar, in which a backslash is one, unless a quote follows it."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"'{escaped}'"
