"""Means over BabyAI's episodes and levels, with intervals; which episodes make up a slice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.envs.babyai.layouts import HELD_OUT_COMBINATIONS
from goalbridge.envs.babyai.phrasing import COLOURS, TYPES
from goalbridge.evaluation.grid_compare import Outcome
from goalbridge.evaluation.metrics import Estimate, spl

RESAMPLES: Final = 2000
METRICS: Final = ("success", "steps", "against_optimum", "spl")
Columns = Mapping[str, NDArray[np.float64]]

_THING: Final = re.compile(rf"\b({'|'.join(COLOURS)}) ({'|'.join(TYPES)})\b")


def columns(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    """What is averaged over one level's episodes, [E] each: success, steps, and where they are known optimum and spl.

    steps: those taken, the level's own limit after a failure. optimum: the fewest on the full map. spl: success x
    optimum / max(steps, optimum).
    """
    found = {"success": outcome.success.astype(np.float64), "steps": outcome.steps}
    if np.isfinite(outcome.optimum).all():
        found |= {"optimum": outcome.optimum, "spl": spl(outcome.success, outcome.optimum, outcome.steps)}
    return found


def chosen(values: Columns, rows: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """The same of some episodes, rows: [E]."""
    return {name: column[rows] for name, column in values.items()}


def differences(values: Columns, first: Columns) -> dict[str, NDArray[np.float64]]:
    """Paired differences of what two actors did in the same episodes, to be averaged as `columns` are."""
    return {name: column if name == "optimum" else column - first[name] for name, column in values.items()}


def estimates(levels: Sequence[Columns]) -> dict[str, Estimate]:
    """Means over levels of the same weight, with 95 % intervals; of one level, its own means.

    levels: what `columns` gives for each. against_optimum is a level's mean steps over its mean optimum; it and spl are
    those of the levels whose optimum is known. The bootstrap draws the episodes of each level anew, never other levels:
    nobody drew those.
    """
    # Stream by place: two actors in the same levels meet the same resamples.
    means = [_means(values, np.random.default_rng(place)) for place, values in enumerate(levels)]
    found = {}
    for metric in METRICS:
        drawn = [level[metric] for level in means if metric in level]  # of L levels, [1 + R] each
        if drawn:
            overall = np.mean(drawn, axis=0)  # [1 + R]
            low, high = np.quantile(overall[1:], (0.025, 0.975))
            found[metric] = Estimate(float(overall[0]), float(low), float(high))
    return found


def _means(values: Columns, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Each metric's mean of one level, [1 + R]: over its episodes, then over R resamples of them."""
    names = list(values)
    table = np.stack([values[name] for name in names], axis=1)  # [E, K]
    count = len(table)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)  # [R, E], how often each episode
    means = np.concatenate([table.mean(axis=0, keepdims=True), drawn @ table / count])  # [1 + R, K]
    found = dict(zip(names, means.T, strict=True))
    if "optimum" in found:
        found["against_optimum"] = found["steps"] / found.pop("optimum")
    return found


def ambiguous(mission: str) -> bool:
    """Whether a mission leaves open which thing is meant, as BabyAI says it: "go to a ..."."""
    return re.search(r"\ban? ", mission) is not None


def names_held_out(mission: str) -> bool | None:
    """Whether a mission names a colour-type pair that training never shows; None where it names no coloured thing."""
    things = _THING.findall(mission)
    return any(thing in HELD_OUT_COMBINATIONS for thing in things) if things else None


def slices(missions: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Which of E missions belong to which slice, [E] each. Slices come in pairs: the two that are to be compared."""
    unclear = np.array([ambiguous(mission) for mission in missions], dtype=np.bool_)
    held_out = [names_held_out(mission) for mission in missions]
    return {
        "ambiguous": unclear,
        "unambiguous": ~unclear,
        "held_out_things": np.array([named is True for named in held_out], dtype=np.bool_),
        "seen_things": np.array([named is False for named in held_out], dtype=np.bool_),
    }


PAIRS: Final = (("ambiguous", "unambiguous"), ("held_out_things", "seen_things"))
