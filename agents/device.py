"""What a run computes with."""

from __future__ import annotations

import os
import shutil

import torch

from goalbridge.configs.checks import ConfigError


def resolve_device(name: str) -> torch.device:
    """The device that a setting names; "auto" is the first of cuda, mps and cpu that is there.

    Raises ConfigError for a device that this machine lacks.
    """
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name == "auto":
        return torch.device(next(kind for kind, count in there.items() if count))
    kind, _, index = name.partition(":")
    if int(index or 0) >= there.get(kind, 0):
        raise ConfigError(f"device={name}: expected a device of this machine; try device=auto")
    return torch.device(name)


def require_compiler(compiles: bool) -> None:
    """ConfigError where torch.compile is asked for, and there is no C++ compiler for it."""
    compilers = (os.environ.get("CXX", "g++"), "g++", "clang++")
    if compiles and not any(shutil.which(name) for name in compilers):
        raise ConfigError(
            "train.compile=true: expected a C++ compiler, g++ or clang++, on this machine; try train.compile=false"
        )
