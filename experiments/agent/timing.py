"""Times the training command of every maze and of BabyAI on one core: `python -m experiments.agent.timing`.

Each is the whole command as a user types it: imports, collecting, encoding captions, learning, evaluating, saving.
Writes results/training_time.json.
"""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path

from goalbridge.experiments.agent.measuring import MAZES, header, timed, train_command, write


def main() -> None:
    """Trains seed 0 of every world in a temporary folder."""
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for env in (*MAZES, "babyai"):
            seconds[env] = timed(train_command(env, 0, Path(folder) / env))["seconds"]
            print(f"{env}: {seconds[env]:.0f} s", flush=True)
    write("training_time", header("timing", seeds=(0,)) | {"platform": platform.platform(), "seconds": seconds})


if __name__ == "__main__":
    main()
