"""train.py from the settings to the files: what a run leaves and logs, determinism, online data, refusals."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from goalbridge.agents import Agent
from goalbridge.agents.storage import read_tensors
from goalbridge.tests.end_to_end.runs import GRIDS, ONLINE, ONLINE_GRIDS, events, same_training, scalars, step_of

EVERY_RUN = {"agent.json", "agent.safetensors", "checkpoint.safetensors", "config.json", "layout.txt", "run.json"}


def test_a_run_leaves_what_is_promised(finished: Path, tiny: tuple[str, ...]) -> None:
    assert {path.name for path in finished.iterdir() if path.is_file()} >= EVERY_RUN
    config, run = (json.loads((finished / name).read_text()) for name in ("config.json", "run.json"))
    assert config["train"]["steps"] == step_of(finished) == 12
    assert run["command"][1:-1] == ["train.py", *tiny]  # as it was typed
    assert {"git_commit", "git_diff", "versions"} <= set(run)
    assert run["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert not [path for path in finished.rglob("*") if ".partial" in path.name]
    actions = Agent.from_pretrained(finished).policy().act(np.array([[1.5, 1.5]]), ["row 3"])
    assert np.linalg.norm(actions) == pytest.approx(1, abs=1e-5)


def test_tensorboard_shows_the_training_and_animated_rollouts(finished: Path) -> None:
    logged = scalars(finished)
    for pair in ("goal", "language"):
        for name in ("loss", "accuracy", "accuracy_columns", "positive_logits", "negative_logits", "temperature"):
            assert [step for step, _ in logged[f"train/{pair}/{name}"]] == [4, 8, 12]
        assert all(value > 0 for _, value in logged[f"train/{pair}/temperature"])
    for name in ("loss", "action/loss", "action/accuracy", "gradient_norm", "learning_rate"):
        assert len(logged[f"train/{name}"]) == 3
    for name in ("success", "spl"):
        assert [step for step, _ in logged[f"evaluation/{name}"]] == [8, 12]
        assert all(0 <= value <= 1 for _, value in logged[f"evaluation/{name}"])
    assert all(np.isfinite(value) for values in logged.values() for _, value in values)
    images = events(finished).Images("rollout")
    assert [image.step for image in images] == [8, 12]
    for image in images:
        assert image.encoded_image_string.startswith(b"GIF8")
        animation = Image.open(io.BytesIO(image.encoded_image_string))
        assert getattr(animation, "n_frames", 1) > 1
        assert animation.size == (image.width, image.height)


def test_training_in_babyai_is_watched_in_small_levels(trained: Any) -> None:
    run = trained("babyai", *GRIDS)
    logged = scalars(run)
    for name in ("GoToLocal/success", "GoToLocal/steps", "GoToObjMazeS4R2/success", "success", "against_optimum"):
        assert [step for step, _ in logged[f"evaluation/{name}"]] == [4, 8]
    assert all(0 <= value <= 1 for _, value in logged["evaluation/success"])
    assert all(value >= 1 for _, value in logged["evaluation/against_optimum"])
    assert [image.step for image in events(run).Images("rollout")] == [4, 8]


def test_the_same_settings_give_the_same_run_and_another_seed_another(
    script: Any, tiny: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    """Whatever happened before in the process; and what is to go on, but has not begun, begins."""
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert script("train", *tiny, f"run_dir={tmp_path / 'again'}", "resume=true").code == 0
    same_training(finished, tmp_path / "again")
    assert script("train", *tiny, f"run_dir={tmp_path / 'other'}", "seed=1").code == 0
    first, other = (read_tensors(folder / "agent.safetensors")[0] for folder in (finished, tmp_path / "other"))
    assert not torch.equal(first["goal_encoder.tower.0.weight"], other["goal_encoder.tower.0.weight"])
    assert not torch.equal(first["bridge_goals"], other["bridge_goals"])
    lengths = [np.load(folder / "trajectories" / "lengths.npy") for folder in (finished, tmp_path / "other")]
    assert not np.array_equal(*lengths)


@pytest.mark.parametrize("overrides", [("data=random",), ("agent.critic=cosine", "train.multi_positives=masked")])
def test_other_choices_run(script: Any, tiny: tuple[str, ...], tmp_path: Path, overrides: tuple[str, ...]) -> None:
    assert script("train", *tiny, *overrides, f"run_dir={tmp_path / 'run'}").code == 0
    Agent.from_pretrained(tmp_path / "run")


def test_a_run_on_online_data(script: Any, tiny: tuple[str, ...], tmp_path: Path) -> None:
    done = script("train", *tiny, *ONLINE, f"run_dir={tmp_path}")
    assert done.code == 0, done.err
    assert not (tmp_path / "trajectories").exists()  # nobody but the agent collected anything
    agent = Agent.from_pretrained(tmp_path)
    assert not agent.policy_config.average_noise
    tensors, _ = read_tensors(tmp_path / "checkpoint.safetensors")
    kept = tensors["further.replay.observations"].numpy()
    assert len(kept) <= 300 // 12
    assert {tuple(goal) for goal in agent.bridge_goals.numpy()} <= {tuple(state) for state in kept.reshape(-1, 2)}
    assert len(tensors["further.goals"]) == 200
    steps = [value for _, value in scalars(tmp_path)["train/online/environment_steps"]]
    assert steps == sorted(steps)
    assert steps[-1] <= 480
    assert script("evaluate", f"run_dir={tmp_path}", "episodes=5", "rollouts=0", "estimators=[logsumexp]").code == 0


def test_online_data_in_babyai(trained: Any) -> None:
    tensors, _ = read_tensors(trained("babyai online", *ONLINE_GRIDS) / "checkpoint.safetensors")
    assert tensors["further.replay.observations"].dtype == torch.uint8
    assert tensors["further.counters"][0] == 8


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.frontier=1.5", "data.frontier=1.5: must be between 0 and 1"),
        ("data.warmup=1.5", "data.warmup=1.5: must be between 0 and 1"),
        ("data.goals=bufer", "did you mean buffer?"),
        ("env.start=middle", "env.start=middle: must be one of anywhere, corner"),
        ("data.environment_steps=40", "must be at least data.environments x data.walk_length = 48"),
        ("data.capacity=40", "data.capacity=40: must be at least"),
        ("train.objective=end_to_end", "=end_to_end: expected one that needs no captions of what was done"),
    ],
)
def test_online_data_that_cannot_be_are_refused_before_anything_is_written(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, override: str, says: str
) -> None:
    assert says in script("train", *tiny, *ONLINE, override, f"run_dir={tmp_path / 'run'}").error
    assert list(tmp_path.iterdir()) == []
