"""Every file operation of every command is where a kill, or a loss of power, may fall: nothing comes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIOS = ("train", "online", "minari", "files", "evaluate", "export")


@pytest.mark.slow
@pytest.mark.parametrize("loses", ["nothing", "content", "names"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_command_that_is_ended_anywhere_goes_on_to_the_same(
    script_environment: dict[str, str], tmp_path: Path, scenario: str, loses: str
) -> None:
    program = Path(__file__).with_name("kills.py")
    command = [sys.executable, str(program), scenario, str(tmp_path), loses]
    done = subprocess.run(command, env=script_environment, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["operations"] > 10
    assert found["differed"] == {}
