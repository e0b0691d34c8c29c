"""What the digits experiment learns from and is tested on: handwriting, texts, speech, and never two writers or voices.

Pairs of training: (image, caption in any language), (caption, speech in the caption's language), and, for the rival
that is trained end to end only, (image, speech) of the same number. All draws are of numbers 0 to 99, uniformly.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.configs.schema import EncoderConfig
from goalbridge.encoders import SentenceEncoder
from goalbridge.experiments.pretrained.distortion import Distortion
from goalbridge.experiments.pretrained.handwriting import write
from goalbridge.experiments.pretrained.retrieval import CANDIDATES
from goalbridge.experiments.pretrained.speech import Speech, load_speech
from goalbridge.experiments.pretrained.training import Batch
from goalbridge.experiments.pretrained.wording import KINDS, LANGUAGES, NUMBERS, Wording, number_words

RUNS: Final = Path("runs/pretrained")
IMAGES_OF_EACH: Final = 10  # test images of each number
_NOISE: Final = 0.05  # standard deviation added to training's images


@dataclass(frozen=True)
class Items:
    """What retrieval is tested on: images [I, 8, 16] and speech features [C, 72, 40], each with its number."""

    images: Tensor
    image_numbers: NDArray[np.int64]
    speech: Speech


class Digits:
    """The data of one experiment; synthesises and encodes what `folder` does not hold yet.

    clips: spoken clips of each (language, number) in training; by default as in `speech.CLIPS`.
    """

    def __init__(self, folder: Path = RUNS, clips: int | None = None) -> None:
        self.folder, self.distortion = folder, Distortion()
        self.wording = Wording()
        self.words = [number_words(language) for language in LANGUAGES]
        self.speech = load_speech("train", self.words, folder, clips)
        self._numbers, self._languages = self.speech.numbers, self.speech.languages
        encoder = SentenceEncoder(EncoderConfig().text_model, folder / "text_cache.safetensors")
        self.features = torch.from_numpy(encoder.encode(self.wording.texts))  # [T, 384]
        learned_from = (self.speech.clips, self.distortion, self.wording.texts, dict(KINDS), encoder.fingerprint)
        self.fingerprint = hashlib.sha256(repr(learned_from).encode()).hexdigest()

    def items(self, split: str, seed: int, clips: int | None = None) -> Items:
        """All of a split's speech, and ten images of each number by its writers, drawn with `seed`."""
        numbers = np.repeat(np.arange(NUMBERS), IMAGES_OF_EACH)  # [I]
        images = write(np.random.default_rng([seed, 3]), split, numbers)
        return Items(torch.from_numpy(images), numbers, load_speech(split, self.words, self.folder, clips))

    def image_and_text(self, rng: np.random.Generator, count: int) -> Batch:
        """Images by training's writers, captions in languages drawn at random."""
        numbers = rng.integers(NUMBERS, size=count)
        texts = self.wording.draw(rng, numbers)
        return self._images(rng, numbers), torch.from_numpy(texts), _same(texts)

    def text_and_speech(self, rng: np.random.Generator, count: int) -> Batch:
        """Captions in the speaker's language, speech by training's voices."""
        which = rng.integers(len(self._numbers), size=count)
        texts = self.wording.draw(rng, self._numbers[which], self._languages[which])
        return torch.from_numpy(texts), self._spoken(rng, which), _same(texts)

    def image_and_speech(self, rng: np.random.Generator, count: int) -> Batch:
        """What the end-to-end rival alone sees: the same number written and spoken."""
        which = rng.integers(len(self._numbers), size=count)
        numbers = self._numbers[which]
        return self._images(rng, numbers), self._spoken(rng, which), _same(numbers)

    def _images(self, rng: np.random.Generator, numbers: NDArray[np.int64]) -> Tensor:
        images = torch.from_numpy(write(rng, "train", numbers))  # [B, 8, 16]
        return images + _NOISE * torch.randn(images.shape, generator=_generator(rng))

    def _spoken(self, rng: np.random.Generator, which: NDArray[np.int64]) -> Tensor:
        return self.distortion(self.speech.features[torch.from_numpy(which)], _generator(rng))  # [B, 72, 40]


def _same(labels: NDArray[np.int64]) -> Tensor:
    """Which members of a batch [B] say the very same: [B, B]."""
    return torch.from_numpy(labels[:, None] == labels)


def _generator(rng: np.random.Generator) -> torch.Generator:
    """For torch's draws, which take half of numpy's time."""
    return torch.Generator().manual_seed(int(rng.integers(1 << 62)))


def trials(items: Items, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each trial, 25 images and 25 clips, of the same distinct numbers in the same order: [count, 25] each.

    A clip's language is whichever was drawn, so that candidates of one trial are in several.
    """
    rng = np.random.default_rng([seed, 4])
    images, clips = (
        [np.flatnonzero(numbers == number) for number in range(NUMBERS)]
        for numbers in (items.image_numbers, items.speech.numbers)
    )
    drawn = np.stack([rng.permutation(NUMBERS)[:CANDIDATES] for _ in range(count)])  # [count, 25]
    chosen = [np.array([[rng.choice(of[n]) for n in trial] for trial in drawn]) for of in (images, clips)]
    return chosen[0], chosen[1]
