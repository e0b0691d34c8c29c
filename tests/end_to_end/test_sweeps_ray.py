"""A sweep on a real Ray of this machine: one job is killed, one loses its worker, and the same command completes it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goalbridge.agents.storage import read_tensors
from goalbridge.configs.sweep import plan

ray = pytest.importorskip("ray", reason="ray is not installed (the extra 'cluster')")
pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="hydra-ray-launcher is not installed")

ROOT = Path(__file__).parents[2]
STEPS = 600
PATIENCE = 600.0  # seconds; importing on a busy machine takes long


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray with two cores that is started for the test and stopped after it."""
    for name, value in {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }.items():
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


def steps_of(job: Path) -> int:
    return int(read_tensors(job / "checkpoint.safetensors")[1]["step"])


@pytest.mark.slow
def test_one_job_of_four_is_killed_and_the_same_command_completes_it(
    address: str, tiny: tuple[str, ...], script_environment: dict[str, str], tmp_path: Path
) -> None:
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
    assert 0 < steps_of(killed) < STEPS
    assert [steps_of(job) for job in (moved, *others)] == [STEPS] * 3
    assert (moved / "resumed.json").is_file()

    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "4 jobs in" in again.stdout
    assert "1 of them to run" in again.stdout
    assert states(again.stdout) == {killed.name: "finished"} | {job.name: "finished before" for job in jobs[1:]}
    assert steps_of(killed) == STEPS
    assert (killed / "resumed.json").is_file()


def states(shown: str) -> dict[str, str]:
    """The state of each job in the table that ends a sweep."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines() if line.startswith(" env=")]
    return {row[0]: row[1] for row in rows}
