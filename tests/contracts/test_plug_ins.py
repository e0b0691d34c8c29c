"""What others add by one file each, in a package of their own, is used from the command line as ours is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

OBJECTIVE = """
    from goalbridge.agents.objectives import Objective
    from goalbridge.configs.registries import objectives

    @objectives.register("words_alone")
    class WordsAlone(Objective):
        has_goal_posterior = False

        def __call__(self, batch, detailed=True):
            a = self.encode_state_actions(batch)[:, 0]
            b = self.agent.encode_meanings(batch.caption_goals)
            c = self.agent.encode_language(self.text_features(batch.captions))
            loss, info = self.contrast(self.agent.critic_bc, b, c, batch.duplicates, detailed)
            loss = loss + 0 * a.sum()
            return loss, info | {"loss": loss.detach()}
"""
TEXT_ENCODER = """
    import numpy as np
    from goalbridge.configs.registries import text_encoders
    from goalbridge.encoders.text import TextEncoder, check_instruction

    @text_encoders.register("bag_of_letters")
    class BagOfLetters(TextEncoder):
        fingerprint, dim = "letters", 26

        @classmethod
        def from_config(cls, config, cache_path, labels):
            return cls()

        @classmethod
        def from_description(cls, description, folder):
            return cls()

        def encode(self, texts):
            for text in texts:
                check_instruction(text)
            return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32)
"""
ENTRY_POINTS = """
    [goalbridge.objectives]
    words_alone = their_objective:WordsAlone
    [goalbridge.text_encoders]
    bag_of_letters = their_text_encoder:BagOfLetters
"""


@pytest.fixture
def installed(tmp_path: Path, script_environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process that has the package installed."""
    package = tmp_path / "site"
    about = package / "theirs-1.0.dist-info"
    about.mkdir(parents=True)
    (package / "their_objective.py").write_text(dedent(OBJECTIVE))
    (package / "their_text_encoder.py").write_text(dedent(TEXT_ENCODER))
    (about / "entry_points.txt").write_text(dedent(ENTRY_POINTS))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    path = [str(package), *filter(None, [script_environment.get("PYTHONPATH")])]
    return {**script_environment, "PYTHONPATH": ":".join(path)}


def test_an_objective_and_a_text_encoder_are_trained_and_evaluated(
    installed: dict[str, str], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"goalbridge.{name}", f"run_dir={tmp_path / 'run'}", *arguments]
        return subprocess.run(command, env=installed, cwd=tmp_path, capture_output=True, text=True, check=False)

    theirs = ("train.objective=words_alone", "encoder.kind=bag_of_letters")
    trained = run("train", *tiny[1:], *theirs)
    assert trained.returncode == 0, trained.stderr
    saved = json.loads((tmp_path / "run" / "agent.json").read_text())
    assert (saved["text"], saved["has_goal_posterior"]) == ({"kind": "bag_of_letters"}, False)
    evaluated = run("evaluate", "episodes=4", "rollouts=0", "estimators=[logsumexp,random]")
    assert evaluated.returncode == 0, evaluated.stderr
    told = run("evaluate", "instruction=go to row 3", "rollouts=0")
    assert told.returncode == 0, told.stderr
    mistyped = run("train", "encoder.kind=bag_of_leters", "train.steps=1")
    assert (mistyped.returncode, "did you mean bag_of_letters?" in mistyped.stderr) == (2, True)
