"""The protocols behind RESULTS.md: BabyAI's figures, users' worlds, a search over directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent
from goalbridge.agents.bridge import bridge_scores_per_row
from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError
from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.experiments.agent.grid_protocol import FOUR, LARGE, MOST, SIX, beside, episodes_of, figures, ratio
from goalbridge.experiments.agent.online_search import Searching
from goalbridge.experiments.agent.own_protocol import FILES, SEED, WORLDS, arguments, main, measure, users_files
from goalbridge.experiments.agent.trials import Outcome
from goalbridge.experiments.report.agent_pages import CUSTOM_PAGE
from goalbridge.worlds import Episodes, Task
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld

WORLD = BabyAIWorld(BabyAISettings(levels=("GoToLocal",)))
MISSIONS = ("go to a red ball", "go to the red key", "go to the blue ball", "go to a box")


def outcome(success: list[bool], steps: list[float], optimum: list[float]) -> Outcome:
    tasks = tuple(Task(mission, "GoToLocal", 0) for mission in MISSIONS)
    metrics = {"success": np.array(success, dtype=np.float64), "steps": np.array(steps, dtype=np.float64)}
    episodes = Episodes(tasks, np.array(success), np.array(steps, dtype=np.int64), (), {})
    return Outcome(episodes, metrics, np.array(optimum, dtype=np.float64), WORLD.slices(tasks))


def test_the_ratio_is_that_of_the_means() -> None:
    steps, optimum = np.array([[2.0, 6.0], [4.0, 4.0]]), np.array([[2.0, 2.0], [2.0, 2.0]])
    found = ratio(steps, optimum)
    assert found["mean"] == pytest.approx(2.0)
    assert 1.0 <= found["low"] <= found["mean"] <= found["high"] <= 3.0
    assert ratio(optimum * 1.5, optimum) == pytest.approx({"mean": 1.5, "low": 1.5, "high": 1.5})


def test_figures_are_means_over_seeds_and_by_slices() -> None:
    first = outcome([True, True, True, False], [2, 4, 6, 64], [2, 4, 6, 8])
    second = outcome([True, True, True, True], [2, 4, 6, 8], [2, 4, 6, 8])
    found = figures([first, second])
    assert found["episodes"] == 4
    assert found["success"]["mean"] == pytest.approx(7 / 8)
    assert found["success_per_seed"] == [0.75, 1.0]
    assert found["against_optimum"]["mean"] == pytest.approx((76 + 20) / 40)
    assert found["ambiguous"]["episodes"] == 2
    assert found["ambiguous"]["success"]["mean"] == pytest.approx(3 / 4)
    assert found["held_out_things"]["episodes"] == 1  # "red key"
    assert found["held_out_things"]["success"]["mean"] == 1.0


def test_sequences_have_no_optimum() -> None:
    assert "against_optimum" not in figures([outcome([True] * 4, [1, 2, 3, 4], [np.nan] * 4)])


def test_rivals_are_compared_in_pairs() -> None:
    ours, theirs = outcome([True] * 4, [2] * 4, [2] * 4), outcome([True, True, False, False], [4] * 4, [2] * 4)
    found = beside("planned", [ours], [theirs])
    assert found["planned_minus_this"]["mean"] == pytest.approx(0.5)
    assert found["planned_minus_this_ambiguous"]["mean"] == pytest.approx(0.5)
    assert found["steps_more_than_planned"]["mean"] == pytest.approx(2.0)


def test_levels_that_are_named_exist_and_the_four_play_most() -> None:
    assert {*FOUR, *LARGE, *SIX} <= set(LEVELS)
    assert all(episodes_of(name) == MOST for name in FOUR)


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


def test_the_search_is_no_worse_than_the_grid_that_it_starts_from(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent()
    policy = agent.policy("logsumexp", average_noise=False, mask_blocked=False)
    places = np.random.default_rng(0).random((20, 2)).astype(np.float32) * 15
    texts = ["row 3"] * 10 + ["column 12"] * 10
    log_bc = torch.as_tensor(policy.goal_posterior(texts)).log()

    def worth(actions: Any) -> torch.Tensor:
        encoded = agent.encode_state_actions(torch.as_tensor(places)[:, None], torch.as_tensor(actions)[:, None])
        scores = bridge_scores_per_row(
            encoded, log_bc, agent.encode_goals(torch.as_tensor(policy.goals())), agent.critic_ab
        )
        return scores[:, 0].detach()

    policy.reset()
    coarse = policy.act(places, texts)
    fine = Searching(policy, len(agent.candidate_actions))
    fine.reset()
    found = fine.act(places, texts)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (worth(found) >= worth(coarse) - 1e-4).all()
    assert (worth(found) > worth(coarse) + 1e-4).any()
