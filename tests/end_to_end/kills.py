"""Kills a command at each of its file operations, lets it go on, and compares: `python kills.py SCENARIO ROOT LOSES`.

Run as a program of its own, which forks a child for each operation. LOSES: what a loss of power takes beside the life
of the process: `nothing`; `content` of files that were not forced to the disk, which then hold zeros; or `names`, so
that files that were made, moved or removed in a folder that was not forced to the disk since are as they were before.
Prints a JSON object: operations tried, and what differed after going on, by the number of the operation.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

KILLED = 137
TINY = (
    *("encoder=label", "data.trajectories=40", "data.labelled_goals=60", "agent.width=16", "agent.depth=2"),
    *("agent.embedding_dim=8", "agent.bridge_goals=20", "train.steps=6", "train.batch_size=16", "train.log_every=3"),
    *("train.evaluate_every=0", "train.checkpoint_every=3"),
)
KEPT = ("agent.safetensors", "agent.json", "checkpoint.safetensors", "evaluation.json")


class Disk:
    """Counts what a process does to files under `root`, ends it before one of these operations, and loses things."""

    def __init__(self, root: Path, kill_at: int, loses: str) -> None:
        self.root, self.kill_at, self.loses = str(root), kill_at, loses
        self.count, self.saved = 0, 0
        self.unsafe: set[str] = set()  # files whose content is not on the disk
        self.undo: list[tuple[str, Callable[[], None]]] = []  # folder, and how a change of a name in it is undone
        self.real: dict[str, Any] = {}
        names = ("replace", "rename", "unlink", "remove", "mkdir", "rmdir", "fsync", "open")
        for name in names:
            self.real[name] = getattr(os, name)
        self.real["io.open"] = io.open
        self.backups = Path(f"{root}.backups")
        shutil.rmtree(self.backups, ignore_errors=True)
        self.backups.mkdir()
        self.paths: dict[int, str] = {}
        for name in names:
            setattr(os, name, getattr(self, name))
        io.open = builtins.open = self.io_open

    def _mine(self, path: Any, folder: int | None = None) -> str | None:
        """Its absolute path, if it lies under the root."""
        if isinstance(path, int):
            return None
        name = os.fsdecode(path)
        if folder is not None:
            name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
        name = os.path.abspath(name)
        return name if name.startswith(self.root) else None

    def _next(self) -> None:
        if self.count == self.kill_at:  # never, where it is -1
            if self.loses == "content":
                for path in self.unsafe:
                    if os.path.isfile(path):
                        size = os.path.getsize(path)
                        with self.real["io.open"](path, "wb") as file:
                            file.write(bytes(size))
            self.root = "\0"  # what follows is not counted
            if self.loses == "names":
                for _, undo in reversed(self.undo):
                    undo()
            os._exit(KILLED)
        self.count += 1

    def _backup(self, path: str) -> str:
        self.saved += 1
        kept = str(self.backups / str(self.saved))
        os.link(path, kept)
        return kept

    def _bring_back(self, kept: str, path: str) -> Callable[[], None]:
        return lambda: self.real["replace"](kept, path)

    def replace(self, source: Any, target: Any, **options: Any) -> None:
        one, other = self._mine(source), self._mine(target)
        if one and other:
            self._next()
            there = self._backup(other) if os.path.isfile(other) else None
            self.undo.append((os.path.dirname(other), lambda: self.real["replace"](other, one)))
            if there:
                self.undo.insert(len(self.undo) - 1, (os.path.dirname(other), self._bring_back(there, other)))
        self.real["replace"](source, target, **options)
        if one and other:
            moved = {path for path in self.unsafe if path == one or path.startswith(one + "/")}
            self.unsafe = (self.unsafe - moved) | {other + path[len(one) :] for path in moved}

    rename = replace

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        mine = self._mine(path, dir_fd)
        if mine and os.path.isfile(mine):
            self._next()
            kept = self._backup(mine)
            self.undo.append((os.path.dirname(mine), self._bring_back(kept, mine)))
            self.unsafe.discard(mine)
        self.real["unlink"](path, dir_fd=dir_fd)

    remove = unlink

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        mine = self._mine(path, dir_fd)
        if mine and not os.path.exists(mine):
            self._next()
            self.undo.append((os.path.dirname(mine), lambda: shutil.rmtree(mine, ignore_errors=True)))
        self.real["mkdir"](path, mode, dir_fd=dir_fd)

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        mine = self._mine(path, dir_fd)
        if mine and os.path.isdir(mine):
            self._next()
            self.undo.append((os.path.dirname(mine), lambda: os.makedirs(mine, exist_ok=True)))
        self.real["rmdir"](path, dir_fd=dir_fd)

    def fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if self._mine(path):
            self._next()
            self.unsafe.discard(path)
            self.undo = [(folder, undo) for folder, undo in self.undo if folder != path]
        self.real["fsync"](descriptor)

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            self._written(self._mine(path, dir_fd))
        return int(self.real["open"](path, flags, mode, dir_fd=dir_fd))

    def io_open(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            self._written(self._mine(file))
        return self.real["io.open"](file, mode, *arguments, **options)

    def _written(self, path: str | None) -> None:
        if path:
            self._next()
            if not os.path.exists(path):
                self.undo.append((os.path.dirname(path), lambda: Path(path).unlink(missing_ok=True)))
            self.unsafe.add(path)


class NoDashboard:
    """Stands in for the logs of a run."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __enter__(self) -> NoDashboard:
        return self

    def __exit__(self, *_arguments: Any) -> None:
        pass

    def show(self, *_arguments: Any) -> None:
        """Would draw a bar and log."""

    def evaluate(self, *_arguments: Any) -> dict[str, float]:
        """Would evaluate."""
        return {}


def in_a_child(work: Callable[[], None]) -> int:
    """Its exit code, or minus the signal."""
    child = os.fork()
    if child == 0:
        signal.alarm(120)
        code = 70
        try:
            with open(os.devnull, "w") as nowhere:
                if "SHOW" not in os.environ:
                    os.dup2(nowhere.fileno(), 1)
                    os.dup2(nowhere.fileno(), 2)
                work()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def script(name: str, *arguments: str) -> Callable[[], None]:
    """The command line `python NAME.py ARGUMENTS`."""

    def run() -> None:
        import importlib

        sys.argv = [f"{name}.py", *arguments]
        importlib.import_module(f"goalbridge.{name}").command()

    return run


def export(run: Path, datasets: Path) -> None:
    """The run's trajectories as a Minari dataset."""
    from goalbridge.training.export import main

    os.environ["MINARI_DATASETS_PATH"] = str(datasets)
    raise SystemExit(main([f"run_dir={run}", "dataset=mine/fork-v0"]))


def write_house(path: Path) -> None:
    """A dataset of a house of two rooms as JSON lines."""
    lines = []
    for start in range(30):
        row = start % 5
        observations = [[float(row), float(column)] for column in range(6)]
        captions = {"5": ["the right side"], "0": ["the left side"]}
        lines.append({"observations": observations, "actions": [[0.0, 1.0]] * 5, "captions": captions})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def contents(folder: Path) -> dict[str, bytes | None]:
    """Files that stay after a run, by their paths; of those whose bytes must be the same, these."""
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and "tfevents" not in name and path.name != "resumed.json":
            same = path.name in KEPT or path.suffix == ".npy"
            found[name] = path.read_bytes().replace(str(folder.parent).encode(), b"ROOT") if same else None
    return found


def steps_of(scenario: str, root: Path, resume: bool) -> Callable[[], None]:
    """The command of a scenario with all that it writes under `root`."""
    run = f"run_dir={root / 'run'}"
    again = ["resume=true"] if resume else []
    if scenario == "train":
        return script("train", "env=fork_maze", *TINY, run, *again)
    if scenario == "online":
        return script(
            "train", "env=fork_maze", "data=online", "data.trajectories=16", *TINY[:1], *TINY[2:], run, *again
        )
    if scenario == "minari":
        os.environ["MINARI_DATASETS_PATH"] = str(root.parent / "datasets")
        return script(
            "train", "env=fork_maze", "data=minari", "dataset=mine/fork-v0", *TINY[:1], *TINY[2:], run, *again
        )
    if scenario == "files":
        house = f"dataset={root.parent / 'house.jsonl'}"
        return script("train", "data=files", house, *TINY[2:], run, *again)
    if scenario == "evaluate":
        copied = shutil.copytree(root.parent / "trained", root / "run", dirs_exist_ok=True)
        return script("evaluate", f"run_dir={copied}", "episodes=4", "rollouts=1", "estimators=[logsumexp]")
    return lambda: export(root.parent / "trained", root / "datasets")


def prepare(scenario: str, base: Path) -> None:
    """What a scenario needs before."""
    write_house(base / "house.jsonl")
    trained = base / "trained"
    if scenario in ("evaluate", "export", "minari") and not trained.is_dir():
        assert in_a_child(script("train", "env=fork_maze", *TINY, f"run_dir={trained}")) == 0
    if scenario == "minari":
        assert in_a_child(lambda: export(trained, base / "datasets")) == 0


def killed(work: Callable[[], None], root: Path, operation: int, loses: str) -> None:
    """Does the work until that operation; all of it if that is -1."""
    Disk(root, operation, loses)
    work()


def main(scenario: str, base: Path, loses: str) -> None:
    """Tries every operation of a scenario."""
    import torch
    import torch._dynamo  # once, for all children, like the other two

    import goalbridge.evaluation.evaluation
    import goalbridge.training.export  # noqa: F401 (as all of these)
    from goalbridge.training import run as training

    if scenario == "files":
        import sentence_transformers  # noqa: F401
    torch.set_num_threads(1)
    vars(training)["Dashboard"] = NoDashboard  # its logs are not among what must last
    base.mkdir(parents=True, exist_ok=True)
    prepare(scenario, base)
    expected: dict[str, bytes | None] = {}
    differed: dict[str, str] = {}
    operation = -1
    while True:
        root = base / "disk"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        (root / "runs").mkdir()
        code = in_a_child(partial(killed, steps_of(scenario, root, resume=False), root, operation, loses))
        if operation < 0:
            expected = contents(root)
            if code != 0:
                raise SystemExit(f"{scenario}: the run left alone ended with {code}")
        else:
            if code != KILLED:
                break
            after = in_a_child(steps_of(scenario, root, resume=True))
            found = contents(root)
            done = scenario == "export" and found == expected  # a dataset that is there is not written again
            if after != 0 and not done:
                differed[str(operation)] = f"ended with {after}"
            elif found != expected:
                names = found.keys() ^ expected.keys() or {n for n in found if found[n] != expected[n]}
                differed[str(operation)] = f"differs: {sorted(names)}"
        operation += 1
    print(json.dumps({"operations": operation, "last": code, "differed": differed}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
