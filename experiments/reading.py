"""How many files one must read to follow a training step, an act, an evaluation: `python -m experiments.reading`.

Counts the files of this package in which a function runs during each (by sys.setprofile), with a tiny agent in a maze.
A step is an iteration of train.py's loop that neither logs nor saves; an act is one decision for a batch whose texts
were met before; an evaluation is what evaluate.py does once its settings are read, without pictures.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
LIMITS: Final = {"one training step": 5, "one act": 6, "one evaluation": 12}
TINY: Final = (
    *("env=fork_maze", "data.trajectories=50", "data.labelled_goals=50", "train.batch_size=16", "agent.width=16"),
    *("train.steps=4", "train.log_every=100", "train.evaluate_every=0", "agent.depth=2", "agent.bridge_goals=40"),
)


class Reading:
    """The files of this package in which a function ran while it was on, by their paths in the package."""

    def __init__(self) -> None:
        self._codes: dict[Any, None] = {}

    def start(self) -> None:
        self._codes = {}
        sys.setprofile(self._note)

    def stop(self) -> set[str]:
        sys.setprofile(None)
        found = set()
        for code in self._codes:
            path = Path(code.co_filename).resolve()
            written = code.co_name != "<module>" and path.is_file()  # no import, and nothing made by dataclasses
            if written and path.is_relative_to(ROOT) and path != Path(__file__).resolve():
                relative = path.relative_to(ROOT)
                if relative.parts[0][0] != ".":  # a virtual environment in the repository
                    found.add(str(relative))
        return found

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            self._codes[frame.f_code] = None


def training_step(folder: Path) -> set[str]:
    """Trains a tiny agent in `folder`; the files of its second step, from the end of the first update on."""
    from goalbridge.agents.learner import Learner
    from goalbridge.train import command

    reading, update, found = Reading(), Learner.update, set[str]()

    def traced(learner: Learner, *arguments: Any, **named: Any) -> Any:
        result = update(learner, *arguments, **named)
        if learner.step == 1:
            reading.start()
        elif learner.step == 2:
            found.update(reading.stop())
        return result

    Learner.update = traced  # type: ignore[method-assign, assignment]
    try:
        with _typed("train.py", *TINY, f"run_dir={folder}"):
            command()
    finally:
        Learner.update = update  # type: ignore[method-assign]
    return found


def act(folder: Path) -> set[str]:
    """The files of a decision of the agent in `folder`."""
    import gymnasium

    from goalbridge.agents import Agent

    policy = Agent.from_pretrained(folder).policy()
    observation, _ = gymnasium.make_vec("goalbridge/ForkMaze-v0", num_envs=4).reset(seed=0)
    given = observation["observation"], observation["instruction"]
    policy.act(*given)  # whose texts are encoded now
    reading = Reading()
    reading.start()
    policy.act(*given)
    return reading.stop()


def evaluation(folder: Path) -> set[str]:
    """The files of an evaluation of the agent in `folder`."""
    from goalbridge.configs.evaluation import EvaluateConfig
    from goalbridge.evaluate import main as evaluate

    reading = Reading()
    config = EvaluateConfig(run_dir=str(folder), episodes=4, rollouts=0, estimators=("logsumexp",))
    reading.start()
    evaluate(config)
    return reading.stop()


def measure() -> dict[str, set[str]]:
    """The files of each."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        with contextlib.redirect_stdout(sys.stderr):
            return {
                "one training step": training_step(folder),
                "one act": act(folder),
                "one evaluation": evaluation(folder),
            }


@contextlib.contextmanager
def _typed(*arguments: str) -> Iterator[None]:
    """As if this had been typed."""
    before = sys.argv
    sys.argv = list(arguments)
    try:
        yield
    finally:
        sys.argv = before


def main() -> None:
    """Prints the three numbers and their files."""
    for what, files in measure().items():
        print(f"{what}: {len(files)} files (at most {LIMITS[what]}): {', '.join(sorted(files))}")


if __name__ == "__main__":
    main()
