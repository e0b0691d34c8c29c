"""evaluate.py on a run, in mazes and BabyAI: the report, rollouts, instructions of every kind, and refusals."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from goalbridge.agents.storage import read_tensors, write_tensors
from goalbridge.envs.suite import SATISFIABLE, SUITE
from goalbridge.tests.end_to_end.runs import GRIDS, contents

FEW = ("episodes=12", "rollouts=1", "estimators=[logsumexp,direct,random]")
FEW_IN_GRIDS = ("levels=[GoToLocalS5N2,GoToSeqS5R2,FourRooms]", "episodes=2", "rollouts=3")


@pytest.fixture
def speaking(trained: Any, tiny_sentence: tuple[str, ...]) -> Path:
    """A tiny run in a maze that reads words."""
    return Path(trained("speaking", *tiny_sentence, "env.categories=[region]"))


@pytest.fixture
def speaking_grids(trained: Any, text_cache: Path) -> Path:
    """A tiny run in BabyAI that reads words."""
    return Path(trained("speaking_grids", *GRIDS, "encoder=sentence", f"encoder.cache_dir={text_cache}"))


def test_settings_of_acting_and_what_is_written(script: Any, finished: Path) -> None:
    asked = ("episodes=3", "rollouts=1", "estimators=[sample,max,expert,limit]", "bridge_goals=10", "device=auto")
    done = script("evaluate", f"run_dir={finished}", *asked, "candidate_actions=6", "average_noise=false")
    assert done.code == 0, done.err
    report = json.loads((finished / "evaluation.json").read_text())
    assert (report["env"], report["episodes"]) == ("goalbridge/ForkMaze-v0", 3)
    assert set(report["estimators"]) == {"sample", "max", "expert", "limit"}
    for name in (*report["estimators"], "rollouts/sample_0.gif"):
        assert name in done.out
    with Image.open(finished / "rollouts" / "sample_0.gif") as animation:
        assert getattr(animation, "n_frames", 1) > 1


def test_an_evaluation_in_babyai(script: Any, speaking_grids: Path) -> None:
    done = script("evaluate", f"run_dir={speaking_grids}", *FEW_IN_GRIDS)
    assert (done.code, done.err) == (0, "")
    report = json.loads((speaking_grids / "evaluation.json").read_text())
    assert (report["env"], report["episodes"], report["view"]) == ("goalbridge/BabyAI", 2, "full")
    assert tuple(report["estimators"]) == ("planned", "logsumexp", "max", "sample", "bot", "random")
    assert set(report["categories"]) == {"GoToLocalS5N2", "GoToSeqS5R2", "FourRooms"}
    assert {"slices", "paired_difference_from_planned", "seed"} <= set(report)
    assert "bot" not in report["categories"]["FourRooms"]
    assert "spl" not in report["categories"]["GoToSeqS5R2"]["planned"]
    for found in report["categories"]["GoToLocalS5N2"].values():
        assert {"success", "steps", "against_optimum", "spl"} <= set(found)
    assert report["categories"]["GoToLocalS5N2"]["bot"]["success"]["mean"] == 1
    for name in (*report["estimators"], *report["categories"], *(f"rollouts/planned_{n}.gif" for n in range(3))):
        assert name in done.out
    for path in (speaking_grids / "rollouts").glob("planned_*.gif"):
        with Image.open(path) as animation:
            assert getattr(animation, "n_frames", 1) > 1, path
    drawing = ("estimators=[sample,random]", "levels=[GoToLocalS5N2]", "rollouts=0")
    assert script("evaluate", f"run_dir={speaking_grids}", *FEW_IN_GRIDS, *drawing).code == 0
    again = json.loads((speaking_grids / "evaluation.json").read_text())["categories"]["GoToLocalS5N2"]
    assert again == {name: report["categories"]["GoToLocalS5N2"][name] for name in again}  # the same seed and figures


def test_the_partial_view_and_chosen_estimators(script: Any, speaking_grids: Path) -> None:
    few = ("levels=[GoToLocal,GoToLocal]", "episodes=2", "rollouts=1", "estimators=[bot,random,max,max]")
    done = script("evaluate", f"run_dir={speaking_grids}", *few, "view=partial", "mask_blocked=false")
    assert (done.code, done.err) == (0, "")
    report = json.loads((speaking_grids / "evaluation.json").read_text())
    assert report["view"] == "partial"
    assert (tuple(report["estimators"]), tuple(report["categories"])) == (("bot", "random", "max"), ("GoToLocal",))
    assert (speaking_grids / "rollouts" / "random_0.gif").exists()  # nobody watches the bot


def test_an_agent_of_babyai_without_language_is_told_labels(script: Any, trained: Any) -> None:
    run = trained("babyai", *GRIDS)
    few = ("episodes=2", "rollouts=0", "estimators=[logsumexp]", "levels=[GoToLocalS5N2,FourRooms]")
    assert script("evaluate", f"run_dir={run}", *few).code == 0
    assert script("evaluate", f"run_dir={run}", "instruction=red ball", "rollouts=1").code == 0


def test_the_ambiguous_suite(script: Any, speaking: Path) -> None:
    few = ("episodes=30", "rollouts=2", "suite=ambiguous", "estimators=[logsumexp,likeliest,random]", "bridge_goals=30")
    done = script("evaluate", f"run_dir={speaking}", *few)
    assert done.code == 0, done.err
    report = json.loads((speaking / "evaluation.json").read_text())
    assert (report["suite"], report["episodes"]) == ("ambiguous", 35)
    assert list(report["estimators"]) == ["logsumexp", "likeliest", "random"]
    assert (tuple(report["categories"]), tuple(report["understood"])) == (SATISFIABLE, SUITE)
    with np.load(speaking / "episodes.npz", allow_pickle=False) as file:
        assert file["success"].shape == (3, 35)
        successes = file["success"].mean(axis=1)
    for success, found in zip(successes, report["estimators"].values(), strict=True):
        assert found["success"]["mean"] == pytest.approx(success)
    for name in ("plots/success", "plots/spl_grid"):
        with Image.open(speaking / f"{name}.png") as plot:
            assert plot.width > 800
        assert f"picture: {speaking / name}.png" in done.out
    gifs = {path.name for path in (speaking / "rollouts").glob("logsumexp_*.gif")}
    assert gifs == {"logsumexp_0.gif", "logsumexp_1.gif"}
    for word in ("held_out", "likeliest", "* where its interval leaves out 0", "said not to be understood: falsely"):
        assert word in " ".join(done.out.split())
    assert script("evaluate", f"run_dir={speaking}", *few).code == 0
    assert json.loads((speaking / "evaluation.json").read_text()) == report


def test_a_run_keeps_the_layout_of_ones_own(script: Any, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """And nothing can be asked of column 4, one free cell that is walled in, as nowhere is a way to it."""
    maze, run = tmp_path / "my maze.txt", tmp_path / "run"
    maze.write_text("..##.\n..###\n")
    command = ("train", *tiny, "env=point_maze", f"env.layout={maze}", f"run_dir={run}")
    assert script(*command).code == 0
    assert (run / "layout.txt").read_text() == maze.read_text()
    maze.write_text("..##.\n...##\n")
    assert "has changed since" in script(*command, "resume=true").error
    maze.unlink()
    before = contents(run)
    refused = script("evaluate", f"run_dir={run}", "instruction=column 4").error
    assert "holds wherever it is reached" in refused
    assert contents(run) == before
    assert script("evaluate", f"run_dir={run}", *FEW).code == 0
    assert json.loads((run / "evaluation.json").read_text())["env"] == "goalbridge/PointMaze-v0"


def test_compositions_are_judged_by_what_their_words_name(script: Any, finished: Path) -> None:
    """Of a label-reading agent, whose parts are labels; what it makes of words is tested elsewhere."""
    follow = ("evaluate", f"run_dir={finished}", "rollouts=1")
    done = script(*follow, "instruction=row 3 or column 5")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[:2] == ["'row 3 or column 5' is true of 13 of the 155 free cells", "read as: any of (row 3; column 5)"]
    assert lines[2].startswith("likeliest goals: (")
    assert lines[3].startswith("meant: about ")
    assert lines[3].endswith(" of 40 goals")
    assert any(line.endswith((": there", ": not there")) for line in lines)
    with Image.open(finished / "rollouts" / "instruction_posterior.png") as picture:
        with Image.open(finished / "rollouts" / "instruction_0.gif") as animation:
            assert picture.size == animation.size
        colours = {tuple(colour) for colour in np.asarray(picture).reshape(-1, 3).tolist()}
    assert (0, 158, 115) in colours  # the region's outline
    nothing = script(*follow, "instruction=row 1 and row 5").out
    assert "'row 1 and row 5' is true of no cell of this maze: it is followed, in vain" in nothing
    assert "there" not in nothing


@pytest.mark.parametrize("command", ["go to row 3", "navigate to column number two", "Go To  ROW 3"])
def test_a_command_in_words_is_followed_and_judged(script: Any, speaking: Path, command: str) -> None:
    done = script("evaluate", f"run_dir={speaking}", "rollouts=1", f"instruction={command}")
    assert done.code == 0, done.err
    assert "likeliest goals: (" in done.out
    assert ": there" in done.out or ": not there" in done.out
    assert (speaking / "rollouts" / "instruction_0.gif").exists()


@pytest.mark.parametrize("unknown", ["I'd like the [bold]kitchen[/x], (please)", "go to row 99"])
def test_words_that_name_no_place_are_followed_only(script: Any, speaking: Path, unknown: str) -> None:
    done = script("evaluate", f"run_dir={speaking}", "rollouts=1", f"instruction={unknown}")
    assert done.code == 0, done.err
    assert "names no places of this maze: it is followed, but cannot be judged" in done.out
    assert "there" not in done.out


def test_instructions_beyond_the_model(script: Any, speaking: Path) -> None:
    follow = ("evaluate", f"run_dir={speaking}", "rollouts=1")
    with pytest.warns(UserWarning, match=r"instruction='go to row 3, then go to row 3, .*\.\.\.': has 12000 tokens"):
        long = script(*follow, "instruction=" + "go to row 3, then " * 2000)
    assert (long.code, long.err) == (0, "")
    assert len(long.out) < 2000
    with pytest.warns(UserWarning, match="knows 0 of its"):
        foreign = script(*follow, "instruction=ទៅជួរទីបី")
    assert (foreign.code, foreign.err) == (0, "")


def test_instructions_in_babyai(script: Any, speaking_grids: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow = ("evaluate", f"run_dir={speaking_grids}", "rollouts=1", "levels=[GoToLocalS5N2]")
    monkeypatch.setattr("sys.stdin", io.StringIO("find a ball\n\nfind a key or a box\n"))
    for words, view, says in (
        ("go to a red ball", "full", "'go to a red ball' words the caption 'red ball'; no verifier judges it"),
        ("I'd like the [bold]kitchen[/x], then go to the sea", "partial", "is in no caption; no verifier judges it"),
        ("-", "full", "likeliest goals: "),
    ):
        done = script(*follow, f"instruction={words}", f"view={view}")
        assert (done.code, done.err) == (0, "")
        assert says in " ".join(done.out.split())
    assert done.out.count("likeliest goals: ") == 2
    written = {path.name for path in (speaking_grids / "rollouts").iterdir()}
    assert {"instruction_0.gif", "instruction_1_0.gif", "instruction_2_0.gif"} <= written


def nan(run: Path) -> None:
    tensors, _ = read_tensors(run / "agent.safetensors")
    tensors["critic_ab.log_scale"].fill_(float("nan"))
    write_tensors(run / "agent.safetensors", tensors)


def another_world(run: Path) -> None:
    path = run / "config.json"
    path.write_text(path.read_text().replace("ForkMaze", "SlitMaze"))


EVERYWHERE = "instruction=" + " or ".join(f"column {number}" for number in range(15))
DAMAGES: list[tuple[Callable[[Path], Any], str]] = [
    (lambda run: (run / "agent.safetensors").unlink(), "agent.safetensors: there is no such file; train with"),
    (lambda run: (run / "agent.safetensors").write_bytes(b"x" * 99), "is damaged or no safetensors file"),
    (lambda run: (run / "agent.json").write_text("{"), "agent.json: cannot be read"),
    (lambda run: (run / "config.json").write_text("{"), "config.json: cannot be read"),
    (nan, "tensor critic_ab.log_scale holds NaN"),
    (another_world, "the agent was trained in goalbridge/ForkMaze-v0, not goalbridge/SlitMaze-v0"),
]
REFUSED = [
    ("finished", "bridge_goals=41", "bridge_goals=41: expected at most the agent's 40"),
    ("finished", "instruction=go to row 3", "encoder=label knows only 'row 0'"),
    ("finished", "instruction=row 0 or row 1, but not column 14 or row 99", "encoder=label knows only"),
    ("finished", EVERYWHERE, "expected a narrower one, it holds wherever it is reached"),
    ("finished", "instruction=", "is empty; say where to go"),
    ("finished", "instruction='  '", "is empty; say where to go"),
    ("finished", "suite=ambiguous", "suite=ambiguous: expected an agent that reads words, got one of encoder=label; "),
    ("finished", "view=partial", "view=partial: no such setting for agents of maze, only of babyai"),
    ("finished", "estimators=[bot]", "estimators=bot: must be one of direct, likeliest, logsumexp"),
    ("babyai", "levels=[GoToLocl]", "expected a navigation level, got 'GoToLocl'; try one of GoToLocal, "),
    ("babyai", "levels=[GoToSeqS5R2]", "encoder=label knows only"),
    ("babyai", ("levels=[FourRooms]", "estimators=[bot]"), "=bot: expected one that can play FourRooms; try random"),
    ("babyai", "instruction=", "is empty; say where to go"),
    ("babyai", "estimators=[limit]", "estimators=limit: must be one of direct, likeliest, logsumexp"),
    ("babyai", "estimators=[expert]", "estimators=expert: must be one of direct, likeliest, logsumexp"),
    ("babyai", "estimators=[direct]", "expected an agent trained with agent.language_in_actions=true; try"),
    ("babyai", "bridge_goals=5", "bridge_goals=5: no such setting for agents of babyai, only of gym or maze"),
    ("babyai", "candidate_actions=4", "candidate_actions=4: no such setting for agents of babyai, only of gym or maze"),
    ("babyai", "average_noise=true", "average_noise=true: no such setting for agents of babyai, only of maze"),
    ("babyai", "phrasings=train", "phrasings=train: no such setting for agents of babyai, only of maze"),
]


@pytest.mark.parametrize(("kind", "change", "says"), [*(("finished", *one) for one in DAMAGES), *REFUSED])
def test_what_cannot_be_evaluated_is_one_line_and_changes_nothing(
    script: Any, trained: Any, tiny: tuple[str, ...], kind: str, change: Any, says: str
) -> None:
    run = trained(kind, *(GRIDS if kind == "babyai" else tiny))
    if callable(change):
        change(run)
        change = ()
    before = contents(run)
    settings = (change,) if isinstance(change, str) else change
    assert says in script("evaluate", f"run_dir={run}", *settings).error
    assert contents(run) == before


def test_a_run_dir_that_is_a_file(script: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "cannot be read" in script("evaluate", f"run_dir={tmp_path / 'file'}").error
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_refused_before_anybody_plays(
    script: Any, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """os.access is asked, for tests may run as root, whom no folder refuses."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == finished and mode == os.W_OK))
    monkeypatch.setattr("goalbridge.evaluation.evaluation.play", None)
    assert "expected a folder that can be written; try a copy of it" in script("evaluate", f"run_dir={finished}").error
