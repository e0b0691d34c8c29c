"""BabyAI's part of RESULTS.md, from raw results made by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from goalbridge.agents.storage import write_json
from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.evaluation.grid_compare import Outcome
from goalbridge.experiments.agent import results
from goalbridge.experiments.agent.grid_figures import CAPTIONS_PNG, WORDS_PNG, draw
from goalbridge.experiments.agent.grid_protocol import FOUR, _beside, figures, ratio
from goalbridge.experiments.agent.grid_results import FULL, HELD_OUT_MARGIN, PARTIAL, Floor, sections

HEAD = {
    "command": "python -m experiments.agent.grid_protocol X",
    "seeds": [0, 1],
    "evaluation_seed": 123,
    "git_commit": "0123456789abcdef",
    "versions": {"minigrid": "3.2.1"},
    "held_out": [["green", "ball"], ["red", "key"]],
}
MISSIONS = ("go to a red ball", "go to the green ball", "go to a red key", "go to the blue ball")
Write = Callable[..., None]


def outcome(wins: int = 4, steps: float = 6.0, optimum: float = 5.0) -> Outcome:
    """Four episodes, of which the first `wins` succeed."""
    return Outcome(MISSIONS, np.arange(4) < wins, np.full(4, steps), np.full(4, optimum))


def level_row(name: str, wins: int = 4, steps: float = 5.5) -> dict[str, Any]:
    """What the protocol writes of a level: the bot takes 6 steps, the optimum is 5."""
    return family_row(LEVELS[name].family, wins, steps)


@cache
def family_row(family: str, wins: int, steps: float) -> dict[str, Any]:
    """The same for any level of a family."""
    ours = [outcome(wins, steps, np.nan if family == "sequence" else 5.0)] * 2
    row: dict[str, Any] = {"planned": figures(ours), "random": figures([outcome(1, 60.0)])}
    if family != "four_rooms":
        row["bot"] = figures([outcome(4, 6.0)])
        row["planned"]["against_bot"] = ratio(np.full((2, 4), steps), np.full((2, 4), 6.0))
    return row


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes results/babyai_PART.json, in an empty folder that is also the working directory."""
    monkeypatch.setattr("goalbridge.experiments.agent.markdown.RESULTS", tmp_path / "results")
    monkeypatch.chdir(tmp_path)

    def put(part: str, **body: Any) -> None:
        write_json(tmp_path / "results" / f"babyai_{part}.json", HEAD | body)

    return put


def cells(text: str, row: str) -> list[str]:
    """The cells of the first row of a table that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
    return line.strip("| ").split(" | ")


def test_nothing_measured_gives_nothing(write: Write) -> None:
    assert sections() == []
    assert "BabyAI" not in results.render()
    draw()
    assert not Path("docs").exists()


def test_floors_say_what_falls_short() -> None:
    found = figures([outcome(4, 6.0)])
    assert Floor(0.99, 1.2).shortfalls(found) == []
    assert Floor(0.99, 1.15).shortfalls(found) == ["steps 1.200 > 1.15 x optimum"]
    assert Floor(0.99).shortfalls(figures([outcome(3)])) == ["success 0.7500 < 0.99"]
    assert str(Floor(0.9, 1.3, "bot")) == "≥ 0.9, ≤ 1.3 x bot"
    assert set(FULL) == {level.family for level in LEVELS.values()} == {*PARTIAL, "sequence"}


def test_levels_show_their_figures_and_their_verdict(write: Write) -> None:
    write("full", levels={name: level_row(name) for name in LEVELS})
    text = results.render()
    assert text.index("# Results") < text.index("## BabyAI") < text.index("### BabyAI: The whole grid seen")
    assert f"One agent for all {len(LEVELS)} levels, trained from 2 seeds" in text
    assert "begins at 123" in text
    assert "minigrid 3.2.1" in text
    assert "green ball, red key" in text
    assert "commit 0123456789ab." in text
    assert f"What is asked is met in all {len(LEVELS)} levels." in text
    row = cells(text, "GoToObjMaze")
    assert row[1:6] == ["maze", "4", "1.000 [1.000, 1.000]", "5.5", "5.0"]
    assert row[6:] == [
        "1.100 [1.100, 1.100]",
        "6.0",
        "0.917 [0.917, 0.917]",
        "0.250 / 60.0",
        "≥ 0.98, ≤ 1.15 x optimum",
        "yes",
    ]
    assert cells(text, "FourRooms")[7:9] == ["-", "-"]
    assert cells(text, "GoToSeq")[5:7] == ["-", "-"]
    assert cells(text, "GoToSeq")[-2:] == ["≥ 0.9, ≤ 1.3 x bot", "yes"]


def test_intervals_that_reach_beyond_what_is_asked_are_named(write: Write) -> None:
    rows = {name: level_row(name) for name in ("GoToObj", "GoToLocal", "GoToOpen")}
    write("full", levels=rows)
    assert "reach beyond" not in results.render()
    planned = rows["GoToLocal"]["planned"]
    wide = planned | {"against_optimum": planned["against_optimum"] | {"high": 1.2}}
    write("full", levels=rows | {"GoToLocal": rows["GoToLocal"] | {"planned": wide}})
    said = (
        "What is asked is met in all 3 levels. By their means; the intervals of GoToLocal reach beyond what is asked."
    )
    assert said in results.render()


def test_what_is_not_met_is_said_plainly(write: Write) -> None:
    rows = {name: level_row(name) for name in LEVELS}
    rows["GoToLocal"] = level_row("GoToLocal", wins=3)
    rows["GoToSeq"] = level_row("GoToSeq", steps=9.0)
    write("full", levels=rows)
    text = results.render()
    short = "GoToLocal (success 0.7500 < 0.99), GoToSeq (steps 1.500 > 1.3 x bot)"
    assert f"**What is asked is not met in 2 of {len(LEVELS)} levels: {short}.**" in text
    assert cells(text, "GoToLocal")[-1] == "**no**: success 0.7500 < 0.99"
    assert cells(text, "GoToObj")[-1] == "yes"


def test_the_partial_view_is_held_against_the_bot(write: Write) -> None:
    write("partial", levels={name: level_row(name, steps=8.0) for name in LEVELS})  # 1.333 x the bot's
    text = results.render()
    assert "### BabyAI: The 7 x 7 view" in text
    assert cells(text, "GoToLocal")[-2:] == ["≥ 0.97, ≤ 1.4 x bot", "yes"]
    assert cells(text, "GoToOpen")[-2:] == ["≥ 0.97, ≤ 1.15 x bot", "**no**: steps 1.333 > 1.15 x bot"]
    assert cells(text, "FourRooms")[-2:] == ["≥ 0.97", "yes"]
    assert cells(text, "GoToSeq")[-2:] == ["-", "-"]
    mazes = sum(level.family == "maze" for level in LEVELS.values())
    asked = sum(level.family != "sequence" for level in LEVELS.values())
    assert f"**What is asked is not met in {mazes} of {asked} levels: " in text


def test_slices_stand_side_by_side_and_levels_weigh_the_same(write: Write) -> None:
    rows = {name: level_row(name) for name in ("GoToLocal", "GoToObjMaze")}
    rows["GoToLocal"] = level_row("GoToLocal", wins=2)  # "a red ball" and "the green ball", which is held out
    write("full", levels=rows)
    text = results.render()
    lines = [line for line in text.splitlines() if line.startswith("| GoToLocal |")]
    assert len(lines) == 3
    assert lines[1].split(" | ")[1].startswith("0.500 [")
    assert lines[1].strip("| ").endswith("+0.00")
    overall = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| all 2 levels")]
    assert [row[1].split()[0] for row in overall] == ["0.750", "0.750"]
    assert f"at most {100 * HELD_OUT_MARGIN:g} points below over all levels; met, +0.00 points" in text
    assert "GoToObjMaze" not in FOUR
    assert len([line for line in text.splitlines() if line.startswith("| GoToObjMaze |")]) == 1


def test_a_held_out_gap_that_is_too_large_is_said(write: Write) -> None:
    ours = Outcome(MISSIONS, np.array([True, False, True, True]), np.full(4, 5.0), np.full(4, 5.0))
    write("full", levels={"GoToLocal": level_row("GoToLocal") | {"planned": figures([ours])}})
    assert "**not met**, -50.00 points" in results.render()


def test_rivals_are_shown_with_paired_differences(write: Write) -> None:
    ours, sampled = [outcome()] * 2, [outcome(1, 20.0)] * 2
    row = {"planned": figures(ours), "sample": figures(sampled) | _beside("planned", ours, sampled)}
    write(
        "rivals",
        levels={"GoToLocal": row},
        recipes={"direct": ["agent.language_in_actions=true", "policy.name=direct"]},
    )
    text = results.render()
    assert "*direct*: `agent.language_in_actions=true policy.name=direct`" in text
    assert cells(text, "planned")[3:] == ["-", "-", "-", "-"]
    assert cells(text, "sample")[3].startswith("0.750 [")
    assert cells(text, "sample")[5] == "14.0 [14.0, 14.0]"
    assert "*planned* is quicker than *sample* in 1 of 1 levels (GoToLocal)." in text


def test_ablations_name_the_change(write: Write) -> None:
    row = {"GoToLocal": figures([outcome()]), "GoTo": figures([outcome(2)])}
    rows = {"default": row | {"changes": []}, "discount .8": row | {"changes": ["train.discount=0.8"]}}
    write("ablations", rows=rows, steps="train.steps=1000")
    text = results.render()
    assert "| one change to the recipe | GoToLocal | GoTo |" in text
    assert cells(text, "default")[1] == "1.000 [1.000, 1.000] / 6.0 [6.0, 6.0]"
    assert cells(text, "discount .8 (`train.discount=0.8`)")[2].startswith("0.500 [")
    assert "All with `train.steps=1000`, 4 episodes a seed" in text


@pytest.fixture
def curves(write: Write) -> None:
    """Words and captions, as the protocol writes them."""
    guess = {"first_guess": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    kinds = {f"{title} {kind}": figures([outcome()]) | guess for title in ("development", "test") for kind in ("both",)}
    poor = kinds | {"test both": figures([outcome(3)]) | guess}
    told = {"development": {"red": ["crimson"]}, "test": {"red": ["ruby", "cherry"]}}
    write("words", level="GoToLocal", lexicon={"0": kinds, "60": poor}, words=told)
    by_title = {"bridge": figures([outcome()]), "end to end": figures([outcome(1)])}
    write("captions", level="GoToLocal", captions={"30": by_title, "100000": by_title})


def test_words_and_captions_are_tables_and_pictures(curves: None) -> None:
    text = results.render()
    assert "with 60 words a colour: success ≥ 0.9; **not met: test both (0.7500)**" in text
    assert "test: red (ruby, cherry)" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(("| 0 |", "| 60 |"))]
    assert [row[1] for row in rows] == ["development both", "test both"] * 2
    assert rows[0][3] == "0.500 [0.400, 0.600]"
    assert [row[5] for row in rows] == ["-", "-", "-", "**no**"]
    assert cells(text, "30")[1:] == ["1.000 [1.000, 1.000] / 6.0 [6.0, 6.0]", cells(text, "100000")[2]]
    draw()
    for path in (CAPTIONS_PNG, WORDS_PNG):
        assert f"]({path})" in text
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 200
        assert Path(path).stat().st_size < 60_000


def test_pictures_hold_all_intervals(curves: None, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    draw()
    assert [len(figure.axes) for figure in drawn] == [1, 2]
    for panel in (panel for figure in drawn for panel in figure.axes):
        low, high = panel.get_ylim()
        ends = [end for container in panel.containers for line in container[1] for end in line.get_ydata()]
        assert ends
        assert low <= min(ends) <= max(ends) <= high


def test_pictures_are_the_same_bytes_for_the_same_figures(curves: None) -> None:
    draw()
    first = Path(WORDS_PNG).read_bytes()
    draw()
    assert Path(WORDS_PNG).read_bytes() == first


def test_tables_have_as_many_cells_as_headings(write: Write, curves: None) -> None:
    write("full", levels={name: level_row(name) for name in LEVELS})
    write("partial", levels={name: level_row(name) for name in LEVELS})
    for block in re.findall(r"(?:^\|.*\n)+", results.render(), re.MULTILINE):
        assert len({line.count(" | ") for line in block.splitlines()}) == 1
