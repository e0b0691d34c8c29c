"""Worlds that users bring: the file and the commands of docs/OWN_WORLD.md, as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from goalbridge.agents import Agent
from goalbridge.agents.storage import read_tensors
from goalbridge.experiments.agent.own_protocol import WORLDS, arguments, users_files
from goalbridge.worlds.gym.vector import survives_drawing

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "OWN_WORLD.md").read_text()
USERS_FILE = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)[0]
FROM_PYTHON = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)[1]
COMMANDS = [line for line in re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL)[0].splitlines() if "python" in line]
TRAINED = {Path(line.split("run_dir=")[1]).name: shlex.split(line)[2:] for line in COMMANDS if "train.py" in line}
SMALL = ("data.trajectories=30", "data.walk_length=20", "train.evaluation_episodes=3")


@pytest.fixture(autouse=True)
def my_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the user's own, which is the current one, and holds the file of the guide."""
    (tmp_path / "my_worlds.py").write_text(USERS_FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(gymnasium.registry)
    survives_drawing.cache_clear()  # names stay, worlds do not
    yield tmp_path
    sys.modules.pop("my_worlds", None)
    for name in set(gymnasium.registry) - before:
        del gymnasium.registry[name]


def test_the_users_file_is_short() -> None:
    assert len(USERS_FILE.splitlines()) < 60
    assert set(TRAINED) == {"lake", "pendulum", "dot"}


@pytest.mark.parametrize("name", TRAINED)
def test_trains_evaluates_and_can_be_watched(script: Any, tiny: tuple[str, ...], name: str) -> None:
    done = script("train", *TRAINED[name], *tiny, *SMALL)
    assert done.code == 0, done.err
    run = Path("runs") / name
    done = script("evaluate", f"run_dir={run}", "episodes=6", "rollouts=1")
    assert done.code == 0, done.err
    report = json.loads((run / "evaluation.json").read_text())
    assert report["env"] == TRAINED[name][1].removeprefix("env.id=")
    assert report["episodes"] == 6
    planned = {"planned"} if name != "dot" else set()  # there goals are no states
    assert set(report["estimators"]) == {"logsumexp", "direct", "max", "sample", "random"} | planned
    for found in (*report["estimators"].values(), *report["categories"]["captions"].values()):
        assert {"success", "steps"} <= set(found)
        assert found["success"]["low"] <= found["success"]["mean"] <= found["success"]["high"]
        assert found["steps"]["mean"] >= 1
    assert {"mass", "first_guess", "wrong_visits"} <= set(report["estimators"]["logsumexp"])
    animation = Image.open(run / "rollouts" / "logsumexp_0.gif")
    assert getattr(animation, "n_frames", 1) > 1
    logged = EventAccumulator(str(run))
    logged.Reload()
    assert {"evaluation/success", "evaluation/steps", "train/loss"} <= set(logged.Tags()["scalars"])
    assert {"rollout", "rollouts/logsumexp_0"} <= set(logged.Tags()["images"])


def test_the_same_seed_gives_the_same_run_and_the_same_figures(script: Any, tiny: tuple[str, ...]) -> None:
    for name in ("one", "other"):
        done = script("train", *TRAINED["lake"][:-1], f"run_dir={name}", *tiny, *SMALL)
        assert done.code == 0, done.err
    one, other = (read_tensors(Path(name) / "agent.safetensors")[0] for name in ("one", "other"))
    assert all(bool((one[key] == other[key]).all()) for key in one)
    reports = []
    for _ in range(2):
        assert script("evaluate", "run_dir=one", "episodes=5", "rollouts=0").code == 0
        reports.append(Path("one/evaluation.json").read_text())
    assert reports[0] == reports[1]
    resumed = script("train", *TRAINED["lake"][:-1], "run_dir=one", *tiny, *SMALL, "resume=true")
    assert resumed.code == 0
    assert "trained 12 steps" in resumed.out


def test_follows_the_users_own_words_and_works_from_python(script: Any, tiny_sentence: tuple[str, ...]) -> None:
    done = script("train", *TRAINED["lake"], *tiny_sentence, *SMALL)
    assert done.code == 0, done.err
    followed = script("evaluate", "run_dir=runs/lake", "instruction=row 2 or column 6", "rollouts=2")
    assert followed.code == 0, followed.err
    assert "'row 2 or column 6' is no caption: it is followed, but cannot be judged" in followed.out
    assert followed.out.count("from where row") == 2
    judged = script("evaluate", "run_dir=runs/lake", "instruction=row 1", "rollouts=1", "estimators=[planned]")
    assert re.search(r"in \d+ steps: (not )?there", judged.out), judged.out
    scope: dict[str, Any] = {}
    exec(FROM_PYTHON, scope)
    assert scope["observation"].shape == (4,)


def test_a_success_function_judges_in_place_of_the_captions(
    script: Any, tiny: tuple[str, ...], my_folder: Path
) -> None:
    with (my_folder / "my_worlds.py").open("a") as file:
        file.write("\n\ndef anywhere_else(goal, instruction):\n    return goal != 0\n")
    asks = ("env.success=my_worlds:anywhere_else", *tiny, *SMALL)
    assert script("train", *TRAINED["lake"], *asks).code == 0
    assert script("evaluate", "run_dir=runs/lake", "episodes=8", "rollouts=0", "estimators=[random]").code == 0
    assert json.loads(Path("runs/lake/evaluation.json").read_text())["estimators"]["random"]["success"]["mean"] == 1


def test_a_renderer_that_ends_the_process_costs_no_more_than_the_pictures(
    script: Any, tiny: tuple[str, ...], my_folder: Path
) -> None:
    """As MuJoCo's does in some places without a display."""
    fatal = USERS_FILE.replace('return self.look()["observation"]', "import os; os.abort()", 1)
    (my_folder / "my_worlds.py").write_text(fatal)
    with pytest.warns(UserWarning, match="env.id=my_worlds:Dot-v0: cannot be drawn on this machine"):
        done = script("train", *TRAINED["dot"], *tiny, *SMALL)
    assert done.code == 0, done.err
    assert not list(my_folder.rglob("*.gif"))


def test_a_policy_takes_what_the_environment_gives(script: Any, tiny: tuple[str, ...]) -> None:
    for name, words in (("dot", "row 3"), ("pendulum", "hanging down")):
        assert script("train", *TRAINED[name], *tiny, *SMALL).code == 0
        agent = Agent.from_pretrained(Path("runs") / name)
        world = gymnasium.make_vec(TRAINED[name][1].removeprefix("env.id="), num_envs=3)
        seen, _ = world.reset(seed=0)
        seen = seen["observation"] if isinstance(seen, dict) else seen
        actions = agent.policy().act(seen, [words] * 3)
        assert world.action_space.contains(actions.astype(world.action_space.dtype)), actions
        assert agent.policy().goal_posterior([words]).sum() == pytest.approx(1, abs=1e-4)
    assert agent.world.kind == "box"
    assert np.isfinite(agent.world.observation_high).all()


REFUSED = {
    "module": (("env.captions=nowhere:captions",), "env.captions=nowhere:captions: there is no module nowhere in "),
    "form": (("env.captions=my_worlds",), "env.captions=my_worlds: must be module:function, such as my_worlds:captio"),
    "function": (("env.captions=my_worlds:lakes",), "my_worlds has no function lakes; did you mean my_worlds:lake?"),
    "id's module": (("env.id=nowhere:Lake-v0",), "env.id=nowhere:Lake-v0: there is no module nowhere in "),
    "id": (
        ("env.id=my_worlds:Lak-v0",),
        "env.id=my_worlds:Lak-v0: my_worlds registers no Lak-v0; did you mean Lake-v0?",
    ),
    "no id": (("env.id=",), "env.id='': must be a Gymnasium id"),
    "no captions": (
        ("env.captions=",),
        "env.captions='': my_worlds:Lake-v0 is a world of your own, which needs",
    ),
    "no list": (
        ("env.captions=bad:text",),
        "env.captions=bad:text: expected a list of texts, empty where nothing can be said, got 'row 1' for the goal 0",
    ),
    "no texts": (
        ("env.captions=bad:numbers",),
        "env.captions=bad:numbers: expected a list of texts, empty where nothing can be said, got [1, 2] for the goal",
    ),
    "raises": (("env.captions=bad:raises",), "env.captions=bad:raises: raised KeyError: 'x' for the goal 0"),
    "success": (("env.success=bad:nothing",), "env.success=bad:nothing: bad has no function nothing"),
    "import": (("env.captions=broken:text",), "env.captions=broken:text: importing broken raised ZeroDivisionError"),
    "tuple": (
        ("env.id=bad:Tuple-v0",),
        "env.id=bad:Tuple-v0: observation space: expected Box, Discrete, MultiBinary, or a Dict with",
    ),
    "text": (("env.id=bad:Text-v0",), "MultiBinary, or a Dict with 'observation', got Text; try"),
    "dict": (("env.id=bad:Dict-v0",), "observation space: expected a Dict with 'observation', got one of ['a']"),
    "actions": (("env.id=bad:Actions-v0",), "env.id=bad:Actions-v0: action space: expected Discrete from 0 on or a b"),
    "unbounded": (("env.id=bad:Unbounded-v0",), "or a bounded Box, got Box(-inf, inf, (1,), float32)"),
    "made": (("env.id=bad:Never-v0",), "env.id=bad:Never-v0: cannot be made (OSError: no such thing)"),
    "expert": (("data=expert",), "data.kind=expert: must be one of random, minari"),
}
BAD = """
import gymnasium
from gymnasium import spaces

def text(goal): return "row 1"
def numbers(goal): return [1, 2]
def raises(goal): return {}["x"]
def silent(goal): return []
def always(goal): return ["somewhere"]

class World(gymnasium.Env):
    def __init__(self, observation=spaces.Discrete(3), action=spaces.Discrete(2)):
        self.observation_space, self.action_space = observation, action

def never():
    raise OSError("no such thing")

seen = {"Tuple": spaces.Tuple([spaces.Discrete(2)]), "Text": spaces.Text(5), "Dict": spaces.Dict(a=spaces.Discrete(2))}
for name, space in seen.items():
    gymnasium.register(f"{name}-v0", World, kwargs={"observation": space})
gymnasium.register("Actions-v0", World, kwargs={"action": spaces.MultiDiscrete([2, 2])})
gymnasium.register("Unbounded-v0", World, kwargs={"action": spaces.Box(-float("inf"), float("inf"), (1,))})
gymnasium.register("Never-v0", never)
"""


@pytest.fixture
def bad_module(my_folder: Path) -> Iterator[None]:
    """A module with every mistake that a user's may have."""
    (my_folder / "bad.py").write_text(BAD)
    (my_folder / "broken.py").write_text("1 / 0\n")
    yield
    sys.modules.pop("bad", None)


@pytest.mark.usefixtures("bad_module")
@pytest.mark.parametrize("case", REFUSED)
def test_refuses_in_one_line_before_anything_is_written(script: Any, tiny: tuple[str, ...], case: str) -> None:
    settings, words = REFUSED[case]
    refused = script("train", *TRAINED["lake"], *tiny, *SMALL, *settings).error
    assert words in refused
    assert not Path("runs/lake").exists()


@pytest.mark.usefixtures("bad_module")
def test_refuses_captions_that_say_nothing_or_hold_everywhere(script: Any, tiny: tuple[str, ...]) -> None:
    refused = script("train", *TRAINED["lake"], *tiny, *SMALL, "env.captions=bad:silent").error
    assert re.fullmatch(r"env.captions=bad:silent: says nothing of any of \d+ goals", refused)
    refused = script("train", *TRAINED["lake"][:-1], "run_dir=r", *tiny, *SMALL, "env.captions=bad:always").error
    assert "got only ones that hold wherever an episode begins" in refused


def test_evaluating_refuses_what_this_world_does_not_have(script: Any, tiny: tuple[str, ...], my_folder: Path) -> None:
    assert script("train", *TRAINED["dot"], *tiny, *SMALL).code == 0
    for setting, words in (
        ("suite=ambiguous", "suite=ambiguous: no such setting for agents of gym, only of maze"),
        ("levels=[GoTo]", "levels=[GoTo]: no such setting for agents of gym, only of babyai"),
        ("bridge_goals=9999", "bridge_goals=9999: expected at most the agent's 40"),
        ("estimators=[planned]", "planned: expected goals that are states, to go on from; try logsumexp"),
        ("estimators=[bot]", "estimators=bot: must be one of direct, "),
    ):
        assert words in script("evaluate", "run_dir=runs/dot", setting).error
    (my_folder / "my_worlds.py").unlink()
    sys.modules.pop("my_worlds")
    assert "there is no module my_worlds in " in script("evaluate", "run_dir=runs/dot").error


LEAST = {"lake": 0.75, "pendulum": 0.9, "dot": 0.9, "maze": 0.75}  # of success; a lake has cells that few ever reach


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_a_whole_training_beats_chance_and_is_no_worse_than_direct(
    script: Any, text_cache: Path, my_folder: Path, name: str
) -> None:
    if name == "maze":
        pytest.importorskip("gymnasium_robotics", reason="needs the extra 'robotics'")
        (my_folder / "robot_worlds.py").write_text(users_files()["robot_worlds.py"])
    quiet = (f"encoder.cache_dir={text_cache}", "train.evaluate_every=0")
    done = script("train", *arguments(name, 0), "run_dir=run", *quiet)
    assert done.code == 0, done.err
    asked = ("episodes=150", "seed=7500000", "rollouts=0", "estimators=[logsumexp,direct,random]")
    assert script("evaluate", "run_dir=run", *asked).code == 0
    found = json.loads(Path("run/evaluation.json").read_text())["estimators"]
    ours, direct, random = (found[one]["success"]["mean"] for one in ("logsumexp", "direct", "random"))
    assert ours > LEAST[name]
    assert ours >= max(direct, random) - 0.02
    # Random play stumbles on most captions sooner or later, but later.
    assert found["logsumexp"]["steps"]["high"] < found["random"]["steps"]["low"]
