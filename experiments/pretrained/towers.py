"""Small towers of the digits experiment: handwriting, speech and two kinds of text to vectors [N, d].

A text tower reads indices into a fixed list of texts, for texts are few and each is met many times. `SentenceTexts`
stands on frozen sentence embeddings (see encoders.text); `NgramTexts` is learned from scratch.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from goalbridge.encoders.towers import TextHead, tower
from goalbridge.experiments.pretrained.handwriting import HEIGHT, WIDTH
from goalbridge.experiments.pretrained.speech import FRAMES, MELS


class ImageTower(nn.Module):
    """Handwriting [N, 8, 16] to representations [N, d]: two convolutions and a hidden layer.

    width: channels of the first convolution; the second has twice as many, the hidden layer eight times.
    """

    def __init__(self, embedding_dim: int, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            tower(2 * width * (HEIGHT // 2) * (WIDTH // 2), 8 * width, 1, embedding_dim),
        )

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.layers(images.unsqueeze(1))  # [N, 1, 8, 16] -> [N, d]
        return output


class SpeechTower(nn.Module):
    """Log-mel features [N, 72, 40] to representations [N, d]: three convolutions over time and a hidden layer.

    The hidden layer sees all moments in order: "vierundzwanzig" and "zweiundvierzig" have the same sounds.
    """

    def __init__(self, embedding_dim: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(MELS, width, 5, stride=2, padding=2),
            nn.GroupNorm(4, width),
            nn.SiLU(),
            nn.Conv1d(width, width, 5, stride=2, padding=2),
            nn.GroupNorm(4, width),
            nn.SiLU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            tower(width * FRAMES // 4, 4 * width, 1, embedding_dim),
        )

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.layers(features.transpose(1, 2))  # [N, 40, 72] -> [N, d]
        return output


class SentenceTexts(nn.Module):
    """Texts by index [N] to representations [N, d], from their frozen sentence embeddings features [T, 384]."""

    features: Tensor

    def __init__(self, features: Tensor, embedding_dim: int, width: int = 256) -> None:
        super().__init__()
        self.register_buffer("features", features, persistent=False)
        self.head = TextHead(features.shape[1], width, 2, embedding_dim)

    def forward(self, which: Tensor) -> Tensor:
        output: Tensor = self.head(self.features[which])
        return output


class NgramTexts(nn.Module):
    """Texts by index [N] to representations [N, d], from their letters alone; nothing is pretrained.

    The mean of learned vectors of all character n-grams of 1 to 4 letters, with a mark at either end of each word,
    and a hidden layer (as fastText, Bojanowski et al. 2017). N-grams share `buckets` vectors by their CRC-32.
    """

    grams: Tensor
    starts: Tensor
    lengths: Tensor

    def __init__(self, texts: Sequence[str], embedding_dim: int, width: int = 256, buckets: int = 8192) -> None:
        super().__init__()
        bags = [_ngrams(text, buckets) for text in texts]
        length = max(len(bag) for bag in bags)
        padded = [bag + [buckets] * (length - len(bag)) for bag in bags]
        self.register_buffer("grams", torch.tensor(padded), persistent=False)  # [T, G]
        self.bag = nn.EmbeddingBag(buckets + 1, width, mode="mean", padding_idx=buckets)
        self.head = nn.Sequential(nn.LayerNorm(width), tower(width, width, 1, embedding_dim))

    def forward(self, which: Tensor) -> Tensor:
        output: Tensor = self.head(self.bag(self.grams[which]))
        return output


def _ngrams(text: str, buckets: int) -> list[int]:
    words = [f"<{word}>" for word in text.lower().split()]
    grams = {word[i : i + n] for word in words for n in range(1, 5) for i in range(len(word) - n + 1)}
    return sorted(zlib.crc32(gram.encode()) % buckets for gram in grams)
