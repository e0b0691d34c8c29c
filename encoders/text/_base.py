"""What a text encoder is: frozen features of texts, and what is trained on top of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from goalbridge.configs.checks import UserError
from goalbridge.configs.schema import AgentConfig, EncoderConfig
from goalbridge.encoders.towers import TextHead


class TextModelError(UserError):
    """A text model that cannot be had or is not what it should be."""


class InstructionError(UserError):
    """An instruction that the language encoder cannot read."""


def check_instruction(text: str) -> None:
    """Raises InstructionError for what holds no words."""
    if not isinstance(text, str) or not text.strip():
        raise InstructionError(f"instruction={text!r}: is empty; say where to go, such as 'go to row 3'")
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # how Python holds bytes that are no UTF-8
        raise InstructionError(f"instruction={text!r}: expected UTF-8, got other bytes; try a terminal that uses UTF-8")


class TextEncoder(ABC):
    """Texts in, features out; one file here, or a plug-in of the entry points' group goalbridge.text_encoders.

    canonical: it reads nothing but `labels`, those that `from_config` is given, in no other words. trust_remote_code:
    whether code that a description names, as that of a model in a folder, may be run.
    """

    canonical: ClassVar[bool] = False
    labels: tuple[str, ...] = ()
    trust_remote_code: bool = False

    @classmethod
    @abstractmethod
    def from_config(cls, config: EncoderConfig, cache_path: Path | None, labels: Sequence[str]) -> Self:
        """The encoder of a new run. cache_path: a file that may keep features. labels: the canonical commands."""

    @classmethod
    @abstractmethod
    def from_description(cls, description: Mapping[str, Any], folder: Path) -> Self:
        """The encoder of the agent saved in `folder`, from what `description` gave."""

    @classmethod  # noqa: B027 (most need nothing)
    def check(cls, config: EncoderConfig) -> None:
        """TextModelError where what `from_config` needs beside the labels cannot be had."""

    @classmethod
    def split(cls) -> Literal["label", "train"]:
        """Which wordings it is trained on: the labels alone, or all but those that are held out."""
        return "label" if cls.canonical else "train"

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Tells two encoders with different outputs apart."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """T, the length of a text's features."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features [N, T] of N texts; InstructionError for one that cannot be read."""

    def readable(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Those of the texts that it can read."""
        return tuple(texts)

    def description(self) -> dict[str, Any]:
        """What `from_description` needs; JSON-able."""
        return {}

    def save(self, folder: Path) -> None:  # noqa: B027
        """Writes beside a saved agent what `from_description` reads there."""

    def first_too_long(self, texts: Sequence[str]) -> tuple[int, int, int] | None:
        """Index, tokens and limit of the first text of which only a part is read; None where all are read whole."""
        return None

    def head(self, config: AgentConfig) -> nn.Module:
        """phi_C's trained part, features [..., T] to representations [..., config.embedding_dim].

        One that leaves out features while training does it by an nn.Dropout on its input, called `dropout`: processes
        that share a batch then draw it together.
        """
        return TextHead(self.dim, config.width, config.text_depth, config.embedding_dim, config.text_dropout)
