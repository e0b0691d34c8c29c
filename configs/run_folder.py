"""The record of a run: its settings, command line, git state and versions; and whose folder it is."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.durable import make_folder
from goalbridge.configs.load import build
from goalbridge.configs.renamed import present
from goalbridge.configs.schema import RunConfig
from goalbridge.configs.texts import read_json_object

PACKAGES = (
    "torch",
    "numpy",
    "gymnasium",
    "minigrid",
    "sentence-transformers",
    "tensorboard",
    "hydra-core",
    "safetensors",
)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=True,
            cwd=Path(__file__).parent,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def record() -> dict[str, Any]:
    """How this run came about: command line, processes that share it, git commit and difference from it, versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "command": ["python", *sys.argv],
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "git_commit": _git("rev-parse", "HEAD").strip(),
        "git_diff": _git("diff", "HEAD"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
    }


def open_run(config: RunConfig, files: tuple[str, ...]) -> bool:
    """Claims run_dir for this run; True where it already holds the run and `config.resume` asks to go on.

    files: names that show that a run lives there. Raises ConfigError, before anything is written, where the folder
    holds another run, resume=true finds other settings, or the path is no folder that can be written.
    """
    folder = Path(config.run_dir)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ConfigError(f"run_dir={folder}: {there} is a file; choose another folder")
    if not os.access(there, os.W_OK):
        raise ConfigError(f"run_dir={folder}: {there} cannot be written; choose another folder")
    present = [name for name in files if (folder / name).exists()]
    if not present:
        return False
    if not config.resume:
        raise ConfigError(f"run_dir={folder}: already holds a run; add resume=true to go on, or choose another run_dir")
    _refuse_other_settings(read_run_config(folder), config)
    return True


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keeps other processes off the run in `folder` for as long as this one lives; ConfigError where one is at work.

    The lock is the kernel's, on folder/.lock: it goes with its process, however that ends, even where the file stays.
    On NFS it holds between machines unless mounted with local_lock; a file system without locks is warned of.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    path = folder / ".lock"
    lock = _lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # still locked: who opened it meanwhile finds that it is no longer the folder's
        os.close(lock)
        with suppress(OSError):  # unless something was written
            for path in made:
                path.rmdir()


def _lock(path: Path) -> int:
    """The descriptor of the locked file, which is the one that lies in the folder."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise ConfigError(
                f"run_dir={path.parent}: another process is at work on this run; wait for it, or choose another run_dir"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                os.close(lock)
                raise
            warnings.warn(f"{path}: this file system has no locks; let one process alone train here", stacklevel=2)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        os.close(lock)


def _refuse_other_settings(old: RunConfig, new: RunConfig) -> None:
    # Where it lies and what computes it do not change the result.
    old = replace(old, run_dir=new.run_dir, resume=new.resume, device=new.device)
    before, after = flat(asdict(old)), flat(asdict(new))
    for name, value in after.items():
        if before.get(name) != value:
            raise ConfigError(
                f"{name}={value}: the run in {new.run_dir} was begun with {name}={before.get(name)}; "
                "use that, or another run_dir"
            )


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def read_run_config(folder: Path) -> RunConfig:
    """The settings that the run in `folder` was begun with; ConfigError where they are missing or damaged."""
    path = folder / "config.json"
    try:
        values = read_json_object(path)
    except FileNotFoundError:
        raise ConfigError(
            f"run_dir={folder}: holds no run ({path.name} is missing); train with run_dir={folder}"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); train anew in another run_dir") from error
    return build(RunConfig, present(values))
