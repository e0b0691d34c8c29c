"""train.py -m and evaluate.py on what it trained: jobs that fail, the same command again, one table over seeds."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins.hparams import metadata

from goalbridge import train
from goalbridge.configs.run_folder import read_run_config
from goalbridge.configs.sweep import plan
from goalbridge.tests.end_to_end.runs import ROOT, events, states, step_of

FEW = ("episodes=12", "estimators=[logsumexp,random]")


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`sweep("seed=0,1", ...)`: exit code and output of `python train.py -m ...`, whose jobs are processes."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), "-m", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        with pytest.raises(SystemExit) as leaving:
            train.command()
        assert isinstance(leaving.value.code, int)
        return leaving.value.code, capfd.readouterr().out

    return run


@pytest.mark.parametrize(
    "launcher",
    ["basic", pytest.param("joblib", marks=pytest.mark.slow), pytest.param("submitit_local", marks=pytest.mark.slow)],
)
def test_a_job_that_fails_takes_no_other_with_it_and_the_rest_runs_once(
    sweep: Callable[..., tuple[int, str]], tiny: tuple[str, ...], tmp_path: Path, launcher: str
) -> None:
    """The first job diverges; the same command again leaves the finished one alone, and tries the other anew."""
    if launcher != "basic":
        pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    where = (f"hydra/launcher={launcher}", f"sweep_dir={tmp_path}")
    arguments = ("train.learning_rate=1e30,0.01", *tiny, "train.steps=60", *where)
    code, shown = sweep(*arguments)
    assert code == 1
    failed, finished = sorted(tmp_path.glob("train*"), key=lambda folder: "0.01" in folder.name)
    assert states(shown) == {failed.name: "failed", finished.name: "finished"}
    assert re.search(r"train.learning_rate=1e\+30: .* train anew with a lower one", " ".join(shown.split()))
    assert step_of(finished) == 60
    command = json.loads((finished / "run.json").read_text())["command"]
    assert command[1:3] == [str(ROOT / "train.py"), "train.learning_rate=0.01"]  # as if it were run alone
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    code, shown = sweep(*arguments)
    assert code == 1
    assert "2 jobs in" in shown
    assert "1 of them to run" in shown
    assert states(shown) == {failed.name: "failed", finished.name: "finished before"}
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.fixture
def swept(finished: Path, tmp_path: Path) -> Path:
    """A sweep's folder, as if trained: two recipes with two seeds, one unfinished, a copy, one that holds no run."""
    folder = tmp_path / "sweep"
    config = read_run_config(finished)
    for seed in (0, 1):
        for rate in (0.1, 0.2):
            run = folder / f"seed={seed},train.learning_rate={rate}"
            shutil.copytree(finished, run)
            changed = replace(config, seed=seed, run_dir=str(run), train=replace(config.train, learning_rate=rate))
            if (seed, rate) == (1, 0.2):
                changed = replace(changed, train=replace(changed.train, steps=50))
            (run / "config.json").write_text(json.dumps(asdict(changed)))
    shutil.copytree(folder / "seed=0,train.learning_rate=0.1", folder / "zz_copy")
    (folder / "empty").mkdir()
    (folder / "a file").write_text("")
    return folder


def test_a_sweep_is_gathered_over_its_seeds(script: Any, swept: Path) -> None:
    done = script("evaluate", f"run_dir={swept}/*", *FEW)
    assert done.code == 0, done.err
    report = json.loads((swept / "evaluation.json").read_text())
    (world,) = report["worlds"]
    assert (world["env"], report["seed"]) == ("goalbridge/ForkMaze-v0", 1_000_000)
    first, second = "train.learning_rate=0.1", "train.learning_rate=0.2"
    assert list(world["groups"]) == [first, second]
    group = world["groups"][first]
    assert group["seeds"] == [0, 1]
    assert group["settings"] == {"train.learning_rate": 0.1}
    assert (group["episodes"], len(group["runs"])) == (12, 2)
    success = group["estimators"]["logsumexp"]["success"]
    assert success["low"] <= success["mean"] <= success["high"]
    assert len(success["per_seed"]) == 2
    # The same agent in the same episodes: no difference, exactly, which unpaired episodes would not give.
    (between,) = world[f"paired_difference_from_{first}"].values()
    assert between["seeds"] == [0]
    difference = between["estimators"]["logsumexp"]["success"]
    assert (difference["mean"], difference["per_seed"]) == (0, [0])
    assert difference["low"] == -difference["high"]
    within = group["paired_difference_from_logsumexp"]["random"]["success"]["mean"]
    expected = group["estimators"]["random"]["success"]["mean"] - success["mean"]
    assert within == pytest.approx(expected)
    left_out = {Path(name).name: why for name, why in report["left_out"].items()}
    assert left_out["seed=1,train.learning_rate=0.2"] == "stands at step 12 of 50; train it to its end"
    assert left_out["zz_copy"] == f"has the settings and the seed of {swept}/seed=0,{first}"
    assert "holds no run" in left_out["empty"]
    assert len(left_out) == 3
    for text in ("ForkMaze-v0", "seeds 0, 1; 12 episodes", "logsumexp", "left out", "sweep/evaluation.json"):
        assert text in done.out
    alone = swept / "seed=0,train.learning_rate=0.1"
    assert script("evaluate", f"run_dir={alone}", *FEW, "rollouts=0").code == 0
    one = json.loads((alone / "evaluation.json").read_text())["estimators"]["logsumexp"]["success"]["mean"]
    assert one == pytest.approx(success["per_seed"][0], abs=1e-4)

    # TensorBoard shows it beside the settings.
    logged = events(swept / f"seed=0,{second}")
    (scalar,) = logged.Scalars("gathered/logsumexp/success")
    found = world["groups"][second]["estimators"]["logsumexp"]["success"]["mean"]
    assert (scalar.step, scalar.value) == (12, pytest.approx(found))
    content = logged.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    columns = {info.name.tag for info in metadata.parse_experiment_plugin_data(content).metric_infos}
    assert {"gathered/logsumexp/success", "evaluation/success"} <= columns


@pytest.mark.parametrize(
    ("pattern", "setting", "says"),
    [
        ("none*", "seed=0", "/none*: matches no folder; runs/sweep/* would be all runs of a sweep"),
        ("emp*", "seed=0", "none of 1 can be evaluated"),
        ("emp*", "seed=0", "holds no run"),
        ("*", "instruction=row 3", "instruction=row 3: is for one agent; give one run's run_dir"),
        ("*", "levels=[GoTo]", "levels=[GoTo]: no such setting for agents of maze, only of babyai"),
    ],
)
def test_what_cannot_be_gathered(script: Any, swept: Path, pattern: str, setting: str, says: str) -> None:
    assert says in script("evaluate", f"run_dir={swept}/{pattern}", setting).error
    assert not (swept / "evaluation.json").exists()


STEPS = 600
PATIENCE = 600.0  # seconds; importing on a busy machine takes long


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray with two cores that is started for the test and stopped after it."""
    ray = pytest.importorskip("ray", reason="ray is not installed (the extra 'cluster')")
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="hydra-ray-launcher is not installed")
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    for name, value in quiet.items():
        monkeypatch.setenv(name, value)
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


def process_of(job: Path) -> tuple[int, int]:
    """Process ids of a running job and of the Ray worker that carries it."""
    listed = ["ps", "-ww", "-eo", "pid=,ppid=,args="]
    shown = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    (found,) = [line.split() for line in shown.splitlines() if "configs.job" in line and str(job) in line]
    return int(found[0]), int(found[1])


def wait_for_checkpoint(job: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not (job / "checkpoint.safetensors").exists():
        assert time.monotonic() < end, f"{job} left no checkpoint"
        time.sleep(0.05)


@pytest.mark.slow
def test_on_ray_one_job_of_four_is_killed_and_the_same_command_completes_it(
    address: str, tiny: tuple[str, ...], script_environment: dict[str, str], tmp_path: Path
) -> None:
    """On a real Ray of this machine: one job is killed, and one loses its worker."""
    settings = (*tiny, f"train.steps={STEPS}", "train.checkpoint_every=10", "train.evaluate_every=0")
    launcher = ("hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}")
    swept = ("env=fork_maze,slit_maze", "seed=0,1", f"sweep_dir={tmp_path}")
    command = [sys.executable, str(ROOT / "train.py"), "-m", *swept, *settings, *launcher]
    jobs = [tmp_path / job.name for job in plan([*swept, *settings]).jobs]
    killed, moved, *others = jobs
    environment = {**script_environment, **{k: v for k, v in os.environ.items() if k.startswith("RAY_")}}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_for_checkpoint(killed)
        os.kill(process_of(killed)[0], signal.SIGKILL)
        wait_for_checkpoint(moved)
        os.kill(process_of(moved)[1], signal.SIGKILL)  # the worker, not the job: Ray gives the job another
        shown, _ = first.communicate(timeout=PATIENCE)
    finally:
        first.kill()
    assert first.returncode == 1, shown
    assert states(shown) == {killed.name: "failed"} | {job.name: "finished" for job in (moved, *others)}, shown
    assert "was ended by SIGKILL" in shown
    assert 0 < step_of(killed) < STEPS
    assert [step_of(job) for job in (moved, *others)] == [STEPS] * 3
    assert (moved / "resumed.json").is_file()

    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "4 jobs in" in again.stdout
    assert "1 of them to run" in again.stdout
    assert states(again.stdout) == {killed.name: "finished"} | {job.name: "finished before" for job in jobs[1:]}
    assert step_of(killed) == STEPS
    assert (killed / "resumed.json").is_file()
