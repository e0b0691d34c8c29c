"""Times the training command of every maze and of BabyAI on one core: `python -m experiments.agent.timing`.

Each is the whole command as a user types it: imports, collecting, encoding captions, learning, evaluating, saving.
Writes results/training_time.json.
"""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path

from goalbridge.agents.storage import write_json
from goalbridge.configs.run_folder import record
from goalbridge.experiments.agent.protocol import MAZES, RESULTS, train


def main() -> None:
    """Trains seed 0 of every world in a temporary folder."""
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for maze in (*MAZES, "babyai"):
            seconds[maze] = train(maze, 0, Path(folder) / maze)
            print(f"{maze}: {seconds[maze]:.0f} s", flush=True)
    result = {
        "command": "python -m experiments.agent.timing",
        "platform": platform.platform(),
        "seconds": seconds,
    }
    write_json(RESULTS / "training_time.json", result | {"git_commit": record()["git_commit"]})


if __name__ == "__main__":
    main()
