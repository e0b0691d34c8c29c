"""Instructions composed in time: "A, then B", "B after you A", "A and B".

The parts are instructions of their own, understood apart; the whole is never trained on. What remains to be done is a
set of parts, and each part says which others must come before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_THEN: Final = re.compile(r",?\s+(?:and\s+)?then\s+", re.IGNORECASE)
_AFTER: Final = re.compile(r",?\s+after\s+you\s+", re.IGNORECASE)
# "and" joins instructions only where another verb follows: "the red and the blue ball" stays one instruction.
_VERBS: Final = (
    "approach be come enter face find get go head look make move navigate proceed reach return run seek stand stay "
    "step take travel turn visit walk"
)
_AND: Final = re.compile(rf",?\s+and\s+(?=(?:{_VERBS.replace(' ', '|')})\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Composition:
    """parts: the instructions to be followed, each once. before: for each part, those that must be done before it."""

    parts: tuple[str, ...]
    before: tuple[frozenset[int], ...]

    def open_parts(self, done: frozenset[int]) -> tuple[int, ...]:
        """The parts that may be done next."""
        return tuple(i for i, earlier in enumerate(self.before) if i not in done and earlier <= done)

    @property
    def all_parts(self) -> frozenset[int]:
        """Every part's number."""
        return frozenset(range(len(self.parts)))

    def stages(self) -> list[frozenset[int]]:
        """All sets of done parts that can come about, later ones first; the last one is empty."""
        found, edge = {frozenset[int]()}, [frozenset[int]()]
        while edge:
            done = edge.pop()
            for part in self.open_parts(done):
                after = done | {part}
                if after not in found:
                    found.add(after)
                    edge.append(after)
        return sorted(found, key=lambda done: (-len(done), sorted(done)))


def parse(instruction: str) -> Composition:
    """The parts of an instruction and their order; a single part where nothing joins any.

    "A, then B": A before B. "B after you A": the same. "A and go to B": both, in either order. One level of "and"
    inside of one "then" or "after you" is as deep as BabyAI's sentences go; of several, the first one counts.
    """
    for pattern, first_is_earlier in ((_THEN, True), (_AFTER, False)):
        halves = pattern.split(instruction, maxsplit=1)
        if len(halves) == 2 and all(half.strip() for half in halves):
            earlier, later = halves if first_is_earlier else halves[::-1]
            early, late = parse(earlier), parse(later)
            shift = len(early.parts)
            ends = early.all_parts
            after = tuple(frozenset(i + shift for i in before) | ends for before in late.before)
            return Composition(early.parts + late.parts, early.before + after)
    parts = [part.strip() for part in _AND.split(instruction) if part.strip()]
    return Composition(tuple(parts) or (instruction,), tuple(frozenset[int]() for _ in parts) or (frozenset(),))
