"""Results files as Markdown: a page is sections, a section a text and a table, and both are format strings over a file.

In a format string `{steps:1}` is an estimate with its interval and one digit (three unless told), `{steps.mean:.1f}` a
number, `{seeds}` a list, and what is missing is "-". Nothing here knows what was measured.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path("results")
MISSING: Final = "-"
Row = Mapping[str, Any]
_COMPARE: Final = {">=": operator.ge, "<=": operator.le}


def load(name: str) -> Any:
    """results/NAME.json, or the part of it that dots lead to ("law.table"); None where it has not been measured."""
    file, *path = name.split(".")
    source = RESULTS / f"{file}.json"
    if not source.is_file():
        return None
    # The protocols lay in evaluation/ when some of the files were written; what is shown is what runs today.
    found = json.loads(source.read_text().replace('"python -m evaluation.', '"python -m experiments.agent.'))
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def estimate(found: Mapping[str, float], digits: int = 3) -> str:
    """A mean and its interval: "0.998 [0.995, 1.000]"."""
    mean, low, high = (round(found[end], digits) + 0.0 for end in ("mean", "low", "high"))  # + 0.0: never -0.000
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


class Part:
    """A part of a results file, for format strings: `.name` and `[name]` go on into it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __getattr__(self, name: str) -> Part:
        return Part(self.value.get(name) if isinstance(self.value, Mapping) else None)

    __getitem__ = __getattr__

    def __format__(self, spec: str) -> str:
        if self.value is None:
            return MISSING
        if isinstance(self.value, Mapping):
            return estimate(self.value, int(spec or 3))
        if isinstance(self.value, list | tuple):
            return ", ".join(" ".join(one) if isinstance(one, list) else format(one, spec) for one in self.value)
        return format(self.value, spec)


class _Fields(Mapping[str, Part]):
    """What a format string finds in a row."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def __getitem__(self, name: str) -> Part:
        return Part(self._row.get(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)


def fill(template: str, row: Row) -> str:
    """The format string with what the row holds; "-" if it holds nothing of what is asked for."""
    text = template.format_map(_Fields(row))
    return MISSING if text.strip(" /,()-") == "" and text else text


def rows_of(path: str, whole: Any) -> list[Row]:
    """The parts of a file at a path, in which <name> stands for every key, and is a field of the row.

    "levels.<level>.planned" gives a row {"level": ..., everything that stands under planned} for each level.
    """
    found: list[tuple[dict[str, Any], Any]] = [({}, whole)]
    for step in path.split("."):
        if step.startswith("<"):
            found = [(keys | {step[1:-1]: _key(name)}, part) for keys, of in found for name, part in _items(of)]
        else:
            found = [(keys, of[step]) for keys, of in found if step in of]
    return [{"value": part, **(part if isinstance(part, Mapping) else {}), **keys} for keys, part in found]


def _items(of: Any) -> Iterable[tuple[Any, Any]]:
    return of.items() if isinstance(of, Mapping) else enumerate(of)


def _key(name: Any) -> Any:
    return int(name) if isinstance(name, str) and name.isdecimal() else name


def table(columns: Mapping[str, str], rows: Sequence[Row], whole: Row | None = None) -> str:
    """A Markdown table: a format string a column; columns that no row fills are left out, titles are filled, too."""
    body = [[fill(template, row) for template in columns.values()] for row in rows]
    kept = [i for i in range(len(columns)) if any(line[i] != MISSING for line in body)]
    titles = [fill(title, whole or {}) if title else title for title in columns]
    lines = [[line[i] for i in kept] for line in (titles, ["---"] * len(titles), *body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shortfall(bound: str, row: Row) -> str | None:
    """The value that does not keep a bound, or None.

    bound: "success >= 0.99", or beside another value of the row, "spl_grid >= 0.93 limit.spl_grid".
    """
    name, compare, limits = re.split(r" ([<>]=) ", bound)
    number, *other = limits.split(maxsplit=1)
    value = _mean(row, name)
    limit = float(number) * (_mean(row, other[0]) if other else 1.0)
    return None if _COMPARE[compare](value, limit) else f"{name} {value:.4g}"


def _mean(row: Row, name: str) -> float:
    part: Any = row
    for step in name.split("."):
        part = part[step]
    return float(part["mean"] if isinstance(part, Mapping) else part)


@dataclass(frozen=True)
class Section:
    """A text, a table and a picture of one results file; left out where the file or its rows are missing.

    file: as `load` takes it; "" where `rows` reads for itself. text: a format string over the file, or a function of
    it. rows: a path as `rows_of` takes it, or a function of the file. asked: what the project demands of a row, bounds
    as `shortfall` takes them; they and whether they are met are columns. picture: in docs/.
    """

    file: str
    title: str = ""
    text: str | Callable[[Any], str] = ""
    rows: str | Callable[[Any], Iterable[Row]] = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    asked: Callable[[Row], Sequence[str]] | None = None
    picture: str = ""

    def blocks(self) -> list[str]:
        """Its paragraphs as Markdown."""
        whole = load(self.file) if self.file else {}
        rows = [] if whole is None or not self.rows else self._rows(whole)
        if whole is None or (self.rows and not rows):
            return []
        text = self.text(whole) if callable(self.text) else fill(self.text, whole)
        columns = dict(self.columns)
        if self.asked:
            rows, said = self._judged(rows, self.asked)
            text, columns = f"{text} {said}".strip(), columns | {"asked": "{asked}", "met": "{met}"}
        shown = table(columns, rows, whole) if rows else ""
        picture = f"![{self.title or 'picture'}](../{self.picture})" if self.picture else ""
        head = f"## {fill(self.title, whole)}\n" if self.title else ""
        return [block for block in (f"{head}{text}".strip(), shown, picture) if block]

    def _rows(self, whole: Any) -> list[Row]:
        found = rows_of(self.rows, whole) if isinstance(self.rows, str) else self.rows(whole)
        return [{**row, "whole": whole} for row in found]

    def _judged(self, rows: Sequence[Row], asked: Callable[[Row], Sequence[str]]) -> tuple[list[Row], str]:
        """The rows with what is asked of them and whether it is met, and a sentence of both."""
        judged: list[Row] = []
        for row in rows:
            bounds = asked(row)
            short = [found for bound in bounds if (found := shortfall(bound, row))]
            met = f"**no**: {', '.join(short)}" if short else "yes"
            judged.append({**row, "asked": "; ".join(bounds) or None, "met": met if bounds else None})
        demanding = [row for row in judged if row["asked"]]
        unmet = [row for row in demanding if row["met"] != "yes"]
        if not unmet:
            return judged, f"What is asked is met in {len(demanding)} of {len(demanding)} rows."
        first = next(iter(self.columns.values()))
        names = ", ".join(f"{fill(first, row)} ({row['met'].removeprefix('**no**: ')})" for row in unmet)
        return judged, f"**What is asked is not met in {len(unmet)} of {len(demanding)} rows: {names}.**"


@dataclass(frozen=True)
class Page:
    """A generated page: its path, heading, an introduction, sections."""

    path: str
    title: str
    about: str
    sections: Sequence[Section]

    def render(self) -> str | None:
        """The page as Markdown; None where nothing of it has been measured."""
        blocks = [block for section in self.sections for block in section.blocks()]
        note = "Written by `make results` from `results/*.json`; do not edit."
        return "\n\n".join([f"# {self.title}", f"{self.about} {note}".strip(), *blocks]) + "\n" if blocks else None
