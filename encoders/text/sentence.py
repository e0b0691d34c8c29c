"""Frozen sentence embeddings by a sentence-transformers model, each distinct text encoded once and kept on disk.

Importing sentence-transformers takes seconds, so it happens only when a text is met that no cache holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.registries import text_encoders
from goalbridge.configs.schema import EncoderConfig
from goalbridge.encoders.text._base import TextEncoder, TextModelError, check_instruction
from goalbridge.encoders.text_cache import TextCache
from goalbridge.encoders.text_model import PACKAGED_NAMES, find_text_model, load_text_model

CACHE: Final = "text_cache.safetensors"  # beside an agent: grows as it meets texts
SHIPPED: Final = "texts.safetensors"  # saved with an agent: is only read
_SURELY_READ: Final = 64  # bytes of a text, which no model is too short for
_TEXTS_AT_ONCE: Final = 128


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


@text_encoders.register("sentence")
class SentenceEncoder(TextEncoder):
    """Frozen sentence embeddings of unit norm.

    text_model: see `find_text_model`. cache_path: file that keeps each distinct text's embedding.
    fingerprint: what the model must be, where an agent was trained with it; TextModelError otherwise.
    word_order: half of the features are the embedding, half its `first_moments`; TextModelError where a model embeds
    no tokens. shipped: a file of embeddings that came with the agent. dim: length of the features, where it is known.
    trust_remote_code: whether modules that the model brings may be run; TextModelError for such a model otherwise.
    """

    def __init__(
        self,
        text_model: str,
        cache_path: Path | None = None,
        fingerprint: str | None = None,
        word_order: bool = False,
        shipped: Path | None = None,
        dim: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.trust_remote_code = trust_remote_code
        is_folder = text_model not in PACKAGED_NAMES and Path(text_model).is_dir()
        self.text_model = str(Path(text_model).resolve()) if is_folder else text_model  # found from any folder
        self.word_order, self._dim = word_order, dim
        self._model: Any = None
        self._location = ""
        self._fingerprint = fingerprint or self._locate(None)
        self.cache = TextCache(self._fingerprint + (":ordered" if word_order else ""), cache_path, shipped)

    @classmethod
    def from_config(cls, config: EncoderConfig, cache_path: Path | None, labels: Sequence[str]) -> Self:
        trusted = config.trust_remote_code
        return cls(config.text_model, cache_path, word_order=config.word_order, trust_remote_code=trusted)

    @classmethod
    def from_description(cls, description: Mapping[str, Any], folder: Path) -> Self:
        given = {name: description[name] for name in ("text_model", "fingerprint", "word_order", "dim")}
        return cls(cache_path=folder / CACHE, shipped=folder / SHIPPED, **given)

    @classmethod
    def check(cls, config: EncoderConfig) -> None:
        find_text_model(config.text_model, trust_remote_code=config.trust_remote_code)

    def description(self) -> dict[str, Any]:
        names = ("fingerprint", "dim", "text_model", "word_order")
        return {name: getattr(self, name) for name in names}

    def save(self, folder: Path) -> None:
        self.cache.save_shipped(folder / SHIPPED)

    def ship(self, texts: Sequence[str]) -> None:
        """From now on, the embeddings of these texts are saved with the agent, so that they need no model."""
        self.cache.shipped = dict(zip(texts, self.encode(texts), strict=True))

    def _locate(self, expected: str | None) -> str:
        """Finds the model's folder and gives its fingerprint; TextModelError where that is not the `expected` one."""
        weights_alone = expected is not None and expected.startswith("sha256:")
        self._location, found = find_text_model(self.text_model, weights_alone, self.trust_remote_code)
        if expected not in (None, found):
            raise TextModelError(
                f"encoder.text_model={self.text_model}: weights {found} differ from those the agent was trained "
                f"with ({expected})"
            )
        return found

    def _loaded(self) -> Any:
        if self._model is None:
            if not self._location:
                self._locate(self._fingerprint)
            self._model = load_text_model(self.text_model, self._location, self.trust_remote_code)
        return self._model

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def dim(self) -> int:
        if self._dim is None:
            self._dim = self.encode(["go"]).shape[1]
        return self._dim

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features [N, T] of N texts; the model is loaded only for texts that no cache holds.

        Raises InstructionError for an empty text; warns where the model reads a text only in part.
        """
        for text in texts:
            check_instruction(text)
        vectors = self.cache.find(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in vectors]
        if missing:
            self._warn_of_losses(missing)
            if self.word_order:
                embeddings = self._embed_in_order(missing)
            else:
                embeddings = self._model.encode(
                    missing, batch_size=_TEXTS_AT_ONCE, normalize_embeddings=True, show_progress_bar=False
                )
            encoded = dict(zip(missing, embeddings.astype(np.float32), strict=True))
            self.cache.add(encoded)
            vectors |= encoded
        features = np.stack([vectors[text] for text in texts])  # [N, T]
        self._dim = features.shape[1]
        return features

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
                    f"encoder.word_order: expected a model that embeds tokens, got {self.text_model}; "
                    "try encoder.word_order=false"
                )
            whole = _unit(found["sentence_embedding"].float().numpy())  # [n, T]
            tokens, mask = found["token_embeddings"].float().numpy(), found["attention_mask"].bool().numpy()
            both = np.concatenate([whole, first_moments(tokens, mask)], axis=1) / np.sqrt(2)  # [n, 2 T]
            features.update(zip(batch, both.astype(np.float32), strict=True))
        return np.stack([features[text] for text in texts])

    def first_too_long(self, texts: Sequence[str]) -> tuple[int, int, int] | None:
        """Index, tokens and limit of the first text of which the model reads only a part; None where none is."""
        if all(len(text.encode()) <= _SURELY_READ for text in texts):
            return None
        limit = self._limit
        for index, text in enumerate(texts):
            if limit is not None and len(text.encode()) > limit:  # a token is a byte at least
                tokens = len(self._tokens(text))
                if tokens > limit:
                    return index, tokens, limit
        return None

    @property
    def _limit(self) -> int | None:
        """How many tokens of a text the model reads; None: all. A bag of words has no limit."""
        model = self._loaded()
        is_limited = callable(model.tokenizer) and model.max_seq_length is not None
        return model.max_seq_length - 2 if is_limited else None

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return tokens

    def _warn_of_losses(self, texts: Sequence[str]) -> None:
        limit, tokenizer = self._limit, self._model.tokenizer
        if not callable(tokenizer):  # a bag of words has no token for what it does not know
            return
        unknown = getattr(tokenizer, "unk_token_id", None)
        for text in texts:
            tokens = self._tokens(text)
            shown = f"instruction={text if len(text) <= 40 else text[:40] + '...'!r}"
            if limit is not None and len(tokens) > limit:
                lost = f"{shown}: has {len(tokens)} tokens, of which {self.text_model} reads the first {limit}"
                warnings.warn(lost, stacklevel=3)
            if unknown is not None and tokens and 2 * tokens.count(unknown) >= len(tokens):
                known = f"{shown}: {self.text_model} knows {len(tokens) - tokens.count(unknown)} of its {len(tokens)}"
                warnings.warn(f"{known} tokens; use a model of that language (encoder.text_model)", stacklevel=3)
