"""torchrun train.py: the same run by two processes, one voice, and what is left when one of them is killed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from goalbridge.tests.end_to_end.runs import KILLED, ONLINE, python, same_state, scalars, step_of

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The line by which the processes say what went wrong; fails unless just one of them says it, below no traceback.

    torchrun's summary, the last that it prints, says it once more.
    """
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    (line,) = [line for line in lines if line.startswith("error: ")]
    assert "Traceback" not in done.stderr.split(line)[0]
    assert any(line in other for other in lines[-20:]), done.stderr
    return line.removeprefix("error: ")


def test_two_processes_make_the_run_that_one_makes(
    script_environment: dict[str, str], tiny: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    done = python(script_environment, *TORCHRUN, "train.py", *tiny, f"run_dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 12 steps; now: python evaluate.py") == 1
    assert "warning" not in done.stderr
    same_state(finished, tmp_path / "two", **ROUNDING)
    one, two = scalars(finished), scalars(tmp_path / "two")
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
    script: Any, script_environment: dict[str, str], tiny: tuple[str, ...], finished: Path, tmp_path: Path, rank: int
) -> None:
    """kill -9 in step 7 of 12: if it is not the first process, that one leaves a checkpoint of this very step."""
    folder, path = tmp_path / "killed", tmp_path / "killed.py"
    path.write_text(KILLED.format(step=7, rank=rank))
    done = python(script_environment, *TORCHRUN, str(path), *tiny, f"run_dir={folder}")
    assert told(done) == (
        f"a process of this run has ended or cannot be reached; what {folder} holds is whole, "
        "and the same command with resume=true goes on"
    )
    assert step_of(folder) == (7 if rank else 4)
    assert not [path for path in folder.rglob("*") if ".partial" in path.name]
    assert script("train", *tiny, f"run_dir={folder}", "resume=true").code == 0
    same_state(finished, folder, **ROUNDING)


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped(
    script_environment: dict[str, str], tiny: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "halted"
    python(script_environment, "-c", KILLED.format(step=7, rank=0), *tiny, f"run_dir={folder}")
    assert step_of(folder) == 4
    done = python(script_environment, *TORCHRUN, "train.py", *tiny, f"run_dir={folder}", "resume=true")
    assert done.returncode == 0, done.stderr
    same_state(finished, folder, **ROUNDING)


@pytest.mark.slow
def test_what_cannot_be_trained_is_said_once(
    script_environment: dict[str, str], tiny: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    run = f"run_dir={tmp_path / 'run'}"
    for arguments, says in (
        ((run, "train.batch_size=15"), "train.batch_size=15: expected a multiple of 2 processes; try 16"),
        ((run, "train.batch_size=1"), "train.batch_size=1: must be at least 2"),
        ((run, "trian.steps=5"), "trian.steps=5: no such setting"),
        ((f"run_dir={finished}",), f"run_dir={finished}: already holds a run"),
    ):
        assert told(python(script_environment, *TORCHRUN, "train.py", *tiny, *arguments)).startswith(says)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_share_the_batches_of_online_data(
    trained: Any, script_environment: dict[str, str], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """Each plays for itself, and both the same: what they would otherwise learn from differed by more than rounding."""
    settings = (*tiny, *ONLINE)
    done = python(script_environment, *TORCHRUN, "train.py", *settings, f"run_dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    same_state(trained("one", *settings), tmp_path / "two", **ROUNDING)
