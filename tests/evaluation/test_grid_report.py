"""Figures of BabyAI's levels: means with intervals, slices of missions, evaluation.json, tables."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from goalbridge.evaluation.grid_compare import Outcome
from goalbridge.evaluation.grid_metrics import ambiguous, columns, differences, estimates, names_held_out, slices
from goalbridge.evaluation.grid_report import level_table, overall_table, slices_line, summary
from goalbridge.evaluation.metrics import interval

ABOUT = {"env": "goalbridge/BabyAI", "episodes": 40, "seed": 1, "view": "full"}
MISSIONS = ("go to a red ball", "go to the green ball", "go to the red ball", "go to a yellow key")
E = 40


def outcome(
    rate: float, slowness: float, seed: int, missions: tuple[str, ...] = MISSIONS, known: bool = True
) -> Outcome:
    rng = np.random.default_rng(seed)
    optimum = np.random.default_rng(0).integers(2, 9, size=E).astype(float)
    success = rng.random(E) < rate
    steps = np.where(success, np.ceil(optimum * slowness), 64.0)
    return Outcome(missions * (E // len(missions)), success, steps, optimum if known else np.full(E, np.nan))


@pytest.fixture
def played() -> dict[str, dict[str, Outcome]]:
    doors, both = ("go to the red door",), ("go to a red ball then go to a grey box",)
    return {
        "GoToLocal": {"planned": outcome(1, 1, 1), "bot": outcome(0.9, 1.3, 2), "random": outcome(0.3, 5, 3)},
        "GoToDoor": {
            "planned": outcome(1, 1, 4, doors),
            "bot": outcome(1, 1, 5, doors),
            "random": outcome(1, 9, 6, doors),
        },
        "FourRooms": {
            "planned": outcome(0.8, 1.2, 7, ("go to the top left room",)),
            "random": outcome(0.1, 6, 8, ("go to the top left room",)),
        },
        "GoToSeq": {
            "planned": outcome(0.5, 3, 9, both, known=False),
            "bot": outcome(1, 4, 10, both, known=False),
            "random": outcome(0.1, 9, 11, both, known=False),
        },
    }


def test_one_levels_means_are_those_of_its_episodes() -> None:
    one = outcome(0.7, 1.5, 0)
    found = estimates([columns(one)])
    for name, values in (("success", one.success), ("steps", one.steps)):
        expected = interval(values)
        assert found[name].mean == pytest.approx(values.mean())
        assert found[name].low == pytest.approx(expected.low, abs=0.2 * values.std())
        assert found[name].high == pytest.approx(expected.high, abs=0.2 * values.std())
    assert found["against_optimum"].mean == pytest.approx(one.steps.mean() / one.optimum.mean())
    assert found["against_optimum"].low < found["against_optimum"].mean < found["against_optimum"].high
    by_hand = np.where(one.success, one.optimum / one.steps, 0)
    assert found["spl"].mean == pytest.approx(by_hand.mean())


def test_the_optimum_itself_has_ratio_and_spl_one() -> None:
    found = estimates([columns(outcome(1, 1, 0))])
    for name in ("success", "against_optimum", "spl"):
        assert (found[name].mean, found[name].low, found[name].high) == (1, 1, 1)


def test_levels_weigh_the_same_whatever_their_size() -> None:
    small = {"success": np.array([1.0, 1.0]), "steps": np.array([2.0, 2.0]), "optimum": np.array([2.0, 2.0])}
    large = {"success": np.zeros(200), "steps": np.full(200, 400.0), "optimum": np.full(200, 100.0)}
    unknown = {"success": np.ones(5), "steps": np.full(5, 9.0)}
    found = estimates([small, large])
    assert found["success"].mean == 0.5
    assert found["success"].low == found["success"].high == 0.5  # levels are not drawn anew, episodes are
    assert found["steps"].mean == 201
    assert found["against_optimum"].mean == 2.5
    assert estimates([small, large, unknown])["against_optimum"].mean == 2.5
    assert "against_optimum" not in estimates([unknown])


def test_intervals_cover_the_truth() -> None:
    """Of 200 experiments with two levels of 50 episodes, about 95 % have the true mean in their interval."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        drawn = [{"success": (rng.random(50) < rate).astype(float)} for rate in (0.5, 0.8)]
        found = estimates(drawn)["success"]
        held += found.low <= 0.65 <= found.high
    assert 0.89 <= held / 200 <= 0.99


def test_differences_are_paired() -> None:
    one, other = columns(outcome(0.9, 1, 1)), columns(outcome(0.4, 2, 2))
    found = estimates([differences(other, one)])
    means, others = estimates([one]), estimates([other])
    for name in ("success", "steps", "spl", "against_optimum"):
        assert found[name].mean == pytest.approx(others[name].mean - means[name].mean)
    same = estimates([differences(one, one)])
    assert all((e.mean, e.low, e.high) == (0, 0, 0) for e in same.values())


@pytest.mark.parametrize(
    ("mission", "is_ambiguous", "held_out"),
    [
        ("go to a red ball", True, False),
        ("go to the red ball", False, False),
        ("go to the green ball", False, True),
        ("go to a yellow key", True, True),
        ("go to the purple door", False, False),
        ("go to the blue key and go to a blue box", True, True),
        ("go to a door", True, None),
        ("the top left room is where you should be", False, None),
    ],
)
def test_missions_belong_to_slices(mission: str, is_ambiguous: bool, held_out: bool | None) -> None:
    assert ambiguous(mission) is is_ambiguous
    assert names_held_out(mission) is held_out
    found = {name for name, rows in slices([mission]).items() if rows[0]}
    expected = {"ambiguous" if is_ambiguous else "unambiguous"}
    if held_out is not None:
        expected.add("held_out_things" if held_out else "seen_things")
    assert found == expected


def test_the_report_has_the_promised_layout(played: Any) -> None:
    names = ("planned", "bot", "random")
    report = summary(played, names, ABOUT)
    assert json.loads(json.dumps(report)) == report
    assert {key: report[key] for key in ABOUT} == ABOUT
    assert "each of the same weight" in report["about"]
    assert tuple(report["estimators"]) == names
    assert tuple(report["categories"]) == tuple(played)
    assert tuple(report["categories"]["FourRooms"]) == ("planned", "random")
    assert set(report["slices"]) == {"ambiguous", "unambiguous", "held_out_things", "seen_things"}
    assert set(report["paired_difference_from_planned"]) == {"bot", "random"}
    for level, by_name in report["categories"].items():
        for found in by_name.values():
            assert set(found) == {"success", "steps", *(() if level == "GoToSeq" else ("against_optimum", "spl"))}
    for estimate in report["estimators"]["planned"].values():
        assert estimate["low"] <= estimate["mean"] <= estimate["high"]
    means = [report["categories"][level]["planned"]["success"]["mean"] for level in played]
    assert report["estimators"]["planned"]["success"]["mean"] == pytest.approx(np.mean(means))
    assert report["levels"]["GoToSeq"]["optimum"] is None
    assert report["levels"]["GoToLocal"]["missions"]["ambiguous"] == E // 2


def test_slices_are_compared_in_levels_that_hold_both(played: Any) -> None:
    report = summary(played, ("planned", "random"), ABOUT)
    local = played["GoToLocal"]["random"]  # the only level with ambiguous missions and others
    rows = slices(local.missions)
    for name in ("ambiguous", "unambiguous", "held_out_things", "seen_things"):
        expected = local.steps[rows[name]].mean()
        assert report["slices"][name]["random"]["steps"]["mean"] == pytest.approx(expected)
    doors = summary({"GoToDoor": played["GoToDoor"]}, ("planned",), ABOUT)["slices"]
    assert set(doors) == {"unambiguous", "seen_things"}  # what there is none of is left out


def shown(*tables: Any, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    for table in tables:
        console.print(table)
    return console.export_text().splitlines()


def test_the_tables_fit_a_terminal_of_80_columns(played: Any) -> None:
    names = ("planned", "logsumexp", "max", "sample", "bot", "random")
    one = played["GoToLocal"]["random"]
    report = summary({level: dict.fromkeys(names, one) for level in ("GoToRedBallNoDists", "GoTo")}, names, ABOUT)
    lines = shown(level_table(report, 80), width=80)
    for level, by_name in report["categories"].items():
        (row,) = [line for line in lines if line.startswith(f"{level} ")]
        found = by_name["bot"]
        assert row.count(f"{found['success']['mean']:.2f}/{found['steps']['mean']:.1f}") == len(names)
    assert not any("…" in line for line in lines)
    assert "optimum" not in " ".join(lines)
    wide = shown(level_table(report, 100), width=100)
    assert any("optimum" in line for line in wide)


def test_all_levels_together_are_shown_with_intervals(played: Any) -> None:
    report = summary(played, ("planned", "bot", "random"), ABOUT)
    lines = shown(overall_table(report), width=80)
    assert "all 4 levels together, each of the same weight" in lines[0]
    row = next(i for i, line in enumerate(lines) if line.strip().startswith("bot"))
    success = report["estimators"]["bot"]["success"]
    assert f"{success['mean']:.3f}" in lines[row]
    assert f"{success['low']:.3f} to {success['high']:.3f}" in lines[row + 1]
    assert "3 levels" in lines[row + 1]  # it does not read FourRooms' commands
    assert (
        "GoToSeq (95 % intervals)"
        in shown(overall_table(summary({"GoToSeq": played["GoToSeq"]}, ("bot",), ABOUT)), width=80)[0]
    )
    assert slices_line(report).startswith("planned's success by mission: ambiguous ")
