"""The scripts as processes of their own, as a person runs them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from goalbridge.configs.checks import ConfigError
from goalbridge.evaluation.follow import typed_lines
from goalbridge.tests.end_to_end.runs import python

FEW = "estimators=[logsumexp,direct,limit]"


def test_train_then_evaluate_then_instruct(
    script_environment: dict[str, str], tiny_sentence: tuple[str, ...], tmp_path: Path
) -> None:
    folder, fewer = tmp_path / "runs" / "fork", (*tiny_sentence, "env.categories=[region]")
    trained = python(script_environment, "train.py", "env=fork_maze", "seed=0", f"run_dir={folder}", *fewer)
    assert trained.returncode == 0, trained.stderr
    assert f"trained 12 steps; now: python evaluate.py run_dir={folder}" in trained.stdout.replace("\n", " ")
    evaluated = python(script_environment, "evaluate.py", f"run_dir={folder}", "episodes=10", FEW)
    assert (evaluated.returncode, evaluated.stderr) == (0, "")
    for name in ("logsumexp", "direct", "limit"):
        assert f"\n{name} " in evaluated.stdout
    assert set(json.loads((folder / "evaluation.json").read_text())) >= {"env", "episodes", "estimators", "categories"}
    assert len(list((folder / "rollouts").glob("logsumexp_*.gif"))) == 3
    words = "instruction=到第三行去, " + "row 3 " * 500  # a comma, a foreign script, more than the model reads
    told = python(script_environment, "evaluate.py", f"run_dir={folder}", "rollouts=1", words)
    assert told.returncode == 0, told.stderr
    (line,) = told.stderr.strip().splitlines()
    assert line.startswith("warning: instruction='到第三行去, row 3")


def test_each_line_of_a_pipe_is_answered(finished: Path, script_environment: dict[str, str]) -> None:
    lines = "row 3\n\n   \ngo to row 3\n\udcff\udcfe\ncolumn 2 or column 4"  # the fifth is no UTF-8
    command = ("evaluate.py", f"run_dir={finished}", "rollouts=1", "instruction=-")
    done = python(script_environment, *command, text=lines)
    assert (done.returncode, done.stderr) == (0, "")
    out = done.stdout.splitlines()
    assert not any("instruction>" in line for line in out)
    assert out[0] == "'row 3' is true of 5 of the 155 free cells"
    refused = [line for line in out if line.startswith("cannot be followed: ")]
    assert len(refused) == 2
    assert all("encoder=label knows only" in line for line in refused)
    assert "read as: any of (column 2; column 4)" in out
    written = {path.name for path in (finished / "rollouts").iterdir()}
    assert {f"instruction_{n}{kind}" for n in (1, 4) for kind in ("_0.gif", "_posterior.png")} <= written
    assert not any(name.startswith(("instruction_2", "instruction_3", "instruction_5")) for name in written)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("kind", "prompts"), [(Terminal, 4), (io.StringIO, 0)])
def test_only_a_person_is_prompted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[io.StringIO], prompts: int
) -> None:
    monkeypatch.setattr(sys, "stdin", kind("row 3\n\nrow 4"))
    assert list(typed_lines()) == ["row 3", "", "row 4"]
    assert capsys.readouterr().out.count("instruction> ") == prompts


def test_a_person_is_helped_and_may_quit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("help\nrow 3\nQuit\nrow 4"))
    assert list(typed_lines()) == ["row 3"]
    assert capsys.readouterr().out.count("say where to go") == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("help\nquit"))
    assert list(typed_lines()) == ["help", "quit"]  # of a file, every line is an instruction
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match="instruction=-: expected lines on standard input, got none"):
        next(typed_lines())
