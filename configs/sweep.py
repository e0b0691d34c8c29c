"""A sweep's jobs: which, under what names, from `python train.py -m env=fork_maze,island_maze seed=0,1,2`."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hydra.core.override_parser.types import Override

from goalbridge.configs.checks import ConfigError, require
from goalbridge.configs.compose import Composer, parsed, quoted, settings
from goalbridge.configs.schema import RunConfig

SWEEP_DIR: Final = "sweep_dir"
DEFAULT_DIR: Final = "runs/sweep"
UNNAMED: Final = ("resume", "device", "encoder.cache_dir")  # change nothing of the result
LONGEST_NAME: Final = 100
UNFIT: Final = re.compile(r"[^\w=,.+-]+")  # for a folder's name


@dataclass(frozen=True)
class Job:
    """One combination of the values.

    name: of its folder. overrides: in Hydra's words, run_dir and resume=true among them. config: what they say.
    """

    name: str
    overrides: tuple[str, ...]
    config: RunConfig


@dataclass(frozen=True)
class Sweep:
    """A sweep. folder: where its runs lie. hydra: overrides that are Hydra's own (the launcher's)."""

    folder: Path
    jobs: tuple[Job, ...]
    hydra: tuple[str, ...]


def plan(arguments: Sequence[str]) -> Sweep:
    """The jobs that a command line asks for, -m left out; ConfigError where one of them cannot be used."""
    own, hydras, folder = _sorted_out(arguments)
    swept = [_choices(override) for override in own.values() if override.is_sweep_override()]
    shared = {name: _choices(override)[0] for name, override in own.items() if not override.is_sweep_override()}
    named = [text for name, text in shared.items() if name not in UNNAMED]
    jobs: dict[str, Job] = {}
    for combination in itertools.product(*swept):
        name = job_name(combination, named)
        where = f"run_dir={quoted(str(folder / name))}"
        told = (*combination, *shared.values(), where, "resume=true")
        if name not in jobs:  # a value may be given twice
            jobs[name] = Job(name, told, settings(RunConfig, told))
    return Sweep(folder, tuple(jobs.values()), tuple(hydras))


def _sorted_out(arguments: Sequence[str]) -> tuple[dict[str, Override], list[str], Path]:
    """The overrides of settings by their names, those that are Hydra's own, and the sweep's folder."""
    own: dict[str, Override] = {}
    hydras: list[str] = []
    folder = DEFAULT_DIR
    for given in arguments:
        name, equals, value = given.partition("=")
        if name == SWEEP_DIR and equals:  # a folder's name is taken as it stands
            folder = value.strip("'\"")
            continue
        override = _parsed(given)
        name = override.key_or_group
        require(name != "run_dir", "run_dir", value, f"is for one run; give {SWEEP_DIR}=...")
        is_sweeper = name.startswith(("hydra/sweeper", "hydra.sweeper"))
        require(not is_sweeper, name, value, "must be left out: jobs are all combinations of the values given")
        if name.startswith("hydra"):
            require(not override.is_sweep_override(), name, value, "must be one value")
            hydras.append(given)
        elif name != "resume":  # jobs always go on
            own[name] = override
    require(bool(folder.strip()), SWEEP_DIR, repr(folder), f"must be a folder, such as {DEFAULT_DIR}")
    return own, hydras, Path(folder)


def _parsed(given: str) -> Override:
    """The override as Hydra's grammar reads it; put in quotes where it is a text that the grammar cannot read."""
    try:
        return parsed(given)
    except ConfigError:
        return parsed(Composer(RunConfig, [given]).quoted(given))


def _choices(override: Override) -> list[str]:
    """setting=value for each value that the override gives."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [override.input_line or f"{key}={override.get_value_element_as_str()}"]
    if not override.is_discrete_sweep():
        raise ConfigError(f"{override.input_line}: is no list of values; 0,1,2 or range(0,3) would do")
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def job_name(swept: Sequence[str], shared: Sequence[str] = ()) -> str:
    """The folder's name for overrides of settings: themselves, in the order of the alphabet.

    swept: those that tell the sweep's jobs apart. Where all are too long, or hold what no folder's name should, the
    name is `swept` alone, that replaced, and a digest of all.
    """
    whole = ",".join(sorted([*swept, *shared])) or "default"
    if len(whole) <= LONGEST_NAME and not UNFIT.search(whole):
        return whole
    short = UNFIT.sub("-", ",".join(sorted(swept)))[:LONGEST_NAME]
    return f"{short}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
