"""Pictures of BabyAI's results: success over captions, and over the size of the lexicon. `make results` draws them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from goalbridge.experiments.agent.markdown import load

CAPTIONS_PNG: Final = "docs/babyai_captions.png"
WORDS_PNG: Final = "docs/babyai_words.png"
_WIDTH, _HEIGHT = 5.6, 3.4  # of one panel, in inches
_DPI: Final = 90


def draw() -> None:
    """Draws what has been measured, into docs/."""
    if result := load("babyai_captions"):
        _plot(CAPTIONS_PNG, "captioned goals", result["captions"], ("success",))
    if result := load("babyai_words"):
        _plot(WORDS_PNG, "words learnt for each colour", result["lexicon"], ("success", "first_guess"))


def _plot(path: str, label: str, rows: Mapping[str, Any], metrics: tuple[str, ...]) -> None:
    """A panel a metric, over evenly spaced ticks; rows: by tick, then by curve, as the protocol wrote them."""
    from matplotlib.figure import Figure  # only who draws waits for it

    figure = Figure(figsize=(_WIDTH * (0.25 + 0.75 * len(metrics)), _HEIGHT), dpi=_DPI, layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for metric, panel in zip(metrics, panels, strict=True):
        titles = list(next(iter(rows.values())))
        for place, title in enumerate(titles):
            aside = 0.04 * (place - (len(titles) - 1) / 2)  # intervals side by side, not on top of each other
            _curve(panel, title, [by_title[title][metric] for by_title in rows.values()], aside)
        panel.set_xticks(range(len(rows)), [f"{int(tick):,}" for tick in rows])
        panel.set_xlabel(label)
        panel.set_ylabel(f"{metric.replace('_', ' ')} (95 % interval)")
        panel.grid(alpha=0.3)
    panels[0].set_ylim(top=1.02)  # of all panels; only now, for it ends their choice of a lower end
    panels[-1].legend(fontsize="small")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})  # the same bytes for the same figures


def _curve(panel: Any, title: str, estimates: list[Mapping[str, float]], aside: float) -> None:
    means = [of["mean"] for of in estimates]
    below = [max(of["mean"] - of["low"], 0.0) for of in estimates]
    above = [max(of["high"] - of["mean"], 0.0) for of in estimates]
    where = [tick + aside for tick in range(len(estimates))]
    style = "--" if title.startswith("development") else "-"
    panel.errorbar(where, means, [below, above], label=title, marker="o", ls=style, ms=4, capsize=2)
