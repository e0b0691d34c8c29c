"""What the words of an instruction mean in a maze, whatever an agent makes of them."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.agents.expressions import AnyOf, Instruction, Not, read
from goalbridge.envs.layouts import Layout
from goalbridge.envs.phrasing import TEMPLATES
from goalbridge.envs.places import MazePlaces

_AROUND: Final = [template.lower().split("{place}") for templates in TEMPLATES.values() for template in templates]
_BEFORE: Final = sorted({before for before, _ in _AROUND}, key=len, reverse=True)  # the longest first, "" last
_AFTER: Final = sorted({after for _, after in _AROUND}, key=len, reverse=True)


class NamedRegions:
    """The cells that words name in a maze, whatever an agent makes of them: places, and compositions of places."""

    def __init__(self, layout: Layout) -> None:
        self._free: Final = ~layout.walls  # [H, W]
        self._places: Final = MazePlaces(layout)

    def __call__(self, text: str) -> NDArray[np.bool_] | None:
        """Bool [H, W]: the free cells that satisfy an instruction; None where one of its parts is no known place."""
        return self._region(read(" ".join(text.split()).rstrip(" .!?")))

    def _region(self, instruction: Instruction) -> NDArray[np.bool_] | None:
        if isinstance(instruction, str):
            return self._named(instruction.lower())
        if isinstance(instruction, Not):
            region = self._region(instruction.part)
            return None if region is None else self._free & ~region
        regions = [region for part in instruction.parts if (region := self._region(part)) is not None]
        if len(regions) < len(instruction.parts):
            return None
        combine = np.logical_or if isinstance(instruction, AnyOf) else np.logical_and
        return np.asarray(combine.reduce(regions))

    def _named(self, text: str) -> NDArray[np.bool_] | None:
        """The region of a place in any wording, or by any of its names, alone or after "go to" and the like."""
        place = self._places.find(text)
        if place is not None:
            return place.region
        for before in _BEFORE:
            for after in _AFTER:
                if text.startswith(before) and text.endswith(after):
                    name = text.removeprefix(before).removesuffix(after)
                    if name in self._by_name:
                        return self._by_name[name]
        return None

    @cached_property
    def _by_name(self) -> dict[str, NDArray[np.bool_]]:
        return {name.lower(): place.region for place in self._places.places for name in (place.label, *place.names)}
