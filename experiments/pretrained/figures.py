"""Pictures of results/pretrained.json: recall by method, recall over the size of the bridge, confusions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.pretrained.retrieval import RANKS
from goalbridge.experiments.report.markdown import load

RECALL_PNG: Final = "docs/pretrained_recall.png"
SIZES_PNG: Final = "docs/pretrained_bridge_size.png"
CONFUSION_PNG: Final = "docs/pretrained_confusion.png"
WAYS: Final = {"forward": "speech found by its image", "backward": "image found by its speech"}
_DPI: Final = 100


def draw() -> None:
    """Draws what has been measured, into docs/. Raises ConfigError where nothing has been."""
    result = load("pretrained")
    if result is None:
        raise ConfigError("results/pretrained.json: is not there; python -m experiments.pretrained digits measures it")
    draw_recall(result, Path(RECALL_PNG))
    draw_sizes(result, Path(SIZES_PNG))
    draw_confusion(result, Path(CONFUSION_PNG))


def draw_recall(result: Mapping[str, Any], path: Path) -> None:
    """Bars of recall@1, 5, 10 of each method, both directions, with chance."""
    figure = _figure(9.5, 4.6)
    panels = figure.subplots(1, 2, sharey=True)
    methods = result["methods"]
    width = 0.8 / len(RANKS)
    for (way, title), panel in zip(WAYS.items(), panels, strict=True):
        for place, k in enumerate(RANKS):
            found = [row[way][f"R@{k}"] for row in methods.values()]
            where = np.arange(len(found)) + (place - 1) * width
            means = [of["mean"] for of in found]
            panel.barh(where, means, width, label=f"recall@{k}", color=f"C{place}", xerr=_errors(found), ecolor="0.3")
            panel.axvline(k / result["candidates"], color=f"C{place}", ls=":", lw=1)
        panel.set_yticks(range(len(methods)), list(methods))
        panel.set_title(title, fontsize="medium")
        panel.set_xlabel(f"recall among {result['candidates']} candidates")
        panel.set_xlim(0, 1.02)
        panel.grid(axis="x", alpha=0.3)
    panels[0].invert_yaxis()
    figure.suptitle("Handwriting and speech (95 % interval; dotted: chance)", x=0.02, ha="left", fontsize="medium")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(RANKS), fontsize="small")
    _save(figure, path)


def draw_sizes(result: Mapping[str, Any], path: Path) -> None:
    """Recall over the number of texts M drawn for the bridge, and of the whole sum."""
    figure = _figure(6.2, 3.6)
    panel = figure.subplots()
    whole = next(iter(result["methods"].values()))["forward"]
    sizes = [int(size) for size in result["sizes"]]
    for place, k in enumerate(RANKS):
        found = [row["forward"][f"R@{k}"] for row in result["sizes"].values()]
        means = [of["mean"] for of in found]
        panel.errorbar(
            sizes, means, _errors(found), label=f"recall@{k}", marker="o", ms=4, capsize=2, color=f"C{place}"
        )
        panel.axhline(whole[f"R@{k}"]["mean"], color=f"C{place}", ls="--", lw=1)
    panel.set_xscale("log")
    panel.set_xlabel("texts M drawn for the bridge")
    panel.set_ylabel("speech found by its image")
    panel.set_ylim(0, 1.02)
    panel.grid(alpha=0.3)
    panel.set_title(
        f"LogSumExp (95 % interval; dashed: all {result['data']['texts']} texts, weighted)", fontsize="medium"
    )
    panel.legend(fontsize="small", loc="lower right")
    _save(figure, path)


def draw_confusion(result: Mapping[str, Any], path: Path) -> None:
    """Which digit is written, and which is in the number whose speech scores best, in shares of each row."""
    figure = _figure(9.5, 4.6)
    for (digit, counts), panel in zip(result["confusion"].items(), figure.subplots(1, 2), strict=True):
        table = np.asarray(counts, dtype=float)
        shares = table / table.sum(1, keepdims=True)
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        names = ["none" if digit == "tens" and number == 0 else str(number) for number in range(10)]
        panel.set_xticks(range(10), names)
        panel.set_yticks(range(10), names)
        panel.set_title(f"{digit}: {np.trace(table) / table.sum():.1%} right", fontsize="medium")
        panel.set_xlabel("digit of the number said in the best clip of 100")
        panel.set_ylabel("digit written")
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                colour = "white" if share > 0.5 else "black"
                panel.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    figure.suptitle(
        "Handwriting to speech, never paired: LogSumExp through text (per cent of each row)", fontsize="medium"
    )
    _save(figure, path)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # only who draws waits for it

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _errors(found: list[Mapping[str, float]]) -> list[list[float]]:
    below = [max(of["mean"] - of["low"], 0.0) for of in found]
    return [below, [max(of["high"] - of["mean"], 0.0) for of in found]]


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})  # the same bytes for the same figures
