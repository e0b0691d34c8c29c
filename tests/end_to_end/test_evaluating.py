"""evaluate.py on a run: the report, rollouts, instructions of every kind, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agents.storage import read_tensors, write_tensors

FEW = ("episodes=12", "rollouts=1", "estimators=[logsumexp,direct,random]")


@pytest.fixture
def run(finished: Path) -> Path:
    """A finished tiny run without language."""
    return finished


def test_an_evaluation_writes_its_report_and_rollouts(script: Any, run: Path) -> None:
    done = script("evaluate", f"run_dir={run}", *FEW)
    assert done.code == 0
    report = json.loads((run / "evaluation.json").read_text())
    assert (report["env"], report["episodes"]) == ("goalbridge/ForkMaze-v0", 12)
    assert set(report["estimators"]) == {"logsumexp", "direct", "random"}
    for name in report["estimators"]:
        assert name in done.out
    with Image.open(run / "rollouts" / "logsumexp_0.gif") as animation:
        assert animation.format == "GIF"
        assert getattr(animation, "n_frames", 1) > 1
    assert "rollouts/logsumexp_0.gif" in done.out
    again = script("evaluate", f"run_dir={run}", *FEW)
    assert again.code == 0
    assert json.loads((run / "evaluation.json").read_text()) == report  # the same seed, the same figures
    script("evaluate", f"run_dir={run}", *FEW, "seed=5")
    assert json.loads((run / "evaluation.json").read_text()) != report


def test_all_estimators_and_settings_of_acting(script: Any, run: Path) -> None:
    done = script(
        "evaluate", f"run_dir={run}", "episodes=3", "rollouts=0", "estimators=[sample,max,expert,limit]",
        "candidate_actions=6", "average_noise=false", "bridge_goals=10", "device=auto",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert set(json.loads((run / "evaluation.json").read_text())["estimators"]) == {"sample", "max", "expert", "limit"}
    too_many = script("evaluate", f"run_dir={run}", "bridge_goals=41").error
    assert too_many == "bridge_goals=41: the agent holds 40; at most that many would do"


def test_a_layout_of_ones_own(script: Any, tiny: tuple[str, ...], tmp_path: Path) -> None:
    maze, run = tmp_path / "my maze.txt", tmp_path / "run"
    maze.write_text(".....\n.###.\n.....\n")
    assert script("train", *tiny, "env=point_maze", f"env.layout={maze}", f"run_dir={run}").code == 0
    maze.unlink()  # the run keeps its copy
    assert script("evaluate", f"run_dir={run}", *FEW).code == 0
    assert json.loads((run / "evaluation.json").read_text())["env"] == "goalbridge/PointMaze-v0"


def test_an_agent_without_language_says_so(script: Any, run: Path) -> None:
    assert script("evaluate", f"run_dir={run}", "instruction=row 3", "rollouts=1").code == 0
    refused = script("evaluate", f"run_dir={run}", "instruction=go to row 3").error
    assert "encoder=label knows only 'row 0'" in refused
    for empty in ("instruction=", "instruction='  '"):
        assert "is empty; say where to go" in script("evaluate", f"run_dir={run}", empty).error


def test_a_goal_that_cannot_be_reached(script: Any, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """Nowhere to come from: column 4 is one free cell that is walled in; and row 0 holds wherever it is reached."""
    maze, run = tmp_path / "maze.txt", tmp_path / "run"
    maze.write_text("..##.\n..###\n")
    assert script("train", *tiny, "env=point_maze", f"env.layout={maze}", f"run_dir={run}").code == 0
    before = sorted(path.name for path in run.iterdir())
    refused = script("evaluate", f"run_dir={run}", "instruction=column 4").error
    assert "instruction 'column 4': holds wherever it is reached" in refused
    assert sorted(path.name for path in run.iterdir()) == before


def nan(run: Path) -> None:
    tensors, _ = read_tensors(run / "agent.safetensors")
    tensors["critic_ab.log_scale"].fill_(float("nan"))
    write_tensors(run / "agent.safetensors", tensors)


def another_world(run: Path) -> None:
    path = run / "config.json"
    path.write_text(path.read_text().replace("ForkMaze", "SlitMaze"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda run: (run / "agent.safetensors").unlink(), "agent.safetensors: there is no such file; train with"),
        (lambda run: (run / "agent.safetensors").write_bytes(b"x" * 99), "is damaged or no safetensors file"),
        (lambda run: (run / "agent.json").write_text("{"), "agent.json: cannot be read"),
        (lambda run: (run / "config.json").write_text("{"), "config.json: cannot be read"),
        (nan, "tensor critic_ab.log_scale holds NaN"),
        (another_world, "the agent was trained in goalbridge/ForkMaze-v0, not goalbridge/SlitMaze-v0"),
    ],
    ids=["missing", "truncated", "description", "settings", "nan", "another world"],
)
def test_agents_that_cannot_be_evaluated(script: Any, run: Path, damage: Any, says: str) -> None:
    damage(run)
    before = sorted(path.name for path in run.iterdir())
    assert says in script("evaluate", f"run_dir={run}", *FEW).error
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_run_dir_that_is_a_file(script: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "cannot be read" in script("evaluate", f"run_dir={tmp_path / 'file'}").error
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def speaking(script: Any, tiny_sentence: tuple[str, ...], text_cache: Path) -> Path:
    """A tiny run that reads words; made once by each worker."""
    from os import getpid

    folder = text_cache / f"run_{getpid()}"
    if not (folder / "agent.safetensors").exists():
        done = script("train", *tiny_sentence, f"run_dir={folder}")
        assert done.code == 0, done.err
        shutil.copy(text_cache / "text_cache.safetensors", folder)
    return folder


def test_instructions_of_every_kind(script: Any, speaking: Path) -> None:
    follow = ("evaluate", f"run_dir={speaking}", "rollouts=1")
    for command in ("go to row 3", "navigate to column number two", "Go To  ROW 3"):
        done = script(*follow, f"instruction={command}")
        assert done.code == 0, done.err
        assert "likeliest goals (row, column): (" in done.out
        assert ": there" in done.out or ": not there" in done.out
        assert (speaking / "rollouts" / "instruction_0.gif").exists()
    for unknown in ("I'd like the [bold]kitchen[/x], (please)", "go to row 99"):
        done = script(*follow, f"instruction={unknown}")
        assert done.code == 0, done.err
        assert "is none of this maze's commands: it is followed, but cannot be judged" in " ".join(done.out.split())
        assert "there" not in done.out.splitlines()[-1]
    assert "is empty; say where to go" in script(*follow, "instruction=").error


def test_instructions_beyond_the_model(script: Any, speaking: Path) -> None:
    follow = ("evaluate", f"run_dir={speaking}", "rollouts=1")
    with pytest.warns(UserWarning, match="instruction='go to row 3 and then go to row 3 and the...': has 12000 tokens"):
        long = script(*follow, "instruction=" + "go to row 3 and then " * 2000)
    assert (long.code, long.err) == (0, "")
    assert len(long.out) < 2000
    with pytest.warns(UserWarning, match="knows 0 of its"):
        foreign = script(*follow, "instruction=ទៅជួរទីបី")
    assert (foreign.code, foreign.err) == (0, "")


def test_an_agent_that_reads_words_is_evaluated_on_held_out_ones(script: Any, speaking: Path) -> None:
    done = script("evaluate", f"run_dir={speaking}", *FEW)
    assert done.code == 0, done.err
    assert json.loads((speaking / "evaluation.json").read_text())["episodes"] == 12
