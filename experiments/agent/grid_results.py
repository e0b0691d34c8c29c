"""BabyAI's sections of RESULTS.md, from results/babyai_*.json; what has not been measured is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from goalbridge.envs.babyai.levels import LEVELS, Family
from goalbridge.experiments.agent import grid_results_parts as parts_of
from goalbridge.experiments.agent.grid_protocol import FOUR
from goalbridge.experiments.agent.markdown import cell, load, source, table

Found = Mapping[str, Any]  # one estimator in one level, as `experiments.agent.grid_protocol.figures` gives it


@dataclass(frozen=True)
class Floor:
    """What the project asks of a level: success at least, and mean steps at most so many times those of another."""

    success: float
    ratio: float | None = None
    against: Literal["optimum", "bot"] = "optimum"

    def __str__(self) -> str:
        steps = "" if self.ratio is None else f", ≤ {self.ratio:g} x {self.against}"
        return f"≥ {self.success:g}{steps}"

    def shortfalls(self, found: Found) -> list[str]:
        """What falls short of it, in words."""
        short = []
        if found["success"]["mean"] < self.success:
            short.append(f"success {found['success']['mean']:.4f} < {self.success:g}")
        if self.ratio is not None and found[f"against_{self.against}"]["mean"] > self.ratio:
            short.append(f"steps {found[f'against_{self.against}']['mean']:.3f} > {self.ratio:g} x {self.against}")
        return short

    def is_sure(self, found: Found) -> bool:
        """Whether the intervals are as good as the floor from end to end."""
        steps = self.ratio is None or found[f"against_{self.against}"]["high"] <= self.ratio
        return bool(found["success"]["low"] >= self.success and steps)


NEARBY: Final = Floor(0.99, 1.15)
FULL: Final[Mapping[Family, Floor]] = {
    "room": NEARBY,
    "doors": NEARBY,
    "four_rooms": NEARBY,
    "maze": Floor(0.98, 1.15),
    "sequence": Floor(0.90, 1.3, "bot"),
}
SMALL: Final = Floor(0.97, 1.4, "bot")
PARTIAL: Final[Mapping[Family, Floor]] = {
    "room": SMALL,
    "doors": SMALL,
    "four_rooms": Floor(0.97),  # the bot does not read these missions
    "maze": Floor(0.97, 1.15, "bot"),
}
HELD_OUT_MARGIN: Final = 0.02  # by which success may fall where things are named that training never shows

ABOUT_TABLES: Final = (
    "Steps are means over all episodes; a failure counts the level's own limit. *optimum* is the fewest steps on the "
    "full map (unknown for sequences); *bot* is minigrid's own, which always sees 7 x 7 cells and remembers them; "
    "*random* takes each action as likely as any other."
)


def sections() -> list[str]:
    """The headings, paragraphs and tables; empty where nothing of BabyAI has been measured."""
    full, partial = load("babyai_full"), load("babyai_partial")
    bodies: list[tuple[str, Any, Sequence[str]]] = []
    if full:
        bodies.append(("The whole grid seen", full, [ABOUT_TABLES, _levels(full, FULL), *_slices(full)]))
    if partial:
        bodies.append(
            ("The 7 x 7 view", partial, [parts_of.ABOUT_PARTIAL, _levels(partial, PARTIAL), *_slices(partial)])
        )
    for name, (title, render) in parts_of.PARTS.items():
        if result := load(f"babyai_{name}"):
            bodies.append((title, result, render(result)))
    if not bodies:
        return []
    found = ["## BabyAI", _preface(bodies[0][1])]
    for title, result, body in bodies:
        found += [f"### BabyAI: {title}", source(result), *body]
    return found


def _preface(result: Mapping[str, Any]) -> str:
    held_out = ", ".join(f"{colour} {kind}" for colour, kind in result["held_out"])
    sentences = [
        f"One agent for all {len(LEVELS)} levels, trained from {len(result['seeds'])} seeds; each plays the same "
        f"episodes, whose block of seeds begins at {result['evaluation_seed']} and was used for nothing else.",
        f"minigrid {result['versions']['minigrid']}'s levels, missions and step limits are unmodified, and each "
        "level's own verifier is the judge (in FourRooms, which has no mission, being in the room that was named).",
        'Sentence templates are held out: captions in training never say "go to", as BabyAI\'s missions do. So are '
        f"things: no layout in training shows any of {len(result['held_out'])} pairs ({held_out}).",
        "The goals that the agent weighs are read off the *observed* grid: all its free cells and unlocked doors, in "
        "four directions, reachable or not.",
    ]
    timing = load("training_time")
    if timing and "babyai" in timing["seconds"]:
        sentences.append(
            f"Training takes {timing['seconds']['babyai'] / 60:.1f} minutes on one core (`{timing['command']}`)."
        )
    return " ".join(sentences)


def _levels(result: Mapping[str, Any], floors: Mapping[Family, Floor]) -> str:
    """What is met and what is not, and a row a level."""
    unmet, unsure, asked, rows = [], [], 0, []
    for name, by_name in result["levels"].items():
        found, floor = by_name["planned"], floors.get(LEVELS[name].family)
        short = floor.shortfalls(found) if floor else []
        unmet += [f"{name} ({'; '.join(short)})"] if short else []
        unsure += [name] if floor and not short and not floor.is_sure(found) else []
        asked += floor is not None
        rows.append([name, LEVELS[name].family.replace("_", " "), *_figures(by_name), *_verdict(floor, short)])
    header = [
        "level",
        "family",
        "episodes a seed",
        "success",
        "steps",
        "optimum",
        "steps / optimum",
        "bot's steps",
        "steps / bot's steps",
    ]
    said = (
        f"**What is asked is not met in {len(unmet)} of {asked} levels: {', '.join(unmet)}.**"
        if unmet
        else f"What is asked is met in all {asked} levels."
    )
    if unsure:
        said += f" By their means; the intervals of {', '.join(unsure)} reach beyond what is asked."
    return said + "\n\n" + table([*header, "random: success / steps", "asked", "met"], rows)


def _figures(by_name: Mapping[str, Found]) -> list[str]:
    found, bot, chance = by_name["planned"], by_name.get("bot"), by_name.get("random")
    return [
        str(found["episodes"]),
        cell(found["success"]),
        f"{found['steps']['mean']:.1f}",
        f"{found['optimum']:.1f}" if "optimum" in found else "-",
        cell(found["against_optimum"]) if "against_optimum" in found else "-",
        f"{bot['steps']['mean']:.1f}" if bot else "-",
        cell(found["against_bot"]) if "against_bot" in found else "-",
        f"{chance['success']['mean']:.3f} / {chance['steps']['mean']:.1f}" if chance else "-",
    ]


def _verdict(floor: Floor | None, short: Sequence[str]) -> tuple[str, str]:
    if floor is None:
        return "-", "-"
    return str(floor), "yes" if not short else f"**no**: {'; '.join(short)}"


def _slices(result: Mapping[str, Any]) -> list[str]:
    """Missions that leave open what is meant, and things that training never shows, each beside the others."""
    found = []
    for slice_, other, margin in (
        ("ambiguous", "unambiguous", None),
        ("held_out_things", "seen_things", HELD_OUT_MARGIN),
    ):
        planned = {name: by_name["planned"] for name, by_name in result["levels"].items()}
        both = {name: of for name, of in planned.items() if slice_ in of and other in of}
        if both:
            found += _pair(both, slice_, other, margin)
    return found


def _pair(both: Mapping[str, Found], slice_: str, other: str, margin: float | None) -> list[str]:
    titles = [name.replace("_", " ") for name in (slice_, other)]
    header = ["level", *(f"{title}: {metric}" for title in titles for metric in ("success", "steps"))]
    shown = {name: (of[slice_], of[other]) for name, of in both.items() if name in FOUR}
    overall = _together([of[slice_] for of in both.values()]), _together([of[other] for of in both.values()])
    shown[f"all {len(both)} levels with both"] = overall
    rows = [
        [name, *(text for of in pair for text in (cell(of["success"]), cell(of["steps"], 1))), _gap(pair)]
        for name, pair in shown.items()
    ]
    note = (
        f"Missions by kind, {titles[0]} beside {titles[1]}. In the last row levels weigh the same; its intervals are "
        "the means of the levels' own, which is wider than need be."
    )
    if margin is not None:
        gap = overall[0]["success"]["mean"] - overall[1]["success"]["mean"]
        word = "met" if gap >= -margin else "**not met**"
        note += f" Asked: at most {100 * margin:g} points below over all levels; {word}, {_gap(overall)} points."
    return [note, table([*header, "difference in success, points"], rows)]


def _gap(pair: Sequence[Found]) -> str:
    gap = round(100 * (pair[0]["success"]["mean"] - pair[1]["success"]["mean"]), 2)
    return f"{gap + 0.0:+.2f}"  # + 0.0: nobody wants to read -0.00


def _together(slices: Sequence[Found]) -> Found:
    """Means of means and of ends of intervals, of levels that weigh the same."""
    return {
        metric: {end: sum(of[metric][end] for of in slices) / len(slices) for end in ("mean", "low", "high")}
        for metric in ("success", "steps")
    }
