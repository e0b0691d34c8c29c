"""The pictures beside the tables, in docs/: estimates with their intervals over what was varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from goalbridge.experiments.report.markdown import Row, load, rows_of

DOCS: Final = Path("docs")


@dataclass(frozen=True)
class Curves:
    """A picture with a panel for each metric: one curve for each value of the field `curve`, over the field `x`."""

    file: str  # of results
    picture: str
    rows: str  # as `rows_of` takes it
    x: str
    curve: str
    metrics: Sequence[str]
    label: str


CURVES: Final = (
    Curves(
        *("ambiguity_scarcity", "ambiguity_scarcity.png", "captions.<count>.<curve>", "count", "curve"),
        ("success", "spl_grid"),
        "captioned states",
    ),
    Curves(
        "ambiguity_goals", "ambiguity_goals.png", "rows.<name>.all", "goals", "curve", ("success", "spl_grid"), "goals"
    ),
    Curves(
        "babyai_captions", "babyai_captions.png", "captions.<x>.<curve>", "x", "curve", ("success",), "captioned goals"
    ),
    Curves(
        *("babyai_words", "babyai_words.png", "lexicon.<x>.<curve>", "x", "curve"),
        ("success", "first_guess"),
        "words learnt for each colour",
    ),
    Curves("online_fork_maze", "online.png", "rows.<curve>.<x>", "x", "curve", ("success",), "environment steps"),
)


def draw() -> None:
    """Draws what has been measured."""
    for curves in CURVES:
        if (whole := load(curves.file)) is not None:
            draw_curves(curves, [_split(row) for row in rows_of(curves.rows, whole)], DOCS / curves.picture)
    if streaming := load("scaling_bridge.streaming.result.growth"):
        _growth(streaming, DOCS / "scaling_bridge.png")
    if proposals := load("scaling_bridge.proposals.result"):
        _proposals(proposals, DOCS / "scaling_proposals.png")


def _split(row: Row) -> Row:
    """A row that is named "logsumexp 64" is a point of the curve logsumexp at 64 goals."""
    if "name" not in row:
        return row
    curve, goals = row["name"].split()
    return {**row, "curve": curve, "goals": int(goals)}


def draw_curves(curves: Curves, rows: Sequence[Row], path: Path) -> None:
    """One picture; ticks are evenly spaced, and intervals stand side by side."""
    ticks = sorted({row[curves.x] for row in rows})
    titles = list(dict.fromkeys(row[curves.curve] for row in rows))
    figure, panels = _figure(len(curves.metrics))
    for metric, panel in zip(curves.metrics, panels, strict=True):
        for place, title in enumerate(titles):
            found = [row for row in rows if row[curves.curve] == title]
            where = [ticks.index(row[curves.x]) + 0.04 * (place - (len(titles) - 1) / 2) for row in found]
            estimates: list[Mapping[str, float]] = [row[metric] for row in found]
            means = [of["mean"] for of in estimates]
            below = [max(of["mean"] - of["low"], 0.0) for of in estimates]
            above = [max(of["high"] - of["mean"], 0.0) for of in estimates]
            panel.errorbar(where, means, [below, above], label=title, marker="o", ms=4, capsize=2)
        panel.set_xticks(range(len(ticks)), [f"{tick:,}" for tick in ticks])
        panel.set(xlabel=curves.label, ylabel=f"{metric.replace('_', ' ')} (95 % interval)")
        panel.grid(alpha=0.3)
    panels[-1].legend(fontsize="small")
    _save(figure, path)


def _growth(growth: Mapping[str, Any], path: Path) -> None:
    figure, (panel,) = _figure(1)
    panel.loglog(growth["goals"], growth["seconds"], "o-")
    panel.set(
        xlabel="bridge goals M", ylabel="seconds of one thread", title="8 actions, one instruction, 64 dimensions"
    )
    panel.grid(alpha=0.3)
    _save(figure, path)


def _proposals(of: Mapping[str, Any], path: Path) -> None:
    figure, panels = _figure(len(of))
    for panel, (name, part) in zip(panels, of.items(), strict=True):
        for way in dict.fromkeys(row["way"] for row in part["rows"]):
            rows = [row for row in part["rows"] if row["way"] == way]
            rates = [row["actions_per_second"] for row in rows]
            panel.semilogx(rates, [row["same_action"] for row in rows], "o-", label=way)
        panel.axvline(part["full_actions_per_second"], color="0.5", linestyle=":", label="all goals")
        panel.set(xlabel="actions a second of one thread", ylabel="same action as all goals", ylim=(0, 1.03))
        panel.set_title(f"{name}, M = {part['terms']:,}")
        panel.grid(alpha=0.3)
    panels[-1].legend(fontsize=8)
    _save(figure, path)


def _figure(panels: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # heavy

    figure = Figure(figsize=(4.8 * panels + 0.8, 3.4), dpi=90, layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})  # the same bytes for the same figures
