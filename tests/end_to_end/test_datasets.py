"""As a person trains on somebody's data: Minari out and in, arrays and JSON lines without an environment."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import minari
import numpy as np
import pytest

from goalbridge.agents import Agent
from goalbridge.agents.storage import write_json
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import RunConfig
from goalbridge.data.minari_import import MinariEpisodes
from goalbridge.tests.end_to_end.runs import scalars
from goalbridge.training import export as minari_io
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

ROOMS = ("in the kitchen", "in the hall", "on the stairs", "in the attic")
LENGTH = 12


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of Minari's datasets, for this test alone."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def house(trajectories: int, seed: int = 0) -> list[dict[str, Any]]:
    """Walks along a corridor of four rooms, each 1 wide, and what is said of each third state, as JSON lines."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(trajectories):
        place = rng.uniform(0, 4)
        way = rng.choice([-1, 1], p=[0.5, 0.5])
        actions, places = [], [place]
        for _ in range(LENGTH):
            step = float(np.clip(way * rng.uniform(0.1, 0.3), -place, 4 - place))
            actions.append([step])
            place += step
            places.append(place)
        said = {str(t): [ROOMS[min(int(places[t]), 3)]] for t in range(0, LENGTH + 1, 3)}
        lines.append({"observations": [[p] for p in places], "actions": actions, "captions": said})
    return lines


def bare_run(folder: Path) -> Path:
    """A run in fork that has been begun, and whose training is still to come."""
    env = MazeSettings("goalbridge/ForkMaze-v0")
    config = RunConfig(env, str(folder), data=DataConfig(trajectories=20))
    MazeWorld(env).collect(config.data, 0).save(folder / "trajectories")
    write_json(folder / "config.json", asdict(config))
    return folder


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def to_arrays(path: Path, lines: list[dict[str, Any]]) -> Path:
    """The same as an .npz file."""
    rows, texts, first = [], [], 0
    for line in lines:
        for step, said in line["captions"].items():
            rows += [first + int(step)] * len(said)
            texts += said
        first += len(line["observations"])
    np.savez(
        path,
        observations=np.concatenate([line["observations"] for line in lines]),
        actions=np.concatenate([line["actions"] for line in lines]),
        lengths=np.array([len(line["actions"]) for line in lines]),
        captions=np.array(texts),
        caption_rows=np.array(rows),
    )
    return path


def test_a_run_exported_and_read_again_trains_the_same_agent(
    script: Any, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert script("train", f"run_dir={first}", *tiny).code == 0
    assert minari_io.main([f"run_dir={first}", "dataset=mine/fork-v0"]) == 0
    assert minari.load_dataset("mine/fork-v0").total_episodes == 100
    assert script("train", f"run_dir={second}", "data=minari", "dataset=mine/fork-v0", *tiny).code == 0
    for name in ("agent.safetensors", "trajectories/observations.npy", "trajectories/lengths.npy"):
        assert (first / name).read_bytes()[128:] == (second / name).read_bytes()[128:], name
    shutil.rmtree(tmp_path / "datasets")  # the run has its own copy: neither resuming nor evaluating needs it
    assert script("train", f"run_dir={second}", "data=minari", "dataset=mine/fork-v0", "resume=true", *tiny).code == 0
    assert script("evaluate", f"run_dir={second}", "episodes=4", "rollouts=0").code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["runs"], "runs: expected setting=value"),
        ([], "run_dir: is missing"),
        (["run_dir=x", "data_set=a-v0"], "data_set=a-v0: no such setting; did you mean dataset?"),
        (["run_dir=absent"], "holds no run"),
        (["run_dir=my run", "dataset=other-v0"], "keeps no trajectories (data=expert)"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(bare_run(tmp_path / "my run") / "trajectories")
    assert minari_io.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert says in error
    assert error.count("\n") == 1


def test_a_dataset_of_another_maze_is_refused_before_anything_is_written(
    script: Any, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    assert minari_io.main([f"run_dir={bare_run(tmp_path / 'my run')}"]) == 0
    assert list(minari.list_local_datasets()) == ["goalbridge/my_run-v0"]
    assert minari_io.main([f"run_dir={tmp_path / 'my run'}", "dataset=fork-v0"]) == 0
    for setting, says in (
        ("env=babyai", "expected observations of whole grids, got Dict(achieved_goal, observation); try a Dict"),
        ("env=island_maze", "as in goalbridge/IslandMaze-v0, got"),
        ("dataset=frok-v0", "got neither; try fork-v0"),
        ("dataset=''", "dataset='': must be an id or folder of a Minari dataset with data=minari"),
        ("data=expert", "dataset=fork-v0: is for data=minari or data=files, not data=expert"),
    ):
        overrides = ["dataset=fork-v0", "data=minari", *tiny]
        kept = [one for one in overrides if one.partition("=")[0] != setting.partition("=")[0]]
        nets = [one for one in kept if setting != "env=babyai" or not one.startswith(("train.", "agent.", "env."))]
        assert says in script("train", f"run_dir={tmp_path / 'b'}", *nets, setting).error
        assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("form", ["lines", "arrays", "minari"])
def test_files_train_without_an_environment(script: Any, tiny: tuple[str, ...], tmp_path: Path, form: str) -> None:
    lines = house(60)
    dataset = write_lines(tmp_path / "house.jsonl", lines) if form != "arrays" else to_arrays(tmp_path / "h.npz", lines)
    run = tmp_path / "run"
    given = str(dataset)
    if form == "minari":
        assert script("train", f"run_dir={tmp_path / 'a'}", "data=files", f"dataset={dataset}", *tiny).code == 0
        assert minari_io.main([f"run_dir={tmp_path / 'a'}", "dataset=house-v0"]) == 0
        given = "house-v0"
        said = sorted({text for one in MinariEpisodes(given) for texts in one.captions.values() for text in texts})
        assert said == sorted(ROOMS)
    done = script("train", f"run_dir={run}", "data=files", f"dataset={given}", *tiny)
    assert done.code == 0, done
    assert "Agent.from_pretrained" in done.out
    record = json.loads((run / "config.json").read_text())
    assert (record["env"]["world"], record["dataset"]) == ("files", given)
    refusal = script("evaluate", f"run_dir={run}").error
    assert "have no environment to evaluate in" in refusal
    assert "policy().act(observations, instructions) works" in refusal
    agent = Agent.from_pretrained(run)
    assert 0 <= agent.world.observation_low[0] < agent.world.observation_high[0] <= 4
    actions = agent.policy().act(np.array([[0.5], [3.5]], np.float32), [ROOMS[3], ROOMS[0]])
    assert actions.shape == (2, 1)
    assert np.abs(actions).max() <= 0.3 + 1e-6
    before = (run / "agent.safetensors").read_bytes()
    Path(given).unlink(missing_ok=True)  # the run has its own copy
    assert script("train", f"run_dir={run}", "data=files", f"dataset={given}", "resume=true", *tiny).code == 0
    assert (run / "agent.safetensors").read_bytes() == before


@pytest.mark.slow
def test_files_of_free_text_are_learnt(script: Any, text_cache: Path, tmp_path: Path) -> None:
    """After half a minute's worth of steps it walks to the room, and finds it among pairs that it has not seen."""
    dataset, run = write_lines(tmp_path / "house.jsonl", house(300)), tmp_path / "run"
    settings = ("train.steps=250", "train.batch_size=128", "train.evaluate_every=250", "agent.bridge_goals=400")
    nets = ("agent.width=32", "agent.depth=2", "agent.embedding_dim=16", "policy.candidate_actions=8")
    sentences = ("encoder=sentence", f"encoder.cache_dir={text_cache}")
    done = script("train", f"run_dir={run}", "data=files", f"dataset={dataset}", *settings, *nets, *sentences)
    assert done.code == 0, done
    found = {tag: values[-1][1] for tag, values in scalars(run).items()}
    assert found["evaluation/goal_of_text"] > 0.8 > 2 * found["evaluation/retrieval/chance"]
    assert found["evaluation/text_of_goal"] > 0.8
    policy = Agent.from_pretrained(run).policy()
    places = np.array([[0.5], [0.5], [3.5], [3.5]], np.float32)
    steps = policy.act(places, [ROOMS[3], ROOMS[2], ROOMS[0], ROOMS[1]])[:, 0]
    assert np.sign(steps).tolist() == [1, 1, -1, -1]


def changed(number: int, **changes: Any) -> list[dict[str, Any]]:
    lines = house(4)
    lines[number] |= changes
    return lines


LINES: list[tuple[list[dict[str, Any]], str]] = [
    (changed(1, observations=[[0.0]] * 3), "line 2: observations: expected 13, one more than actions, got 3"),
    (
        changed(1, observations=[[float("nan")]] * 13),
        "line 2: expected JSON, got what cannot be read (expected finite numbers, got NaN)",
    ),
    (changed(1, actions=[]), "line 2: actions"),
    (changed(1, captions={"40": "far"}), "line 2: captions: step 40: expected a step from 0 to 12"),
    (changed(1, captions={"0": ""}), "line 2: captions: step 0: expected a text of words, got ''"),
    ([line | {"captions": {}} for line in house(4)], "captions: expected at least one, got none"),
]
SETTINGS = [
    ("train.objective=end_to_end", "=end_to_end: expected one that needs no captions of what was done"),
    ("dataset=absent.jsonl", "expected a file or folder, got none"),
    ("dataset=", "dataset='': must be a file or folder of trajectories with data=files"),
]


@pytest.mark.parametrize(
    ("lines", "setting", "says"),
    [*((lines, "seed=0", says) for lines, says in LINES), *((house(4), *refused) for refused in SETTINGS)],
)
def test_what_cannot_be_learnt_from_is_one_line_and_nothing_is_written(
    script: Any, tiny: tuple[str, ...], tmp_path: Path, lines: list[dict[str, Any]], setting: str, says: str
) -> None:
    given = f"dataset={write_lines(tmp_path / 'house.jsonl', lines)}"
    assert says in script("train", f"run_dir={tmp_path / 'run'}", "data=files", given, *tiny, setting).error
    assert not (tmp_path / "run").exists()


def test_captions_beyond_the_encoder_are_named(script: Any, tiny_sentence: tuple[str, ...], tmp_path: Path) -> None:
    dataset = write_lines(tmp_path / "house.jsonl", changed(2, captions={"5": "a long way to go " * 80}))
    error = script("train", f"run_dir={tmp_path / 'run'}", "data=files", f"dataset={dataset}", *tiny_sentence).error
    assert "trajectory 2: captions: at step 5 'a long way to go" in error
    assert "of which the text encoder reads 254" in error
    assert not (tmp_path / "run").exists()
