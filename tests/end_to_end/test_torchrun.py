"""torchrun train.py: the same run by two processes, one voice, and what is left when one of them is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from goalbridge.agents.storage import read_tensors

ROOT = Path(__file__).parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
Environment = dict[str, str]

KILLED = """
import os, signal
from goalbridge import train
from goalbridge.agents import Learner
update = Learner.update
def killing(self, *arguments, **options):
    info = update(self, *arguments, **options)
    if self.step == 7 and os.environ["RANK"] == "{rank}":
        os.kill(os.getpid(), signal.SIGKILL)
    return info
Learner.update = killing
train.command()
"""


def launch(environment: Environment, *command: str) -> subprocess.CompletedProcess[str]:
    """Two processes of a script, to their end."""
    environment = {**environment, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*TORCHRUN, *command], env=environment, capture_output=True, text=True, check=False, cwd=ROOT, timeout=900
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The line by which the processes say what went wrong; fails unless just one of them says it, below no traceback.

    torchrun's summary, the last that it prints, says it once more.
    """
    lines = done.stderr.splitlines()
    (line,) = [line for line in lines if line.startswith("error: ")]
    assert "Traceback" not in done.stderr.split(line)[0]
    assert any(line in other for other in lines[-20:]), done.stderr
    return line.removeprefix("error: ")


def close(one: Path, other: Path) -> None:
    """Fails unless two runs' training states are equal but for rounding."""
    for name in ("agent.safetensors", "checkpoint.safetensors"):
        (first, about), (second, about_second) = read_tensors(one / name), read_tensors(other / name)
        assert about == about_second
        assert first.keys() == second.keys()
        for tensor in first:
            torch.testing.assert_close(first[tensor], second[tensor], rtol=1e-4, atol=1e-5)


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """All numbers that TensorBoard knows of a run."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_two_processes_make_the_run_that_one_makes(
    script_environment: Environment, tiny: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    done = launch(script_environment, "train.py", *tiny, f"run_dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 12 steps; now: python evaluate.py") == 1
    assert "warning" not in done.stderr
    close(finished, tmp_path / "two")
    one, two = logged(finished), logged(tmp_path / "two")
    assert one.keys() == two.keys()
    for tag, values in one.items():
        assert [step for step, _ in values] == [step for step, _ in two[tag]], tag
        assert [value for _, value in values] == pytest.approx([value for _, value in two[tag]], rel=1e-3, abs=1e-5)
    names = [sorted(path.name.split(".")[0] for path in folder.iterdir()) for folder in (finished, tmp_path / "two")]
    assert names[0] == names[1]  # one file of events each, too


@pytest.mark.slow
@pytest.mark.ci_slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_run_and_one_alone_can_go_on(
    script: Any, script_environment: Environment, tiny: tuple[str, ...], finished: Path, tmp_path: Path, rank: int
) -> None:
    """kill -9 in step 7 of 12: if it is not the first process, that one leaves a checkpoint of this very step."""
    folder, path = tmp_path / "killed", tmp_path / "killed.py"
    path.write_text(KILLED.format(rank=rank))
    done = launch(script_environment, str(path), *tiny, f"run_dir={folder}")
    assert done.returncode != 0
    assert told(done) == (
        f"a process of this run has ended or cannot be reached; what {folder} holds is whole, "
        "and the same command with resume=true goes on"
    )
    assert read_tensors(folder / "checkpoint.safetensors")[1]["step"] == (7 if rank else 4)
    assert not [path for path in folder.rglob("*") if ".partial" in path.name]
    assert script("train", *tiny, f"run_dir={folder}", "resume=true").code == 0
    close(finished, folder)


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped(
    script: Any, script_environment: Environment, tiny: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    folder, path = tmp_path / "halted", tmp_path / "killed.py"
    path.write_text(KILLED.format(rank=0))
    alone = {**script_environment, "RANK": "0"}
    subprocess.run([sys.executable, str(path), *tiny, f"run_dir={folder}"], env=alone, check=False, cwd=ROOT)
    assert read_tensors(folder / "checkpoint.safetensors")[1]["step"] == 4
    done = launch(script_environment, "train.py", *tiny, f"run_dir={folder}", "resume=true")
    assert done.returncode == 0, done.stderr
    close(finished, folder)


@pytest.mark.slow
def test_what_cannot_be_trained_is_said_once(
    script_environment: Environment, tiny: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    run = f"run_dir={tmp_path / 'run'}"
    for arguments, says in (
        ((run, "train.batch_size=15"), "train.batch_size=15: expected a multiple of 2 processes; try 16"),
        ((run, "train.batch_size=1"), "train.batch_size=1: must be at least 2"),
        ((run, "trian.steps=5"), "trian.steps=5: no such setting"),
        ((f"run_dir={finished}",), f"run_dir={finished}: already holds a run"),
    ):
        done = launch(script_environment, "train.py", *tiny, *arguments)
        assert done.returncode != 0
        assert told(done).startswith(says)
    assert not os.path.exists(tmp_path / "run")


@pytest.mark.slow
def test_two_processes_share_the_batches_of_own_play(
    script: Any, script_environment: Environment, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """Each plays for itself, and both the same: what they would otherwise learn from differed by more than rounding."""
    own = (*tiny, "data=online", "data.environments=4", "data.walk_length=12", "data.environment_steps=480")
    assert script("train", *own, f"run_dir={tmp_path / 'one'}").code == 0
    done = launch(script_environment, "train.py", *own, f"run_dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    close(tmp_path / "one", tmp_path / "two")
