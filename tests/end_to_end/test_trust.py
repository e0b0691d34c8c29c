"""A folder that came from elsewhere runs no code, by any entry, unless the person at the terminal says so."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goalbridge.agents import Agent
from goalbridge.agents.storage import read_json, write_json
from goalbridge.encoders.text._base import TextModelError
from goalbridge.tests.end_to_end.runs import ROOT
from goalbridge.training import export

EVIL = "import pathlib\npathlib.Path({witness!r}).touch()\n"
PAYLOAD = (
    EVIL
    + """
import gymnasium
gymnasium.register("Evil-v0", gymnasium.envs.registration.registry["CartPole-v1"].entry_point)

def captions(goal):
    return ["anywhere"]
"""
)


@pytest.fixture
def evil(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run folder in the current one, with a module in it and one beside it; `witness` appears if either is run."""
    witness = tmp_path / "witness"
    folder = Path(shutil.copytree(finished, tmp_path / "runs" / "evil"))
    for place in (tmp_path / "payload.py", folder / "payload.py"):
        place.write_text(PAYLOAD.format(witness=str(witness)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield folder
    for name in [name for name in sys.modules if name == "payload" or name.startswith("runs")]:
        del sys.modules[name]


def set_world(folder: Path, **env: str) -> None:
    """Lets the saved settings name a world of somebody's own."""
    config = read_json(folder / "config.json")
    config["env"] = {"world": "gym", "id": "CartPole-v1", "captions": "payload:captions"} | env
    config["data"]["kind"] = "random"
    write_json(folder / "config.json", config)


NAMED = {
    "captions": {"captions": "payload:captions"},
    "captions inside": {"captions": "runs.evil.payload:captions"},
    "id": {"id": "payload:Evil-v0"},
    "success": {"success": "payload:captions"},
}


@pytest.mark.parametrize("case", NAMED)
def test_settings_that_name_code_are_refused_by_every_entry(script: Any, evil: Path, case: str) -> None:
    set_world(evil, **NAMED[case])
    for arguments in (("rollouts=0",), ("instruction=anywhere", "rollouts=0")):
        error = script("evaluate", f"run_dir={evil}", *arguments).error
        assert "names code that would be run; if you trust it, add trust_remote_code=true" in error
    assert "none of 1 can be evaluated" in script("evaluate", "run_dir=runs/*").error
    assert export.main([f"run_dir={evil}"]) == 2
    Agent.from_pretrained(evil)
    assert not Path("witness").exists()


def test_a_module_inside_the_folder_is_never_imported(script: Any, evil: Path) -> None:
    set_world(evil, captions="runs.evil.payload:captions")
    error = script("evaluate", f"run_dir={evil}", "trust_remote_code=true").error
    assert "got runs.evil.payload:captions, which lies in that folder; move it out once you have read it" in error
    assert not Path("witness").exists()


def test_consent_is_not_given_by_the_folder(script: Any, evil: Path) -> None:
    set_world(evil)
    config = read_json(evil / "config.json")
    assert config["encoder"]["trust_remote_code"] is False
    write_json(evil / "config.json", config | {"encoder": config["encoder"] | {"trust_remote_code": True}})
    assert "add trust_remote_code=true" in script("evaluate", f"run_dir={evil}").error
    assert not Path("witness").exists()
    assert "trained in goalbridge/ForkMaze-v0" in script("evaluate", f"run_dir={evil}", "trust_remote_code=true").error
    assert Path("witness").exists()  # this time it was asked for


def test_a_text_model_that_an_agent_names_brings_no_code(evil: Path) -> None:
    model = evil / "model"
    model.mkdir()
    (model / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "payload.Module"}]))
    (model / "model.safetensors").write_bytes(b"")
    shipped = Path(shutil.copytree(ROOT / "pretrained" / "fork_maze", evil / "shipped"))
    description = read_json(shipped / "agent.json")
    write_json(shipped / "agent.json", description | {"text": description["text"] | {"text_model": str(model)}})
    agent = Agent.from_pretrained(shipped)
    with pytest.raises(TextModelError, match="whose code would be run; if you trust it, add trust_remote_code=true"):
        agent.policy().understand("words that no cache holds")
    assert not Path("witness").exists()
