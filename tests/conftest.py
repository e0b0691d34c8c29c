"""What the tests share: the scripts run as from a terminal, tiny settings, tiny agents."""

from __future__ import annotations

import importlib
import math
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from goalbridge.agents import Agent
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.registries import text_encoders
from goalbridge.configs.schema import AgentConfig, PolicyConfig
from goalbridge.encoders import LabelEncoder, TextEncoder, check_instruction
from goalbridge.encoders.grid import OWN, RADIUS, SIDE
from goalbridge.envs.babyai.phrasing import COLOURS, FIRST_TYPE, TYPES
from goalbridge.envs.commands import MazeCommands
from goalbridge.evaluation.evaluation import Evaluation
from goalbridge.experiments.agent.own_protocol import users_files
from goalbridge.worlds import World
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld
from goalbridge.worlds.gym import vector
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import MazeWorld, make_world

ROOT = Path(__file__).parents[1]


FORK = MazeSettings("goalbridge/ForkMaze-v0")
TINY_DATA = ("data.trajectories=100", "data.labelled_goals=200")
TINY_NETS = ("agent.width=16", "agent.depth=2", "agent.embedding_dim=8", "agent.bridge_goals=40")
TINY_RUN = (
    *("train.steps=12", "train.batch_size=16", "train.log_every=4", "train.checkpoint_every=4"),
    *("train.evaluate_every=8", "train.evaluation_episodes=4", "env.max_episode_steps=12"),
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

    def run(name: str, *arguments: str) -> Outcome:
        command = importlib.import_module(f"goalbridge.{name}").command
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
        capfd.readouterr()
        code = 0
        try:
            command()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        finally:
            torch.set_flush_denormal(False)  # which commands set for their process, here that of all tests
        printed = capfd.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture(autouse=True)
def plain_numbers() -> Iterator[None]:
    """Commands other than the scripts set it, too."""
    yield
    torch.set_flush_denormal(False)


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
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture
def trained(script: Script, text_cache: Path, tmp_path: Path) -> Callable[..., Path]:
    """`trained("name", "seed=1", ...)`: the folder of a finished run, a copy of one that each worker makes once."""

    def train(name: str, *arguments: str) -> Path:
        made = text_cache / f"{name}_{os.getpid()}"
        if not (made / "agent.safetensors").exists():
            done = script("train", *arguments, f"run_dir={made}")
            assert done.code == 0, done.err
            if f"encoder.cache_dir={text_cache}" in arguments:
                shutil.copy(text_cache / "text_cache.safetensors", made)
        return Path(shutil.copytree(made, tmp_path / name))

    return train


@pytest.fixture
def finished(trained: Callable[..., Path], tiny: tuple[str, ...]) -> Path:
    """A finished tiny run."""
    return trained("finished", *tiny)


@pytest.fixture
def users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a user's own, which is the current one, and holds the files of docs/OWN_WORLD.md."""
    for name, text in users_files().items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(gymnasium.registry)
    vector.survives_drawing.cache_clear()  # names stay, worlds do not
    yield tmp_path
    sys.modules.pop("my_worlds", None)
    for name in set(gymnasium.registry) - before:
        del gymnasium.registry[name]


@text_encoders.register("letters")
class FakeText(TextEncoder):
    """A text encoder without a model: features [N, 6] from the letters of each text."""

    fingerprint = "letters"
    dim = 6

    @classmethod
    def from_config(cls, *_: Any) -> FakeText:
        return cls()

    @classmethod
    def from_description(cls, *_: Any) -> FakeText:
        return cls()

    def encode(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        for text in texts:
            check_instruction(text)
        return np.stack([np.random.default_rng([ord(c) for c in text]).normal(size=6) for text in texts]).astype("f4")


def untrained(
    world: World, policy: PolicyConfig, text: TextEncoder, goals: Any, settings: dict[str, Any], spread: float = 1.5
) -> Agent:
    """An agent whose temperatures are not the initial ones; `spread` multiplies its weights, so that inputs differ."""
    networks: dict[str, Any] = {"width": 16, "depth": 2, "embedding_dim": 8}
    torch.manual_seed(0)
    candidates = world.candidates(policy.candidate_actions)
    agent = Agent(world.spec, AgentConfig(**(networks | settings)), policy, text, candidates, goals)
    with torch.no_grad():  # as if trained: the estimators must use these
        agent.critic_ab.log_scale.add_(0.9)
        agent.critic_bc.log_scale.sub_(0.4)
        for name, parameter in agent.named_parameters():
            if parameter.ndim > 1 and not name.startswith("rotary"):
                parameter.mul_(spread)
    return agent.eval()


def build_agent(
    text: TextEncoder | None = None,
    env: MazeSettings = FORK,
    candidate_actions: int = 8,
    bridge_goals: int = 30,
    **settings: Any,
) -> Agent:
    """An untrained agent of the fork maze."""
    world = MazeWorld(env)
    goals = make_world(env, 1).candidate_goals()
    goals = goals[np.random.default_rng(0).integers(len(goals), size=bridge_goals)]
    text = text or LabelEncoder(MazeCommands(world.layout).labels)
    policy = PolicyConfig(candidate_actions=candidate_actions)
    return untrained(world, policy, text, goals, {"frequencies": (0.5, 1.0)} | settings)


@pytest.fixture(scope="session")
def make_agent() -> Callable[..., Agent]:
    """`build_agent`, for tests."""
    return build_agent


def build_grid_agent(
    text: TextEncoder | None = None, policy: PolicyConfig | None = None, spread: float = 1.5, **settings: Any
) -> Agent:
    """An untrained agent of BabyAI's grids."""
    world = BabyAIWorld(BabyAISettings(("GoToLocal",)))
    policy = policy or PolicyConfig(name="planned", candidate_actions=4, average_noise=False)
    goals = np.zeros((3, len(world.spec.goal_low)), np.uint8)
    return untrained(world, policy, text or FakeText(), goals, settings, spread)


@pytest.fixture(scope="session")
def make_grid_agent() -> Callable[..., Agent]:
    """`build_grid_agent`, for tests."""
    return build_grid_agent


@pytest.fixture(scope="session")
def fake_text() -> FakeText:
    """A text encoder that needs no model."""
    return FakeText()


@pytest.fixture(scope="session")
def make_maze() -> Callable[..., MazeWorld]:
    """`make_maze(max_episode_steps=9)`: the fork maze as a world, with settings changed."""
    return lambda **changes: MazeWorld(replace(FORK, **changes))


@pytest.fixture(scope="session")
def make_babyai() -> Callable[..., BabyAIWorld]:
    """`make_babyai("GoToObjS4", view="partial")`: levels as a world; one small level unless told otherwise."""
    return lambda *levels, **changes: BabyAIWorld(BabyAISettings(levels or ("GoToLocal",), **changes))


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., Evaluation]:
    """`evaluate(agent, world, episodes=3, suite="ambiguous")`: common settings and the world's own, in `tmp_path`."""

    def build(agent: Agent, world: World, **settings: Any) -> Evaluation:
        common = {name: settings.pop(name) for name in list(settings) if name in EvaluateConfig.__dataclass_fields__}
        config = EvaluateConfig(str(tmp_path), **common, further=settings)
        return Evaluation(agent, world, config, config.of_world(world.settings.world), tmp_path)

    return build


SHARP = 40.0  # nats between what is so and what is not
_CANVAS = 22
_FREE, _OPEN, _CLOSED = (1, 3, 8), 4, 11  # as types in a situation's window
_AHEAD = torch.tensor([(1, 0), (0, 1), (-1, 0), (0, -1)])
_CENTRE = RADIUS * SIDE + RADIUS


def _codes(x: Tensor, y: Tensor, direction: Tensor, opened: Tensor) -> Tensor:
    """One-hot [..., C] of a pose, and whether it faces an open door."""
    index = ((x * _CANVAS + y) * 4 + direction) * 2 + opened.long()
    return functional.one_hot(index, _CANVAS * _CANVAS * 8).float()


def goal_codes(goals: Tensor) -> Tensor:
    """What a situation is: [..., S] to [..., C]."""
    x, y, direction = goals[..., :3].long().unbind(-1)
    return _codes(x, y, direction, (goals[..., 5] == 4) & (goals[..., 7] == 0))


def next_codes(states: Tensor, actions: Tensor) -> Tensor:
    """What an action makes of a situation, by minigrid's rules: [..., S] and [A, 4] to [..., A, C]."""
    states = states.long().expand(*states.shape[:-2], len(actions), states.shape[-1])  # [..., A, S]
    chosen = actions.argmax(dim=-1)  # [A]
    window = states[..., OWN : OWN + SIDE * SIDE]
    pose, faced = states[..., :3], window.gather(-1, (_CENTRE + _steps(states[..., 2]))[..., None])[..., 0]
    x, y, direction = pose.unbind(-1)
    direction = (direction + (chosen == 1).long() - (chosen == 0).long()) % 4
    goes = (chosen == 2) & (torch.isin(faced, torch.tensor([*_FREE, _OPEN])))
    ahead = _AHEAD[direction] * goes[..., None]
    seen = _CENTRE + _steps(direction) * (1 + goes.long())
    opens = (chosen == 3) & (faced == _CLOSED)  # no goal is to have shut a door: to shut one counts as staying
    opened = (window.gather(-1, seen[..., None])[..., 0] == _OPEN) | opens
    return _codes(x + ahead[..., 0], y + ahead[..., 1], direction, opened)


def _steps(direction: Tensor) -> Tensor:
    """How far apart in a window the cells before and behind a step are."""
    return (_AHEAD[direction] * torch.tensor([SIDE, 1])).sum(-1)


def meaning_codes(goals: Tensor) -> Tensor:
    """One-hot type and colour of the thing faced: [..., S] to [..., 10], zeros where there is none."""
    kind, colour = goals[..., 5].long() - FIRST_TYPE, goals[..., 6].long().clamp(max=5)
    thing = ((kind >= 0) & (kind < 4)).unsqueeze(-1)
    codes = torch.cat([functional.one_hot(kind.clamp(0, 3), 4), functional.one_hot(colour, 6)], dim=-1) * thing
    return codes.float()


def instruction_codes(texts: Sequence[str]) -> Tensor:
    """What is asked for, [K, 10]: every word that is left out fits as well as it can."""
    rows = []
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        row = [float(kind in words) for kind in TYPES] + [float(colour in words) for colour in COLOURS]
        rows.append(torch.tensor(row) / max(sum(row), 1.0))
    return torch.stack(rows)


@pytest.fixture
def perfect_agent(make_grid_agent: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch) -> Agent:
    """Knows where each action leads and what each word means ("red ball", "key", "blue ..."), to SHARP nats."""
    agent = make_grid_agent(critic="dot")
    with torch.no_grad():
        agent.critic_ab.log_scale.fill_(math.log(SHARP))
        agent.critic_bc.log_scale.fill_(math.log(2 * SHARP))
    monkeypatch.setattr(agent, "encode_state_actions", next_codes)
    monkeypatch.setattr(agent, "encode_goals", goal_codes)
    monkeypatch.setattr(agent, "encode_meanings", meaning_codes)
    monkeypatch.setattr(agent, "encode_instructions", instruction_codes)
    return agent
