"""Files that are whole or absent, and hold no pickle: safetensors for tensors, JSON for the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from goalbridge.configs.checks import CheckpointError
from goalbridge.configs.durable import write_atomically
from goalbridge.configs.texts import parse_json

__all__ = ["CheckpointError"]
_DIGEST = "blake2b"  # of the tensors, in a file's metadata; files of earlier versions, and others' files, have none


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Writes tensors and JSON-able metadata as one safetensors file, atomically, with a digest of the tensors."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = json.dumps({**(metadata or {}), _DIGEST: _digest(whole)})
    write_atomically(path, save(whole, metadata={"metadata": header}))


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """What tells these tensors, by their names, from any others."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def read_json(path: Path) -> Any:
    """The JSON value in `path`; CheckpointError where it is missing or damaged."""
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file; train with run_dir={path.parent} first") from None
    except (OSError, ValueError) as error:
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
    found = parse_json((file.metadata() or {}).get("metadata", "{}"))
    if not isinstance(found, dict):
        raise ValueError(f"metadata: expected an object, got {found!r:.60}")
    return found


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a file by `write_tensors`, without its tensors; CheckpointError where missing or truncated."""
    with _opened(path) as file:
        return _metadata(file)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a file by `write_tensors`.

    CheckpointError where it is missing or truncated, or holds other tensors than were written, NaN or infinity.
    """
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        metadata = _metadata(file)
    if metadata.pop(_DIGEST, None) not in (None, _digest(tensors)):
        raise CheckpointError(f"{path}: expected the tensors that were written, got others; restore it or train anew")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{path}: tensor {name} holds NaN or infinity; use an earlier checkpoint or train anew"
            )
    return tensors, metadata
