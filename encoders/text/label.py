"""Canonical commands by their number: the ablation without language."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from goalbridge.configs.registries import text_encoders
from goalbridge.configs.schema import AgentConfig, EncoderConfig
from goalbridge.encoders.text._base import InstructionError, TextEncoder, check_instruction


class LabelHead(nn.Module):
    """Indices of canonical commands [..., 1] (as floats) to representations [..., d]."""

    def __init__(self, labels: int, out_features: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(labels, out_features)

    def forward(self, indices: Tensor) -> Tensor:
        output: Tensor = self.embedding(indices.squeeze(-1).long())
        return output


@text_encoders.register("label")
class LabelEncoder(TextEncoder):
    """Canonical commands as indices [N, 1]. Unknown texts raise InstructionError."""

    canonical = True

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._index = {label: i for i, label in enumerate(self.labels)}

    @classmethod
    def from_config(cls, config: EncoderConfig, cache_path: Path | None, labels: Sequence[str]) -> Self:
        return cls(labels)

    @classmethod
    def from_description(cls, description: Mapping[str, Any], folder: Path) -> Self:
        return cls(description["labels"])

    @property
    def fingerprint(self) -> str:
        return "labels:" + hashlib.sha256("\n".join(self.labels).encode()).hexdigest()

    @property
    def dim(self) -> int:
        return 1

    def readable(self, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(text for text in texts if text in self._index)

    def description(self) -> dict[str, Any]:
        return {"labels": list(self.labels)}

    def head(self, config: AgentConfig) -> nn.Module:
        return LabelHead(len(self.labels), config.embedding_dim)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Indices [N, 1], as floats like every encoder's features."""
        for text in texts:
            check_instruction(text)
            if text not in self._index:
                raise InstructionError(
                    f"instruction={text[:60]!r}: encoder=label knows only {self.labels[0]!r} ... {self.labels[-1]!r}; "
                    "train with encoder=sentence to read other words"
                )
        return np.array([[self._index[text]] for text in texts], dtype=np.float32)  # [N, 1]
