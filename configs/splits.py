"""Which wordings of a text are meant: those learnt from, those that thresholds are chosen on, those kept for tests."""

from __future__ import annotations

from typing import Final, Literal, get_args

Split = Literal["train", "validation", "held_out", "label"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)
