"""BabyAI from the command line: train, watch, resume, evaluate, follow, refuse; and the code that a user writes."""

from __future__ import annotations

import io
import json
import shutil
from os import getpid
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.agents import Agent

TINY = (
    "env=babyai",
    "env.levels=[GoToLocal,GoToObjMazeS4R2]",
    "env.layouts=12",
    "data.trajectories=48",
    "data.walk_length=12",
    "data.labelled_goals=200",
    "agent.width=16",
    "agent.depth=2",
    "agent.embedding_dim=8",
    "agent.bridge_goals=40",
    "train.steps=8",
    "train.batch_size=16",
    "train.negatives_per_layout=8",
    "train.log_every=4",
    "train.evaluate_every=4",
    "train.evaluation_episodes=2",
    "train.checkpoint_every=4",
)
FEW = ("levels=[GoToLocalS5N2,GoToSeqS5R2,FourRooms]", "episodes=2", "rollouts=3")


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


@pytest.fixture
def tiny_grids(text_cache: Path) -> tuple[str, ...]:
    """Overrides that make train.py in BabyAI a matter of a second or two."""
    return (*TINY, f"encoder.cache_dir={text_cache}")


@pytest.fixture
def run(script: Any, tiny_grids: tuple[str, ...], text_cache: Path, tmp_path: Path) -> Path:
    """A finished tiny run that reads words: a copy of one that each worker makes once."""
    made = text_cache / f"tiny_grids_{getpid()}"
    if not (made / "agent.safetensors").exists():
        done = script("train", *tiny_grids, f"run_dir={made}")
        assert done.code == 0, done.err
        shutil.copy(text_cache / "text_cache.safetensors", made)
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_training_is_watched_in_small_levels(run: Path) -> None:
    logged = scalars(run)
    for name in ("GoToLocal/success", "GoToLocal/steps", "GoToObjMazeS4R2/success", "success", "against_optimum"):
        assert [step for step, _ in logged[f"evaluation/{name}"]] == [4, 8]
    assert all(0 <= value <= 1 for _, value in logged["evaluation/success"])
    assert all(value >= 1 for _, value in logged["evaluation/against_optimum"])
    accumulator = EventAccumulator(str(run), size_guidance={"images": 0})
    accumulator.Reload()
    images = accumulator.Images("rollout")
    assert [image.step for image in images] == [4, 8]
    with Image.open(io.BytesIO(images[0].encoded_image_string)) as animation:
        assert animation.format == "GIF"


def test_an_evaluation_writes_its_report_and_rollouts(script: Any, run: Path) -> None:
    done = script("evaluate", f"run_dir={run}", *FEW)
    assert (done.code, done.err) == (0, "")
    report = json.loads((run / "evaluation.json").read_text())
    assert (report["env"], report["episodes"], report["view"]) == ("goalbridge/BabyAI", 2, "full")
    assert tuple(report["estimators"]) == ("planned", "logsumexp", "max", "sample", "bot", "random")
    assert set(report["categories"]) == {"GoToLocalS5N2", "GoToSeqS5R2", "FourRooms"}
    assert {"slices", "paired_difference_from_planned", "seed"} <= set(report)
    assert "bot" not in report["categories"]["FourRooms"]
    assert "spl" not in report["categories"]["GoToSeqS5R2"]["planned"]
    for found in report["categories"]["GoToLocalS5N2"].values():
        assert {"success", "steps", "against_optimum", "spl"} <= set(found)
    assert {"mass", "first_guess", "wrong_visits"} <= set(report["estimators"]["planned"])
    assert report["categories"]["GoToLocalS5N2"]["bot"]["success"]["mean"] == 1
    for name in (*report["estimators"], *report["categories"]):
        assert name in done.out
    for name in ("planned_0", "planned_1", "planned_2"):
        with Image.open(run / "rollouts" / f"{name}.gif") as animation:
            assert getattr(animation, "n_frames", 1) > 1, name
        assert f"rollouts/{name}.gif" in done.out
    drawing = ("estimators=[sample,random]", "levels=[GoToLocalS5N2]", "rollouts=0")
    assert script("evaluate", f"run_dir={run}", *FEW, *drawing).code == 0
    again = json.loads((run / "evaluation.json").read_text())["categories"]["GoToLocalS5N2"]
    assert again == {name: report["categories"]["GoToLocalS5N2"][name] for name in again}  # the same seed and figures


def test_the_partial_view_and_chosen_estimators(script: Any, run: Path) -> None:
    few = ("levels=[GoToLocal,GoToLocal]", "episodes=2", "rollouts=1", "estimators=[bot,random,max,max]")
    done = script("evaluate", f"run_dir={run}", *few, "view=partial", "mask_blocked=false")
    assert (done.code, done.err) == (0, "")
    report = json.loads((run / "evaluation.json").read_text())
    assert report["view"] == "partial"
    assert (tuple(report["estimators"]), tuple(report["categories"])) == (("bot", "random", "max"), ("GoToLocal",))
    assert (run / "rollouts" / "random_0.gif").exists()  # nobody watches the bot


def test_instructions_of_ones_own(script: Any, run: Path) -> None:
    follow = ("evaluate", f"run_dir={run}", "rollouts=1", "levels=[GoToLocalS5N2]")
    done = script(*follow, "instruction=go to a red ball")
    assert (done.code, done.err) == (0, "")
    text = " ".join(done.out.split())
    assert "'go to a red ball' words the caption 'red ball'; no verifier judges it" in text
    assert "likeliest goals: " in text
    assert (run / "rollouts" / "instruction_0.gif").exists()
    done = script(*follow, "instruction=I'd like the [bold]kitchen[/x], then go to the sea", "view=partial")
    assert (done.code, done.err) == (0, "")
    assert "is in no caption; no verifier judges it" in " ".join(done.out.split())
    assert "is empty; say where to go" in script(*follow, "instruction=").error


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("levels=[GoToLocl]", "'GoToLocl' is no navigation level; one of these would do: GoToLocal"),
        ("levels=GoToLocal", "levels=GoToLocal: must be a list"),
        ("view=ful", "view=ful: must be one of full, partial; did you mean full?"),
        ("estimators=[limit]", "estimators=limit: must be one of direct, likeliest, logsumexp"),
        ("estimators=[expert]", "estimators=expert: must be one of direct, likeliest, logsumexp"),
        (
            "estimators=[direct]",
            "policy.name=direct: expected an agent trained with agent.language_in_actions=true; try",
        ),
        ("bridge_goals=5", "bridge_goals=5: no such setting for agents of babyai, only of gym or maze"),
        ("candidate_actions=4", "candidate_actions=4: no such setting for agents of babyai, only of gym or maze"),
        ("average_noise=true", "average_noise=true: no such setting for agents of babyai, only of maze"),
        ("phrasings=train", "phrasings=train: no such setting for agents of babyai, only of maze"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(script: Any, run: Path, setting: str, says: str) -> None:
    before = sorted(path.name for path in run.iterdir())
    assert says in script("evaluate", f"run_dir={run}", setting).error
    assert sorted(path.name for path in run.iterdir()) == before


def test_the_bot_alone_in_four_rooms(script: Any, run: Path) -> None:
    refused = script("evaluate", f"run_dir={run}", "levels=[FourRooms]", "estimators=[bot]").error
    assert refused == "estimators=bot: expected one that can play FourRooms; try random"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            ("levels=[GoToLocal]",),
            "levels=[GoToLocal]: no such setting for agents of maze, only of babyai",
        ),
        (("view=partial",), "view=partial: no such setting for agents of maze, only of babyai"),
        (("estimators=[bot]",), "estimators=bot: must be one of direct, likeliest, logsumexp"),
    ],
)
def test_what_only_babyai_has_is_refused_in_mazes(script: Any, finished: Path, settings: Any, says: str) -> None:
    assert says in script("evaluate", f"run_dir={finished}", *settings).error


@pytest.mark.parametrize("levels", ["[]", "[GoToLocal,UnlockPickup]"])
def test_training_in_no_level_is_one_line(script: Any, tmp_path: Path, levels: str) -> None:
    refused = script("train", *TINY, f"env.levels={levels}", f"run_dir={tmp_path / 'run'}").error
    assert "env.levels=[]: is empty" in refused or "'UnlockPickup' is no navigation level" in refused
    assert list(tmp_path.iterdir()) == []


def test_resuming_gives_the_same_weights(script: Any, tiny_grids: tuple[str, ...], run: Path, tmp_path: Path) -> None:
    """A run that ends at its first checkpoint goes on as if it had never stopped."""
    from goalbridge.agents import Learner

    halted, update = tmp_path / "halted", Learner.update

    def ending(self: Learner, *arguments: Any, **options: Any) -> Any:
        if self.step == 5:
            raise KeyboardInterrupt
        return update(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "update", ending)
        assert script("train", *tiny_grids, f"run_dir={halted}").code == 130
    assert script("train", *tiny_grids, f"run_dir={halted}", "resume=true").code == 0
    assert (halted / "agent.safetensors").read_bytes() == (run / "agent.safetensors").read_bytes()
    assert scalars(halted) == scalars(run)


def test_an_agent_without_language_is_told_labels(script: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = script("train", *TINY, "encoder=label", f"run_dir={run}")
    assert done.code == 0, done.err
    few = ("episodes=2", "rollouts=0", "estimators=[logsumexp]")
    assert script("evaluate", f"run_dir={run}", "levels=[GoToLocalS5N2,FourRooms]", *few).code == 0
    assert "encoder=label knows only" in script("evaluate", f"run_dir={run}", "levels=[GoToSeqS5R2]", *few).error
    assert script("evaluate", f"run_dir={run}", "instruction=red ball", "rollouts=1").code == 0


def test_all_that_a_user_writes(run: Path) -> None:
    vec = gymnasium.make_vec("goalbridge/BabyAI-GoToLocal-v0", num_envs=16)
    policy = Agent.from_pretrained(run).policy()
    obs, _ = vec.reset(seed=0)
    ended = 0
    for _ in range(70):  # past the step limit, so that new episodes begin on the way
        actions = policy.act(obs["observation"], obs["instruction"])
        assert actions.shape == (16,)
        assert np.issubdtype(actions.dtype, np.integer)
        obs, _, terminated, truncated, _ = vec.step(actions)
        ended += int((terminated | truncated).sum())
    vec.close()
    assert ended >= 16


def test_each_line_is_followed(script: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("find a ball\n\nfind a key or a box\n"))
    done = script("evaluate", f"run_dir={run}", "levels=[GoToLocalS5N2]", "instruction=-", "rollouts=1")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("likeliest goals") == 2
    assert {"instruction_1_0.gif", "instruction_2_0.gif"} <= {path.name for path in (run / "rollouts").iterdir()}
