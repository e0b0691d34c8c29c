"""Measuring worlds that users bring, and what RESULTS.md says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.agent.own_protocol import FILES, SEED, WORLDS, arguments, main, measure, users_files
from goalbridge.experiments.report.agent_pages import CUSTOM_PAGE


def test_the_guide_holds_the_files_that_its_commands_name() -> None:
    assert set(users_files()) == set(FILES)
    for text in users_files().values():
        compile(text, "users", "exec")
    assert "def maze(goal)" in users_files()["robot_worlds.py"]
    assert arguments("lake", 2) == ["env=own", *WORLDS["lake"], "seed=2"]
    with pytest.raises(ConfigError, match=r"world=lak: must be one of lake, .*; did you mean lake\?"):
        main(["lak"])


def test_measures_what_was_trained_and_reports_it(script: Any, tiny: tuple[str, ...], users_folder: Path) -> None:
    small = ("data.trajectories=30", "data.walk_length=20", "train.evaluate_every=0", "train.evaluation_episodes=2")
    done = script("train", *arguments("lake", 0), *tiny, *small, "run_dir=lake_0")
    assert done.code == 0, done.err
    write_json(users_folder / "lake_0" / "cost.json", {"seconds": 12.3})  # a finished one is not trained again
    result = measure("lake", users_folder, seeds=(0,), episodes=6)
    assert result["train_command"] == f"python train.py {' '.join(arguments('lake', 0))}"
    assert (result["seconds"], result["evaluation_seed"], result["episodes"]) == ([12], SEED, 6)
    assert list(result["estimators"]) == ["logsumexp", "planned", "direct", "max", "sample", "random"]
    for name, found in result["estimators"].items():
        assert found["success"]["per_seed"] == [found["success"]["mean"]], name
    assert result["estimators"]["logsumexp"]["success_minus_first"]["mean"] == 0
    write_json(users_folder / "results" / "own_worlds.json", {"lake": result})
    text = str(CUSTOM_PAGE.render())
    assert f"| planned | {result['estimators']['planned']['success']['mean']:.3f} [" in text
    assert "`python -m experiments.agent.own_protocol lake`" in text
