"""Processes that share a batch take the step that one would take with the whole of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent, Learner
from goalbridge.agents.parallel import ALONE, PeerError, Processes, joined
from goalbridge.agents.spec import CandidateActions
from goalbridge.agents.storage import read_tensors, write_tensors
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.schema import AgentConfig, PolicyConfig, TrainConfig
from goalbridge.data.captions import caption_goals, stream
from goalbridge.encoders import TextEncoder
from goalbridge.envs.layouts import LAYOUTS
from goalbridge.worlds.maze.collect import collect_maze
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld

STEPS, FEWER_STEPS, BATCH, GROUP = 50, 12, 24, 4
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # settings of the training, of the networks
    "positives": ({"logsumexp_penalty": 0.1}, {}),
    "masked, dropout": ({"multi_positives": "masked"}, {"text_dropout": 0.3, "critic": "dot"}),
    "groups": (
        {"negatives_per_layout": GROUP, "multi_positives": "negatives"},
        {"critic": "neg_l2", "language_critic": "dot"},
    ),
    "end to end": ({"objective": "end_to_end"}, {}),
    "behaviour cloning": ({"objective": "behaviour_cloning"}, {}),
}


class LetterText(TextEncoder):
    """A text encoder without a model: features [N, 6] from the letters of each text."""

    fingerprint = "letters"
    dim = 6

    @classmethod
    def from_config(cls, *_: Any) -> LetterText:
        return cls()

    @classmethod
    def from_description(cls, *_: Any) -> LetterText:
        return cls()

    def encode(self, texts: Any) -> Any:
        return np.stack([np.random.default_rng([ord(c) for c in text]).normal(size=6) for text in texts]).astype("f4")


NETWORKS: dict[str, Any] = {"width": 16, "depth": 2, "embedding_dim": 8, "frequencies": (0.5, 1.0)}


def train(case: str, processes: Processes) -> tuple[Learner, list[dict[str, float]]]:
    """A learner after its steps in float64, and what each step logged."""
    settings, networks = CASES[case]
    home = MazeWorld(MazeSettings("goalbridge/ForkMaze-v0", categories=("line",)))
    buffer = collect_maze(LAYOUTS["fork"], DataConfig(trajectories=60), 0)
    buffer = replace(buffer, groups=np.arange(60) % 3)
    led = buffer.sample_futures(stream(0, 1), 200, 0.9)
    captions = caption_goals(home.captions, led.goals, "label", 0, (led.states, led.actions))
    torch.manual_seed(0)
    agent = Agent(
        home.spec,
        AgentConfig(**(NETWORKS | networks)),
        PolicyConfig(candidate_actions=4, average_noise=False),
        LetterText(),
        CandidateActions(np.eye(4, 2, dtype=np.float32), np.eye(4)),
        led.goals[:10],
    )
    steps = STEPS if case == "positives" else FEWER_STEPS
    config = TrainConfig(**({"steps": steps, "batch_size": BATCH, "action_negatives": 2} | settings))
    features, pool = LetterText().encode(captions.texts), home.action_pool(50, stream(0, 2))
    learner, infos = Learner(agent.double().train(), config, features, pool, processes), []
    for step in range(steps):
        rng = stream(0, 3, step)
        futures = buffer.sample_futures(rng, BATCH, 0.9, config.negatives_per_layout)
        info = learner.update(futures, captions.sample(rng, BATCH), rng, detailed=step % 2 == 0)
        infos.append({name: float(value) for name, value in info.items()})
    return learner, infos


def work(folder: Path) -> None:
    """What each of the processes does: every case, its final state and its log written down."""
    with joined() as processes:
        for case in CASES:
            learner, infos = train(case, processes)
            write_tensors(folder / f"{case}.{processes.rank}", learner.state_tensors(), {"log": infos})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes on this machine left what they learned."""
    folder = tmp_path_factory.mktemp("shared")
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, __file__, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(shared: Path, case: str) -> None:
    learner, infos = train(case, ALONE)
    (first, about), (second, about_second) = (read_tensors(shared / f"{case}.{rank}") for rank in range(2))
    assert about == about_second
    expected = learner.state_tensors()
    assert expected.keys() == first.keys()
    for name, tensor in expected.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], tensor, rtol=0, atol=1e-9)
    for info, logged in zip(infos, about["log"], strict=True):
        assert info.keys() == logged.keys()
        for name, value in info.items():
            assert logged[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_a_share_is_a_process_s_own_rows() -> None:
    rows = list(range(12))
    assert [row for rank in range(3) for row in rows[Processes(rank, 3).share(12)]] == rows
    assert rows[ALONE.share(12)] == rows
    assert [Processes(rank, 3).is_first for rank in range(3)] == [True, False, False]


def test_one_process_talks_to_nobody() -> None:
    tensor = torch.ones(2, requires_grad=True)
    assert ALONE.gather(tensor) is tensor
    ALONE.sum_([tensor.detach()])
    assert (ALONE.any(True), ALONE.any(False)) == (True, False)
    with ALONE.first_before_the_others():
        assert torch.equal(tensor, torch.ones(2))


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    Processes(0, 4).require_divisible(256, 0)
    Processes(0, 4).require_divisible(256, 32)
    for processes, batch, group, says in (
        (2, 255, 0, r"^train.batch_size=255: expected a multiple of 2 processes; try 256$"),
        (3, 512, 32, "expected a multiple of 3 processes x train.negatives_per_layout=32; try 480$"),
        (64, 2, 0, "try 64$"),
    ):
        with pytest.raises(ConfigError, match=says):
            Processes(0, processes).require_divisible(batch, group)


def test_devices_are_one_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cuda = torch.device("cuda")
    assert ALONE.device(cuda) == cuda
    assert Processes(3, 4).device(torch.device("cpu")).type == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Processes(3, 4).device(cuda) == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(
        ConfigError, match=r"^device=cuda: expected a device for each process of this machine, got 2; try"
    ):
        Processes(3, 4).device(cuda)


def test_who_cannot_be_reached_is_no_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(torch.distributed, "all_reduce", closed)
    talk: tuple[Callable[[], object], ...] = (
        lambda: Processes(0, 2).any(True),
        lambda: Processes(0, 2).sum_([torch.ones(1)]),
    )
    for each in talk:
        with pytest.raises(PeerError, match=r"^a process of this run has ended or cannot be reached$"):
            each()


if __name__ == "__main__":
    work(Path(sys.argv[1]))
