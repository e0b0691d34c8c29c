"""What may befall a run: Ctrl-C, a kill at any moment, a second process on its folder, a full disk, damage."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from goalbridge.agents import Agent, Learner
from goalbridge.agents.storage import read_tensors, write_tensors
from goalbridge.configs import run_folder
from goalbridge.tests.end_to_end.runs import (
    GRIDS,
    KILLED,
    ONLINE,
    ONLINE_GRIDS,
    ROOT,
    after_step,
    contents,
    python,
    same_state,
    same_training,
    scalars,
    step_of,
)

RUNS = 30
SOAK = ("train.steps=40", "train.checkpoint_every=2", "train.evaluate_every=0")
IN_MAZES = {
    "finished": (),
    "anywhere": (*ONLINE, "env.start=anywhere", "env.episode_segments=3"),
    "corner": (*ONLINE, "env.start=corner", "env.episode_segments=3"),
}
IN_GRIDS = {"babyai": GRIDS, "babyai online": ONLINE_GRIDS}


@pytest.mark.parametrize("kind", [*IN_MAZES, *IN_GRIDS])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    script: Any, trained: Any, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Ctrl-C in step 7, amidst the play: a checkpoint is left there; buffer, captions, places and generators go on."""
    settings = (*tiny, *IN_MAZES[kind]) if kind in IN_MAZES else IN_GRIDS[kind]
    halted, handler = tmp_path / "halted", signal.signal(signal.SIGINT, signal.default_int_handler)
    command = ("train", *settings, f"run_dir={halted}")
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "update", after_step(7, lambda _: os.kill(os.getpid(), signal.SIGINT)))
        done = script(*command)
    assert signal.signal(signal.SIGINT, handler) is signal.default_int_handler  # as it was before training
    assert done.code == 130
    steps = 8 if kind == "babyai" else 12
    assert f"stopped at step 7 of {steps}; the same command with resume=true goes on" in done.out
    assert step_of(halted) == 7
    Agent.from_pretrained(halted)
    assert "already holds a run; add resume=true" in script(*command).error
    assert script(*command, "resume=true").code == 0
    same_training(trained(kind, *settings), halted)


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    script: Any, tiny: tuple[str, ...], finished: Path, tmp_path: Path, script_environment: dict[str, str]
) -> None:
    """kill -9 in step 11: the checkpoint of step 8 and its logs stay, and what came after is done again."""
    folder = tmp_path / "killed"
    done = python(script_environment, "-c", KILLED.format(step=11, rank=0), *tiny, f"run_dir={folder}")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert step_of(folder) == 8
    time.sleep(1.1)  # TensorBoard orders event files by the second in their names, and this resume is quicker
    assert script("train", *tiny, f"run_dir={folder}", "resume=true").code == 0
    same_training(finished, folder)
    assert (folder / "resumed.json").is_file()


@pytest.mark.slow
@pytest.mark.ci_slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_a_run_that_is_ended_at_any_moment_goes_on(
    script_environment: dict[str, str], tmp_path: Path, ending: signal.Signals
) -> None:
    """At the default batch and net, ended from outside at no particular step, the result is the same to the bit."""
    settings = ["encoder=label", "train.steps=300", "train.checkpoint_every=20", "data.trajectories=2000"]
    settings += ["data.labelled_goals=2000", "train.evaluate_every=100", "train.evaluation_episodes=10"]
    whole, ended = tmp_path / "whole", tmp_path / "ended"
    done = python(script_environment, "train.py", *settings, f"run_dir={whole}")
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "train.py", *settings, f"run_dir={ended}"]
    process = subprocess.Popen(command, cwd=ROOT, env=script_environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            if (ended / "checkpoint.safetensors").exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(0.4)
        assert process.poll() is None, "ended before it could be interrupted"
        os.kill(process.pid, ending)
        assert process.wait(60) == (130 if ending is signal.SIGINT else -ending)
    finally:
        process.kill()
    resumed = python(script_environment, "train.py", *settings, f"run_dir={ended}", "resume=true")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("agent.safetensors", "agent.json", "checkpoint.safetensors"):
        assert (ended / name).read_bytes() == (whole / name).read_bytes(), name


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


def test_resuming_a_finished_run_changes_nothing(script: Any, tiny: tuple[str, ...], finished: Path) -> None:
    def kept() -> dict[str, bytes]:
        files = contents(finished)
        return {name: content for name, content in files.items() if "events" not in name and name != "resumed.json"}

    before, logged = kept(), scalars(finished)
    resumed = script("train", *tiny, f"run_dir={finished}", "resume=true")
    assert resumed.code == 0
    assert "trained 12 steps; now: python evaluate.py" in resumed.out
    assert (kept(), scalars(finished)) == (before, logged)


CHECKPOINT, ACTIONS = "checkpoint.safetensors", "trajectories/actions.npy"


def rewritten(change: Callable[[Any, Any], Any]) -> Callable[[Path], None]:
    """Changes the tensors or the description of a file."""

    def rewrite(path: Path) -> None:
        tensors, about = read_tensors(path)
        change(tensors["agent.goal_encoder.tower.0.weight"], about)
        write_tensors(path, tensors, about)

    return rewrite


nan = rewritten(lambda weight, _: weight.fill_(float("nan")))
elsewhere = rewritten(lambda _, about: about.update(run={"env": "goalbridge/SlitMaze-v0", "layout": "x"}))
DAMAGES: list[tuple[str, Callable[[Path], Any], str]] = [
    (CHECKPOINT, lambda path: path.write_bytes(path.read_bytes()[:3000]), "is damaged or no safetensors file"),
    (CHECKPOINT, nan, "holds NaN or infinity"),
    (CHECKPOINT, elsewhere, "was made with env goalbridge/SlitMaze-v0, not goalbridge/ForkMaze-v0"),
    (ACTIONS, lambda path: path.write_bytes(b""), "actions.npy: expected what was written there"),
]
OTHERS = [
    ("resume=false", ": already holds a run; add resume=true to go on, or choose another run_dir"),
    ("train.batch_size=17", "was begun with train.batch_size=16; use"),
    ("seed=3", "was begun with seed=0; use"),
    ("data.trajectories=99", "was begun with data.trajectories=100; use"),
    ("env=slit_maze", "env.id=goalbridge/SlitMaze-v0: the run in "),
]


@pytest.mark.parametrize(
    ("name", "change", "says"), [*DAMAGES, *(("config.json", setting, says) for setting, says in OTHERS)]
)
def test_what_is_not_gone_on_from_stays_as_it_is(
    script: Any, tiny: tuple[str, ...], finished: Path, name: str, change: Any, says: str
) -> None:
    if callable(change):
        change(finished / name)
    before = contents(finished)
    other = () if callable(change) else (change,)
    assert says in script("train", *tiny, f"run_dir={finished}", "resume=true", *other).error
    assert contents(finished) == before


def test_a_stray_folder_of_trajectories_is_not_taken_for_ours(
    script: Any, tiny: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "trajectories", tmp_path / "stray" / "trajectories")
    assert "already holds a run" in script("train", *tiny, f"run_dir={tmp_path / 'stray'}").error


def poison(learner: Learner) -> None:
    with torch.no_grad():
        learner.agent.critic_bc.log_scale.fill_(float("nan"))


def test_divergence_stops_and_leaves_the_last_good_checkpoint(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights go bad in step 8, whose own loss is still fine: step 8's checkpoint must not replace step 4's."""
    monkeypatch.setattr(Learner, "update", after_step(8, poison))
    refused = script("train", *tiny, f"run_dir={tmp_path}")
    assert refused.code == 2
    (line,) = [line for line in refused.err.splitlines() if line.startswith("error: ")]
    assert "train.learning_rate=" in line
    assert "by step 8; the last good checkpoint" in line
    assert step_of(tmp_path) == 4
    Agent.from_pretrained(tmp_path)


@pytest.mark.parametrize("rate", ["1e6", "1e30"])
def test_a_learning_rate_beyond_reason_ends_in_one_line(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, rate: str
) -> None:
    arguments = ("train.checkpoint_every=1", "train.steps=60", "train.log_every=50", f"train.learning_rate={rate}")
    assert "train anew with a lower one" in script("train", *tiny, *arguments, f"run_dir={tmp_path}").error
    if (tmp_path / CHECKPOINT).exists():
        read_tensors(tmp_path / CHECKPOINT)  # finite, or it would raise


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
input()
"""


def test_a_second_process_on_a_run_is_refused(script: Any, tiny: tuple[str, ...], finished: Path) -> None:
    """Another process, by its descriptor of the lock, is at work; when it has gone, so has the lock."""
    command = ("train", *tiny, f"run_dir={finished}", "resume=true")
    holding = [sys.executable, "-c", HOLDER, str(finished / ".lock")]
    holder = subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    before = contents(finished)
    assert script(*command).error == (
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
    seen: list[int] = []
    update = Learner.update

    def watched(self: Learner, *arguments: Any, **options: Any) -> Any:
        with (tmp_path / "run" / ".lock").open("w") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                seen.append(self.step)
        return update(self, *arguments, **options)

    monkeypatch.setattr(Learner, "update", watched)
    assert script("train", *tiny, f"run_dir={tmp_path / 'run'}").code == 0
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
    with run_folder.claimed(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()  # in which nothing was written


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.EOPNOTSUPP, pytest.warns(UserWarning, match="has no locks; let one process alone train here")),
        (errno.EIO, pytest.raises(OSError, match="Input/output")),
    ],
)
def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, outcome: Any
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with outcome, run_folder.claimed(tmp_path):
        pass


REFUSALS = {
    errno.ENOSPC: "no space left on device; make room on that disk",
    errno.EDQUOT: "disk quota exceeded; make room within your quota",
    errno.EIO: "input/output error; look after that disk, which could not be read or written",
    errno.EROFS: "read-only file system; choose a folder that can be written",
    errno.EMFILE: "too many open files; raise the limit of open files (ulimit -n)",
    errno.EFBIG: "file too large; raise the limit of a file's size (ulimit -f)",
}


@pytest.mark.parametrize("number", REFUSALS)
def test_what_the_system_refuses_while_checkpointing_keeps_the_old_one(
    script: Any, tiny: tuple[str, ...], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder, real = tmp_path / "run", os.fsync

    def full(descriptor: int) -> None:
        written = os.readlink(f"/proc/self/fd/{descriptor}") if os.path.isdir("/proc/self/fd") else ""
        if ".checkpoint" in written and (folder / CHECKPOINT).exists():
            raise OSError(number, os.strerror(number))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused = script("train", *tiny, f"run_dir={folder}")
    assert refused.code == 2
    assert refused.err.splitlines()[-1] == (
        f"error: {folder}: {REFUSALS[number]}; "
        f"what {folder} holds is whole, and the same command with resume=true goes on"
    )
    assert step_of(folder) == 4
    assert not [path for path in folder.rglob("*") if ".partial" in path.name]
    assert script("train", *tiny, f"run_dir={folder}", "resume=true").code == 0
    same_state(finished, folder)


def test_a_folder_that_is_removed_in_mid_run_is_not_made_again(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    monkeypatch.setattr(Learner, "update", after_step(6, lambda _: shutil.rmtree(folder)))
    refused = script("train", *tiny, f"run_dir={folder}")
    assert refused.code == 2
    assert f"{folder}: expected the run's folder, which somebody has removed" in refused.err.splitlines()[-1]
    assert not list(folder.glob("*.safetensors"))


@pytest.mark.parametrize(
    "setting", ["agent.width=1000000000", "agent.depth=100000000", "data.trajectories=1000000000000"]
)
def test_sizes_that_cannot_fit_are_refused_with_the_bytes(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, setting: str
) -> None:
    error = script("train", *tiny, setting, f"run_dir={tmp_path / 'run'}").error
    assert setting in error
    assert "GiB, got at least" in error
    assert not (tmp_path / "run").exists()


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
