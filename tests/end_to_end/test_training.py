"""train.py from the settings to the files: determinism, interruption, refusal, divergence, what TensorBoard shows."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from goalbridge.agents import Agent, Learner
from goalbridge.agents.storage import read_tensors, write_tensors

EVERY_RUN = {"agent.json", "agent.safetensors", "checkpoint.safetensors", "config.json", "layout.txt", "run.json"}


def events(folder: Path) -> EventAccumulator:
    """All that TensorBoard knows of a run."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = events(folder)
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, for comparisons."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def same_training(one: Path, other: Path) -> None:
    """Fails unless weights, training state and logged numbers of two runs are equal bit for bit."""
    for name in ("agent.safetensors", "checkpoint.safetensors"):
        (first, about), (second, about_second) = read_tensors(one / name), read_tensors(other / name)
        assert first.keys() == second.keys()
        for tensor in first:
            assert torch.equal(first[tensor], second[tensor]), (name, tensor)
        assert about == about_second
    assert (one / "agent.safetensors").read_bytes() == (other / "agent.safetensors").read_bytes()
    assert scalars(one) == scalars(other)


@pytest.fixture
def whole(finished: Path) -> Path:
    """A finished tiny run, never interrupted."""
    return finished


def test_a_run_leaves_what_is_promised(whole: Path, tiny: tuple[str, ...]) -> None:
    assert {path.name for path in whole.iterdir() if path.is_file()} >= EVERY_RUN
    config, run = (json.loads((whole / name).read_text()) for name in ("config.json", "run.json"))
    assert config["train"]["steps"] == 12
    assert run["command"][1:-1] == ["train.py", *tiny]  # as it was typed
    assert {"git_commit", "git_diff", "versions"} <= set(run)
    assert run["versions"]["torch"] == torch.__version__.split("+")[0] or "+" in run["versions"]["torch"]
    assert not [path for path in whole.rglob("*") if ".partial" in path.name]
    agent = Agent.from_pretrained(whole)
    actions = agent.policy().act(np.array([[1.5, 1.5]]), ["row 3"])
    assert np.linalg.norm(actions) == pytest.approx(1, abs=1e-5)
    _, about = read_tensors(whole / "checkpoint.safetensors")
    assert about["step"] == 12


def test_tensorboard_shows_the_training(whole: Path) -> None:
    logged = scalars(whole)
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


def test_tensorboard_shows_an_animated_rollout(whole: Path) -> None:
    accumulator = events(whole)
    images = accumulator.Images("rollout")
    assert [image.step for image in images] == [8, 12]
    for image in images:
        assert image.encoded_image_string.startswith(b"GIF8")
        animation = Image.open(io.BytesIO(image.encoded_image_string))
        assert getattr(animation, "n_frames", 1) > 1
        assert animation.size == (image.width, image.height)


def test_the_same_settings_give_the_same_run_and_another_seed_another(
    script: Any, tiny: tuple[str, ...], whole: Path, tmp_path: Path
) -> None:
    torch.manual_seed(99)  # whatever happened before in the process
    np.random.seed(99)  # noqa: NPY002
    assert script("train", *tiny, f"run_dir={tmp_path / 'again'}").code == 0
    same_training(whole, tmp_path / "again")
    assert script("train", *tiny, f"run_dir={tmp_path / 'other'}", "seed=1").code == 0
    first, other = (read_tensors(folder / "agent.safetensors")[0] for folder in (whole, tmp_path / "other"))
    assert not torch.equal(first["goal_encoder.tower.0.weight"], other["goal_encoder.tower.0.weight"])
    assert not torch.equal(first["bridge_goals"], other["bridge_goals"])
    same = np.array_equal(*(np.load(f / "trajectories" / "lengths.npy") for f in (whole, tmp_path / "other")))
    assert not same


def at_step(step: int, action: Any) -> Any:
    """`Learner.update` that does something after the given step."""
    update = Learner.update

    def patched(self: Learner, *arguments: Any, **options: Any) -> Any:
        info = update(self, *arguments, **options)
        if self.step == step:
            action(self)
        return info

    return patched


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    script: Any, tiny: tuple[str, ...], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in step 6 of 12: a checkpoint is left there."""
    folder, handler = tmp_path / "halted", signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "update", at_step(6, lambda _: os.kill(os.getpid(), signal.SIGINT)))
        halted = script("train", *tiny, f"run_dir={folder}")
    assert halted.code == 130
    assert "stopped at step 6 of 12; the same command with resume=true goes on" in halted.out
    assert read_tensors(folder / "checkpoint.safetensors")[1]["step"] == 6
    Agent.from_pretrained(folder)
    assert signal.signal(signal.SIGINT, handler) is signal.default_int_handler  # as it was before training
    assert "already holds a run; add resume=true" in script("train", *tiny, f"run_dir={folder}").error
    assert script("train", *tiny, f"run_dir={folder}", "resume=true").code == 0
    same_training(whole, folder)


KILLED = """
import os, signal, sys
from goalbridge import train
from goalbridge.agents import Learner
update = Learner.update
def killing(self, *arguments, **options):
    info = update(self, *arguments, **options)
    if self.step == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
    return info
Learner.update = killing
train.command()
"""


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    script: Any, tiny: tuple[str, ...], whole: Path, tmp_path: Path, script_environment: dict[str, str]
) -> None:
    """kill -9 in step 11: the checkpoint of step 8 and its logs stay, and what came after is done again."""
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED.format(step=11), *tiny, f"run_dir={folder}"]
    done = subprocess.run(command, env=script_environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_tensors(folder / "checkpoint.safetensors")[1]["step"] == 8
    time.sleep(1.1)  # TensorBoard orders event files by the second in their names, and this resume is quicker
    assert script("train", *tiny, f"run_dir={folder}", "resume=true").code == 0
    same_training(whole, folder)
    assert {path.name for path in folder.iterdir() if path.is_file()} >= EVERY_RUN | {"resumed.json"}


def test_resuming_a_finished_run_changes_nothing(script: Any, tiny: tuple[str, ...], whole: Path) -> None:
    before = {name: (whole / name).read_bytes() for name in EVERY_RUN}
    logged = scalars(whole)
    resumed = script("train", *tiny, f"run_dir={whole}", "resume=true")
    assert resumed.code == 0
    assert "trained 12 steps; now: python evaluate.py" in resumed.out
    assert {name: (whole / name).read_bytes() for name in EVERY_RUN} == before
    assert scalars(whole) == logged


def test_resume_of_nothing_begins(script: Any, tiny: tuple[str, ...], whole: Path, tmp_path: Path) -> None:
    assert script("train", *tiny, f"run_dir={tmp_path / 'new'}", "resume=true").code == 0
    same_training(whole, tmp_path / "new")


def test_another_run_is_never_written_over(script: Any, tiny: tuple[str, ...], whole: Path) -> None:
    before = contents(whole)
    refused = script("train", *tiny, f"run_dir={whole}", "seed=3").error
    assert refused == f"run_dir={whole}: already holds a run; add resume=true to go on, or choose another run_dir"
    others = (("train.batch_size=17", 16), ("seed=3", 0), ("data.trajectories=99", 100), ("env=slit_maze", ""))
    for setting, old in others:
        refused = script("train", *tiny, f"run_dir={whole}", "resume=true", setting).error
        name = setting.split("=")[0] if not setting.startswith("env") else "env.id"
        assert refused.startswith(f"{name}="), refused
        assert f"was begun with {name}={old}" in refused
    assert contents(whole) == before


def damage_nan(path: Path) -> None:
    tensors, about = read_tensors(path)
    tensors["agent.goal_encoder.tower.0.weight"][0, 0] = float("nan")
    write_tensors(path, tensors, about)


def damage_origin(path: Path) -> None:
    tensors, about = read_tensors(path)
    write_tensors(path, tensors, about | {"run": {"env": "goalbridge/SlitMaze-v0", "layout": "x"}})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "is damaged or no safetensors file"),
        (damage_nan, "holds NaN or infinity"),
        (damage_origin, "was made with env goalbridge/SlitMaze-v0, not goalbridge/ForkMaze-v0"),
    ],
    ids=["truncated", "nan", "other environment"],
)
def test_a_bad_checkpoint_is_not_gone_on_from(
    script: Any, tiny: tuple[str, ...], whole: Path, damage: Any, says: str
) -> None:
    damage(whole / "checkpoint.safetensors")
    before = contents(whole)
    assert says in script("train", *tiny, f"run_dir={whole}", "resume=true").error
    assert contents(whole) == before


def test_damaged_trajectories_are_named(script: Any, tiny: tuple[str, ...], whole: Path) -> None:
    (whole / "trajectories" / "actions.npy").write_bytes(b"")
    assert "actions.npy: cannot be read" in script("train", *tiny, f"run_dir={whole}", "resume=true").error


def test_a_layout_that_changed_is_noticed_on_resuming(script: Any, tiny: tuple[str, ...], tmp_path: Path) -> None:
    maze, run = tmp_path / "maze.txt", tmp_path / "run"
    maze.write_text("....\n.##.\n....\n")
    arguments = (*tiny, "env=point_maze", f"env.layout={maze}", f"run_dir={run}")
    assert script("train", *arguments).code == 0
    assert (run / "layout.txt").read_text() == maze.read_text()
    maze.write_text("....\n..#.\n....\n")
    assert "has changed since" in script("train", *arguments, "resume=true").error


def poison(learner: Learner) -> None:
    with torch.no_grad():
        learner.agent.critic_bc.log_scale.fill_(float("nan"))


def test_divergence_stops_and_leaves_the_last_good_checkpoint(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights go bad in step 8, whose own loss is still fine: step 8's checkpoint must not replace step 4's."""
    folder = tmp_path / "run"
    monkeypatch.setattr(Learner, "update", at_step(8, poison))
    refused = script("train", *tiny, f"run_dir={folder}")
    assert refused.code == 2
    (line,) = [line for line in refused.err.splitlines() if line.startswith("error: ")]
    assert "train.learning_rate=" in line
    assert "by step 8; the last good checkpoint" in line
    assert read_tensors(folder / "checkpoint.safetensors")[1]["step"] == 4
    Agent.from_pretrained(folder)


@pytest.mark.parametrize("rate", ["1e6", "1e30"])
def test_a_learning_rate_beyond_reason_ends_in_one_line(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, rate: str
) -> None:
    folder = tmp_path / "run"
    arguments = ("train.checkpoint_every=1", "train.steps=60", "train.log_every=50", f"train.learning_rate={rate}")
    refused = script("train", *tiny, *arguments, f"run_dir={folder}")
    assert refused.code == 2
    assert len(refused.err.strip().splitlines()) == 1
    assert "train anew with a lower one" in refused.err
    if (folder / "checkpoint.safetensors").exists():
        read_tensors(folder / "checkpoint.safetensors")  # finite, or it would raise


def test_a_stray_folder_of_trajectories_is_not_taken_for_ours(
    script: Any, tiny: tuple[str, ...], whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole / "trajectories", tmp_path / "stray" / "trajectories")
    assert "already holds a run" in script("train", *tiny, f"run_dir={tmp_path / 'stray'}").error


@pytest.mark.parametrize("overrides", [("data=random",), ("agent.critic=cosine", "train.multi_positives=masked")])
def test_other_choices_run(script: Any, tiny: tuple[str, ...], tmp_path: Path, overrides: tuple[str, ...]) -> None:
    assert script("train", *tiny, *overrides, f"run_dir={tmp_path / 'run'}").code == 0
    Agent.from_pretrained(tmp_path / "run")
