"""The generated pages: the committed files are what the generator writes, and rows and verdicts are computed right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.law.measure import ESTIMATORS, chosen_estimator
from goalbridge.experiments.law.published import PUBLISHED
from goalbridge.experiments.report import figures, pages
from goalbridge.experiments.report.__main__ import main
from goalbridge.experiments.report.markdown import Page, Section, fill, load, rows_of, shortfall, table

ROOT = Path(__file__).parents[2]
Write = Callable[..., None]


def estimate(mean: float, spread: float = 0.01) -> dict[str, float]:
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes results/NAME.json, in an empty folder that is also the working directory."""
    monkeypatch.chdir(tmp_path)
    return lambda name, **found: write_json(tmp_path / "results" / f"{name}.json", found)


@pytest.mark.parametrize("path", [page.path for page in pages.PAGES])
def test_what_is_committed_is_what_is_generated(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = next(page for page in pages.PAGES if page.path == path).render()
    assert text == (ROOT / path).read_text(), "run `make results`"
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count(" | ") for line in block.splitlines()}) == 1
    assert "nan" not in re.findall(r"\w+", text)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / path).parent.joinpath(link).is_file(), link


def test_the_overview_is_short() -> None:
    assert len((ROOT / "RESULTS.md").read_text().splitlines()) <= 80


def test_nothing_measured_nothing_written(write: Write) -> None:
    main([])
    assert list(Path().iterdir()) == []
    with pytest.raises(ConfigError, match="holds no table yet"):
        chosen_estimator("dot", "shared")


def test_fields_are_estimates_numbers_lists_or_missing() -> None:
    row = {"of": {"a b": estimate(0.5), "n": -0.00001}, "seeds": [0, 1], "pairs": [["red", "key"]], "steps": 20000}
    assert fill("{of.a b} {of[a b]:1} {of.a b.low:.2f}", row) == "0.500 [0.490, 0.510] 0.5 [0.5, 0.5] 0.49"
    assert fill("{seeds}; {pairs}; {steps:,}", row) == "0, 1; red key; 20,000"
    assert fill("{of.none} / {other.mean:.3f}", row) == "-"
    assert fill("{seeds} / {other}", row) == "0, 1 / -"
    assert fill("{value}", {"value": estimate(-1e-9, 0)}) == "0.000 [0.000, 0.000]"


def test_rows_stand_at_a_path() -> None:
    whole = {"levels": {"A": {"bot": {"x": 1}}, "B": {"bot": {"x": 2}, "10": {"x": 3}}}}
    found = [(row["level"], row["who"], row["x"]) for row in rows_of("levels.<level>.<who>", whole)]
    assert found == [("A", "bot", 1), ("B", "bot", 2), ("B", 10, 3)]
    assert [row["level"] for row in rows_of("levels.<level>.10", whole)] == ["B"]
    assert rows_of("rows.<row>", {"rows": [5.0]}) == [{"value": 5.0, "row": 0}]


def test_columns_that_no_row_fills_are_left_out() -> None:
    columns = {"a {n}": "{a}", "b": "{b}", "c": "{c}"}
    lines = table(columns, [{"a": 1}, {"a": 2, "c": 3}], {"n": 7}).splitlines()
    assert lines == ["| a 7 | c |", "| --- | --- |", "| 1 | - |", "| 2 | 3 |"]


def test_bounds_are_of_means_and_may_be_shares_of_others() -> None:
    row = {"own play": {"success": estimate(0.95)}, "limit": {"success": estimate(1.0)}, "seconds": 61}
    assert shortfall("own play.success >= 0.95", row) is None
    assert shortfall("own play.success >= 0.96", row) == "own play.success 0.95"
    assert shortfall("own play.success >= 0.94 limit.success", row) is None
    assert shortfall("own play.success >= 0.96 limit.success", row) == "own play.success 0.95"
    assert shortfall("seconds <= 60", row) == "seconds 61"


@pytest.mark.parametrize(("second", "said"), [(0.95, "met in 2 of 2 rows"), (0.85, "not met in 1 of 2 rows: b (")])
def test_a_section_says_what_is_not_met(write: Write, second: float, said: str) -> None:
    rows = {"a": {"success": estimate(0.99)}, "b": {"success": estimate(second)}, "c": {"success": estimate(0.1)}}
    write("x", rows=rows, command="python -m evaluation.protocol")
    section = Section(
        "x",
        "Title",
        "`{command}`.",
        "rows.<name>",
        {"name": "{name}", "success": "{success}"},
        lambda row: () if row["name"] == "c" else ("success >= 0.9",),
        "x.png",
    )
    missing = Section("y", "Other", rows="rows.<name>")
    text = Page("docs/results/x.md", "X", "About.", [section, missing]).render()
    assert text is not None
    assert said in text
    assert "`python -m experiments.agent.protocol`" in text  # where it lies today
    assert "| c | 0.100 [0.090, 0.110] | - | - |" in text
    assert "![Title](../x.png)" in text
    assert "Other" not in text


def test_partial_results_are_shown_as_far_as_they_go(write: Write) -> None:
    """A maze, a level and a budget alone: pages and pictures hold them, the other pages are left out."""
    metrics = {name: estimate(0.9) for name in ("success", "spl_grid", "spl", "steps")}
    about = {"command": "c", "seeds": [0], "evaluation_seed": 1, "git_commit": "0123456789abcdef", "maze": "fork_maze"}
    by_policy = {"default": {"logsumexp": metrics, "limit": metrics}, "8 directions": {"logsumexp": metrics}}
    write("fork_maze", **about, policies=by_policy)
    planned = {"success": estimate(1.0), "steps": estimate(5), "against_optimum": estimate(1.2), "optimum": 4.2}
    write("babyai_full", **about, levels={"GoToLocal": {"planned": planned}})
    write("online_fork_maze", **about, rows={"own play": {"50000": metrics, "250000": metrics}})
    main([])
    written = {str(path) for path in Path().rglob("*.md")}
    assert written == {"RESULTS.md", *(f"docs/results/{name}.md" for name in ("mazes", "babyai", "online"))}
    assert "GoToLocal (planned.against_optimum 1.2)" in Path("docs/results/babyai.md").read_text()
    assert "| 50,000 | 0.900 [0.890, 0.910] |" in Path("RESULTS.md").read_text()
    with Image.open("docs/online.png") as picture:
        assert min(picture.size) > 200
    assert [path.name for path in Path("docs").glob("*.png")] == ["online.png"]


def test_pictures_hold_all_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    rows = [{"x": x, "curve": curve, "success": estimate(0.5, 0.2)} for x in (30, 100) for curve in ("a", "b")]
    figures.draw_curves(figures.CURVES[2], rows, tmp_path / "docs" / "x.png")
    (axes,) = drawn[0].axes
    low, high = axes.get_ylim()
    assert low <= 0.3
    assert high >= 0.7
    assert [label.get_text() for label in axes.get_xticklabels()] == ["30", "100"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_every_published_figure_stands_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = Path("docs/results/law.md").read_text()
    assert all(f"({value:.3g})" in text for cells in PUBLISHED.values() for value in cells.values())
    for kind in PUBLISHED:
        for sharing in ("shared", "independent"):
            assert chosen_estimator(kind, sharing) in ESTIMATORS
    assert load("law.nothing") is None
