"""The scripts as processes of their own, as a person runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FEW = "estimators=[logsumexp,direct,limit]"
Environment = dict[str, str]


def run(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python SCRIPT ARGUMENTS` in the project's folder."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_train_then_evaluate_then_instruct(
    script_environment: Environment, tiny_sentence: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "fork"
    trained = run(script_environment, "train.py", "env=fork_maze", "seed=0", f"run_dir={folder}", *tiny_sentence)
    assert trained.returncode == 0, trained.stderr
    assert f"trained 12 steps; now: python evaluate.py run_dir={folder}" in trained.stdout.replace("\n", " ")
    evaluated = run(script_environment, "evaluate.py", f"run_dir={folder}", "episodes=10", FEW)
    assert evaluated.returncode == 0, evaluated.stderr
    assert evaluated.stderr == ""
    for name in ("logsumexp", "direct", "limit"):
        assert f"\n{name} " in evaluated.stdout
    assert set(json.loads((folder / "evaluation.json").read_text())) >= {"env", "episodes", "estimators", "categories"}
    assert len(list((folder / "rollouts").glob("logsumexp_*.gif"))) == 3
    words = "instruction=到第三行去, " + "row 3 " * 500  # a comma, a foreign script, more than the model reads
    told = run(script_environment, "evaluate.py", f"run_dir={folder}", "rollouts=1", words)
    assert told.returncode == 0, told.stderr
    (line,) = told.stderr.strip().splitlines()
    assert line.startswith("warning: instruction='到第三行去, row 3")
    refused = run(script_environment, "evaluate.py", f"run_dir={folder}", "instruction=")
    assert refused.returncode == 2
    assert refused.stderr == "error: instruction='': is empty; say where to go, such as 'go to row 3'\n"


def test_a_bad_setting_is_one_line(script_environment: Environment, tmp_path: Path) -> None:
    refused = run(script_environment, "train.py", "env=frok_maze", f"run_dir={tmp_path / 'run'}")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: env=frok_maze: no such choice; did you mean fork_maze?")
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stdout == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.ci_slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_a_run_that_is_ended_at_any_moment_goes_on(
    script_environment: Environment, tmp_path: Path, ending: signal.Signals
) -> None:
    """At the default batch and net, ended from outside at no particular step, the result is the same to the bit."""
    settings = ["encoder=label", "train.steps=300", "train.checkpoint_every=20", "data.trajectories=2000"]
    settings += ["data.labelled_goals=2000", "train.evaluate_every=100", "train.evaluation_episodes=10"]
    whole, ended = tmp_path / "whole", tmp_path / "ended"
    done = run(script_environment, "train.py", *settings, f"run_dir={whole}")
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "train.py", *settings, f"run_dir={ended}"]
    process = subprocess.Popen(command, cwd=ROOT, env=script_environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            if (ended / "checkpoint.safetensors").exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(0.4)
        assert process.poll() is None, "ended before it could be interrupted"
        os.kill(process.pid, ending)
        assert process.wait(60) == (130 if ending is signal.SIGINT else -ending)
    finally:
        process.kill()
    resumed = run(script_environment, "train.py", *settings, f"run_dir={ended}", "resume=true")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("agent.safetensors", "agent.json", "checkpoint.safetensors"):
        assert (ended / name).read_bytes() == (whole / name).read_bytes(), name
