"""Files that are whole or absent, and hold no pickle: safetensors for tensors, JSON for the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from goalbridge.configs.checks import CheckpointError

__all__ = ["CheckpointError"]


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` to `path` so that a reader, or a kill at any moment, meets the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Writes tensors and JSON-able metadata as one safetensors file, atomically."""
    header = {"metadata": json.dumps(dict(metadata or {}))}
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(whole, metadata=header))


def read_json(path: Path) -> Any:
    """The JSON value in `path`; CheckpointError where it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file; train with run_dir={path.parent} first") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file to read from; CheckpointError where it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; train with run_dir={path.parent} first")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: is damaged or no safetensors file ({error}); restore it or train anew"
        ) from error


def _metadata(file: Any) -> dict[str, Any]:
    return dict(json.loads((file.metadata() or {}).get("metadata", "{}")))


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a file by `write_tensors`, without its tensors; CheckpointError where missing or truncated."""
    with _opened(path) as file:
        return _metadata(file)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a file by `write_tensors`; CheckpointError where missing, truncated or not finite."""
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        metadata = _metadata(file)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{path}: tensor {name} holds NaN or infinity; use an earlier checkpoint or train anew"
            )
    return tensors, metadata
