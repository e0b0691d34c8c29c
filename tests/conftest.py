"""What the tests share: the scripts run as from a terminal, tiny settings, tiny agents."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents import Agent
from configs.load import command_line
from configs.schema import AgentConfig, EnvConfig, EvaluateConfig, PolicyConfig, RunConfig
from encoders import LabelEncoder, TextEncoder
from evaluation.errors import EXPECTED
from evaluation.worlds import candidates, make_world, surface, world_spec

ROOT = Path(__file__).parents[1]
FORK = EnvConfig("goalbridge/ForkMaze-v0")

TINY_DATA = ("data.trajectories=100", "data.labelled_goals=200")
TINY_NETS = ("agent.width=16", "agent.depth=2", "agent.embedding_dim=8", "agent.bridge_goals=40")
TINY_RUN = (
    "train.steps=12",
    "train.batch_size=16",
    "train.log_every=4",
    "train.evaluate_every=8",
    "train.evaluation_episodes=4",
    "train.checkpoint_every=4",
    "env.max_episode_steps=12",
)


@dataclass(frozen=True)
class Outcome:
    """How a script ended: exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr of a refusal; fails unless there is just that and exit code 2."""
        assert self.code == 2, self
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0].removeprefix("error: ")


Script = Callable[..., Outcome]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Script:
    """`script("train", "seed=1", ...)`: the script with these arguments, in this process, which saves the imports."""
    kinds: dict[str, type[Any]] = {"train": RunConfig, "evaluate": EvaluateConfig}

    def run(name: str, *arguments: str) -> Outcome:
        main = importlib.import_module(name).main
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
        capfd.readouterr()
        code = 0
        try:
            command_line(name, kinds[name], main, EXPECTED)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        finally:
            torch.set_flush_denormal(False)  # the scripts set it for their process, which here is the tests' own
        printed = capfd.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Overrides that make train.py a matter of a second: tiny data, nets and steps, labels instead of language."""
    return ("encoder=label", *TINY_DATA, *TINY_NETS, *TINY_RUN)


@pytest.fixture(scope="session")
def text_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sentence embeddings that all tests (and workers) share, so that the model is hardly ever loaded."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "text_cache"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture(scope="session")
def tiny_sentence(text_cache: Path) -> tuple[str, ...]:
    """As `tiny`, with the packaged language model."""
    return ("encoder=sentence", f"encoder.cache_dir={text_cache}", *TINY_DATA, *TINY_NETS, *TINY_RUN)


@pytest.fixture(scope="session")
def script_environment() -> dict[str, str]:
    """Environment variables for scripts run as processes of their own."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


@pytest.fixture
def finished(script: Script, tiny: tuple[str, ...], text_cache: Path, tmp_path: Path) -> Path:
    """A finished tiny run: a copy of one that each worker makes once."""
    made = text_cache / f"tiny_run_{os.getpid()}"
    if not (made / "agent.safetensors").exists():
        done = script("train", *tiny, f"run_dir={made}")
        assert done.code == 0, done.err
    return Path(shutil.copytree(made, tmp_path / "finished"))


class FakeText:
    """A text encoder without a model: features [N, 6] from the letters of each text."""

    fingerprint = "fake"
    text_model = "fake"

    def encode(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.stack([np.random.default_rng([ord(c) for c in text]).normal(size=6) for text in texts]).astype("f4")


def build_agent(
    text: TextEncoder | None = None,
    env: EnvConfig = FORK,
    candidate_actions: int = 8,
    bridge_goals: int = 30,
    **settings: Any,
) -> Agent:
    """An untrained agent of the fork maze whose temperatures are not the initial ones."""
    world = make_world(env, 1)
    text = text or LabelEncoder(surface(world).commands.labels)
    goals = surface(world).candidate_goals()
    networks: dict[str, Any] = {"width": 16, "depth": 2, "embedding_dim": 8, "frequencies": (0.5, 1.0)}
    torch.manual_seed(0)
    agent = Agent(
        world_spec(world, env.id),
        AgentConfig(**(networks | settings)),
        PolicyConfig(candidate_actions=candidate_actions),
        text,
        text.encode([surface(world).commands.labels[0]]).shape[1],
        candidates(world, candidate_actions),
        goals[np.random.default_rng(0).integers(len(goals), size=bridge_goals)],
    )
    with torch.no_grad():  # as if trained: the estimators must use these
        agent.critic_ab.log_scale.add_(0.9)
        agent.critic_bc.log_scale.sub_(0.4)
        for parameter in agent.parameters():
            if parameter.ndim > 1:
                parameter.mul_(1.5)
    return agent.eval()


@pytest.fixture(scope="session")
def make_agent() -> Callable[..., Agent]:
    """`build_agent`, for tests."""
    return build_agent


@pytest.fixture
def fake_text() -> FakeText:
    """A text encoder that needs no model."""
    return FakeText()
