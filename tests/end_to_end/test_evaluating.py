"""evaluate.py on a run: the report, rollouts, instructions of every kind, and refusals."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from goalbridge.agents.storage import read_tensors, write_tensors
from goalbridge.envs.suite import SATISFIABLE, SUITE
from goalbridge.evaluation.follow import typed_lines

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
    assert too_many == "bridge_goals=41: expected at most the agent's 40"


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
    before = sorted(path.name for path in run.iterdir())
    refused = script("evaluate", f"run_dir={run}", "suite=ambiguous", *FEW).error
    assert refused.startswith("suite=ambiguous: expected an agent that reads words, got one of encoder=label; ")
    assert sorted(path.name for path in run.iterdir()) == before


def test_compositions_are_judged_by_what_their_words_name(script: Any, run: Path) -> None:
    """Of a label-reading agent, whose parts are labels; what it makes of words is tested elsewhere."""
    follow = ("evaluate", f"run_dir={run}", "rollouts=1")
    done = script(*follow, "instruction=row 3 or column 5")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "'row 3 or column 5' is true of 13 of the 155 free cells"
    assert lines[1] == "read as: any of (row 3; column 5)"
    assert lines[2].startswith("likeliest goals: (")
    assert lines[3].startswith("meant: about ")
    assert lines[3].endswith(" of 40 goals")
    assert any(line.endswith((": there", ": not there")) for line in lines)
    with Image.open(run / "rollouts" / "instruction_posterior.png") as picture:
        with Image.open(run / "rollouts" / "instruction_0.gif") as animation:
            assert picture.size == animation.size
        colours = {tuple(colour) for colour in np.asarray(picture).reshape(-1, 3).tolist()}
    assert (0, 158, 115) in colours  # the region's outline
    nothing = script(*follow, "instruction=row 1 and row 5").out
    assert "'row 1 and row 5' is true of no cell of this maze: it is followed, in vain" in nothing
    assert "there" not in nothing
    before = sorted(path.name for path in (run / "rollouts").iterdir())
    refused = script(*follow, "instruction=row 0 or row 1, but not column 14 or row 99").error
    assert "encoder=label knows only" in refused
    everywhere = "instruction=" + " or ".join(f"column {number}" for number in range(15))
    assert "expected a narrower one, it holds wherever it is reached" in script(*follow, everywhere).error
    assert sorted(path.name for path in (run / "rollouts").iterdir()) == before


def test_each_line_of_a_pipe_is_answered(run: Path, script_environment: dict[str, str]) -> None:
    lines = b"row 3\n\n   \ngo to row 3\n\xff\xfe\ncolumn 2 or column 4"
    command = [sys.executable, "evaluate.py", f"run_dir={run}", "rollouts=1", "instruction=-"]
    done = subprocess.run(
        command, input=lines, capture_output=True, env=script_environment, cwd=Path(__file__).parents[2], check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode().splitlines()
    assert not any("instruction>" in line for line in out)
    assert out[0] == "'row 3' is true of 5 of the 155 free cells"
    refused = [line for line in out if line.startswith("cannot be followed: ")]
    assert len(refused) == 2
    assert all("encoder=label knows only" in line for line in refused)
    assert "read as: any of (column 2; column 4)" in out
    written = {path.name for path in (run / "rollouts").iterdir()}
    assert {f"instruction_{n}{kind}" for n in (1, 4) for kind in ("_0.gif", "_posterior.png")} <= written
    assert not any(name.startswith(("instruction_2", "instruction_3", "instruction_5")) for name in written)


def test_only_a_person_is_prompted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for kind, prompted in ((Terminal, 3), (io.StringIO, 0)):
        monkeypatch.setattr(sys, "stdin", kind("row 3\n\nrow 4"))
        assert list(typed_lines()) == ["row 3", "", "row 4"]
        assert capsys.readouterr().out.count("instruction> ") == (prompted + 1 if prompted else 0)


def test_a_goal_that_cannot_be_reached(script: Any, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """Nowhere to come from: column 4 is one free cell that is walled in; and row 0 holds wherever it is reached."""
    maze, run = tmp_path / "maze.txt", tmp_path / "run"
    maze.write_text("..##.\n..###\n")
    assert script("train", *tiny, "env=point_maze", f"env.layout={maze}", f"run_dir={run}").code == 0
    before = sorted(path.name for path in run.iterdir())
    refused = script("evaluate", f"run_dir={run}", "instruction=column 4").error
    assert "holds wherever it is reached" in refused
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
        done = script("train", *tiny_sentence, "env.categories=[region]", f"run_dir={folder}")
        assert done.code == 0, done.err
        shutil.copy(text_cache / "text_cache.safetensors", folder)
    return folder


def test_instructions_of_every_kind(script: Any, speaking: Path) -> None:
    follow = ("evaluate", f"run_dir={speaking}", "rollouts=1")
    for command in ("go to row 3", "navigate to column number two", "Go To  ROW 3"):
        done = script(*follow, f"instruction={command}")
        assert done.code == 0, done.err
        assert "likeliest goals: (" in done.out
        assert ": there" in done.out or ": not there" in done.out
        assert (speaking / "rollouts" / "instruction_0.gif").exists()
    for unknown in ("I'd like the [bold]kitchen[/x], (please)", "go to row 99"):
        done = script(*follow, f"instruction={unknown}")
        assert done.code == 0, done.err
        assert "names no places of this maze: it is followed, but cannot be judged" in done.out
        assert "there" not in done.out
    assert "is empty; say where to go" in script(*follow, "instruction=").error


def test_instructions_beyond_the_model(script: Any, speaking: Path) -> None:
    follow = ("evaluate", f"run_dir={speaking}", "rollouts=1")
    with pytest.warns(UserWarning, match=r"instruction='go to row 3, then go to row 3, .*\.\.\.': has 12000 tokens"):
        long = script(*follow, "instruction=" + "go to row 3, then " * 2000)
    assert (long.code, long.err) == (0, "")
    assert len(long.out) < 2000
    with pytest.warns(UserWarning, match="knows 0 of its"):
        foreign = script(*follow, "instruction=ទៅជួរទីបី")
    assert (foreign.code, foreign.err) == (0, "")


def test_an_agent_that_reads_words_is_evaluated_on_held_out_ones(script: Any, speaking: Path) -> None:
    done = script("evaluate", f"run_dir={speaking}", *FEW)
    assert done.code == 0, done.err
    assert json.loads((speaking / "evaluation.json").read_text())["episodes"] == 12


def test_the_ambiguous_suite(script: Any, speaking: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(speaking, tmp_path / "run", ignore=shutil.ignore_patterns("rollouts")))
    few = ("episodes=30", "rollouts=2", "suite=ambiguous", "estimators=[logsumexp,likeliest,random]", "bridge_goals=30")
    done = script("evaluate", f"run_dir={run}", *few)
    assert done.code == 0, done.err
    report = json.loads((run / "evaluation.json").read_text())
    assert (report["suite"], report["episodes"]) == ("ambiguous", 35)
    assert list(report["estimators"]) == ["logsumexp", "likeliest", "random"]
    assert (tuple(report["categories"]), tuple(report["understood"])) == (SATISFIABLE, SUITE)
    with np.load(run / "episodes.npz", allow_pickle=False) as file:
        assert file["success"].shape == (3, 35)
        successes = file["success"].mean(axis=1)
    for success, found in zip(successes, report["estimators"].values(), strict=True):
        assert found["success"]["mean"] == pytest.approx(success)
    for name in ("plots/success", "plots/spl_grid"):
        with Image.open(run / f"{name}.png") as plot:
            assert plot.width > 800
        assert f"picture: {run / name}.png" in done.out
    gifs = {path.name for path in (run / "rollouts").glob("logsumexp_*.gif")}
    assert gifs == {"logsumexp_0.gif", "logsumexp_1.gif"}
    for word in ("held_out", "likeliest", "* where its interval leaves out 0", "said not to be understood: falsely"):
        assert word in " ".join(done.out.split())
    assert script("evaluate", f"run_dir={run}", *few).code == 0
    assert json.loads((run / "evaluation.json").read_text()) == report
