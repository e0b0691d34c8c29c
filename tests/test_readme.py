"""What README.md and the pages under docs/ tell people to type can be typed."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goalbridge.configs.compose import Composer, settings
from goalbridge.configs.evaluation import EvaluateConfig
from goalbridge.configs.run_folder import flat
from goalbridge.configs.schema import RunConfig
from goalbridge.configs.sweep import plan

ROOT = Path(__file__).parents[1]
PAGES = {path: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
TEXT = "\n".join(PAGES.values())
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
README_BLOCKS: list[tuple[str, str]] = BLOCK.findall(PAGES[ROOT / "README.md"])
BLOCKS = list(dict.fromkeys(block for text in PAGES.values() for block in BLOCK.findall(text)))
SETTINGS = sorted(set(re.findall(r"`((?:train|agent|data|encoder|policy|env)\.(?!py\b)\w+)`", TEXT)))
BROUGHT = {"env.layout", "env.captions", "dataset"}  # by the user: other tests bring such things
SCRIPTS: dict[str, type[Any]] = {"train.py": RunConfig, "evaluate.py": EvaluateConfig}


def commands() -> list[list[str]]:
    """The words of each command line in blocks, without prompts and comments, each once."""
    typed = "\n".join(body for language, body in BLOCKS if language != "python").replace("\\\n", " ")
    found = [shlex.split(line.strip().removeprefix("$ "), comments=True) for line in typed.splitlines()]
    named = [(Path(words[0]).name.removesuffix("3"), *words[1:]) for words in found if words]
    return [list(words) for words in dict.fromkeys(named) if words[0] in ("python", "make", "tensorboard")]


COMMANDS = commands()
PYTHON_LINES = [words[1:] for words in COMMANDS if words[0] == "python" and words[1:]]
SCRIPT_LINES = [line for line in PYTHON_LINES if line[0] in SCRIPTS]


def test_there_is_something_to_type() -> None:
    assert {words[0] for words in COMMANDS} >= {"python", "make"}
    assert {line[0] for line in SCRIPT_LINES} == set(SCRIPTS)


@pytest.mark.parametrize("words", [w for w in COMMANDS if w[0] == "make"], ids=" ".join)
def test_make_targets_exist(words: list[str]) -> None:
    shown = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("line", SCRIPT_LINES, ids=" ".join)
def test_settings_compose(line: list[str]) -> None:
    """Of a sweep all its jobs' settings; the launchers are tried in test_sweeps.py."""
    if line[1:2] == ["-m"]:
        assert len(plan([argument for argument in line[2:] if not argument.startswith("hydra")]).jobs) > 1
    elif "--help" not in line:
        settings(SCRIPTS[line[0]], ["run_dir=x", *line[1:]])


@pytest.mark.parametrize("line", PYTHON_LINES, ids=" ".join)
def test_what_python_runs_is_there(line: list[str]) -> None:
    if line[0] == "-m":
        path = line[1].removeprefix("goalbridge.").replace(".", "/")
        assert (ROOT / path).is_dir() or (ROOT / f"{path}.py").is_file()
        assert path != "training/export" or all("=" in argument for argument in line[2:])
    elif line[0].endswith(".py"):
        assert (ROOT / line[0]).is_file()


@pytest.mark.parametrize("body", [body for language, body in BLOCKS if language == "python"])
def test_snippets_are_python(body: str) -> None:
    ast.parse(body)


def test_settings_that_are_spoken_of_exist() -> None:
    known: set[str] = set()
    with Composer(RunConfig) as composer:
        for world in ("fork_maze", "babyai", "own"):
            known |= set(flat(composer.values([f"env={world}"])))
    assert [setting for setting in SETTINGS if setting not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(((?!http)[^)#]+)(?:#[^)]*)?\)", PAGES[page]):
        assert (page.parent / link).exists(), link


def test_the_first_training_and_evaluation_work_as_printed(
    script: Callable[..., Any], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """Each printed command that trains runs with tiny sizes appended, then one evaluation of it."""
    trained: dict[str, Path] = {}
    for line in SCRIPT_LINES:
        given = dict(argument.split("=", 1) for argument in line[1:] if "=" in argument)
        if line[0] != "train.py" or "-m" in line or "run_dir" not in given or BROUGHT & set(given):
            continue
        folder = trained.setdefault(given["run_dir"], tmp_path / str(len(trained)))
        few = ["train.negatives_per_layout=8", "env.layouts=9"] if given["env"] == "babyai" else []
        few += ["data.environments=4", "data.environment_steps=2000"] if given.get("data") == "online" else []
        sizes = [one for one in tiny if given.get("env") != "babyai" or not one.startswith("env.")]
        done = script("train", *line[1:], *sizes, *few, f"run_dir={folder}")
        assert done.code == 0, done.err
    evaluated = 0
    for line in SCRIPT_LINES:
        given = dict(argument.split("=", 1) for argument in line[1:] if "=" in argument)
        if line[0] == "evaluate.py" and given.get("run_dir") in trained and "instruction" not in given:
            few = ["episodes=4", "rollouts=1", f"run_dir={trained[given['run_dir']]}"]
            done = script("evaluate", *line[1:], *few)
            assert done.code == 0, done.err
            evaluated += 1
    assert trained
    assert evaluated


def run_snippet(number: int, *changes: tuple[str, str]) -> dict[str, Any]:
    """Runs a block of the README with some of its text replaced; the names that it leaves."""
    body = [body for language, body in README_BLOCKS if language == "python"][number]
    for old, new in (*changes, ("pretrained/", f"{ROOT}/pretrained/")):
        assert old in body
        body = body.replace(old, new)
    names: dict[str, Any] = {"fulfilled": []}
    exec(compile(body, "README.md", "exec"), names)
    return names


def test_the_python_snippet_runs() -> None:
    """As printed, but for fewer environments and steps."""
    names = run_snippet(0, ("num_envs=256", "num_envs=4"), ("range(100)", "range(2)"))
    assert names["actions"].shape == (4, 2)
    assert names["posterior"].sum() == pytest.approx(1, abs=1e-4)


def test_the_snippet_of_babyai_follows_missions() -> None:
    """As printed: 30 steps in 16 rooms, whose missions take about five steps each."""
    step = 'vec.step(policy.act(obs["observation"], obs["instruction"]))'
    names = run_snippet(1, (step, f"{step}\n    fulfilled.append(int((reward > 0).sum()))"))
    assert sum(names["fulfilled"]) > 50


def test_the_snippet_on_compositions_says_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    run_snippet(2)
    words = capsys.readouterr().out.split()
    assert " ".join(words).startswith("any of (row 3; all of (the left half; not row 0))")
    assert words[-3:] == ["True", "False", "False"]
