"""What may befall a run: a second process on its folder, a full disk, a kill at any moment."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import random
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from goalbridge.agents import Learner
from goalbridge.agents.storage import read_tensors
from goalbridge.configs import run_folder

ROOT = Path(__file__).parents[2]
RUNS = 30
SOAK = ("train.steps=40", "train.checkpoint_every=2", "train.evaluate_every=0")

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
input()
"""


def same_state(one: Path, other: Path) -> None:
    """Fails unless two runs hold the same agent and can go on alike, bit for bit."""
    assert (one / "agent.safetensors").read_bytes() == (other / "agent.safetensors").read_bytes()
    (first, about), (second, about_second) = (
        read_tensors(folder / "checkpoint.safetensors") for folder in (one, other)
    )
    assert about == about_second
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_second_process_on_a_run_is_refused(script: Any, tiny: tuple[str, ...], finished: Path) -> None:
    """Another process, by its descriptor of the lock, is at work; when it has gone, so has the lock."""
    command = ("train", *tiny, f"run_dir={finished}", "resume=true")
    holding = [sys.executable, "-c", HOLDER, str(finished / ".lock")]
    holder = subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    before = contents(finished)
    refused = script(*command).error
    assert refused == (
        f"run_dir={finished}: another process is at work on this run; wait for it, or choose another run_dir"
    )
    assert contents(finished) == before
    holder.kill()
    holder.wait()
    assert (finished / ".lock").exists()  # the file that a killed process leaves holds nobody off
    assert script(*command).code == 0
    assert not (finished / ".lock").exists()


def test_a_new_run_is_locked_from_its_first_file_on(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, seen = tmp_path / "run", []
    update = Learner.update

    def watched(self: Learner, *arguments: Any, **options: Any) -> Any:
        with (folder / ".lock").open("w") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                seen.append(self.step)
        return update(self, *arguments, **options)

    monkeypatch.setattr(Learner, "update", watched)
    assert script("train", *tiny, f"run_dir={folder}").code == 0
    assert seen == list(range(12))


def test_a_lock_that_was_taken_away_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opened the file just before its owner ended must not believe to hold the lock of the next one."""
    opened: list[int] = []
    real = os.open

    def late(path: Any, *arguments: Any) -> int:
        descriptor = real(path, *arguments)
        if not opened:
            Path(path).unlink()
        opened.append(path)
        return descriptor

    monkeypatch.setattr(os, "open", late)
    with run_folder.claimed(tmp_path):
        assert len(opened) == 2
        assert (tmp_path / ".lock").exists()
    assert tmp_path.exists()  # it was there before


@pytest.mark.parametrize(("number", "warns"), [(errno.EOPNOTSUPP, True), (errno.EIO, False)])
def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, warns: bool
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    if warns:
        with (
            pytest.warns(UserWarning, match="has no locks; let one process alone train here"),
            run_folder.claimed(tmp_path),
        ):
            pass
    else:
        with pytest.raises(OSError, match="Input/output"), run_folder.claimed(tmp_path):
            pass


def test_a_folder_in_which_nothing_was_written_goes_again(tmp_path: Path) -> None:
    with run_folder.claimed(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()


def test_a_disk_that_fills_while_checkpointing_keeps_the_old_one(
    script: Any, tiny: tuple[str, ...], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = tmp_path / "run", os.fsync

    def full(descriptor: int) -> None:
        written = os.readlink(f"/proc/self/fd/{descriptor}") if os.path.isdir("/proc/self/fd") else ""
        if ".checkpoint" in written and (folder / "checkpoint.safetensors").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused = script("train", *tiny, f"run_dir={folder}")
    assert refused.code == 2
    assert refused.err.splitlines()[-1] == (
        f"error: {folder}: no space left on device; make room on that disk; "
        f"what {folder} holds is whole, and the same command with resume=true goes on"
    )
    assert read_tensors(folder / "checkpoint.safetensors")[1]["step"] == 4
    assert not [path for path in folder.rglob("*") if ".partial" in path.name]
    assert script("train", *tiny, f"run_dir={folder}", "resume=true").code == 0
    same_state(finished, folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of one MB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("room", [8, 40, 130, 200, 300])
def test_a_real_disk_that_is_full(
    script: Any, tiny: tuple[str, ...], finished: Path, small_disk: Path, room: int
) -> None:
    """Room for so many KB: from a place where not even the data fit to one where the logs no longer do."""
    ballast, folder = small_disk / "ballast", small_disk / "run"
    ballast.write_bytes(bytes((1024 - room) * 1024))
    refused = script("train", *tiny, f"run_dir={folder}")
    assert refused.code == 2
    (line,) = [line for line in refused.err.splitlines() if line.startswith("error: ")]
    assert "make room on that disk" in line
    assert "Traceback" not in refused.err
    ballast.unlink()
    assert script("train", *tiny, f"run_dir={folder}", "resume=true").code == 0
    same_state(finished, folder)


def start(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Any:
    """train.py as a process of its own, forked off one that has done the imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["goalbridge.training.run"])
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])  # what the process is given too
    process = context.Process(target=runpy.run_path, args=("train.py",), kwargs={"run_name": "__main__"})
    process.start()
    return process


@pytest.mark.slow
def test_runs_killed_at_random_moments_end_like_the_one_left_alone(
    tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for attempt in range(2):  # the first one waits for the imports too
        began = time.monotonic()
        left_alone = start((*tiny, *SOAK, f"run_dir={tmp_path / f'alone_{attempt}'}"), monkeypatch)
        left_alone.join()
        assert left_alone.exitcode == 0
        lasted = time.monotonic() - began
    draw, killed, with_checkpoint = random.Random(0), 0, 0
    for attempt in range(3 * RUNS):
        folder = tmp_path / f"run_{attempt}"
        arguments = (*tiny, *SOAK, f"run_dir={folder}")
        process = start(arguments, monkeypatch)
        time.sleep(draw.uniform(0, lasted))
        process.kill()
        process.join()
        if process.exitcode == 0:  # it was quicker
            continue
        killed += 1
        with_checkpoint += (folder / "checkpoint.safetensors").exists()
        resumed = start((*arguments, "resume=true"), monkeypatch)
        resumed.join()
        assert resumed.exitcode == 0, attempt
        same_state(tmp_path / "alone_0", folder)
        assert not (folder / ".lock").exists()
        if killed == RUNS:
            break
    print(f"{killed} runs killed, {with_checkpoint} of them when there was a checkpoint")
    assert killed == RUNS
    assert with_checkpoint > 0
