"""What a command says of commands is what the person can type."""

from __future__ import annotations

import sys

import pytest

from goalbridge.configs.command import as_called

TEXT = """python train.py env=fork_maze
python evaluate.py run_dir=runs/fork
torchrun --nproc-per-node 2 train.py env=fork_maze"""
INSTALLED = """goalbridge-train env=fork_maze
goalbridge-evaluate run_dir=runs/fork
torchrun --nproc-per-node 2 -m goalbridge.train env=fork_maze"""


@pytest.mark.parametrize(
    ("called", "expected"), [("/bin/goalbridge-train", INSTALLED), ("train.py", TEXT), ("/x/evaluate.py", TEXT)]
)
def test_commands_are_those_of_who_called(monkeypatch: pytest.MonkeyPatch, called: str, expected: str) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    assert as_called(TEXT) == expected
