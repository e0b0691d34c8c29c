"""Lets a person hear and see what the digits experiment retrieves: a page, and TensorBoard's audio and images.

Queries are drawn at random, not chosen. Candidates are one image and one clip of each of the 100 numbers.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import wavfile
from torch import Tensor

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.durable import write_atomically
from goalbridge.experiments.pretrained.digits import Trials, test_of
from goalbridge.experiments.pretrained.digits_data import Digits
from goalbridge.experiments.pretrained.digits_models import Recipe
from goalbridge.experiments.pretrained.settings import DigitsSettings
from goalbridge.experiments.pretrained.speech import RATE, Clip, speak
from goalbridge.experiments.pretrained.training import Schedule
from goalbridge.experiments.pretrained.wording import LANGUAGES, NUMBERS

QUERIES: Final = 6  # of either kind
BEST: Final = 8  # images shown for a clip
BEST_HEARD: Final = 4  # clips played for an image
_CAPTIONS: Final = 3  # named for each best match
_ENLARGED: Final = 8  # screen pixels of one of an image's

_STYLE: Final = (
    "body{font:16px sans-serif;max-width:72em;margin:2em auto;padding:0 1em}"
    "section{border-top:1px solid #ccc;padding:1em 0}figure{display:inline-block;margin:.2em;text-align:center}"
    "img{border:4px solid #ccc;width:112px}audio{border:4px solid transparent;width:15em}"
    ".right img,.right audio{border-color:#1a7f37}figcaption{font-size:.9em}small{display:block;color:#555}"
)


@dataclass(frozen=True)
class Match:
    """A query with what was found for it, best first, and the captions that speak most for the best match.

    query, found: indices into a test's items: a clip and images, or an image and clips.
    """

    query: int
    found: tuple[int, ...]
    captions: tuple[str, ...]


class Finder:
    """Ranks one image and one clip of each number, drawn with the test's seed."""

    def __init__(self, test: Trials) -> None:
        self.test, self.rng = test, np.random.default_rng([test.seed, 7])
        items = test.items
        self.images, self.clips = (
            torch.tensor([self.rng.choice(np.flatnonzero(numbers == number)) for number in range(NUMBERS)])
            for numbers in (items.image_numbers, items.speech.numbers)
        )
        self.scores = test.apart.logsumexp(test.probability)[self.images][:, self.clips]  # [100, 100]

    def for_speech(self) -> list[Match]:
        """Images found for clips of numbers drawn at random."""
        return [
            Match(int(self.clips[number]), tuple(self.images[best].tolist()), self._captions(int(best[0]), number))
            for number, best in self._best(self.scores.T, BEST)
        ]

    def for_images(self) -> list[Match]:
        """Clips found for images of numbers drawn at random."""
        return [
            Match(int(self.images[number]), tuple(self.clips[best].tolist()), self._captions(number, int(best[0])))
            for number, best in self._best(self.scores, BEST_HEARD)
        ]

    def _best(self, scores: Tensor, count: int) -> list[tuple[int, Tensor]]:
        queries = self.rng.permutation(NUMBERS)[:QUERIES].tolist()
        return [(number, scores[number].topk(count).indices) for number in queries]

    def _captions(self, image: int, clip: int) -> tuple[str, ...]:
        """The texts of the largest summands of Lemma 1 for an image and a clip, as places among the candidates."""
        apart = self.test.apart
        from_image = apart.critic_ab(apart.a[self.images[image]].unsqueeze(0), apart.bridge_ab)[0]  # [T]
        to_clip = apart.critic_bc(apart.bridge_bc, apart.c[self.clips[clip]].unsqueeze(0))[:, 0]  # [T]
        most = (from_image + to_clip + self.test.probability.log()).topk(_CAPTIONS).indices
        return tuple(self.test.digits.wording.texts[text] for text in most.tolist())


def show(settings: DigitsSettings) -> Path:
    """Writes retrieval.html and TensorBoard's files into the settings' folder, of the first seed; the page's path.

    Models that `digits` has trained with the same settings are taken as they are. Raises ConfigError where speech
    cannot be made.
    """
    folder = Path(settings.folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"folder={folder}: is a file; choose a folder")
    digits = Digits(folder, settings.clips or None)
    test = test_of(digits, Recipe(schedule=Schedule(steps=settings.steps)), settings, settings.seeds[0])
    finder = Finder(test)
    heard, seen = finder.for_speech(), finder.for_images()
    _to_tensorboard(test, heard, seen, folder / "shown")
    page = folder / "retrieval.html"
    write_atomically(page, _page(test, heard, seen).encode())
    return page


def _said(test: Trials, clip: Clip) -> str:
    return test.digits.words[list(LANGUAGES).index(clip.language)][clip.number]


def _wave(test: Trials, which: int) -> NDArray[np.float32]:
    clip = test.items.speech.clips[which]
    return speak(clip, _said(test, clip))


def _ink(test: Trials, which: int) -> NDArray[np.uint8]:
    """An image [64, 128], enlarged, black on white."""
    pixels = (255 * (1 - test.items.images[which].numpy())).astype(np.uint8)  # [8, 16]
    return pixels.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)


def _to_tensorboard(test: Trials, heard: Sequence[Match], seen: Sequence[Match], folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter  # takes seconds

    with SummaryWriter(str(folder)) as writer:
        for place, match in enumerate(heard):
            name = f"image for speech/{place} {_said(test, test.items.speech.clips[match.query])}"
            row = np.concatenate([np.pad(_ink(test, image), 4) for image in match.found], axis=1)
            _add_audio(writer, f"{name}, query", _wave(test, match.query))
            writer.add_image(f"{name}, found in order", row, dataformats="HW")
        for place, match in enumerate(seen):
            name = f"speech for image/{place} {test.items.image_numbers[match.query]}"
            writer.add_image(f"{name}, query", _ink(test, match.query), dataformats="HW")
            for order, clip in enumerate(match.found, start=1):
                _add_audio(writer, f"{name}, found {order}", _wave(test, clip))


def _add_audio(writer: object, name: str, wave: NDArray[np.float32]) -> None:
    writer.add_audio(name, torch.from_numpy(wave).unsqueeze(0), sample_rate=RATE)  # type: ignore[attr-defined]


def _page(test: Trials, heard: Sequence[Match], seen: Sequence[Match]) -> str:
    """The page, with all pictures and sounds in it."""
    clips, written = test.items.speech.clips, test.items.image_numbers
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Handwriting and speech, never paired</title>",
        f"<style>{_STYLE}</style><h1>Handwriting and speech, never paired</h1>",
        "<p>Images and speech were each trained with captions, never with each other. LogSumExp over captions ranks ",
        "one image and one clip of each of the numbers 0 to 99, by writers and voices that training has not met. ",
        "Queries are drawn at random. Green: the same number.</p><h2>Images found for speech</h2>",
    ]
    for match in heard:
        clip = clips[match.query]
        found = [
            _figure(_picture(test, image), str(written[image]), written[image] == clip.number) for image in match.found
        ]
        parts.append(_section(_figure(_player(test, match.query), _label(test, clip)), found, match))
    parts.append("<h2>Speech found for images</h2>")
    for match in seen:
        number = written[match.query]
        found = [_figure(_player(test, c), _label(test, clips[c]), clips[c].number == number) for c in match.found]
        parts.append(_section(_figure(_picture(test, match.query), str(number)), found, match))
    return "\n".join([*parts, "</html>\n"])


def _section(query: str, found: Sequence[str], match: Match) -> str:
    captions = ", ".join(f"“{html.escape(text)}”" for text in match.captions)
    shown = f"<small>Query</small>{query}<small>Found, best first</small><div>{''.join(found)}</div>"
    return f"<section>{shown}<small>The first by way of {captions}</small></section>"


def _figure(content: str, label: str, right: bool = False) -> str:
    kind = " class=right" if right else ""
    return f"<figure{kind}>{content}<figcaption>{html.escape(label)}</figcaption></figure>"


def _label(test: Trials, clip: Clip) -> str:
    return f"{_said(test, clip)} ({clip.number}; {clip.language}, voice {clip.voice})"


def _picture(test: Trials, which: int) -> str:
    content = io.BytesIO()
    Image.fromarray(_ink(test, which)).save(content, format="PNG")
    return f'<img alt="handwritten number" src="data:image/png;base64,{_base64(content)}">'


def _player(test: Trials, which: int) -> str:
    content = io.BytesIO()
    wavfile.write(content, RATE, (_wave(test, which) * 32767).clip(-32768, 32767).astype(np.int16))
    return f'<audio controls src="data:audio/wav;base64,{_base64(content)}"></audio>'


def _base64(content: io.BytesIO) -> str:
    return base64.b64encode(content.getvalue()).decode()
