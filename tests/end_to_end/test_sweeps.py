"""train.py -m and evaluate.py on what it trained: a job that fails, the same command again, one table over seeds."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from goalbridge import train
from goalbridge.agents.storage import read_tensors
from goalbridge.configs.run_folder import read_run_config

ROOT = Path(__file__).parents[2]
FEW = ("episodes=12", "estimators=[logsumexp,random]")


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`sweep("seed=0,1", ...)`: exit code and output of `python train.py -m ...`, whose jobs are processes."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), "-m", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        with pytest.raises(SystemExit) as leaving:
            train.command()
        assert isinstance(leaving.value.code, int)
        return leaving.value.code, capfd.readouterr().out

    return run


def states(shown: str) -> dict[str, str]:
    """The state of each job in the table that ends a sweep."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines() if line.startswith(" train.")]
    return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize(
    "launcher",
    ["basic", pytest.param("joblib", marks=pytest.mark.slow), pytest.param("submitit_local", marks=pytest.mark.slow)],
)
def test_a_job_that_fails_takes_no_other_with_it_and_the_rest_runs_once(
    sweep: Callable[..., tuple[int, str]], tiny: tuple[str, ...], tmp_path: Path, launcher: str
) -> None:
    """The first job diverges; the same command again leaves the finished one alone, and tries the other anew."""
    if launcher != "basic":
        pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    where = (f"hydra/launcher={launcher}", f"sweep_dir={tmp_path}")
    arguments = ("train.learning_rate=1e30,0.01", *tiny, "train.steps=60", *where)
    code, shown = sweep(*arguments)
    assert code == 1
    failed, finished = sorted(tmp_path.glob("train*"), key=lambda folder: "0.01" in folder.name)
    assert states(shown) == {failed.name: "failed", finished.name: "finished"}
    assert re.search(r"train.learning_rate=1e\+30: .* train anew with a lower one", " ".join(shown.split()))
    assert read_tensors(finished / "checkpoint.safetensors")[1]["step"] == 60
    command = json.loads((finished / "run.json").read_text())["command"]
    assert command[1:3] == [str(ROOT / "train.py"), "train.learning_rate=0.01"]  # as if it were run alone
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    code, shown = sweep(*arguments)
    assert code == 1
    assert "2 jobs in" in shown
    assert "1 of them to run" in shown
    assert states(shown) == {failed.name: "failed", finished.name: "finished before"}
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.fixture
def swept(finished: Path, tmp_path: Path) -> Path:
    """A sweep's folder, as if trained: two recipes with two seeds, one of them unfinished, one that holds no run."""
    folder = tmp_path / "sweep"
    config = read_run_config(finished)
    for seed in (0, 1):
        for rate in (0.1, 0.2):
            run = folder / f"seed={seed},train.learning_rate={rate}"
            shutil.copytree(finished, run)
            changed = replace(config, seed=seed, run_dir=str(run), train=replace(config.train, learning_rate=rate))
            if (seed, rate) == (1, 0.2):
                changed = replace(changed, train=replace(changed.train, steps=50))
            (run / "config.json").write_text(json.dumps(asdict(changed)))
    (folder / "empty").mkdir()
    (folder / "a file").write_text("")
    return folder


def test_a_sweep_is_gathered_over_its_seeds(script: Any, swept: Path) -> None:
    done = script("evaluate", f"run_dir={swept}/*", *FEW)
    assert done.code == 0, done.err
    report = json.loads((swept / "evaluation.json").read_text())
    (world,) = report["worlds"]
    assert (world["env"], report["seed"]) == ("goalbridge/ForkMaze-v0", 1_000_000)
    first, second = "train.learning_rate=0.1", "train.learning_rate=0.2"
    assert list(world["groups"]) == [first, second]
    group = world["groups"][first]
    assert group["seeds"] == [0, 1]
    assert group["settings"] == {"train.learning_rate": 0.1}
    assert (group["episodes"], len(group["runs"])) == (12, 2)
    success = group["estimators"]["logsumexp"]["success"]
    assert success["low"] <= success["mean"] <= success["high"]
    assert len(success["per_seed"]) == 2
    # The same agent in the same episodes: no difference, exactly, which unpaired episodes would not give.
    (between,) = world[f"paired_difference_from_{first}"].values()
    assert between["seeds"] == [0]
    assert between["estimators"]["logsumexp"]["success"] == {"mean": 0, "low": 0, "high": 0, "per_seed": [0]}
    within = group["paired_difference_from_logsumexp"]["random"]["success"]["mean"]
    expected = group["estimators"]["random"]["success"]["mean"] - success["mean"]
    assert within == pytest.approx(expected)
    left_out = {Path(name).name: why for name, why in report["left_out"].items()}
    assert left_out["seed=1,train.learning_rate=0.2"] == "stands at step 12 of 50; train it to its end"
    assert "holds no run" in left_out["empty"]
    assert len(left_out) == 2
    for text in ("ForkMaze-v0", "seeds 0, 1; 12 episodes", "logsumexp", "left out", "sweep/evaluation.json"):
        assert text in done.out
    alone = swept / "seed=0,train.learning_rate=0.1"
    assert script("evaluate", f"run_dir={alone}", *FEW, "rollouts=0").code == 0
    one = json.loads((alone / "evaluation.json").read_text())["estimators"]["logsumexp"]["success"]["mean"]
    assert one == pytest.approx(success["per_seed"][0], abs=1e-4)


def test_tensorboard_shows_what_was_gathered_beside_the_settings(script: Any, swept: Path) -> None:
    assert script("evaluate", f"run_dir={swept}/*", *FEW).code == 0
    run = swept / "seed=0,train.learning_rate=0.2"
    accumulator = EventAccumulator(str(run))
    accumulator.Reload()
    report = json.loads((swept / "evaluation.json").read_text())
    found = report["worlds"][0]["groups"]["train.learning_rate=0.2"]["estimators"]["logsumexp"]["success"]["mean"]
    (scalar,) = accumulator.Scalars("gathered/logsumexp/success")
    assert (scalar.step, scalar.value) == (12, pytest.approx(found))
    content = accumulator.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    columns = [info.name.tag for info in metadata.parse_experiment_plugin_data(content).metric_infos]
    assert "gathered/logsumexp/success" in columns
    assert "evaluation/success" in columns


def test_what_cannot_be_gathered(script: Any, swept: Path) -> None:
    refused = script("evaluate", f"run_dir={swept}/none*").error
    assert refused == f"run_dir={swept}/none*: matches no folder; runs/sweep/* would be all runs of a sweep"
    refused = script("evaluate", f"run_dir={swept}/emp*").error
    assert "none of 1 can be evaluated" in refused
    assert "holds no run" in refused
    refused = script("evaluate", f"run_dir={swept}/*", "instruction=row 3").error
    assert refused == "instruction=row 3: is for one agent; give one run's run_dir"
    refused = script("evaluate", f"run_dir={swept}/*", "levels=[GoTo]").error
    assert "levels=[GoTo]: no such setting for agents of maze, only of babyai" in refused
    assert not (swept / "evaluation.json").exists()


def test_a_run_counts_once(script: Any, swept: Path) -> None:
    shutil.copytree(swept / "seed=0,train.learning_rate=0.1", swept / "zz_copy")
    assert script("evaluate", f"run_dir={swept}/*", *FEW).code == 0
    left_out = json.loads((swept / "evaluation.json").read_text())["left_out"]
    assert (
        left_out[str(swept / "zz_copy")] == f"has the settings and the seed of {swept}/seed=0,train.learning_rate=0.1"
    )
