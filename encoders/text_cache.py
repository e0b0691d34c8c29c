"""Embeddings of texts on disk: each distinct text is encoded once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file


class TextCache:
    """Embeddings of texts, in memory and in one safetensors file, for one model.

    path: the file; None keeps the cache in memory. A file of another model, or one that cannot be read, is started
    anew: a cache can always be made again.
    """

    def __init__(self, fingerprint: str, path: Path | None = None) -> None:
        self.fingerprint = fingerprint
        self.path = path
        self.vectors: dict[str, NDArray[np.float32]] = {}
        if path is not None and path.is_file():
            self.vectors = self._read(path)

    def _read(self, path: Path) -> dict[str, NDArray[np.float32]]:
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("fingerprint") != self.fingerprint:
                    return {}
                return dict(zip(json.loads(metadata["texts"]), file.get_tensor("embeddings"), strict=True))
        except (SafetensorError, OSError, ValueError, KeyError):
            return {}

    def save(self, path: Path | None = None) -> None:
        """Writes the file atomically (to `path`, or where it was opened)."""
        target = path or self.path
        if target is None or not self.vectors:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        metadata = {"fingerprint": self.fingerprint, "texts": json.dumps(list(self.vectors))}
        save_file({"embeddings": np.stack(list(self.vectors.values()))}, partial, metadata=metadata)
        os.replace(partial, target)
