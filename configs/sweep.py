"""Sweeps: `python train.py -m env=fork_maze,island_maze seed=0,1,2` trains all combinations, by any Hydra launcher.

    hydra/launcher=basic             one after the other (the default)
    hydra/launcher=joblib            side by side on this machine
    hydra/launcher=ray               a local Ray, or with hydra.launcher.ray.init.address=... a running cluster
    hydra/launcher=submitit_slurm    Slurm

The last three are the extra `cluster`. A job's folder is named by its overrides; a job that is trained to its end there
is left alone, so the same command again runs what is missing and goes on with what is unfinished.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import MissingConfigException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from goalbridge.configs.checks import ConfigError, require
from goalbridge.configs.compose import Composer, parsed, quoted, settings
from goalbridge.configs.job import LONGEST_LINE, TaskFunction
from goalbridge.configs.schema import RunConfig

LAUNCHER: Final = "hydra/launcher"
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
        raise ConfigError(f"{override.input_line}: expected a list of values; try 0,1,2 or range(0,3)")
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


class LauncherError(RuntimeError):
    """A launcher that did not start, or gave up because a worker of its own died; the message is one line."""


def run_sweep(finished: Callable[[RunConfig], bool], arguments: Sequence[str]) -> int:
    """Trains what the command line asks for and is not trained yet; prints a table of what became of each job.

    finished: whether a run is there, trained to its end. Exit code: 0 if at last all are, 1 if not, 130 after Ctrl-C.
    """
    planned = plan(arguments)
    _check_launcher(planned.hydra)
    waiting = [job for job in planned.jobs if not finished(job.config)]
    print(f"{len(planned.jobs)} jobs in {planned.folder}, {len(waiting)} of them to run", flush=True)
    errors: dict[str, str] = {}
    code, gave_up = 0, ""
    try:
        errors = _launch(planned, waiting) if waiting else {}
    except KeyboardInterrupt:
        code = 130
    except LauncherError as error:
        gave_up = str(error)
    states = {job.name: "finished before" for job in planned.jobs}
    for job in waiting:
        done = finished(job.config)
        states[job.name] = "finished" if done else "failed" if errors.get(job.name) else "unfinished"
        code = code or int(not done)
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    table.add_column("job", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("why", overflow="fold")
    for name, state in states.items():
        table.add_row(escape(name), state, escape(errors.get(name, "")))
    Console().print(table)
    if gave_up:
        print(f"error: {gave_up}", file=sys.stderr)
    if code:
        print("the same command again runs what is not finished")
    return code


def _launch(planned: Sweep, jobs: Sequence[Job]) -> dict[str, str]:
    """Runs the jobs by the launcher that is asked for; why each did not finish, by name, empty where it did.

    ConfigError where the sweep's folder cannot be made, LauncherError for a launcher that gives up.
    """
    folder = planned.folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{SWEEP_DIR}={planned.folder}: {error.strerror}; choose another folder") from error
    where = f"hydra.sweep.dir={quoted(str(folder))}"
    with Composer(RunConfig) as composer:
        master = composer.compose([*planned.hydra, where])
        for_running_cluster(master)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(GlobalHydra.instance().config_loader(), Callbacks()),
            task_function=TaskFunction(sys.argv[0], os.getcwd()),
            config=master,
        )
        told = [[*job.overrides, f"hydra.sweep.subdir={quoted(job.name)}"] for job in jobs]
        try:
            results = launcher.launch(told, initial_job_idx=0)
        except Exception as error:  # whatever its library raises when it does not start, or a worker of its own dies
            raise LauncherError(f"{_launcher_of(planned.hydra)}: gave up: {_one_line(error)}") from error
    return {job.name: _error(result) for job, result in zip(jobs, results, strict=True)}


def for_running_cluster(master: DictConfig) -> None:
    """Ray takes no memory's size where it is running already, which hydra-ray-launcher gives unless it finds one."""
    init = OmegaConf.select(master, "hydra.launcher.ray.init")
    if init is not None and init.get("address") is not None and "object_store_memory" not in init:
        with open_dict(init):
            init.object_store_memory = None


def _error(result: JobReturn) -> str:
    if result.status is JobStatus.FAILED:
        return f"its worker failed: {_one_line(result._return_value)}"
    return str(result.return_value)


def _one_line(error: Any) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST_LINE]


def _launcher_of(overrides: Sequence[str]) -> str:
    return next((given for given in overrides if given.startswith(LAUNCHER)), f"{LAUNCHER}=basic")


def _check_launcher(overrides: Sequence[str]) -> None:
    """ConfigError for a launcher that is not there, and for settings that it does not have."""
    try:
        with Composer(RunConfig) as composer:
            composer.compose(overrides)
    except ConfigError as error:
        if not isinstance(error.__cause__, MissingConfigException):
            raise
        asked = _launcher_of(overrides)
        raise ConfigError(f"{asked}: is not installed; the extra 'cluster' brings joblib, ray and submitit") from error
