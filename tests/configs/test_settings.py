"""Settings: YAML and dataclasses say the same, help lists them all, and what cannot be used is one line."""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.load import FOLDER, build, check_overrides, quote_text
from goalbridge.configs.run_folder import open_run, read_run_config
from goalbridge.configs.schema import AgentConfig, EncoderConfig, EnvConfig, PolicyConfig, RunConfig, TrainConfig

GROUPS: dict[str, type[Any]] = {
    "agent": AgentConfig,
    "data": DataConfig,
    "encoder": EncoderConfig,
    "env": EnvConfig,
    "policy": PolicyConfig,
    "train": TrainConfig,
}
FILES = sorted(FOLDER.glob("*/*.yaml"))
# What a choice of a group is for differs from the default on purpose.
CHOSEN = {("data", "kind"), ("encoder", "kind"), ("env", "id")}
OTHER_WORLD = {"agent/grids", "data/grids", "env/babyai", "env/own", "policy/planned", "train/grids"}
OTHER_WORLD |= {"data/online", "data/online_grids", "policy/online", "train/online"}
GIVEN = {"env/own": {"id": "my_worlds:Lake-v0", "captions": "my_worlds:captions"}}  # by the user


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def default_of(kind: type[Any], name: str) -> Any:
    setting = next(f for f in fields(kind) if f.name == name)
    return setting.default if setting.default is not MISSING else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_files_and_dataclasses_do_not_drift(path: Path) -> None:
    kind, values = GROUPS[path.parent.name], yaml.load(path.read_text(), yaml.SafeLoader)
    values = values.get(path.parent.name, values)  # a world that chooses the other groups too names its own
    assert set(values) == {f.name for f in fields(kind)}
    for name, value in values.items():
        if (path.parent.name, name) not in CHOSEN and f"{path.parent.name}/{path.stem}" not in OTHER_WORLD:
            assert value == plain(default_of(kind, name)), name
    build(kind, values | GIVEN.get(f"{path.parent.name}/{path.stem}", {}))


def composed(*overrides: str) -> RunConfig:
    values: Any = OmegaConf.to_container(check_overrides("train", ["run_dir=x", *overrides]), resolve=True)
    return build(RunConfig, values)


def choice(group: str, name: str) -> Any:
    values = yaml.load((FOLDER / group / f"{name}.yaml").read_text(), yaml.SafeLoader)
    return build(GROUPS[group], values.get(group, values))


def test_babyai_chooses_the_groups_that_suit_it() -> None:
    config = composed("env=babyai")
    assert config.env == choice("env", "babyai")
    for group, name in (("agent", "grids"), ("data", "grids"), ("train", "grids"), ("policy", "planned")):
        assert getattr(config, group) == choice(group, name)
    assert config.encoder == EncoderConfig(word_order=False)
    maze = composed("env=slit_maze")
    assert (maze.agent, maze.train, maze.policy) == (AgentConfig(), TrainConfig(), PolicyConfig())
    assert composed() == composed("env=fork_maze")


def test_what_is_asked_for_goes_before_what_a_world_chooses() -> None:
    assert composed("env=babyai", "agent=default").agent == AgentConfig()
    assert composed("policy=default", "env=babyai").policy == PolicyConfig()
    assert composed("data=random", "env=babyai").data == DataConfig(kind="random")
    config = composed("env=babyai", "env.levels=[GoTo]", "train.steps=5", "agent.things=true", "data.kind=mixed")
    assert config.env.levels == ("GoTo",)
    assert (config.train.steps, config.agent.things, config.data.kind) == (5, True, "mixed")
    assert config.train.group_size == choice("train", "grids").group_size


@pytest.mark.parametrize(("name", "kind"), [("train", RunConfig), ("evaluate", EvaluateConfig)])
def test_the_whole_agrees_with_the_dataclass(name: str, kind: type[Any]) -> None:
    composed: Any = OmegaConf.to_container(check_overrides(name, ["run_dir=x"]), resolve=True)
    assert set(composed) == {f.name for f in fields(kind)}
    first = {"env": EnvConfig("goalbridge/ForkMaze-v0")} if kind is RunConfig else {}
    assert build(kind, composed) == kind(run_dir="x", **first)


def test_groups_have_files_and_files_have_groups() -> None:
    assert {path.parent.name for path in FILES} == set(GROUPS)
    assert set(GROUPS) == {name for name, hint in typing.get_type_hints(RunConfig).items() if is_dataclass(hint)}


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield from dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]


@pytest.mark.parametrize(("name", "kind"), [("train", RunConfig), ("evaluate", EvaluateConfig)])
def test_help_lists_every_setting_and_choice(script: Any, name: str, kind: type[Any]) -> None:
    shown = script(name, "--help")
    assert shown.code == 0
    start = shown.out.index("Settings (setting=value)")
    listed = yaml.safe_load(shown.out[shown.out.index("\n\n", start) :].replace("???", "x"))
    first: dict[str, Any] = {"env": EnvConfig("x")} if kind is RunConfig else {}
    assert set(dotted(listed)) == set(dotted(asdict(kind(run_dir="x", **first))))
    if name == "train":
        for path in FILES:
            line = next(line for line in shown.out.splitlines() if line.startswith(f"{path.parent.name}: "))
            assert path.stem in line


TRAIN_REFUSALS = [
    (["trian.steps=5"], "trian.steps=5: no such setting; did you mean train.steps?"),
    (["steps=5"], "did you mean train.steps?"),
    (["+train.stepz=5"], "train.stepz=5: no such setting; did you mean train.steps?"),
    (["zzz=1"], "zzz=1: no such setting; --help lists them all"),
    (["~zzz"], "~zzz: no such setting"),
    (["~env"], "env: is missing; give env=..."),
    (["env=frok_maze"], "env=frok_maze: no such choice; did you mean fork_maze? (there are babyai, "),
    (["agent=5"], "agent=5: no such choice (there are default, grids)"),
    (["agnt=default"], "did you mean agent?"),
    (["seed"], "seed: must be written setting=value"),
    (["=3"], "=3: must be written setting=value"),
    (["seed=[1"], "seed=[1: must be written setting=value"),
    (["seed=1,2"], "seed=1,2: gives several values; one would do"),
    (["seed=1.5"], "seed=1.5: must be a whole number"),
    (["seed=-1"], "seed=-1: must be at least 0"),
    (["train.steps=abc"], "train.steps=abc: must be a whole number"),
    (["train.steps=true"], "train.steps=True: must be a whole number"),
    (["train.steps=null"], "must be a whole number"),
    (["train.steps=0"], "train.steps=0: must be at least 1"),
    (["train.steps=-3"], "train.steps=-3: must be at least 1"),
    (["train.batch_size=1"], "train.batch_size=1: must be at least 2"),
    (["train.learning_rate=0"], "train.learning_rate=0.0: must be above 0"),
    (["train.learning_rate=nan"], "train.learning_rate=nan: must be above 0"),
    (["train.learning_rate=fast"], "train.learning_rate=fast: must be a number"),
    (["train.discount=1"], "train.discount=1.0: must be at least 0 and below 1"),
    (["train.discount=0"], "train.discount=0.0: must be above 0"),
    (["train.ema=-0.1"], "train.ema=-0.1: must be at least 0 and below 1"),
    (["train.checkpoint_every=-1"], "train.checkpoint_every=-1: must be at least 0"),
    (["train.duplicates=mask"], "must be one of positives, masked, negatives; did you mean masked?"),
    (["train.objective=bridges"], "did you mean bridge?"),
    (["train.group_size=-32"], "train.group_size=-32: must be at least 0"),
    (["env=babyai", "train.group_size=1"], "train.group_size=1: must divide train.batch_size=512"),
    (["env=babyai", "train.group_size=48"], "train.group_size=48: must divide train.batch_size=512"),
    (["train.group_size=32"], "train.group_size=32: must be 0 in a single maze"),
    (["train.nearby=1.5"], "train.nearby=1.5: must be between 0 and 1"),
    (["agent.embedding_dim=0"], "agent.embedding_dim=0: must be at least 1"),
    (["agent.width=-4"], "agent.width=-4: must be at least 1"),
    (["agent.depth=0"], "agent.depth=0: must be at least 1"),
    (["agent.critic=cosin"], "agent.critic=cosin: must be one of"),
    (["agent.critic=cosin"], "did you mean cosine?"),
    (["agent.frequencies=2"], "agent.frequencies=2: must be a list"),
    (["agent.frequencies=[1,x]"], "agent.frequencies[1]=x: must be a number"),
    (["agent.frequencies=[1,0]"], "agent.frequencies.1=0.0: must be above 0"),
    (["agent.language_critic=dots"], "agent.language_critic=dots: must be one of"),
    (["agent.text_depth=-1"], "agent.text_depth=-1: must be at least 0"),
    (["agent.text_dropout=1"], "agent.text_dropout=1.0: must be at least 0, below 1"),
    (["agent.things=some"], "agent.things=some: must be true or false"),
    (["agent.bridge_goals=0"], "agent.bridge_goals=0: must be at least 1"),
    (["data.trajectories=0"], "data.trajectories=0: must be at least 1"),
    (["data.kind=exprt"], "did you mean expert?"),
    (["data.kind=mixed"], "data.kind=mixed: is for BabyAI; in mazes expert or random would do"),
    (["data.layouts=0"], "data.layouts=0: must be at least 1"),
    (["data.lexicon=-1"], "data.lexicon=-1: must be at least 0"),
    (["data.noise_degrees=-1"], "data.noise_degrees=-1.0: must be at least 0"),
    (["encoder.kind=labels"], "did you mean label?"),
    (["encoder.text_model="], "encoder.text_model='': must be a model's name or folder"),
    (["encoder.text_model=/no/such/model"], "encoder.text_model=/no/such/model: there is no such folder"),
    (["policy.name=logsumxp"], "did you mean logsumexp?"),
    (["policy.hop_share=0"], "policy.hop_share=0.0: must be above 0 and below 1"),
    (["policy.hop_discount=1"], "policy.hop_discount=1.0: must be above 0 and below 1"),
    (["policy.sweeps=0"], "policy.sweeps=0: must be at least 1"),
    (["policy.candidate_actions=1"], "policy.candidate_actions=1: must be at least 2"),
    (["policy.average_noise=perhaps"], "policy.average_noise=perhaps: must be true or false"),
    (["resume=2"], "resume=2: must be true or false"),
    (["device=tpu"], "device=tpu: must be one of auto, cpu, cuda, mps"),
    (["device=cuda:x"], "device=cuda:x: must be a name"),
    (["device=cuda:99"], "device=cuda:99: expected a device of this machine; try device=auto"),
    (["env.max_episode_steps=0"], "env.max_episode_steps=0: must be at least 1"),
    (["env.action_noise_degrees=inf"], "env.action_noise_degrees=inf: must be at least 0"),
    (["env.id="], "env.id='': must be a Gymnasium id"),
    (["env.id=goalbridge/ForkMase-v0"], "did you mean goalbridge/ForkMaze-v0?"),
    (["env=point_maze"], "env.layout: is empty; give a text file"),
    (["env=point_maze", "env.layout=/no/such.txt"], "layout '/no/such.txt': is neither a known name nor a file"),
    (["env=point_maze", "env.layout=frok"], "did you mean 'fork'?"),
    (["env.layout=${nothing}"], "nothing"),
    (["env.view=half"], "env.view=half: must be one of full, partial"),
    (["env=babyai", "env.levels=[]"], "env.levels=[]: is empty; name at least one level, such as [GoToLocal]"),
    (["env=babyai", "env.levels=GoTo"], "env.levels=GoTo: must be a list"),
    (["env=babyai", "env.levels=[GoToLocl]"], "'GoToLocl' is no navigation level; one of these would do: GoToLocal"),
    (["env=babyai", "env.held_out=perhaps"], "env.held_out=perhaps: must be true or false"),
    (["run_dir="], "run_dir='': must be a folder"),
]


@pytest.mark.parametrize(("arguments", "says"), TRAIN_REFUSALS, ids=lambda value: str(value)[:40])
def test_train_refuses_in_one_line(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    where = [] if any(argument.startswith("run_dir") for argument in arguments) else ["run_dir=run"]
    assert says in script("train", *arguments, *where).error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("..#\n..\n", "row 1 has 2 cells but row 0 has 3"),
        ("###\n###\n", "every cell is a wall; at least one free cell"),
        ("..x\n...\n", "row 0, column 2 is 'x'"),
        ("", "the text is empty"),
        (".\n", "no command can be asked from any cell"),
        (b"\xff\xfe..", "is not UTF-8 text"),
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


EVALUATE_REFUSALS = [
    ([], "run_dir: is missing; give run_dir=..."),
    (["run_dir=none"], "run_dir=none: holds no run (config.json is missing); train with run_dir=none"),
    (["run_dir=none", "episodez=4"], "episodez=4: no such setting; did you mean episodes?"),
    (["run_dir=none", "episodes=0"], "episodes=0: must be at least 1"),
    (["run_dir=none", "episodes=many"], "episodes=many: must be a whole number"),
    (["run_dir=none", "rollouts=-1"], "rollouts=-1: must be at least 0"),
    (["run_dir=none", "view=half"], "view=half: must be one of full, partial"),
    (["run_dir=none", "levels=GoTo"], "levels=GoTo: must be a list"),
    (["run_dir=none", "estimators=[limits]"], "estimators=limits: must be one of"),
    (["run_dir=none", "estimators=[limits]"], "did you mean limit?"),
    (["run_dir=none", "estimators=limit"], "estimators=limit: must be a list"),
    (["run_dir=none", "phrasings=heldout"], "did you mean held_out?"),
    (["run_dir=none", "suite=ambigous"], "suite=ambigous: must be one of ambiguous; did you mean ambiguous?"),
    (["run_dir=none", "suite=ambiguous", "instruction=row 3"], "draws its own commands; leave out instruction"),
    (["run_dir=none", "suite=ambiguous", "phrasings=train"], "has its own wordings; leave out phrasings"),
    (["run_dir=none", "candidate_actions=1"], "candidate_actions=1: must be at least 2"),
    (["run_dir=none", "bridge_goals=0"], "bridge_goals=0: must be at least 1"),
    (["run_dir=none", "device=gpu"], "device=gpu: must be one of auto, cpu, cuda, mps"),
]


@pytest.mark.parametrize(("arguments", "says"), EVALUATE_REFUSALS, ids=lambda value: str(value)[:40])
def test_evaluate_refuses_in_one_line(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in script("evaluate", *arguments).error
    assert list(tmp_path.iterdir()) == []


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
    quoted = quote_text(EvaluateConfig, f"instruction={text}")
    config: Any = OmegaConf.to_container(check_overrides("evaluate", ["run_dir=x", quoted]), resolve=True)
    assert build(EvaluateConfig, config).instruction == text


def test_only_texts_are_quoted() -> None:
    same = ["seed=3", "train.steps=5", "estimators=[limit]", "run_dir='a b'", "env=fork_maze", "run_dir=", "~env", "x"]
    for argument in [*same, "train.nothing=a", "nothing.at.all=a", "encoder=label", "encoder.cache_dir=null"]:
        assert quote_text(RunConfig, argument) == argument
    assert quote_text(RunConfig, "env.layout=my maze.txt") == "env.layout='my maze.txt'"
    assert quote_text(RunConfig, "run_dir=runs/${seed}") == "run_dir='runs/${seed}'"
    composed = check_overrides("train", ["run_dir='runs/${seed}'", "seed=4"])
    assert composed.run_dir == "runs/4"
    assert OverridesParser.create().parse_override(quote_text(EvaluateConfig, "instruction=a,b")).value() == "a,b"


def test_what_is_no_group_of_settings() -> None:
    for values in ({"env": None, "run_dir": "x"}, {"env": 3, "run_dir": "x"}):
        with pytest.raises(ConfigError, match=r"env=.*: must be a group of settings"):
            build(RunConfig, values)
    with pytest.raises(ConfigError, match="must be a group of settings"):
        build(RunConfig, typing.cast(dict[str, Any], []))


CONFIG = RunConfig(EnvConfig("goalbridge/ForkMaze-v0"), "unset")
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
