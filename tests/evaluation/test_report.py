"""What evaluation.json says of results made up here, and the tables that show it."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from goalbridge.evaluation.report import Played, category_tables, overall_table, short, slices_line, summary, sure
from goalbridge.evaluation.watch import category_plot
from goalbridge.worlds import Episodes, Task

E = 40
SHOWN = ("success", "steps", "mass", "first_guess", "wrong_visits")


def slices(tasks: Any) -> dict[str, Any]:
    unclear = np.array([" a " in task.text for task in tasks])
    return {"ambiguous": unclear, "unambiguous": ~unclear}


def made_up(grouped: bool) -> Any:
    """As much of a world as a report asks for."""
    if grouped:
        ratios = {"against_optimum": ("steps", "optimum")}
        return SimpleNamespace(grouped=True, ratios=ratios, facts=lambda tasks: {}, slices=slices)
    facts = lambda tasks: {"region_cells": float(len(tasks))}  # noqa: E731
    return SimpleNamespace(grouped=False, ratios={}, facts=facts, slices=lambda tasks: {})


def played(rate: float, seed: int, group: str = "", reads: bool = True, optimum: float = 5) -> Played:
    rng = np.random.default_rng(seed)
    categories = [group] * E if group else ["line", "region"] * (E // 2)
    article = "the" if group == "Doors" else ""
    tasks = [Task(f"go to {article or ('a', 'the')[i % 2]} door", categories[i], i, group) for i in range(E)]
    success = rng.random(E) < rate
    steps = np.where(success, 6.0, 64.0)
    metrics = {"success": success.astype(float), "steps": steps, "optimum": np.full(E, optimum)}
    if reads:
        metrics |= {"mass": rng.random(E), "first_guess": rng.integers(2, size=E) * 1.0, "wrong_visits": np.ones(E)}
    return Played(Episodes(tuple(tasks), success, steps.astype(np.int64), (), {}), metrics)


NAMES = ("ours", "other", "random")
RATES = dict(zip(NAMES, (0.9, 0.7, 0.1), strict=True))
ONE = {name: {"": played(rate, i, reads=name != "random")} for i, (name, rate) in enumerate(RATES.items())}
MANY = {
    "ours": {name: played(0.9, i, name) for i, name in enumerate(("Local", "Doors", "Rooms"))},
    "bot": {name: played(0.5, 5 + i, name, reads=False) for i, name in enumerate(("Local", "Doors"))},
}


def report(results: Any, grouped: bool) -> dict[str, Any]:
    return summary(made_up(grouped), results, {"env": "made/Up-v0", "episodes": E, "seed": 3})


def shown(*tables: Any, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    for table in tables:
        console.print(table)
    return console.export_text()


@pytest.mark.parametrize(("results", "grouped"), [(ONE, False), (MANY, True)])
def test_every_estimate_is_a_mean_within_its_interval(results: Any, grouped: bool) -> None:
    found = report(results, grouped)
    assert json.loads(json.dumps(found)) == found
    assert [found[name] for name in ("env", "episodes", "seed")] == ["made/Up-v0", E, 3]
    assert list(found["estimators"]) == list(results)
    for by_name in [found["estimators"], *found["categories"].values()]:
        for name in set(by_name) & set(results):
            assert {"success", "steps"} <= set(by_name[name])
            for estimate in by_name[name].values():
                assert estimate["low"] - 1e-9 <= estimate["mean"] <= estimate["high"] + 1e-9
            assert ("mass" in by_name[name]) == (name in ("ours", "other"))


def test_categories_and_differences_are_of_the_same_episodes() -> None:
    found = report(ONE, False)
    rows = np.array([task.category == "line" for task in ONE["ours"][""].episodes.tasks])
    steps = {name: ONE[name][""].metrics["steps"] for name in NAMES}
    assert list(found["categories"]) == ["line", "region"]
    assert found["categories"]["line"]["region_cells"] == E / 2
    assert found["categories"]["region"]["other"]["steps"]["mean"] == pytest.approx(steps["other"][~rows].mean())
    apart = found["paired_difference_from_ours"]
    assert set(apart) == {"other", "random", "categories"}
    assert apart["other"]["steps"]["mean"] == pytest.approx((steps["other"] - steps["ours"]).mean())
    gap = (steps["random"] - steps["ours"])[rows].mean()
    assert apart["categories"]["line"]["random"]["steps"]["mean"] == pytest.approx(gap)
    assert "mass" not in apart["random"]
    assert "slices" not in found


def test_groups_have_the_same_weight_and_who_left_some_out_is_told() -> None:
    found = report(MANY, True)
    means = [one["ours"]["success"]["mean"] for one in found["categories"].values()]
    assert found["estimators"]["ours"]["success"]["mean"] == pytest.approx(np.mean(means))
    assert found["estimators"]["ours"]["against_optimum"]["mean"] == pytest.approx(
        np.mean([played.metrics["steps"].mean() / 5 for played in MANY["ours"].values()])
    )
    assert "bot" not in found["categories"]["Rooms"]
    assert "2 of 3" in shown(overall_table(found, "all", SHOWN))


def test_slices_are_compared_in_groups_that_hold_both() -> None:
    found = report(MANY, True)
    rows = np.arange(E) % 2 == 0
    expected = np.mean([MANY["ours"][name].metrics["success"][rows].mean() for name in ("Local", "Rooms")])
    assert found["slices"]["ambiguous"]["ours"]["success"]["mean"] == pytest.approx(expected)
    assert found["levels"]["Doors"] == {"optimum": 5.0, "missions": {"ambiguous": 0, "unambiguous": E}}
    assert slices_line(found).startswith("ours's success by slice: ambiguous ")
    doors = {name: {"Doors": own["Doors"]} for name, own in MANY.items()}
    assert set(report(doors, True)["slices"]) == {"unambiguous"}  # what there is none of is left out


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize(("results", "grouped"), [(ONE, False), (MANY, True)])
def test_tables_show_success_never_alone(results: Any, grouped: bool, width: int) -> None:
    found = report(results, grouped)
    overall = shown(overall_table(found, "title", SHOWN), width=width)
    lines = overall.splitlines()
    for word in ("success", "mass", "first", "guess", "wrong", "visits", "- first"):
        assert word in overall
    for name in results:
        row = next(i for i, line in enumerate(lines) if line.startswith(f"{name} "))
        assert short(found["estimators"][name]["success"], "success") in lines[row]
        assert "–" in lines[row + 1]  # its interval
        assert lines[row].rstrip().endswith(sure(found["paired_difference_from_ours"].get(name)))
    by_category = shown(*category_tables(found, "steps", width), width=width)
    assert "…" not in overall + by_category
    assert max(map(len, by_category.splitlines())) <= width
    for category, by_name in found["categories"].items():
        (line,) = (line for line in by_category.splitlines() if line.startswith(category))
        assert short(by_name["ours"]["mass"], "mass") in line
        pair = f"{short(by_name['ours']['success'], 'success')} / {short(by_name['ours']['steps'], 'steps')}"
        assert pair in line


def test_many_estimators_take_more_tables() -> None:
    names = [f"estimator_{i}" for i in range(9)]
    found = report(dict.fromkeys(names, ONE["ours"]), False)
    tables = category_tables(found, "steps", 80)
    assert len(tables) > 1
    text = shown(*tables, width=80)
    assert all(name in text for name in names)


@pytest.mark.parametrize(
    ("mean", "metric", "text"),
    [
        (0.9744, "success", ".974"), (1.0, "success", "1"), (0.00001, "mass", "0"), (12.34, "steps", "12.3"),
        (112.3, "steps", "112"), (1.234, "against_optimum", "1.23"),
    ],
)  # fmt: skip
def test_figures_take_few_letters(mean: float, metric: str, text: str) -> None:
    assert short({"mean": mean}, metric) == text


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [(0.02, 0.03, "+0.020"), (-0.02, 0.01, "-0.020*"), (-0.0004, 0.0001, "0*"), (0.0, 0.0, "0")],
)
def test_a_difference_that_rounds_to_nothing_has_no_sign(mean: float, half: float, text: str) -> None:
    assert sure({"success": {"mean": mean, "low": mean - half, "high": mean + half}}) == text
    assert sure(None) == sure({"steps": {"mean": 1, "low": 1, "high": 1}}) == ""


def test_a_plot_shows_each_estimator_at_its_height() -> None:
    found = report(ONE, False)
    for category in found["categories"].values():
        for name, mean in (("ours", 1.0), ("other", 0.7)):
            category[name]["success"] = {"mean": mean, "low": mean, "high": mean}
    picture = category_plot(found, "success")
    assert (picture.dtype.name, picture.ndim, picture.shape[2]) == ("uint8", 3, 3)
    left = picture[:, : int(picture.shape[1] * 0.8)]  # of the legend
    first, second = (np.argwhere((left == colour).all(axis=2))[:, 0] for colour in ((0, 114, 178), (213, 94, 0)))
    assert first.max() < second.min()
    np.testing.assert_array_equal(picture, category_plot(found, "success"))
