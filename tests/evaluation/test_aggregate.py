"""Many runs at once: which folders a pattern names, what is measured of each run, and the table of their groups."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from goalbridge.agents import Agent
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.evaluation.aggregate import Evaluated, root_of, summary, table
from goalbridge.evaluation.evaluation import Evaluation, is_pattern

RATES = {(0, 0.1): 0.5, (1, 0.1): 0.6, (0, 0.2): 0.9, (2, 0.2): 0.8}  # of success by seed and learning rate


def test_patterns_and_the_folder_that_they_name(tmp_path: Path) -> None:
    assert [str(root_of(name)) for name in ("runs/sweep/*", "/a/b*/c/*", "*")] == ["runs/sweep", "/a", "."]
    assert is_pattern("runs/sweep/*")
    assert not is_pattern("runs/fork")
    (tmp_path / "seed=[1]").mkdir()
    assert not is_pattern(str(tmp_path / "seed=[1]"))  # a folder of that name


@pytest.mark.parametrize("world", ["maze", "babyai"])
def test_metrics_are_of_every_episode_and_nothing_is_written(
    world: str, make_agent: Any, make_grid_agent: Any, make_maze: Any, make_babyai: Any,
    evaluate: Callable[..., Evaluation], tmp_path: Path,
) -> None:  # fmt: skip
    agent: Agent = make_agent() if world == "maze" else make_grid_agent()
    own: dict[str, Any] = {} if world == "maze" else {"levels": ("GoToObj", "GoToRedBallGrey")}
    opened = make_maze(max_episode_steps=20) if world == "maze" else make_babyai()
    evaluation = evaluate(agent, opened, episodes=4 if world == "maze" else 2, estimators=("max", "random"), **own)
    found, again = evaluation.measure(), evaluation.measure()
    assert list(found) == ["max", "random"]
    for name, metrics in found.items():
        assert {"success", "steps", "spl"} <= set(metrics)
        assert ("mass" in metrics) == (name == "max")
        for metric, values in metrics.items():
            assert values.shape == (4,)
            np.testing.assert_array_equal(values, again[name][metric])
    assert evaluation.episodes_of["env"] == agent.world.env_id
    assert evaluation.episodes_of["groups"] == list(own.get("levels", [""]))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def runs() -> list[Evaluated]:
    found = []
    for (seed, rate), success in RATES.items():
        rng = np.random.default_rng(seed)
        shares = {"ours": 1, "random": 0.1}
        of = {name: {"success": (rng.random(30) < success * share).astype(float)} for name, share in shares.items()}
        run: Any = SimpleNamespace(seed=seed)
        found.append(Evaluated(Path(f"runs/{seed}_{rate}"), run, {"rate": rate, "same": 1}, {"env": "made/Up-v0"}, of))
    return found


def test_groups_are_paired_by_seed_and_estimators_within(runs: list[Evaluated]) -> None:
    report = summary(runs, EvaluateConfig("runs/*"))
    (world,) = report["worlds"]
    assert {name: group["seeds"] for name, group in world["groups"].items()} == {"rate=0.1": [0, 1], "rate=0.2": [0, 2]}
    of = {(one.run.seed, one.recipe["rate"]): one.found for one in runs}
    ours = world["groups"]["rate=0.1"]["estimators"]["ours"]["success"]
    means = [of[seed, 0.1]["ours"]["success"].mean() for seed in (0, 1)]
    assert ours["mean"] == pytest.approx(np.mean(means))
    assert ours["per_seed"] == pytest.approx(means, abs=1e-4)
    between = world["paired_difference_from_rate=0.1"]["rate=0.2"]
    assert between["seeds"] == [0]
    gap = of[0, 0.2]["ours"]["success"].mean() - of[0, 0.1]["ours"]["success"].mean()
    assert between["estimators"]["ours"]["success"]["mean"] == pytest.approx(gap)
    group = world["groups"]["rate=0.1"]
    gap = group["estimators"]["random"]["success"]["mean"] - ours["mean"]
    assert group["paired_difference_from_ours"]["random"]["success"]["mean"] == pytest.approx(gap)


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_fits_a_terminal(runs: list[Evaluated], width: int) -> None:
    for one in runs:
        for name in ("spl_grid", "mass", "first_guess", "wrong_visits"):
            one.found["ours"][name] = one.found["ours"]["success"]  # type: ignore[index]
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table(summary(runs, EvaluateConfig("runs/*"))))
    text = console.export_text()
    assert "…" not in text
    for word in ("Up-v0: rate=0.1; seeds 0, 1; 30 episodes", "success", "mass", "- group", "ours", "random"):
        assert word in text
