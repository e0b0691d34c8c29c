"""Sweeps: `python train.py -m env=fork_maze,island_maze seed=0,1,2` trains all combinations, by any Hydra launcher.

    hydra/launcher=basic             one after the other (the default)
    hydra/launcher=joblib            side by side on this machine
    hydra/launcher=ray               a local Ray, or with hydra.launcher.ray.init.address=... a running cluster
    hydra/launcher=submitit_slurm    Slurm

The last three are the extra `cluster`. A job's folder is named by its overrides; a job that is trained to its end there
is left alone, so the same command again runs what is missing and goes on with what is unfinished.
"""

from __future__ import annotations

import os
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any, Final

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import MissingConfigException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.compose import Composer, quoted
from goalbridge.configs.job import LONGEST_LINE, Outcome, TaskFunction
from goalbridge.configs.schema import RunConfig
from goalbridge.configs.sweep import SWEEP_DIR, Job, Sweep, plan

LAUNCHER: Final = "hydra/launcher"


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
    Console().print(_table(states, errors))
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
    return typing.cast(Outcome, result.return_value).error


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


def _table(states: dict[str, str], errors: dict[str, str]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    table.add_column("job", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("why", overflow="fold")
    for name, state in states.items():
        table.add_row(escape(name), state, escape(errors.get(name, "")))
    return table
