"""Numbers in handwriting: two digits of scikit-learn's `load_digits` side by side (8 x 16 pixels).

The file holds forms that people filled in one after the other, and no names. A form begins with 0, 1, ..., 9 at least
twice over, so that its start can be told: there are fourteen of thirteen people (Alpaydin, 1998). Splits are made
between forms: those of the test were written by other people than those of training, as far as the file can show it
(who filled in two forms is not recorded).
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

FORMS: Final = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667, 1797)
# First and last form of each split.
SPLITS: Final = {"train": (0, 9), "development": (9, 11), "test": (11, 14)}
HEIGHT: Final = 8
WIDTH: Final = 16
_WHITEST: Final = 16.0  # load_digits counts the inked pixels of 4 x 4


@cache
def _digits(split: str) -> tuple[tuple[NDArray[np.float32], ...], ...]:
    """Images [n, 8, 8], 0 to 1, of each digit 0 to 9, for each form of the split."""
    from sklearn.datasets import load_digits  # takes a second: only who draws digits waits for it

    first, last = SPLITS[split]
    source = load_digits()
    images, labels = (source.images / _WHITEST).astype(np.float32), source.target
    forms = []
    for form in range(first, last):
        part = slice(FORMS[form], FORMS[form + 1])
        forms.append(tuple(images[part][labels[part] == digit] for digit in range(10)))
    return tuple(forms)


def write(rng: np.random.Generator, split: str, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Images [N, 8, 16] of numbers [N] below 100, ink 0 to 1; both digits of one form; below ten the left is blank."""
    forms = _digits(split)
    images = np.zeros((len(numbers), HEIGHT, WIDTH), dtype=np.float32)
    for image, number, form in zip(images, numbers, rng.integers(len(forms), size=len(numbers)), strict=True):
        units, tens = forms[form][number % 10], forms[form][number // 10]
        image[:, HEIGHT:] = units[rng.integers(len(units))]
        if number >= 10:
            image[:, :HEIGHT] = tens[rng.integers(len(tens))]
    return images
