"""The models of the digits experiment: which pairs of towers are trained, each once a seed and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor, nn

from goalbridge.agents.bridge import bridge_max_scores, bridge_scores, direct_scores
from goalbridge.agents.model import Critic
from goalbridge.agents.storage import CheckpointError, read_tensors, write_tensors
from goalbridge.experiments.pretrained.digits_data import Digits, Items
from goalbridge.experiments.pretrained.towers import ImageTower, NgramTexts, SentenceTexts, SpeechTower
from goalbridge.experiments.pretrained.training import Draw, Pair, Schedule, embed, train

TextKind = Literal["sentences", "n-grams"]
TEXT_KINDS: Final[tuple[TextKind, ...]] = ("sentences", "n-grams")


@dataclass(frozen=True)
class Recipe:
    """embedding_dim: d of all towers. critic: kind of all pairs. schedule: of every training alike."""

    embedding_dim: int = 64
    critic: str = "cosine"
    schedule: Schedule = field(default_factory=Schedule)


class Models:
    """Trained pairs of one seed, made when first asked for and kept in the data's folder."""

    def __init__(self, digits: Digits, recipe: Recipe, seed: int) -> None:
        self.digits, self.recipe, self.seed = digits, recipe, seed

    def image_text(self, texts: TextKind) -> Pair:
        """Handwriting and captions, with either kind of text tower."""
        return self._trained(f"image-text, {texts}", self._image_text(self._texts(texts)))[0]

    def text_speech(self, texts: TextKind) -> Pair:
        """Captions and speech, apart from any image."""
        return self._trained(f"text-speech, {texts}", self._text_speech(self._texts(texts)))[0]

    def shared(self) -> tuple[Pair, Pair]:
        """Both pairs, trained together with one text tower: one space, in which Direct can compare."""

        def both() -> list[tuple[Pair, Draw]]:
            tower = self._texts("sentences")()
            return [*self._image_text(lambda: tower)(), *self._text_speech(lambda: tower)()]

        first, second = self._trained("shared text tower", both)
        return first, second

    def image_speech(self) -> Pair:
        """The rival that is shown what the others never see: images with speech."""

        def build() -> list[tuple[Pair, Draw]]:
            return [(self._pair(self._images(), self._speech()), self.digits.image_and_speech)]

        return self._trained("image-speech", build)[0]

    def _texts(self, kind: TextKind) -> Callable[[], nn.Module]:
        dim = self.recipe.embedding_dim
        if kind == "sentences":
            return lambda: SentenceTexts(self.digits.features, dim)
        return lambda: NgramTexts(self.digits.wording.texts, dim)

    def _images(self) -> nn.Module:
        return ImageTower(self.recipe.embedding_dim)

    def _speech(self) -> nn.Module:
        return SpeechTower(self.recipe.embedding_dim)

    def _pair(self, left: nn.Module, right: nn.Module) -> Pair:
        return Pair(left, right, self.recipe.critic, self.recipe.embedding_dim)

    def _image_text(self, texts: Callable[[], nn.Module]) -> Callable[[], list[tuple[Pair, Draw]]]:
        return lambda: [(self._pair(self._images(), texts()), self.digits.image_and_text)]

    def _text_speech(self, texts: Callable[[], nn.Module]) -> Callable[[], list[tuple[Pair, Draw]]]:
        return lambda: [(self._pair(texts(), self._speech()), self.digits.text_and_speech)]

    def _trained(self, name: str, build: Callable[[], list[tuple[Pair, Draw]]]) -> list[Pair]:
        torch.manual_seed(self.seed)
        pairs, draws = zip(*build(), strict=True)
        path = self.digits.folder / f"seed_{self.seed}" / f"{name.replace(', ', '_').replace(' ', '_')}.safetensors"
        identity = {"recipe": asdict(self.recipe), "data": self.digits.fingerprint}
        kept = _read(path, identity)
        if kept is None:
            train(pairs, draws, self.recipe.schedule, self.seed)
            # Cloned, for the file format takes no two names for one tensor.
            kept = {name: value.clone() for name, value in nn.ModuleList(pairs).state_dict().items()}
            write_tensors(path, kept, identity)
        nn.ModuleList(pairs).load_state_dict(kept)
        return [pair.eval().requires_grad_(False) for pair in pairs]


def _read(path: Path, identity: Mapping[str, object]) -> dict[str, Tensor] | None:
    """The weights in `path`; None where there are none of this recipe and data."""
    try:
        tensors, metadata = read_tensors(path)
    except CheckpointError:
        return None
    return tensors if metadata == identity else None


@dataclass(frozen=True)
class Crossing:
    """Images a [I, d] and speech c [C, d'], seen by two models with the T texts between them.

    bridge_ab [T, d] and bridge_bc [T, d'] are the same texts in either model's space.
    """

    a: Tensor
    c: Tensor
    bridge_ab: Tensor
    bridge_bc: Tensor
    critic_ab: Critic
    critic_bc: Critic

    @classmethod
    def of(cls, image_text: Pair, text_speech: Pair, items: Items, texts: int) -> Crossing:
        """What both models make of `items` and all `texts` texts."""
        every = torch.arange(texts)
        return cls(
            embed(image_text.left, items.images),
            embed(text_speech.right, items.speech.features),
            embed(image_text.right, every),
            embed(text_speech.left, every),
            image_text.critic,
            text_speech.critic,
        )

    def direct(self) -> Tensor:
        """[I, C], as if images and speech had been trained together."""
        return direct_scores(self.a, self.c, self.critic_ab)

    def logsumexp(self, probability: Tensor) -> Tensor:
        """[I, C], Lemma 1 as the whole sum over texts with their probability [T]."""
        kept, log_weights = _weighted(probability)
        return bridge_scores(self.a, self.c, *self._bridge(kept), self.critic_ab, self.critic_bc, log_weights)

    def best_text(self, probability: Tensor) -> Tensor:
        """[I, C], the largest summand alone."""
        kept, log_weights = _weighted(probability)
        return bridge_max_scores(self.a, self.c, *self._bridge(kept), self.critic_ab, self.critic_bc, log_weights)

    def sampled(self, drawn: Tensor) -> Tensor:
        """[I, C], Lemma 1 with texts drawn from p(text), as indices [M]."""
        return bridge_scores(self.a, self.c, *self._bridge(drawn), self.critic_ab, self.critic_bc)

    def _bridge(self, which: Tensor) -> tuple[Tensor, Tensor]:
        return self.bridge_ab[which], self.bridge_bc[which]


def _weighted(probability: Tensor) -> tuple[Tensor, Tensor]:
    """Texts that can be said, [M], and their log importance weights [M] against a uniform draw of them."""
    kept = probability.nonzero().squeeze(1)
    return kept, (probability[kept] * len(kept)).log()
