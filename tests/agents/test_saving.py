"""Saved agents and checkpoints: the same afterwards, whole or absent, no pickle, and one line for what is damaged."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalbridge.agents import Agent, CheckpointError
from goalbridge.agents.storage import read_json, read_tensors, write_json, write_tensors
from goalbridge.configs.durable import write_atomically
from goalbridge.encoders import SentenceEncoder, TextModelError

STATES = np.random.default_rng(0).uniform(1, 9, size=(40, 2)).astype(np.float32)
TEXTS = ["row 3", "column 4"] * 20


@pytest.fixture
def saved(make_agent: Callable[..., Agent], tmp_path: Path) -> Path:
    """A folder with an agent in it."""
    make_agent().save_pretrained(tmp_path / "agent")
    return tmp_path / "agent"


def refusal(folder: Path) -> str:
    """What `from_pretrained` says, in one line."""
    with pytest.raises(CheckpointError) as caught:
        Agent.from_pretrained(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["logsumexp", "direct", "max", "sample"])
def test_a_loaded_agent_acts_as_the_saved_one(make_agent: Callable[..., Agent], saved: Path, name: str) -> None:
    before, after = make_agent(), Agent.from_pretrained(saved)
    for key, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[key]), key
    scores = [agent.policy(name, seed=1).scores(STATES, TEXTS) for agent in (before, after)]
    assert torch.equal(*scores)
    actions = [agent.policy(name, seed=1).act(STATES, TEXTS) for agent in (before, after)]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert len(np.unique(actions[0], axis=0)) > 1
    assert after.description() == before.description()
    assert not after.training


def test_a_folder_holds_json_and_safetensors_and_nothing_else(saved: Path) -> None:
    assert sorted(os.listdir(saved)) == ["agent.json", "agent.safetensors"]
    content = (saved / "agent.safetensors").read_bytes()
    assert content[0] != 0x80  # where a pickle begins
    assert not content.startswith(b"PK")  # a zip, which torch.save makes
    header = int.from_bytes(content[:8], "little")
    assert "critic_ab.log_scale" in json.loads(content[8 : 8 + header])
    assert json.loads((saved / "agent.json").read_text())["format"] == 2


@pytest.mark.parametrize("critic", ["dot", "cosine"])
def test_an_agent_saved_before_there_were_grids(make_agent: Callable[..., Agent], saved: Path, critic: str) -> None:
    """Settings that it does not name are as they were then: one kind of critic, one goal tower, two hidden layers."""
    before = make_agent(critic=critic)
    before.save_pretrained(saved)
    description = before.description() | {"format": 1}
    del description["has_goal_posterior"]
    for name in ("language_critic", "text_depth", "text_dropout", "rotary", "language_in_actions"):
        del description["agent"][name]
    for name in ("kind", "discrete"):
        del description["world"][name]
    for name in ("hop_share", "hop_discount", "max_iterations"):
        del description["policy"][name]
    write_json(saved / "agent.json", description)
    after = Agent.from_pretrained(saved)
    assert after.critic_ab.kind == after.critic_bc.kind == critic
    for name in ("logsumexp", "direct"):
        assert torch.equal(*(agent.policy(name).scores(STATES, TEXTS) for agent in (before, after)))


def test_saving_again_replaces_and_each_pair_may_have_a_critic_of_its_own(
    make_agent: Callable[..., Agent], saved: Path
) -> None:
    make_agent(critic="dot", language_critic="cosine").save_pretrained(saved)
    agent = Agent.from_pretrained(saved)
    assert (agent.critic_ab.kind, agent.critic_bc.kind) == ("dot", "cosine")


@pytest.mark.parametrize("name", ["agent.json", "agent.safetensors"])
def test_missing_files(saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert f"{name}: there is no such file; train with" in refusal(saved)
    shutil.rmtree(saved)
    assert "there is no such file" in refusal(saved)


@pytest.mark.parametrize("name", ["agent.json", "agent.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.05, 0.5, 0.999])
def test_truncated_files(saved: Path, name: str, share: float) -> None:
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(share * len(content))])
    assert "cannot be read" in refusal(saved) or "damaged" in refusal(saved)


def test_garbage(saved: Path) -> None:
    (saved / "agent.safetensors").write_bytes(bytes(range(256)) * 40)
    assert "is damaged or no safetensors file" in refusal(saved)
    (saved / "agent.json").write_bytes(b"\xff\xfe\x00")
    assert "agent.json: cannot be read" in refusal(saved)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["goal_encoder.tower.0.weight", "critic_bc.log_scale", "bridge_goals"])
def test_weights_that_are_no_numbers(saved: Path, name: str, value: float) -> None:
    tensors, _ = read_tensors(saved / "agent.safetensors")
    tensors[name].view(-1)[0] = value
    write_tensors(saved / "agent.safetensors", tensors)
    assert f"tensor {name} holds NaN or infinity" in refusal(saved)


def change_json(folder: Path, **changes: Any) -> None:
    description = json.loads((folder / "agent.json").read_text())
    write_json(folder / "agent.json", description | changes)


def test_another_format(saved: Path) -> None:
    change_json(saved, format=99)
    assert "agent.json: expected format 1 or 2, got 99" in refusal(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"world": {}},
        {"world": []},
        {"world": None},
        {"agent": {"frequencies": []}},
        {"agent": {"frequencies": [1.0], "critic": "nearest"}},
        {"agent": {"frequencies": [1.0], "stranger": 1}},
        {"policy": {"name": "oracle"}},
        {"text": {"kind": "label"}},
        {"text": {}},
    ],
)
def test_descriptions_that_do_not_fit(saved: Path, changes: dict[str, Any]) -> None:
    change_json(saved, **changes)
    assert "do not fit together or this version" in refusal(saved)


@pytest.mark.parametrize("content", ["[]", "{}", "3", "null", '"text"'])
def test_json_that_is_no_description(saved: Path, content: str) -> None:
    (saved / "agent.json").write_text(content)
    assert "do not fit together" in refusal(saved)


def test_weights_of_another_network(make_agent: Callable[..., Agent], saved: Path, tmp_path: Path) -> None:
    make_agent(width=17).save_pretrained(tmp_path / "wider")
    shutil.copy(tmp_path / "wider" / "agent.safetensors", saved)
    assert "size mismatch" in refusal(saved)
    tensors, _ = read_tensors(saved / "agent.safetensors")
    del tensors["execution"]
    write_tensors(saved / "agent.safetensors", tensors)
    assert "execution" in refusal(saved)


def test_execution_that_is_no_probability(saved: Path) -> None:
    tensors, _ = read_tensors(saved / "agent.safetensors")
    tensors["execution"] *= 2
    write_tensors(saved / "agent.safetensors", tensors)
    assert "probabilities" in refusal(saved)


def test_an_agent_that_reads_another_text_model(make_agent: Callable[..., Agent], saved: Path) -> None:
    """The text encoder's own complaint is passed on as it is."""
    make_agent(SentenceEncoder("/no/such/folder", fingerprint="x", dim=6)).save_pretrained(saved)
    agent = Agent.from_pretrained(saved)  # nothing is read yet
    with pytest.raises(TextModelError, match="there is no such folder"):
        agent.policy().act(STATES[:1], ["go to row 3"])


def test_a_name_that_is_neither_folder_nor_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(CheckpointError, match="is no folder here and could not be fetched from the hub") as caught:
        Agent.from_pretrained("somebody/agent")
    assert "\n" not in str(caught.value)


def test_an_agent_from_the_hub(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: str(saved))
    assert Agent.from_pretrained("somebody/agent").world.env_id == "goalbridge/ForkMaze-v0"


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_is_cut_short_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, failure: BaseException
) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"old": 1})

    def fail(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(failure)):
        write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1}
    monkeypatch.undo()
    write_json(path, {"new": 2})
    assert read_json(path) == {"new": 2}
    assert os.listdir(tmp_path) == ["file.json"]


def test_what_is_written_is_on_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(name)
            return real(*arguments)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    write_atomically(tmp_path / "new" / "file", b"content")
    assert calls == ["fsync", "fsync", "replace", "fsync"]  # the folder, the file, its name
    assert (tmp_path / "new" / "file").read_bytes() == b"content"


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6).reshape(2, 3).T, "b": torch.randn(2), "c": torch.tensor(True)}
    write_tensors(tmp_path / "t", tensors, {"step": 3, "run": {"env": "ünï"}})
    read, metadata = read_tensors(tmp_path / "t")
    assert metadata == {"step": 3, "run": {"env": "ünï"}}
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor)
        assert read[name].dtype == tensor.dtype
