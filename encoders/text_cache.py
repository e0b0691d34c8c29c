"""Embeddings of texts on disk: each distinct text is encoded once."""

from __future__ import annotations

import atexit
import errno
import json
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from goalbridge.configs.durable import remove_leftovers, write_atomically
from goalbridge.configs.texts import parse_json

MOST_KEPT: Final = 20_000  # texts; those not asked for longest are forgotten first
_REWRITTEN: Final = 20  # how often each embedding may be written, on average
_UNWRITABLE: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT)

Vectors = dict[str, NDArray[np.float32]]


class TextCache:
    """Embeddings of texts, in memory and in one safetensors file, for one model.

    path: the file; None, or one in a folder that cannot be written to, keeps the cache in memory. A file of another
    model, or one that cannot be read, is started anew: a cache can always be made again. shipped: a file of the same
    form that is only read. most: how many texts are kept, or as many as are met at once where those are more. The file
    is written where a twentieth of it would be new, and at the end of the process, so that a further text costs the
    same however many there are.
    """

    def __init__(
        self, fingerprint: str, path: Path | None = None, shipped: Path | None = None, most: int = MOST_KEPT
    ) -> None:
        self.fingerprint, self.path = fingerprint, path
        if path is not None:
            remove_leftovers(path)
        self.vectors, self.shipped = self._read(path), self._read(shipped)
        self._most, self._unsaved = max(most, len(self.vectors)), 0
        atexit.register(_flush_at_exit, weakref.ref(self))

    def find(self, texts: Iterable[str]) -> Vectors:
        """The embeddings of those of the texts that are known."""
        found: Vectors = {}
        for text in texts:
            if text in self.shipped:
                found[text] = self.shipped[text]
            elif text in self.vectors:
                found[text] = self.vectors[text] = self.vectors.pop(text)  # the last is what was asked for last
        return found

    def add(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keeps further embeddings, and writes the file where they are many beside what it holds."""
        self._most = max(self._most, len(vectors))
        self.vectors.update(vectors)
        for text in list(islice(self.vectors, max(0, len(self.vectors) - self._most))):
            del self.vectors[text]
        self._unsaved += len(vectors)
        if self._unsaved * _REWRITTEN >= len(self.vectors):
            self.flush()

    def flush(self) -> None:
        """Writes what is not in the file yet."""
        if self.path is None or not self._unsaved:
            return
        self._unsaved = 0
        try:
            _write(self.path, self.fingerprint, self.vectors)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            self.path = None

    def save_shipped(self, path: Path) -> None:
        """Writes what came with the agent, where something did."""
        if self.shipped:
            _write(path, self.fingerprint, self.shipped)

    def _read(self, path: Path | None) -> Vectors:
        """What a file holds; nothing where it is damaged, or of another model."""
        if path is None or not path.is_file():
            return {}
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("fingerprint") != self.fingerprint:
                    return {}
                texts, vectors = parse_json(metadata["texts"]), file.get_tensor("embeddings")
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            return {}
        form = isinstance(texts, list) and vectors.ndim == 2 and vectors.dtype == np.float32  # [N, T]
        if not form or not all(isinstance(text, str) for text in texts) or len(set(texts)) != len(vectors):
            return {}
        return dict(zip(texts, vectors, strict=True)) if np.isfinite(vectors).all() else {}


def _flush_at_exit(known: weakref.ref[TextCache]) -> None:
    cache = known()
    if cache is not None and cache.path is not None and cache.path.parent.is_dir():  # a removed folder stays removed
        with suppress(OSError):
            cache.flush()


def _write(path: Path, fingerprint: str, vectors: Vectors) -> None:
    """Writes the file atomically, beside other processes that may do the same."""
    metadata = {"fingerprint": fingerprint, "texts": json.dumps(list(vectors))}
    write_atomically(path, save({"embeddings": np.stack(list(vectors.values()))}, metadata=metadata))
