"""Settings: what the choices compose to, what --help says, and what cannot be used is one line."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.command import as_called, sentences
from goalbridge.configs.compose import FOLDER, Composer, settings
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.load import build, settings_in
from goalbridge.configs.registries import worlds
from goalbridge.configs.run_folder import flat, open_run, read_run_config
from goalbridge.configs.schema import AgentConfig, EncoderConfig, PolicyConfig, RunConfig, TrainConfig
from goalbridge.configs.world_settings import evaluation_of, settings_of
from goalbridge.worlds.maze.settings import MazeSettings

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests" / "golden" / "compositions.json").read_text())


def composed(*overrides: str) -> RunConfig:
    return settings(RunConfig, ["run_dir=x", *overrides])


SINCE = {"encoder.trust_remote_code": False}  # settings that there were not then, and their defaults


def test_choices_compose_to_what_they_did_when_yaml_files_held_every_value() -> None:
    """Under a world's choice stand all its values; under each other line what differs from them."""
    lines = [line for line in GOLDEN if "=" in line]
    assert len(lines) >= 72
    with Composer(RunConfig) as composer:
        for line in lines:
            chosen = line.split()[0].removeprefix("env=")
            base = GOLDEN[chosen if chosen in GOLDEN else "fork_maze"]
            assert flat(composer.values([*line.split(), "run_dir=x"])) == base | GOLDEN[line] | SINCE, line


def test_yaml_says_only_what_differs() -> None:
    assert sum(len(path.read_text().splitlines()) for path in FOLDER.rglob("*.yaml")) <= 150
    assert composed("env=fork_maze") == composed() == RunConfig(MazeSettings("goalbridge/ForkMaze-v0"), "x")
    assert settings(EvaluateConfig, ["run_dir=x"]) == EvaluateConfig("x")


def test_what_is_asked_for_goes_before_what_a_world_chooses() -> None:
    assert composed("env=babyai", "agent=default").agent == AgentConfig()
    assert composed("policy=default", "env=babyai").policy == PolicyConfig()
    assert composed("data=random", "env=babyai").data == DataConfig(kind="random")
    assert composed("env=babyai").encoder == EncoderConfig(word_order=False)
    config = composed(
        "env=babyai", "env.levels=[GoTo]", "train.steps=5", "agent.language_in_actions=true", "data.kind=mixed"
    )
    assert vars(config.env)["levels"] == ("GoTo",)
    assert (config.train.steps, config.agent.language_in_actions, config.data.kind) == (5, True, "mixed")
    assert config.train.negatives_per_layout == composed("train=grids", "env=babyai").train.negatives_per_layout


def kinds(kind: type[Any]) -> Iterator[type[Any]]:
    """A dataclass of settings and those of its groups."""
    yield kind
    for hint in typing.get_type_hints(kind).values():
        if is_dataclass(hint):
            yield from kinds(typing.cast(type[Any], hint))


@pytest.mark.parametrize(
    "kind",
    [
        *kinds(RunConfig),
        EvaluateConfig,
        *(find(world) for world in worlds.names() for find in (settings_of, evaluation_of)),
    ],
)
def test_every_setting_has_its_sentence(kind: type[Any]) -> None:
    meanings = sentences(kind)
    assert sorted(meanings) == sorted(setting.name for setting in settings_in(kind))
    for name, meaning in meanings.items():
        assert meaning.endswith("."), name


@dataclass
class Documented:
    """A title.

    first: what it is,
        and more of it.
    second: something: else.
    other: no setting.
    """

    first: int
    second: int


def test_sentences_are_read_off_lines_that_begin_with_the_settings_name() -> None:
    assert sentences(Documented) == {"first": "what it is, and more of it.", "second": "something: else."}


def test_help_is_a_line_a_setting(script: Any) -> None:
    shown = script("train", "env=babyai", "--help")
    lines = shown.out.splitlines()
    assert shown.code == 0
    for name, value in flat(asdict(composed("env=babyai"))).items():
        line = next(line for line in lines if line.startswith(f"{name}="))
        assert len(line.split(maxsplit=1)) == 2, "its sentence"
        if name.startswith("train.") and not isinstance(value, bool):
            assert line.startswith(f"{name}={value}")
    for path in FOLDER.glob("*/*.yaml"):
        assert path.stem in next(line for line in lines if line.startswith(f"{path.parent.name}: "))
    lines = script("evaluate", "--help").out.splitlines()
    kinds: list[type[Any]] = [EvaluateConfig, *map(evaluation_of, worlds.names())]
    for kind in kinds:
        for setting in settings_in(kind):
            assert any(line.startswith(f"{setting.name}=") for line in lines)


@pytest.mark.parametrize("option", ["--cfg", "-c"])
def test_composed_settings_are_shown_as_yaml(script: Any, option: str) -> None:
    shown = script("train", "env=babyai", option, "job", "seed=3", "run_dir=x")
    assert shown.code == 0
    assert build(RunConfig, yaml.safe_load(shown.out)) == composed("env=babyai", "seed=3")


HEAVY = ("torch", "minigrid", "sentence_transformers", "matplotlib", "tensorboard", "scipy.ndimage", "PIL")


@pytest.mark.parametrize(
    "arguments", ["train --help", "evaluate --help", "train env.levls=3", "evaluate run_dir=x episodez=3"]
)
def test_help_and_refusals_load_nothing_heavy(arguments: str) -> None:
    script, *given = arguments.split()
    code = (
        f"import sys\nfrom goalbridge import {script}\nsys.argv[1:] = {given}\n"
        f"try:\n    {script}.command()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


CLONE = """python train.py env=fork_maze
python evaluate.py run_dir=runs/fork
torchrun --nproc-per-node 2 train.py env=fork_maze"""
INSTALLED = """goalbridge-train env=fork_maze
goalbridge-evaluate run_dir=runs/fork
torchrun --nproc-per-node 2 -m goalbridge.train env=fork_maze"""


@pytest.mark.parametrize(
    ("called", "expected"), [("/bin/goalbridge-train", INSTALLED), ("train.py", CLONE), ("/x/evaluate.py", CLONE)]
)
def test_commands_are_those_of_who_called(monkeypatch: pytest.MonkeyPatch, called: str, expected: str) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    assert as_called(CLONE) == expected


BOUNDS = {
    "must be a whole number": "seed=1.5 train.steps=abc train.steps=true train.steps=null",
    "must be at least 0": "seed=-1 train.checkpoint_every=-1 train.negatives_per_layout=-32 agent.text_depth=-1 "
    "data.noise_degrees=-1 env.action_noise_degrees=inf",
    "must be at least 1": "train.steps=-3 agent.embedding_dim=0 agent.width=-4 agent.depth=0 agent.bridge_goals=0 "
    "data.trajectories=0 policy.max_iterations=0 env.max_episode_steps=0",
    "must be at least 2": "train.batch_size=1 policy.candidate_actions=1",
    "must be above 0": "train.learning_rate=0 train.learning_rate=nan agent.frequencies=[1,0]",
    "must be a number": "train.learning_rate=fast agent.frequencies=[1,x]",
    "must be above 0 and below 1": "train.discount=1 policy.hop_share=0 policy.hop_discount=1",
    "must be at least 0 and below 1": "train.ema=-0.1 agent.text_dropout=1",
    "must be between 0 and 1": "train.hard_negative_share=1.5",
    "must be a list": "agent.frequencies=2",
    "must be true or false": "agent.language_in_actions=some policy.average_noise=perhaps resume=2",
}
# What is typed, and what the one line on stderr says of it.
REFUSALS = [
    ("train --env fork_maze", "--env: expected setting=value; try env=fork_maze"),
    ("train --seed=3", "--seed=3: expected setting=value; try seed=3"),
    ("train --cfg", "--cfg: expected setting=value; try --cfg job"),
    ("train --hlep", "--hlep: expected setting=value; try --help"),
    ("train fork_maze", "fork_maze: must be written setting=value; try env=fork_maze"),
    ("train seed", "seed: must be written setting=value, such as seed=1"),
    ("evaluate pretrained/fork_maze", "must be written setting=value; try run_dir=pretrained/fork_maze"),
    ("evaluate run_dir=x instruction=row '3 or' 4 episodes=2", "try instruction='row 3 or 4'"),
    ("evaluate run_dir=x estimators=direct", "estimators=direct: must be a list; try estimators=[direct]"),
    ("train trian.steps=5", "trian.steps=5: no such setting; did you mean train.steps?"),
    ("train steps=5", "did you mean train.steps?"),
    ("train +train.stepz=5", "train.stepz=5: no such setting; did you mean train.steps?"),
    ("train zzz=1", "zzz=1: no such setting; --help lists them all"),
    ("train ~zzz", "~zzz: no such setting"),
    ("train ~env", "env: is missing; give env=..."),
    ("train env=frok_maze", "env=frok_maze: no such choice; did you mean fork_maze? (there are babyai, "),
    ("train agent=5", "agent=5: no such choice (there are default, grids)"),
    ("train agnt=default", "did you mean agent?"),
    ("train seed", "seed: must be written setting=value"),
    ("train =3", "=3: must be written setting=value"),
    ("train seed=[1", "seed=[1: must be written setting=value"),
    ("train seed=1,2", "seed=1,2: expected one value, got several; try one, or a list"),
    ("train train.multi_positives=mask", "must be one of positives, masked, negatives; did you mean masked?"),
    ("train train.objective=bridges", "did you mean bridge?"),
    ("train env=babyai train.negatives_per_layout=1", "train.negatives_per_layout=1: must divide train.batch_size=512"),
    ("train env=babyai train.negatives_per_layout=48", "=48: must divide train.batch_size=512"),
    ("train train.negatives_per_layout=32", "train.negatives_per_layout=32: must be 0 in the world maze"),
    ("train agent.critic=cosin", "agent.critic=cosin: must be one of"),
    ("train agent.critic=cosin", "did you mean cosine?"),
    ("train agent.language_critic=dots", "agent.language_critic=dots: must be one of"),
    ("train data.kind=exprt", "did you mean expert?"),
    ("train data.kind=mixed", "data.kind=mixed: must be one of expert, random, online, minari"),
    ("train env=babyai env.layouts=0", "env.layouts=0: must be at least 1"),
    ("train env=babyai env.lexicon=-1", "env.lexicon=-1: must be at least 0"),
    ("train encoder.kind=labels", "did you mean label?"),
    ("train encoder.text_model=", "encoder.text_model='': must be a model's name or folder"),
    ("train encoder.text_model=/no/such/model", "encoder.text_model=/no/such/model: there is no such folder"),
    ("train policy.name=logsumxp", "did you mean logsumexp?"),
    ("train device=tpu", "device=tpu: must be one of auto, cpu, cuda, mps"),
    ("train device=cuda:x", "device=cuda:x: must be a name"),
    ("train device=cuda:99", "device=cuda:99: expected a device of this machine; try device=auto"),
    ("train env.id=", "env.id='': must be a Gymnasium id"),
    ("train env.id=goalbridge/ForkMase-v0", "did you mean goalbridge/ForkMaze-v0?"),
    ("train env=point_maze", "env.layout: is empty; give a text file"),
    (
        "train env=point_maze env.layout=/no/such.txt",
        "a known name, a text file or a 0/1 array, got '/no/such.txt'",
    ),
    ("train env=point_maze env.layout=frok", "did you mean 'fork'?"),
    ("train env.layout=${nothing}", "nothing"),
    ("train env=babyai env.view=half", "env.view=half: must be one of full, partial"),
    ("train env=babyai env.levels=[]", "env.levels=[]: is empty; name at least one level, such as [GoToLocal]"),
    ("train env=babyai env.levels=GoTo", "env.levels=GoTo: must be a list"),
    ("train env=babyai env.levels=[GoToLocl]", "expected a navigation level, got 'GoToLocl'; try one of GoToLocal"),
    ("train env=babyai env.held_out=perhaps", "env.held_out=perhaps: must be true or false"),
    ("train run_dir=", "run_dir='': must be a folder"),
    ("train env.view=full", "env.view=full: no such setting"),
    ("train env=babyai env.layout=fork", "env.layout=fork: no such setting; did you mean env.layouts?"),
    ("train env=babyai data.layouts=3", "data.layouts=3: is now env.layouts"),
    ("train train.nearby=0.5", "train.nearby=0.5: is now train.hard_negative_share"),
    ("train env.world=mase", "env.world=mase: expected one of babyai, files, gym, maze; did you mean maze?"),
    ("train env=own env.id=CartPole-v1", "CartPole-v1 is a world of your own, which needs env.captions="),
    ("train env=gym env.id=x env.captions=a:b data=online", "data.kind=online: must be one of random, minari"),
    ("evaluate", "run_dir: is missing; give run_dir=..."),
    ("evaluate run_dir=none", "run_dir=none: holds no run (config.json is missing); train with run_dir=none"),
    ("evaluate run_dir=none episodez=4", "episodez=4: no such setting; did you mean episodes?"),
    ("evaluate run_dir=none episodes=0", "episodes=0: must be at least 1"),
    ("evaluate run_dir=none episodes=many", "episodes=many: must be a whole number"),
    ("evaluate run_dir=none rollouts=-1", "rollouts=-1: must be at least 0"),
    ("evaluate run_dir=none view=half", "view=half: must be one of full, partial"),
    ("evaluate run_dir=none levels=GoTo", "levels=GoTo: must be a list"),
    ("evaluate run_dir=none estimators=limit", "estimators=limit: must be a list"),
    ("evaluate run_dir=none phrasings=heldout", "did you mean held_out?"),
    ("evaluate run_dir=none suite=ambigous", "suite=ambigous: must be one of ambiguous; did you mean ambiguous?"),
    ("evaluate run_dir=none suite=ambiguous 'instruction=row 3'", "draws its own commands; leave out instruction"),
    ("evaluate run_dir=none suite=ambiguous phrasings=train", "has its own wordings; leave out phrasings"),
    ("evaluate run_dir=none candidate_actions=1", "candidate_actions=1: must be at least 2"),
    ("evaluate run_dir=none bridge_goals=0", "bridge_goals=0: must be at least 1"),
    ("evaluate run_dir=pretrained/fork_maze estimators=[limits]", "estimators=limits: must be one of"),
    ("evaluate run_dir=pretrained/fork_maze estimators=[limits]", "did you mean limit?"),
    ("evaluate run_dir=pretrained/fork_maze levels=[GoTo]", "no such setting for agents of maze, only of babyai"),
    ("evaluate run_dir=pretrained/babyai suite=ambiguous", "no such setting for agents of babyai, only of maze"),
    ("evaluate run_dir=pretrained/babyai vieuw=full", "vieuw=full: no such setting; did you mean view?"),
    ("evaluate run_dir=none device=gpu", "device=gpu: must be one of auto, cpu, cuda, mps"),
]


@pytest.mark.parametrize(("typed", "says"), REFUSALS, ids=lambda value: str(value)[:60])
def test_what_cannot_be_used_is_refused_in_one_line(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, says: str
) -> None:
    (tmp_path / "pretrained").symlink_to(ROOT / "pretrained")
    monkeypatch.chdir(tmp_path)
    where = ["run_dir=run"] if typed.startswith("train") and "run_dir" not in typed else []
    assert says in script(*shlex.split(typed), *where).error
    assert os.listdir() == ["pretrained"]


@pytest.mark.parametrize(
    ("needed", "given"), [(needed, one) for needed, many in BOUNDS.items() for one in many.split()]
)
def test_values_out_of_bounds_are_refused_by_name(script: Any, needed: str, given: str) -> None:
    error = script("train", given, "run_dir=none").error
    assert error.startswith(given.partition("=")[0])
    assert f": {needed}" in error


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("..#\n..\n", "expected 3 cells in row 1, as in row 0, got 2"),
        ("###\n###\n", "expected a free cell ('.'), got walls only"),
        ("..x\n...\n", "at row 0, column 2, got 'x'"),
        ("", "got an empty text"),
        (".\n", "expected a free cell with another row or column in reach"),
        (b"\xff\xfe.", "expected a UTF-8 text"),
        (b"#\xe9#", "expected a UTF-8 text"),
    ],
)
def test_unusable_layouts_are_refused_in_one_line(script: Any, tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "my maze (1), it's new.txt"  # a name that Hydra's grammar would stumble over
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    run = tmp_path / "run"
    assert says in script("train", "env=point_maze", f"env.layout={path}", f"run_dir={run}").error
    assert not run.exists()


def test_run_dir_that_is_or_lies_in_a_file(script: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        assert "is a file; choose another folder" in script("train", f"run_dir={path}").error
        assert (tmp_path / "file").read_text() == "mine"
    assert "is a file" in script("train", f"run_dir={tmp_path}/r", f"encoder.cache_dir={tmp_path}/file").error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


TEXTS = [
    "go to row 3",
    "-",
    "go to row 3, please",
    "I'd like row 3",
    'say "row 3"',
    "到第三行去",
    "where (is) row [3]? {now}: a=b",
    "back\\slash and \\' more\\",
    "5",
    "true",
    "'",
    "word " * 10_000 + "end",
    " spaces around ",
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:20])
def test_texts_reach_the_settings_as_they_were_typed(text: str) -> None:
    assert settings(EvaluateConfig, ["run_dir=x", f"instruction={text}"]).instruction == text
    assert settings(EvaluateConfig, [f"run_dir={text}"]).run_dir == text


def test_only_texts_are_quoted() -> None:
    train, evaluate = Composer(RunConfig), Composer(EvaluateConfig)
    same = ["seed=3", "train.steps=5", "estimators=[limit]", "run_dir='a b'", "env=fork_maze", "run_dir=", "~env", "x"]
    for argument in [*same, "train.nothing=a", "nothing.at.all=a", "encoder=label", "encoder.cache_dir=null"]:
        assert train.quoted(argument) == argument
    assert train.quoted("env.layout=my maze.txt") == "env.layout='my maze.txt'"
    assert settings(RunConfig, ["run_dir=runs/${seed}", "seed=4"]).run_dir == "runs/4"
    assert OverridesParser.create().parse_override(evaluate.quoted("instruction=a,b")).value() == "a,b"


def test_what_is_no_group_of_settings() -> None:
    for values in ({"env": None, "run_dir": "x"}, {"env": 3, "run_dir": "x"}):
        with pytest.raises(ConfigError, match=r"env=.*: must be a group of settings"):
            build(RunConfig, values)
    with pytest.raises(ConfigError, match="must be a group of settings"):
        build(RunConfig, typing.cast(dict[str, Any], []))


CONFIG = RunConfig(MazeSettings("goalbridge/ForkMaze-v0"), "unset")
FILES_OF_A_RUN = ("agent.safetensors", "config.json")


@pytest.fixture
def run_at(tmp_path: Path) -> Callable[..., RunConfig]:
    """The settings of a run in a folder that already holds one with the same but for the `before` changes."""

    def make(before: dict[str, Any] | None = None, **now: Any) -> RunConfig:
        old = asdict(CONFIG) | {"run_dir": str(tmp_path)} | (before or {})
        (tmp_path / "config.json").write_text(json.dumps(old))
        return build(RunConfig, asdict(CONFIG) | {"run_dir": str(tmp_path)} | now)

    return make


def test_a_fresh_folder_is_claimed_and_another_run_refused(run_at: Callable[..., RunConfig], tmp_path: Path) -> None:
    fresh = build(RunConfig, asdict(CONFIG) | {"run_dir": str(tmp_path / "new" / "run")})
    assert open_run(fresh, FILES_OF_A_RUN) is False
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="already holds a run; add resume=true to go on, or choose another run_dir"):
        open_run(run_at(), FILES_OF_A_RUN)
    assert open_run(run_at(resume=True), FILES_OF_A_RUN) is True


def test_resuming_with_other_settings_names_the_setting(run_at: Callable[..., RunConfig]) -> None:
    train = asdict(TrainConfig(learning_rate=0.125))
    with pytest.raises(ConfigError, match=r"train.learning_rate=0\.\d+: the run in .* was begun with .*=0.125; use"):
        open_run(run_at({"train": train}, resume=True), FILES_OF_A_RUN)
    with pytest.raises(ConfigError, match=r"seed=0: .* begun with seed=5"):
        open_run(run_at({"seed": 5}, resume=True), FILES_OF_A_RUN)
    # Where it lies and what computes it may change.
    assert open_run(run_at({"device": "cuda", "run_dir": "elsewhere"}, resume=True), FILES_OF_A_RUN)


def test_a_run_whose_settings_are_gone_or_damaged(run_at: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = run_at(resume=True)
    (tmp_path / "agent.safetensors").write_bytes(b"")
    for content in ("", "{", "[]", '{"run_dir": "x"}', '{"env": null, "run_dir": "x"}', '{"stranger": 1}'):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ConfigError) as caught:
            open_run(config, FILES_OF_A_RUN)
        assert "\n" not in str(caught.value)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"config\.json is missing"):
        open_run(config, FILES_OF_A_RUN)


def test_settings_survive_the_record(tmp_path: Path) -> None:
    agent = asdict(AgentConfig(frequencies=(0.1, math.pi)))
    config = build(RunConfig, asdict(CONFIG) | {"agent": agent, "run_dir": "ünï"})
    (tmp_path / "config.json").write_text(json.dumps(asdict(config)))
    assert read_run_config(tmp_path) == config
