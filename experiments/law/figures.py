"""Pictures of the synthetic experiments, after the paper's Figures 2, 3 and 5: docs/law_*.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from goalbridge.experiments.law.laboratory import INDEPENDENT, KINDS, SHARED, SMALL, Laboratory, train_bridged
from goalbridge.experiments.law.published import CHANCE, PUBLISHED, TITLES
from goalbridge.experiments.law.training import Recipe
from goalbridge.experiments.report.markdown import load

DOCS: Final = Path("docs")
_DPI: Final = 100
_BARS: Final = ("direct", "monte carlo 5k", "monte carlo 100k", "better 5k")
_LABELS: Final = {SHARED: "one encoder of B", INDEPENDENT: "two independent models"}
_COLOURS: Final = {
    "direct": "#b0b0b0",
    "monte carlo 5k": "#9ecae1",
    "monte carlo 100k": "#3182bd",
    "better 5k": "#e6550d",
    "oracle": "#31a354",
}


def draw() -> None:
    """Draws what has been measured, into docs/."""
    result = load("law") or {}
    if "table" in result:
        _draw_recall(result["table"])
        _draw_representations(result["table"]["seeds"][0])
    if "estimators" in result:
        _draw_goals(result["estimators"]["rows"])
    if "rho" in result:
        _draw_bypass(result["rho"]["rows"])


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # only who draws waits for it

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _save(figure: Any, name: str) -> None:
    DOCS.mkdir(exist_ok=True)
    figure.savefig(DOCS / f"law_{name}.png", metadata={"Software": None})  # the same bytes for the same figures


def _draw_recall(result: Mapping[str, Any]) -> None:
    figure = _figure(10, 3.8)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, sharing in zip(panels, (SHARED, INDEPENDENT), strict=True):
        names = [*_BARS, "oracle"]
        for place, name in enumerate(names):
            rows = [result["rows"][kind]["oracle" if name == "oracle" else sharing] for kind in KINDS]
            cells = rows if name == "oracle" else [row[name] for row in rows]
            where = np.arange(len(KINDS)) + 0.16 * (place - 2)
            low, high = _around(cells)
            panel.bar(where, [of["mean"] for of in cells], 0.15, color=_COLOURS[name], label=name)
            panel.errorbar(
                where, [of["mean"] for of in cells], [low, high], fmt="none", ecolor="black", capsize=2, lw=1
            )
            theirs = [PUBLISHED[kind].get((sharing, name), PUBLISHED[kind].get(("", name))) for kind in KINDS]
            known = [(x, y) for x, y in zip(where, theirs, strict=True) if y is not None]
            label = "published" if place == 0 else None
            panel.plot(*zip(*known, strict=True), "_", color="black", ms=9, mew=2, label=label) if known else None
        panel.axhline(CHANCE, color="black", ls=":", lw=1, label="chance")
        panel.set_xticks(range(len(KINDS)), [TITLES[kind] for kind in KINDS])
        panel.set_title(_LABELS[sharing])
        panel.set_ylim(0, 1.03)
    panels[0].set_ylabel("recall@1 of 32 (95 % interval)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize="small")
    _save(figure, "recall")


def _draw_goals(rows: Mapping[str, Any]) -> None:
    figure = _figure(10, 5.4)
    panels = figure.subplots(2, len(KINDS), sharex=True, sharey=True)
    for line, sharing in zip(panels, (SHARED, INDEPENDENT), strict=True):
        for panel, kind in zip(line, KINDS, strict=True):
            curve = rows[kind][sharing]["curve"]
            for name, colour in (("monte carlo", "#3182bd"), ("extrapolated", "#756bb1"), ("better", "#e6550d")):
                goals = [int(count) for count, of in curve.items() if name in of]
                cells = [of[name] for of in curve.values() if name in of]
                means = [of["mean"] for of in cells]
                panel.errorbar(goals, means, _around(cells), label=name, color=colour, marker="o", ms=4, capsize=2)
            panel.set_title(f"{TITLES[kind]}, {_LABELS[sharing]}", fontsize="small")
            panel.set_xscale("log")
            panel.grid(alpha=0.3)
    for panel in panels[-1]:
        panel.set_xlabel("bridge goals M")
    for panel in panels[:, 0]:
        panel.set_ylabel("recall@1 of 32")
    panels[0, 0].legend(fontsize="small", loc="lower right")
    _save(figure, "goals")


def _draw_bypass(rows: Mapping[str, Any]) -> None:
    figure = _figure(6.4, 4)
    panel = figure.subplots()
    curves = {
        "Bayes-optimal": ("exact", "bayes-optimal", "#31a354", "-"),
        "exact Lemma 1, closed form": ("exact", "lemma 1, closed form", "black", "-"),
        "exact Lemma 1, M = 100k": ("exact", "monte carlo 100k", "black", "--"),
        "learned, better, M = 5k": ("learned", "better 5k", "#e6550d", "-"),
        "learned, M = 100k": ("learned", "monte carlo 100k", "#3182bd", "--"),
        "learned, Direct": ("learned", "direct", "#909090", ":"),
    }
    shares = [float(share) for share in rows]
    for title, (family, name, colour, style) in curves.items():
        cells = [row[family][name] for row in rows.values()]
        means = [of["mean"] for of in cells]
        panel.errorbar(shares, means, _around(cells), label=title, color=colour, ls=style, marker="o", ms=4, capsize=2)
    panel.axhline(CHANCE, color="black", ls=":", lw=1)
    panel.set_xlabel("share rho of the signal that bypasses B")
    panel.set_ylabel("recall@1 of 32 (95 % interval)")
    panel.set_xticks(shares)
    panel.legend(fontsize="small", loc="lower left")
    panel.grid(alpha=0.3)
    _save(figure, "rho")


def _draw_representations(seed: int) -> None:
    """The first two principal axes of phi_B, and where some A and C that belong together lie."""
    figure = _figure(10, 3.6)
    lab = Laboratory(seed, pool=SMALL)
    for panel, kind in zip(figure.subplots(1, len(KINDS)), KINDS, strict=True):
        of = train_bridged([lab], kind, SHARED, Recipe())[0]
        a, b, c = of.a[:6], of.bridge_ab, of.c[:6]
        if kind == "cosine":
            a, b, c = (torch.nn.functional.normalize(x, dim=1) for x in (a, b, c))
        axes = torch.linalg.svd(b - b.mean(0), full_matrices=False)[2][:2].T  # [d, 2]
        a, b, c = ((x - b.mean(0)) @ axes for x in (a, b, c))
        panel.scatter(*b[:2000].T, s=2, color="#c0c0c0", label="B")
        for place in range(len(a)):
            colour = f"C{place}"
            panel.plot(*torch.stack((a[place], c[place])).T, color=colour, lw=1)
            panel.plot(*a[place], "o", color=colour, ms=6, label="A" if place == 0 else None)
            panel.plot(*c[place], "s", color=colour, ms=6, label="C" if place == 0 else None)
        panel.set_title(TITLES[kind])
        panel.set_aspect("equal", adjustable="datalim")
        panel.set_xlabel("first principal axis")
        panel.legend(fontsize="x-small", loc="upper right")
    _save(figure, "representations")


def _around(cells: Sequence[Mapping[str, float]]) -> tuple[list[float], list[float]]:
    """How far the intervals reach below and above the means."""
    below = [max(of["mean"] - of["low"], 0.0) for of in cells]
    return below, [max(of["high"] - of["mean"], 0.0) for of in cells]
