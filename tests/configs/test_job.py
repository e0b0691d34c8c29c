"""A sweep's job: a process of its own, whose end is told in a line, and which ends with the worker that carries it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from goalbridge.configs.job import LONGEST_LINE, TaskFunction

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    "finishes": "import sys; print(*sys.argv)",
    "fails": "import sys; print('some output'); print('error: seed=5: is no good', file=sys.stderr); sys.exit(2)",
    "crashes": "raise ValueError('x' * 1000)",
    "silent": "import sys; sys.exit(3)",
    "killed": "import os; os.kill(os.getpid(), 9)",
}


@pytest.fixture
def task_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], TaskFunction]:
    """`task_of("fails")`: the task that runs one of the scripts, as a launcher would, for the job in tmp_path/job."""
    (tmp_path / "job").mkdir()
    overrides = {"task": ["seed=5", "run_dir='runs/a b'"], "hydra": []}
    composed = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(tmp_path / "job")}, "overrides": overrides}})
    monkeypatch.setattr(HydraConfig, "get", lambda: composed.hydra)

    def make(name: str) -> TaskFunction:
        (tmp_path / "script.py").write_text(SCRIPTS[name])
        return TaskFunction("script.py", str(tmp_path))

    return make


def test_the_script_gets_the_jobs_overrides(task_of: Callable[[str], TaskFunction], tmp_path: Path) -> None:
    assert task_of("finishes")(OmegaConf.create()) == ""
    assert (tmp_path / "job" / "output.txt").read_text() == "script.py seed=5 run_dir='runs/a b'\n"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("fails", "seed=5: is no good"),
        ("crashes", f"ValueError: {'x' * (LONGEST_LINE - 12)} ..."),
        ("silent", "ended with exit code 3"),
        ("killed", "was ended by SIGKILL; the same command goes on from its last checkpoint"),
    ],
)
def test_how_a_job_ended_is_told_in_a_line(
    task_of: Callable[[str], TaskFunction], name: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert task_of(name)(OmegaConf.create()) == error
    assert capsys.readouterr().out.startswith(f"job: {error} (")


WAITING = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def test_a_job_ends_with_its_worker(tmp_path: Path) -> None:
    """The worker is killed: nothing of its job goes on in the job's folder."""
    (tmp_path / "waits.py").write_text(WAITING)
    worker = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-m', 'goalbridge.configs.job', sys.argv[1]], "
        "stdin=subprocess.PIPE).wait()"
    )
    command = [sys.executable, "-c", worker, str(tmp_path / "waits.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        job = int(process.stdout.readline())
        assert is_running(job)
        process.kill()
    end = time.monotonic() + 30
    while is_running(job) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(job)


def is_running(pid: int) -> bool:
    """Whether there is a process of that number that is not merely waiting to be forgotten."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.startswith("Z")


def test_ctrl_c_lets_the_job_end_by_itself(tmp_path: Path) -> None:
    """A worker that is interrupted hands it on, and waits until the job has written what it must."""
    (tmp_path / "script.py").write_text(
        "import time\nprint('ready', flush=True)\ntry:\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(0.5)\n    print('saved')\n    raise SystemExit(130)\n"
    )
    worker = (
        "import pathlib, sys; from goalbridge.configs.job import TaskFunction; "
        "TaskFunction('script.py', sys.argv[1]).run([], pathlib.Path(sys.argv[1], 'output.txt'))"
    )
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # who runs the tests may have it ignored
    with subprocess.Popen(
        [sys.executable, "-c", worker, str(tmp_path)], stderr=subprocess.PIPE, preexec_fn=heard
    ) as process:
        output = tmp_path / "output.txt"
        end = time.monotonic() + 60
        while not (output.is_file() and "ready" in output.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)  # the worker alone, as a scheduler does; a terminal tells both
        process.wait()
    assert output.read_text() == "ready\nsaved\n"
