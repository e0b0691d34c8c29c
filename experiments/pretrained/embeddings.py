"""Embeddings of texts and files, each made once for a model and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import torch
from rich.progress import track
from torch import Tensor

from goalbridge.agents.storage import CheckpointError, read_tensors, write_tensors
from goalbridge.configs.checks import ConfigError

T = TypeVar("T", str, Path)
_SAVED_EVERY: Final = 32  # batches: what an interruption costs at most


def key_of(item: str | Path) -> str:
    """What tells two contents apart: the SHA-256 of a text, or of the bytes in a file."""
    if isinstance(item, str):
        return hashlib.sha256(item.encode()).hexdigest()
    try:
        with item.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{item}: cannot be read ({error.strerror})") from error


class EmbeddingCache:
    """The embeddings of one model for one kind of content, in one safetensors file.

    folder: where the file lies. fingerprint: of the model. kind: of content, such as "texts". A file of another model
    has another name, and one that cannot be read is made anew. Files are written whole or not at all.
    """

    def __init__(self, folder: Path, fingerprint: str, kind: str) -> None:
        self.path = folder / f"{kind}_{fingerprint[:32]}.safetensors"
        self._vectors: dict[str, Tensor] = {}
        try:
            tensors, metadata = read_tensors(self.path)
            self._vectors = dict(zip(metadata["keys"], tensors["embeddings"], strict=True))
        except (CheckpointError, KeyError, ValueError):
            return

    def __len__(self) -> int:
        return len(self._vectors)

    def embed(self, items: Sequence[T], make: Callable[[Sequence[T]], Tensor], batch_size: int) -> Tensor:
        """Embeddings [N, d] of N items; `make` is called for those that are not kept yet, in batches.

        Raises ConfigError where `make` gives a value that is not finite.
        """
        keys = [key_of(item) for item in items]
        missing = list({key: item for key, item in zip(keys, items, strict=True) if key not in self._vectors}.items())
        batches = [missing[start : start + batch_size] for start in range(0, len(missing), batch_size)]
        for done, batch in enumerate(track(batches, description=self.path.name.split("_")[0]), start=1):
            made = make([item for _, item in batch])  # [n, d]
            for (key, item), vector in zip(batch, made, strict=True):
                if not torch.isfinite(vector).all():
                    raise ConfigError(f"{str(item)[:80]}: its embedding is not finite; leave it out")
                self._vectors[key] = vector.cpu()
            if done % _SAVED_EVERY == 0 or done == len(batches):
                self._save()
        return torch.stack([self._vectors[key] for key in keys])

    def _save(self) -> None:
        write_tensors(
            self.path, {"embeddings": torch.stack(list(self._vectors.values()))}, {"keys": list(self._vectors)}
        )
