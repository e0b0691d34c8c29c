"""Counts of letters and digits, as somebody else would add a text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalbridge.encoders.text import TextEncoder, check_instruction

COUNTED = "abcdefghijklmnopqrstuvwxyz0123456789"


class Letters(TextEncoder):
    """How often each letter and digit stands in a text."""

    fingerprint, dim = "letters", len(COUNTED)

    @classmethod
    def from_config(cls, config: Any, cache_path: Any, labels: Any) -> Letters:
        return cls()

    @classmethod
    def from_description(cls, description: Any, folder: Path) -> Letters:
        return cls()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[N, 36]."""
        for text in texts:
            check_instruction(text)
        return np.array([[text.count(one) for one in COUNTED] for text in texts], dtype=np.float32)
