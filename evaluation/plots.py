"""Pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.evaluation.report import HEADINGS

# Mostly Okabe and Ito's colours, for all kinds of colour vision; who knows everything or nothing is grey.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C2878", "#7A6A00")
_GREYS: Final = {"limit": "#222222", "expert": "#666666", "random": "#AAAAAA"}
_MARKERS: Final = "osD^vP*X"
_UNKNOWN: Final = {"mean": np.nan, "low": np.nan, "high": np.nan}
_SPREAD: Final = 0.76  # of the room between two categories, how much the estimators take


def category_plot(report: Mapping[str, Any], metric: str) -> NDArray[np.uint8]:
    """A metric of evaluation.json by category and estimator, means with 95 % intervals; uint8 [h, w, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    categories, names = report["categories"], list(report["estimators"])
    figure = Figure(figsize=(1.6 * len(categories) + 2.4, 4.6), dpi=120, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.subplots()
    offsets = (np.arange(len(names)) - (len(names) - 1) / 2) * _SPREAD / len(names)  # [N]
    for turn, name in enumerate(names):
        found = [categories[category].get(name, {}).get(metric, _UNKNOWN) for category in categories]
        mean, low, high = (np.array([one[key] for one in found]) for key in ("mean", "low", "high"))  # [C] each
        if np.isnan(mean).all():
            continue
        axes.errorbar(
            np.arange(len(categories)) + offsets[turn],
            mean,
            # A percentile interval of a bootstrap may, by a rounding error, miss its mean.
            yerr=np.maximum([mean - low, high - mean], 0),
            color=_GREYS.get(name, _COLOURS[turn % len(_COLOURS)]),
            marker="_" if name in _GREYS else _MARKERS[turn % len(_MARKERS)],
            markersize=9 if name in _GREYS else 5,
            linestyle="none",
            capsize=2,
            label=name,
        )
    axes.set_xticks(np.arange(len(categories)), [name.replace("_", "\n") for name in categories])
    axes.set_xlim(-0.5, len(categories) - 0.5)
    axes.set_ylim(-0.02, 1.02)
    for between in np.arange(len(categories) - 1) + 0.5:
        axes.axvline(between, color="#DDDDDD", linewidth=0.8)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel(HEADINGS.get(metric, metric).replace("\n", " "))
    axes.set_title(f"{report['env']}, {report['episodes']} paired episodes, 95 % intervals", fontsize=10)
    figure.legend(loc="outside right upper", frameon=False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
