"""What can be said of a number below a hundred: number words and vaguer captions, in five languages.

The texts are the bridge B of the digits experiment. A caption of number n is drawn in two steps: a language, then a
kind with the probabilities `KINDS`. Number words and phrasings name n; the vaguer kinds are true of 10 or 50 numbers.
Notation: L = languages, K = kinds, T = distinct texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError

NUMBERS: Final = 100
# Kinds of captions and how often each is said. The last three leave open which number is meant.
KINDS: Final[Mapping[str, float]] = MappingProxyType(
    {"word": 0.4, "phrase": 0.2, "parity": 0.1, "tens": 0.15, "ending": 0.15}
)
VAGUE: Final = ("parity", "tens", "ending")


@dataclass(frozen=True)
class Templates:
    """How one language says it; `{}` stands for a number word."""

    phrase: str
    even: str
    odd: str
    tens: str
    ending: str


LANGUAGES: Final[Mapping[str, Templates]] = MappingProxyType(
    {
        "en": Templates("the number {}", "an even number", "an odd number", "from {} to {}", "a number ending in {}"),
        "de": Templates(
            "die Zahl {}", "eine gerade Zahl", "eine ungerade Zahl", "von {} bis {}", "eine Zahl mit {} am Ende"
        ),
        "fr": Templates(
            "le nombre {}", "un nombre pair", "un nombre impair", "de {} à {}", "un nombre qui finit par {}"
        ),
        "es": Templates("el número {}", "un número par", "un número impar", "de {} a {}", "un número que acaba en {}"),
        "it": Templates(
            "il numero {}", "un numero pari", "un numero dispari", "da {} a {}", "un numero che finisce in {}"
        ),
    }
)


def number_words(language: str) -> list[str]:
    """The words for 0 to 99. Raises ConfigError where the package that knows them is missing."""
    try:
        from num2words import num2words
    except ImportError as error:
        raise ConfigError("num2words: is not installed; pip install 'goalbridge[experiments]'") from error
    return [str(num2words(number, lang=language)) for number in range(NUMBERS)]


def captions_of(language: str, number: int, words: Sequence[str]) -> tuple[str, ...]:
    """One caption a kind, in the order of `KINDS`; words [100] are the language's."""
    say = LANGUAGES[language]
    low = number - number % 10
    return (
        words[number],
        say.phrase.format(words[number]),
        say.odd if number % 2 else say.even,
        say.tens.format(words[low], words[low + 9]),
        say.ending.format(words[number % 10]),
    )


class Wording:
    """All texts, and p(text | language, number).

    texts: the T distinct ones, sorted by first use. A string that two languages share ("six") is one text.
    table: [L, 100, K] indices of texts.
    """

    def __init__(self) -> None:
        index: dict[str, int] = {}
        self.table = np.empty((len(LANGUAGES), NUMBERS, len(KINDS)), dtype=np.int64)
        for place, language in enumerate(LANGUAGES):
            words = number_words(language)
            for number in range(NUMBERS):
                captions = captions_of(language, number, words)
                self.table[place, number] = [index.setdefault(text, len(index)) for text in captions]
        self.texts = tuple(index)

    def draw(
        self, rng: np.random.Generator, numbers: NDArray[np.int64], languages: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """One caption for each of `numbers` [N], in `languages` [N] or, by default, in one drawn uniformly: [N]."""
        if languages is None:
            languages = rng.integers(len(LANGUAGES), size=len(numbers))
        kinds = rng.choice(len(KINDS), size=len(numbers), p=list(KINDS.values()))
        return self.table[languages, numbers, kinds]

    def marginal(
        self, languages: Sequence[str] = tuple(LANGUAGES), kinds: Sequence[str] = tuple(KINDS)
    ) -> NDArray[np.float64]:
        """p(text), [T], of the captions in the given languages and of the given kinds; 0 for the other texts."""
        chosen_languages = [list(LANGUAGES).index(language) for language in languages]
        weight = np.array([share if kind in kinds else 0.0 for kind, share in KINDS.items()])  # [K]
        chosen = self.table[chosen_languages]  # [l, 100, K]
        total = np.bincount(chosen.ravel(), np.broadcast_to(weight, chosen.shape).ravel(), minlength=len(self.texts))
        marginal: NDArray[np.float64] = total / total.sum()
        return marginal
