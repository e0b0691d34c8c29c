"""The suite's tables and plots show what evaluation.json holds, and where the estimators truly differ."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from rich.table import Table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from goalbridge.envs.suite import SATISFIABLE, SUITE
from goalbridge.evaluation.suite_plots import category_plot, write_pictures
from goalbridge.evaluation.suite_report import category_table, understood_table

NAMES = ("logsumexp", "direct", "random")


def estimate(mean: float, spread: float = 0.02) -> dict[str, float]:
    return {"mean": mean, "low": max(mean - spread, -1), "high": min(mean + spread, 1)}


def metrics(mean: float, spread: float = 0.02) -> dict[str, dict[str, float]]:
    return {"success": estimate(mean, spread), "spl_grid": estimate(mean - 0.05, spread)}


@pytest.fixture
def report() -> dict[str, Any]:
    means = dict(zip(NAMES, (1.0, 0.7, 0.1), strict=True))
    own = {name: metrics(mean) for name, mean in means.items()}
    gaps = {"direct": metrics(-0.01, 0.02), "random": metrics(-0.8)}
    flags = {kind: estimate(0.5) for kind in ("not_understood", "unknown", "contradictory")}
    return {
        "env": "goalbridge/ForkMaze-v0",
        "suite": "ambiguous",
        "episodes": 35,
        "seed": 3,
        "estimators": own,
        "categories": {name: {**own, "region_cells": 2.0 + turn} for turn, name in enumerate(SATISFIABLE)},
        "paired_difference_from_logsumexp": {**gaps, "categories": dict.fromkeys(SATISFIABLE, gaps)},
        "understood": {name: {"texts": 40 + turn, **flags} for turn, name in enumerate(SUITE)},
    }


def lines_of(table: Table, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [80, 200])
def test_every_mean_interval_and_difference_is_shown(report: dict[str, Any], width: int) -> None:
    lines = lines_of(category_table(report, "success"), width)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    assert [line.split() for line in lines if line.startswith("cells")] == [
        ["cells", *(f"{size}.0" for size in range(2, 9))]
    ]
    where = {name: next(i for i, line in enumerate(lines) if line.startswith(name)) for name in NAMES}
    columns = len(SATISFIABLE) + 1
    assert lines[where["logsumexp"]].split()[1:] == ["1"] * columns
    assert lines[where["logsumexp"] + 1].split() == [".98–1"] * columns
    assert where["direct"] == where["logsumexp"] + 2  # no difference from itself
    assert lines[where["direct"]].split()[1:] == [".700"] * columns
    assert lines[where["direct"] + 1].split() == [".68–.72"] * columns
    assert lines[where["direct"] + 2].split() == ["-.010"] * columns
    assert lines[where["random"] + 2].split() == ["-.800*"] * columns  # the interval leaves out 0
    text = " ".join(" ".join(lines).split())
    for word in ("held-out", "phrasing", "compound", "vague", "all", "35 paired episodes"):
        assert word in text


def test_other_metrics_have_tables_of_their_own(report: dict[str, Any]) -> None:
    lines = lines_of(category_table(report, "spl_grid"), 80)
    assert "SPL (grid)" in lines[0]
    (direct,) = (line for line in lines if line.startswith("direct"))
    assert direct.split()[1:] == [".650"] * (len(SATISFIABLE) + 1)


def test_a_difference_that_rounds_to_nothing_has_no_sign(report: dict[str, Any]) -> None:
    for of in [
        report["paired_difference_from_logsumexp"],
        *report["paired_difference_from_logsumexp"]["categories"].values(),
    ]:
        of["direct"]["success"] = estimate(-0.0004, 0.0001)
    lines = lines_of(category_table(report, "success"), 80)
    place = next(i for i, line in enumerate(lines) if line.startswith("direct"))
    assert lines[place + 2].split() == ["0*"] * (len(SATISFIABLE) + 1)


def test_false_alarms_stand_apart_from_what_is_flagged_rightly(report: dict[str, Any]) -> None:
    report["understood"]["unknown"]["not_understood"] = estimate(0.96)
    lines = lines_of(understood_table(report), 80)
    assert not any("…" in line for line in lines)
    places = {
        name: next(
            i for i, line in enumerate(lines) if line.startswith(name.replace("held_out", "held-out").replace("_", " "))
        )
        for name in SUITE
    }
    assert lines[places["unknown"]].split() == ["unknown", "48", "96.0%", "94.0%", "to", "98.0%", "50.0%", "50.0%"]
    assert lines[places["line"]].split()[1:3] == ["41", "50.0%"]
    assert places["contradictory"] == places["held_out_compound"] + 2  # a line between them


def test_a_plot_shows_each_estimator_at_its_height(report: dict[str, Any]) -> None:
    picture = category_plot(report, "success")
    assert (picture.dtype.name, picture.ndim, picture.shape[2]) == ("uint8", 3, 3)
    # Blue is the first estimator's, orange the second's: 1.0 is above 0.7.
    blue = np.argwhere((picture == (0x00, 0x72, 0xB2)).all(axis=2))
    orange = np.argwhere((picture == (0xD5, 0x5E, 0x00)).all(axis=2))
    inside = picture.shape[1] * 0.88  # left of the legend
    assert blue[blue[:, 1] < inside, 0].max() < orange[orange[:, 1] < inside, 0].min()
    gaps = np.diff(np.unique(blue[blue[:, 1] < inside, 1]))
    assert (gaps > 20).sum() == len(SATISFIABLE) - 1  # once in each category
    np.testing.assert_array_equal(picture, category_plot(report, "success"))
    for found in report["categories"].values():
        found["direct"]["success"] = estimate(0.2)
    assert (category_plot(report, "success") != picture).any()


def test_pictures_are_files_and_in_tensorboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = np.random.default_rng(0).integers(256, size=(24, 40, 3)).astype(np.uint8)
    write_pictures({"plots/success": picture, "rollouts/instruction_posterior": picture[::-1].copy()}, tmp_path)
    with Image.open(tmp_path / "plots" / "success.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
    assert (tmp_path / "rollouts" / "instruction_posterior.png").is_file()
    assert f"picture: {tmp_path / 'plots' / 'success.png'}" in capsys.readouterr().out
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    assert set(events.Tags()["images"]) == {"plots/success", "rollouts/instruction_posterior"}
    (shown,) = events.Images("plots/success")
    with Image.open(io.BytesIO(shown.encoded_image_string)) as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
