"""The record of a run: its settings, command line, git state and versions; and whose folder it is."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from configs.checks import ConfigError
from configs.load import build
from configs.schema import RunConfig

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
    """How this run came about: command line, git commit and difference from it, versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "command": ["python", *sys.argv],
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
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"run_dir={folder}: holds no run ({path.name} is missing); train with run_dir={folder}"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    return build(RunConfig, values)
