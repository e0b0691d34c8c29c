"""What others add by one file each, in a package of their own, is used from the command line as ours is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

THEIRS = Path(__file__).with_name("theirs")
ENTRY_POINTS = """
    [goalbridge.worlds]
    corridor = their_world:CorridorWorld
    broken = their_broken:World
    [goalbridge.estimators]
    average = their_estimator:Average
    [goalbridge.objectives]
    words_twice = their_objective:WordsTwice
    [goalbridge.text_encoders]
    letters = their_text_encoder:Letters
    [goalbridge.metrics]
    turns = their_metric:turns
"""
SETTINGS = (
    *("env=corridor", "train.objective=words_twice", "encoder.kind=letters", "policy.name=average"),
    *("data.trajectories=200", "data.walk_length=12", "data.labelled_goals=200", "data.environments=4"),
    *("agent.width=32", "agent.depth=2", "agent.embedding_dim=16", "agent.bridge_goals=40", "train.batch_size=64"),
    *("train.steps=300", "train.evaluate_every=150", "train.evaluation_episodes=18"),
)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, script_environment: dict[str, str]) -> Run:
    """A command in a folder of one's own, with the package installed; it is to end as `code` says."""
    package = tmp_path / "site"
    about = package / "theirs-1.0.dist-info"
    about.mkdir(parents=True)
    for path in THEIRS.glob("their_*.py"):
        shutil.copy(path, package)
    (package / "their_broken.py").write_text("raise OSError('no such library')")  # hurts only who asks for it
    (about / "entry_points.txt").write_text(dedent(ENTRY_POINTS))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    places = [str(package), *filter(None, [script_environment.get("PYTHONPATH")])]
    environment = {**script_environment, "PYTHONPATH": ":".join(places)}

    def command(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done

    return command


def test_what_others_add_is_trained_evaluated_watched_and_swept(run: Run, tmp_path: Path) -> None:
    run("-m", "goalbridge.train", *SETTINGS, "env.length=7", "run_dir=run")
    saved = json.loads((tmp_path / "run" / "agent.json").read_text())
    assert saved["text"] == {"kind": "letters"}

    logged = EventAccumulator(str(tmp_path / "run"))
    logged.Reload()
    assert {"evaluation/success", "evaluation/mass"} <= set(logged.Tags()["scalars"])
    assert logged.Tags()["images"], "rollouts are watched"

    played = run("-m", "goalbridge.evaluate", "run_dir=run", "episodes=40", "rollouts=1", "halves=true")
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert set(found["estimators"]) == {"average", "logsumexp", "drifter"}
    for name, figures in found["estimators"].items():
        assert {"success", "turns"} <= set(figures)
        assert ("mass" in figures) == (name != "drifter")
    assert set(found["categories"]) == {"half"}
    success, mass = (found["estimators"]["average"][one]["mean"] for one in ("success", "mass"))
    assert (success > 0.9, mass > 0.7) == (True, True), "it has learnt"
    assert "turns" in played.stdout
    assert list((tmp_path / "run" / "rollouts").glob("*.gif"))

    other = run("-m", "goalbridge.evaluate", "run_dir=run", "levels=[GoTo]", code=2).stderr
    assert "no such setting for agents of corridor, only of babyai" in other
    told = run("-m", "goalbridge.evaluate", "run_dir=run", "instruction=left half", "rollouts=0")
    assert "judged" in told.stdout

    sweep = ("-m", "goalbridge.train", "-m", *SETTINGS, "train.steps=5", "train.evaluate_every=0", "env.length=5,6")
    run(*sweep, "sweep_dir=sweep")
    table = run("-m", "goalbridge.evaluate", "run_dir=sweep/*", "episodes=9", "rollouts=0").stdout
    assert ("Corridor5:" in table, "Corridor6:" in table) == (True, True)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("encoder.kind=leters", "did you mean letters?"),
        ("env=coridor", "corridor"),
        (
            "env=broken",
            "env.world=broken: the plug-in their_broken:World cannot be imported (OSError: no such library)",
        ),
        ("env.lenght=4", "did you mean env.length?"),
        ("policy.name=averige", "did you mean average?"),
        ("train.objective=words_twise", "did you mean words_twice?"),
    ],
)
def test_their_names_are_named_where_one_is_mistyped(run: Run, given: str, says: str) -> None:
    assert says in run("-m", "goalbridge.train", *SETTINGS, given, "run_dir=run", code=2).stderr


def test_their_settings_are_in_the_help(run: Run) -> None:
    assert "env.length=" in run("-m", "goalbridge.train", "env=corridor", "--help").stdout


def test_their_world_keeps_the_contract(run: Run) -> None:
    run(
        "-c",
        "from goalbridge.worlds import check_world, worlds; world = worlds.get('corridor'); "
        "broken = check_world(world(world.Settings())); assert broken == [], broken",
    )
