"""The digits experiment: images and speech that were never paired meet through text.

Handwriting <-> captions and captions <-> speech are trained apart; retrieval of speech by image and of images by speech
is then scored by the critics and the bridge of `agents`, on writers and voices that no training has met, and held
against a model that was trained on image-speech pairs. See `python -m experiments.pretrained digits`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.bridge import direct_scores
from goalbridge.agents.model import Critic
from goalbridge.configs.run_folder import record
from goalbridge.experiments.pretrained.digits_data import Digits, Items, trials
from goalbridge.experiments.pretrained.digits_models import TEXT_KINDS, Crossing, Models, Recipe, TextKind
from goalbridge.experiments.pretrained.retrieval import CANDIDATES, Recalls, both_ways, summary
from goalbridge.experiments.pretrained.settings import DigitsSettings
from goalbridge.experiments.pretrained.speech import CLIPS, VOICES, espeak_version
from goalbridge.experiments.pretrained.training import Schedule, embed
from goalbridge.experiments.pretrained.wording import KINDS, LANGUAGES, NUMBERS, VAGUE

EVALUATION_SEED: Final = 50_000  # added to a training seed: the trials and images that it is tested on
SIZES: Final = (10, 30, 100, 300, 1000, 3000)
_BRIDGE_DRAWS: Final = 5  # for each M and seed; trials are shared out among them
# Which captions form the bridge: languages, kinds.
BRIDGES: Final[Mapping[str, tuple[Sequence[str], Sequence[str]]]] = {
    "all": (tuple(LANGUAGES), tuple(KINDS)),
    "number words only": (tuple(LANGUAGES), ("word",)),
    "vague captions only": (tuple(LANGUAGES), VAGUE),
    "English only": (("en",), tuple(KINDS)),
}
OURS: Final = "LogSumExp, trained apart"

PARTS: Final = ("methods", "sizes", "bridges", "text_encoders", "own_pairs")  # methods of `Trials`

Row = dict[str, Recalls]


class Trials:
    """One seed's trials on a split, and what each way of scoring finds in them."""

    def __init__(self, digits: Digits, models: Models, items: Items, count: int, seed: int) -> None:
        self.digits, self.models, self.items, self.seed = digits, models, items, seed
        self.images, self.clips = (torch.from_numpy(part) for part in trials(items, count, seed))  # [count, 25] each
        self.probability = self._marginal("all")
        self.apart = self._crossing("sentences", "sentences")

    def methods(self) -> dict[str, Row]:
        """The estimators and the rival: recalls [count] of both directions."""
        shared = Crossing.of(*self.models.shared(), self.items, len(self.digits.wording.texts))
        end_to_end = self.models.image_speech()
        images, speech = embed(end_to_end.left, self.items.images), embed(end_to_end.right, self.items.speech.features)
        bare = Critic(self.models.recipe.critic, initial_log_scale=0.0)
        unscaled = replace(self.apart, critic_ab=bare, critic_bc=bare)
        return {
            OURS: self._row(self.apart.logsumexp(self.probability)),
            "best text alone, trained apart": self._row(self.apart.best_text(self.probability)),
            "Direct, trained apart": self._row(self.apart.direct()),
            "LogSumExp at scale 1, trained apart": self._row(unscaled.logsumexp(self.probability)),
            "LogSumExp, shared text tower": self._row(shared.logsumexp(self.probability)),
            "Direct, shared text tower": self._row(shared.direct()),
            "trained on image-speech pairs": self._row(direct_scores(images, speech, end_to_end.critic)),
        }

    def sizes(self) -> dict[str, Row]:
        """LogSumExp over M texts drawn from p(text), for each M."""
        rng = np.random.default_rng([self.seed, 5])
        rows = {}
        for size in SIZES:
            parts = []
            for draw in range(_BRIDGE_DRAWS):
                drawn = rng.choice(len(self.probability), size, p=self.digits.wording.marginal())
                parts.append(self._row(self.apart.sampled(torch.from_numpy(drawn)), slice(draw, None, _BRIDGE_DRAWS)))
            rows[str(size)] = {
                way: {k: np.concatenate([part[way][k] for part in parts]) for k in parts[0][way]} for way in parts[0]
            }
        return rows

    def bridges(self) -> dict[str, Row]:
        """LogSumExp over part of the captions."""
        return {name: self._row(self.apart.logsumexp(self._marginal(name))) for name in BRIDGES}

    def text_encoders(self) -> dict[str, Row]:
        """LogSumExp and Direct where the two models read text by the same encoder, and by different ones."""
        rows = {}
        for first in TEXT_KINDS:
            for second in TEXT_KINDS:
                crossing = self._crossing(first, second)
                rows[f"{first}, {second}"] = self._row(crossing.logsumexp(self.probability))
                rows[f"{first}, {second}: Direct"] = self._row(crossing.direct())
        return rows

    def own_pairs(self) -> dict[str, Row]:
        """How well each trained pair retrieves what it was trained on: the number words in the speaker's language."""
        words = self.digits.wording.table[:, :, 0]  # [L, 100]
        by_clip = torch.from_numpy(words[self.items.speech.languages, self.items.speech.numbers])  # [C]
        apart, texts = self.apart, by_clip[self.clips]  # texts [count, 25]
        left = apart.critic_ab(apart.a[self.images], apart.bridge_ab[texts])  # [count, 25, 25]
        right = apart.critic_bc(apart.bridge_bc[texts], apart.c[self.clips])  # [count, 25, 25]
        return {"image and number word": both_ways(left), "number word and speech": both_ways(right)}

    def voices(self) -> dict[str, list[int]]:
        """Of each voice, clips whose own pair puts their word first of the language's 100, and clips in all."""
        words = torch.from_numpy(self.digits.wording.table[:, :, 0])  # [L, 100]
        speech, apart = self.items.speech, self.apart
        scores = apart.critic_bc(apart.bridge_bc[words], apart.c)  # [L, 100, C]
        own = scores[torch.from_numpy(speech.languages), :, torch.arange(len(speech.clips))]  # [C, 100]
        right = (own.argmax(1).numpy() == speech.numbers).astype(int)  # [C]
        voices = np.array([clip.voice for clip in speech.clips])
        return {voice: [int(right[voices == voice].sum()), int((voices == voice).sum())] for voice in np.unique(voices)}

    def confusion(self) -> dict[str, list[list[int]]]:
        """Digits taken for each other when one clip of each of the 100 numbers is a candidate, [10, 10] counts.

        Rows: the digit written. Columns: that of the number whose clip scores best.
        """
        rng = np.random.default_rng([self.seed, 6])
        clips = [rng.choice(np.flatnonzero(self.items.speech.numbers == number)) for number in range(NUMBERS)]
        found = self.apart.logsumexp(self.probability)[:, clips].argmax(1).numpy()  # [I]
        written = self.items.image_numbers
        return {"tens": _counts(written // 10, found // 10), "units": _counts(written % 10, found % 10)}

    def _crossing(self, first: TextKind, second: TextKind) -> Crossing:
        texts = len(self.digits.wording.texts)
        return Crossing.of(self.models.image_text(first), self.models.text_speech(second), self.items, texts)

    def _marginal(self, name: str) -> Tensor:
        return torch.from_numpy(self.digits.wording.marginal(*BRIDGES[name])).float()

    def _row(self, scores: Tensor, part: slice = slice(None)) -> Row:
        """Recalls of (part of) the trials from the scores [I, C] of everything."""
        return both_ways(scores[self.images[part].unsqueeze(-1), self.clips[part].unsqueeze(-2)])


def _counts(true: NDArray[np.int64], found: NDArray[np.int64]) -> list[list[int]]:
    counts = np.zeros((10, 10), dtype=np.int64)
    np.add.at(counts, (true, found), 1)
    table: list[list[int]] = counts.tolist()
    return table


def measure(settings: DigitsSettings) -> Iterator[dict[str, Any]]:
    """All figures of the experiment, as results/pretrained.json holds them, anew after each of the settings' seeds."""
    digits = Digits(Path(settings.folder), settings.clips or None)
    recipe = Recipe(schedule=Schedule(steps=settings.steps))
    found: dict[str, list[dict[str, Row]]] = {part: [] for part in PARTS}
    voices = {voice: np.zeros(2, dtype=np.int64) for voice in VOICES[settings.split]}
    confusion = {digit: np.zeros((10, 10), dtype=np.int64) for digit in ("tens", "units")}
    for done, seed in enumerate(settings.seeds, start=1):
        test = test_of(digits, recipe, settings, seed)
        for part, rows in found.items():
            rows.append(getattr(test, part)())
        for voice, clips in test.voices().items():
            voices[voice] += np.array(clips)
        for digit, counts in test.confusion().items():
            confusion[digit] += np.array(counts)
        yield {
            **_about(digits, recipe, settings, settings.seeds[:done]),
            **{part: summary(rows) for part, rows in found.items()},
            "voices": {voice: clips.tolist() for voice, clips in voices.items()},
            "confusion": {digit: counts.tolist() for digit, counts in confusion.items()},
        }


def _about(digits: Digits, recipe: Recipe, settings: DigitsSettings, seeds: Sequence[int]) -> dict[str, Any]:
    """How the figures came about."""
    run = record()
    packages = ("transformers", "scikit-learn", "num2words", "scipy")
    return {
        "command": "python " + " ".join(["-m experiments.pretrained", *sys.argv[1:]]),
        "seeds": list(seeds),
        "evaluation_seed": EVALUATION_SEED,
        "split": settings.split,
        "git_commit": run["git_commit"],
        "versions": run["versions"] | {name: version(name) for name in packages} | {"espeak-ng": espeak_version()},
        "recipe": asdict(recipe),
        "candidates": CANDIDATES,
        "trials": settings.trials,
        "data": {
            "texts": len(digits.wording.texts),
            "kinds": dict(KINDS),
            "languages": list(LANGUAGES),
            "clips": {split: (settings.clips or CLIPS[split]) for split in ("train", settings.split)},
            "voices": {split: list(VOICES[split]) for split in ("train", settings.split)},
        },
    }


def test_of(digits: Digits, recipe: Recipe, settings: DigitsSettings, seed: int) -> Trials:
    """The trials of one training seed."""
    chosen = EVALUATION_SEED + seed
    items = digits.items(settings.split, chosen, settings.clips or None)
    return Trials(digits, Models(digits, recipe, seed), items, settings.trials, chosen)
