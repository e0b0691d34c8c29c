"""From `train.py -m ...` to jobs: names, overrides, refusals; which launchers are there."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from goalbridge import train
from goalbridge.configs import sweep
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.command import command_line
from goalbridge.configs.compose import Composer, settings
from goalbridge.configs.run_folder import read_run_config
from goalbridge.configs.schema import RunConfig
from goalbridge.configs.sweep import Job, job_name, plan, run_sweep

NAMES = ("env=fork_maze,seed=0", "env=fork_maze,seed=1", "env=island_maze,seed=0", "env=island_maze,seed=1")


def test_every_combination_is_a_job_in_a_folder_named_by_it() -> None:
    planned = plan(["env=fork_maze,island_maze", "seed=0,1"])
    assert planned.folder == Path("runs/sweep")
    assert tuple(job.name for job in planned.jobs) == NAMES
    for job in planned.jobs:
        assert job.config.run_dir == f"runs/sweep/{job.name}"
        assert job.config.resume
        assert settings(RunConfig, job.overrides) == job.config
    assert [job.config.seed for job in planned.jobs] == [0, 1, 0, 1]
    assert {vars(job.config.env)["id"] for job in planned.jobs[2:]} == {"goalbridge/IslandMaze-v0"}


def test_the_sweeps_folder_and_the_launchers_settings_are_no_settings_of_a_job() -> None:
    given = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1", "sweep_dir=my runs, all", "device=cpu"]
    planned = plan([*given, "encoder.cache_dir=/some/where", "resume=false"])
    assert planned.hydra == ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert [job.config.run_dir for job in planned.jobs] == ["my runs, all/seed=0", "my runs, all/seed=1"]
    assert {job.config.encoder.cache_dir for job in planned.jobs} == {"/some/where"}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["seed=range(0,2)", "train.steps=40"], ["seed=0,train.steps=40", "seed=1,train.steps=40"]),
        (["data.kind=expert,random"], ["data.kind=expert", "data.kind=random"]),
        (["train.steps=choice(5,6)", "seed=3"], ["seed=3,train.steps=5", "seed=3,train.steps=6"]),
        (["seed=4,4"], ["seed=4"]),
        ([], ["default"]),
    ],
)
def test_values_are_given_in_hydras_ways(given: list[str], names: list[str]) -> None:
    assert [job.name for job in plan(given).jobs] == names


def test_names_are_fit_for_folders() -> None:
    assert job_name(["seed=1", "env=a"]) == job_name(["env=a", "seed=1"]) == "env=a,seed=1"
    long = [f"train.setting_{i}={i}" for i in range(20)]
    name = job_name(["seed=1"], long)
    assert name.startswith("seed=1-")
    assert len(name) == len("seed=1-") + 8
    assert name != job_name(["seed=1"], long[1:])
    assert len(job_name(long)) <= 110
    odd = [job_name([f"env.layout='{path}'"]) for path in ("../my maze.txt", "../my/maze.txt", "${x}")]
    assert len(set(odd)) == 3
    assert all("/" not in name and "$" not in name and " " not in name for name in odd)


REFUSALS = [
    (["seed=0,-1"], "seed=-1: must be at least 0"),
    (["seed=0,x"], "seed=x: must be a whole number"),
    (["env=fork_maze,frok_maze"], "env=frok_maze: no such choice; did you mean fork_maze?"),
    (["trian.steps=1,2"], "no such setting; did you mean train.steps?"),
    (["seed=interval(0,1)"], "seed=interval(0,1): expected a list of values; try 0,1,2 or range(0,3)"),
    (["run_dir=runs/a", "seed=0,1"], "run_dir=runs/a: is for one run; give sweep_dir=..."),
    (["sweep_dir=", "seed=0,1"], "sweep_dir='': must be a folder"),
    (["hydra/sweeper=optuna"], "hydra/sweeper=optuna: must be left out"),
    (["hydra.sweeper.max_batch_size=1"], "hydra.sweeper.max_batch_size=1: must be left out"),
    (["hydra/launcher=basic,joblib"], "hydra/launcher=basic,joblib: must be one value"),
    (["seed"], "seed: must be written setting=value"),
    (["=3"], "=3: must be written setting=value"),
]


@pytest.mark.parametrize(("given", "says"), REFUSALS, ids=lambda value: str(value)[:40])
def test_a_sweep_is_refused_before_any_job_runs(
    given: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        run_sweep(lambda _: False, given)
    assert says in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hydra/launcher=rai: is not installed; the extra 'cluster' brings"):
        run_sweep(lambda _: False, ["hydra/launcher=rai", f"sweep_dir={tmp_path / 'sweep'}"])
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.n_jobs=2: no such setting"):
        run_sweep(lambda _: False, ["hydra.launcher.n_jobs=2", f"sweep_dir={tmp_path / 'sweep'}"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match=r"sweep_dir=.*file: File exists; choose another folder"):
        run_sweep(lambda _: False, [f"sweep_dir={tmp_path / 'file'}"])


def test_nothing_is_launched_where_all_is_finished(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_sweep(lambda _: True, ["seed=0,1", f"sweep_dir={tmp_path / 'none'}"]) == 0
    assert "2 jobs in" in (shown := capsys.readouterr().out)
    assert shown.count("finished before") == 2
    assert list(tmp_path.iterdir()) == []


def test_what_a_launcher_leaves_unfinished_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job is done, one failed, and then the launcher gives up; Ctrl-C ends with its own exit code."""
    done: set[int] = set()

    def one_fails(_: Any, jobs: list[Job]) -> dict[str, str]:
        done.add(0)
        return {job.name: "diverged [1]" for job in jobs[1:]}

    def gives_up(*_: Any) -> dict[str, str]:
        raise sweep.LauncherError("hydra/launcher=ray: gave up: WorkerCrashedError: it died")

    def interrupted(*_: Any) -> dict[str, str]:
        raise KeyboardInterrupt

    def outcome(launcher: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sweep, "_launch", launcher)
        code = run_sweep(lambda config: config.seed in done, ["seed=0,1"])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    code, out, _ = outcome(one_fails)
    assert code == 1
    assert "failed" in out
    assert "diverged [1]" in out
    assert "the same command again runs what is not finished" in out
    code, out, error = outcome(gives_up)
    assert code == 1
    assert "1 of them to run" in out
    assert "unfinished" in out
    assert error == "error: hydra/launcher=ray: gave up: WorkerCrashedError: it died\n"
    assert outcome(interrupted)[0] == 130


def test_a_finished_run_is_known_by_its_settings_and_steps(finished: Path) -> None:
    config = replace(read_run_config(finished), run_dir=str(finished))
    assert train.finished(config)
    for changed in (replace(config, seed=1), replace(config, train=replace(config.train, steps=13))):
        assert not train.finished(changed)
    checkpoint = finished / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert not train.finished(config)


def test_evaluate_takes_no_sweep(script: Any) -> None:
    refused = script("evaluate", "-m", "run_dir=a,b").error
    assert refused == "-m=evaluate: is for train.py; run_dir='runs/sweep/*' evaluates a sweep"


CLUSTER = {
    "joblib": ["hydra.launcher.n_jobs=2"],
    "ray": ["hydra.launcher.ray.init.address=10.0.0.1:6379", "+hydra.launcher.ray.remote.num_gpus=1"],
    "submitit_local": ["hydra.launcher.timeout_min=90"],
    "submitit_slurm": ["hydra.launcher.partition=long", "hydra.launcher.gpus_per_node=1"],
}


@pytest.mark.parametrize("launcher", CLUSTER)
def test_launchers_of_the_extra_compose(launcher: str) -> None:
    """The settings that the documents name are there, and no library of a launcher is loaded for them."""
    plugin = f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher"
    if importlib.util.find_spec("hydra_plugins") is None or importlib.util.find_spec(plugin) is None:
        pytest.skip(f"{plugin} is not installed (the extra 'cluster')")
    with Composer(RunConfig) as composer:
        master = composer.compose([f"hydra/launcher={launcher}", *CLUSTER[launcher]])
    for given in CLUSTER[launcher]:
        name, _, value = given.lstrip("+").partition("=")
        assert str(OmegaConf.select(master, name)) == value
    sweep.for_running_cluster(master)
    if launcher == "ray":
        assert "object_store_memory" in master.hydra.launcher.ray.init
        assert master.hydra.launcher.ray.init.object_store_memory is None


def test_a_sweep_of_the_command_line_ends_with_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[str]] = []

    def swept(arguments: list[str]) -> int:
        told.append(arguments)
        return 7

    for given in (["-m", "seed=0,1"], ["seed=0,1", "--multirun"]):
        monkeypatch.setattr("sys.argv", ["train.py", *given])
        with pytest.raises(SystemExit) as leaving:
            command_line(RunConfig, "", train.main, swept)
        assert leaving.value.code == 7
    assert told == [["seed=0,1"], ["seed=0,1"]]
