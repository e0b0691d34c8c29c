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

from goalbridge.agents import Agent
from goalbridge.experiments.agent.own_protocol import WORLDS, arguments, users_files
from goalbridge.tests.end_to_end.runs import ROOT, events, same_training

GUIDE = (ROOT / "docs" / "OWN_WORLD.md").read_text()
USERS_FILE = users_files()["my_worlds.py"]
FROM_PYTHON = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)[1]
COMMANDS = re.findall(r"^python train.py (.*) run_dir=runs/(\w+)$", GUIDE, re.MULTILINE)
TRAINED = {name: shlex.split(settings) for settings, name in COMMANDS}
TRUSTED = "trust_remote_code=true"  # whoever brings a world trusts it
SMALL = ("data.trajectories=30", "data.walk_length=20", "train.evaluation_episodes=3")

pytestmark = pytest.mark.usefixtures("users_folder")


def id_of(name: str) -> str:
    return TRAINED[name][1].removeprefix("env.id=")


def test_the_users_file_is_short() -> None:
    assert len(USERS_FILE.splitlines()) < 60
    assert set(TRAINED) == {"lake", "pendulum", "dot"}


@pytest.mark.parametrize("name", TRAINED)
def test_trains_evaluates_can_be_watched_and_acts(script: Any, trained: Any, tiny: tuple[str, ...], name: str) -> None:
    run = trained(name, *TRAINED[name], *tiny, *SMALL)
    done = script("evaluate", f"run_dir={run}", TRUSTED, "episodes=6", "rollouts=1")
    assert done.code == 0, done.err
    report = json.loads((run / "evaluation.json").read_text())
    assert (report["env"], report["episodes"]) == (id_of(name), 6)
    planned = {"planned"} if name != "dot" else set()  # there goals are no states
    assert set(report["estimators"]) == {"logsumexp", "direct", "max", "sample", "random"} | planned
    for found in (*report["estimators"].values(), *report["categories"]["captions"].values()):
        assert found["success"]["low"] <= found["success"]["mean"] <= found["success"]["high"]
        assert found["steps"]["mean"] >= 1
    with Image.open(run / "rollouts" / "logsumexp_0.gif") as animation:
        assert getattr(animation, "n_frames", 1) > 1
    logged = events(run).Tags()
    assert {"evaluation/success", "evaluation/steps", "train/loss"} <= set(logged["scalars"])
    assert {"rollout", "rollouts/logsumexp_0"} <= set(logged["images"])
    policy, world = Agent.from_pretrained(run).policy(), gymnasium.make_vec(id_of(name), num_envs=3)
    seen, _ = world.reset(seed=0)
    words = {"lake": "row 3", "dot": "row 3", "pendulum": "hanging down"}[name]
    actions = policy.act(seen["observation"] if isinstance(seen, dict) else seen, [words] * 3)
    assert world.action_space.contains(actions.astype(world.action_space.dtype)), actions
    assert policy.goal_posterior([words]).sum() == pytest.approx(1, abs=1e-4)
    if name == "pendulum":
        assert policy.agent.world.kind == "box"
        assert np.isfinite(policy.agent.world.observation_high).all()


def test_the_same_seed_gives_the_same_run_and_the_same_figures(
    script: Any, trained: Any, tiny: tuple[str, ...]
) -> None:
    settings = (*TRAINED["lake"], *tiny, *SMALL)
    assert script("train", *settings, "run_dir=other").code == 0
    one = trained("lake", *settings)
    same_training(one, Path("other"))
    reports = []
    for run in (one, "other"):
        assert script("evaluate", f"run_dir={run}", TRUSTED, "episodes=5", "rollouts=0").code == 0
        reports.append((Path(run) / "evaluation.json").read_text())
    assert reports[0] == reports[1]
    resumed = script("train", *settings, "run_dir=other", "resume=true")
    assert resumed.code == 0
    assert "trained 12 steps" in resumed.out


def test_follows_the_users_own_words_and_works_from_python(script: Any, tiny_sentence: tuple[str, ...]) -> None:
    done = script("train", *TRAINED["lake"], *tiny_sentence, *SMALL, "run_dir=runs/lake")
    assert done.code == 0, done.err
    followed = script("evaluate", "run_dir=runs/lake", TRUSTED, "instruction=row 2 or column 6", "rollouts=2")
    assert followed.code == 0, followed.err
    assert "'row 2 or column 6' is no caption: it is followed, but cannot be judged" in followed.out
    assert followed.out.count("from where row") == 2
    judged = script("evaluate", "run_dir=runs/lake", TRUSTED, "instruction=row 1", "rollouts=1", "estimators=[planned]")
    assert re.search(r"in \d+ steps: (not )?there", judged.out), judged.out
    scope: dict[str, Any] = {}
    exec(FROM_PYTHON, scope)
    assert scope["observation"].shape == (4,)


def test_a_success_function_judges_in_place_of_the_captions(script: Any, tiny: tuple[str, ...]) -> None:
    with Path("my_worlds.py").open("a") as file:
        file.write("\n\ndef anywhere_else(goal, instruction):\n    return goal != 0\n")
    asks = ("env.success=my_worlds:anywhere_else", *tiny, *SMALL, "run_dir=lake")
    assert script("train", *TRAINED["lake"], *asks).code == 0
    assert script("evaluate", "run_dir=lake", TRUSTED, "episodes=8", "rollouts=0", "estimators=[random]").code == 0
    assert json.loads(Path("lake/evaluation.json").read_text())["estimators"]["random"]["success"]["mean"] == 1


def test_a_renderer_that_ends_the_process_costs_no_more_than_the_pictures(script: Any, tiny: tuple[str, ...]) -> None:
    """As MuJoCo's does in some places without a display."""
    fatal = USERS_FILE.replace('return self.look()["observation"]', "import os; os.abort()", 1)
    Path("my_worlds.py").write_text(fatal)
    with pytest.warns(UserWarning, match="env.id=my_worlds:Dot-v0: cannot be drawn on this machine"):
        done = script("train", *TRAINED["dot"], *tiny, *SMALL, "run_dir=dot")
    assert done.code == 0, done.err
    assert not list(Path().rglob("*.gif"))


REFUSED = {
    "env.captions=nowhere:captions": "env.captions=nowhere:captions: there is no module nowhere in ",
    "env.captions=my_worlds": "env.captions=my_worlds: must be module:function, such as my_worlds:captio",
    "env.captions=my_worlds:lakes": "my_worlds has no function lakes; did you mean my_worlds:lake?",
    "env.id=nowhere:Lake-v0": "env.id=nowhere:Lake-v0: there is no module nowhere in ",
    "env.id=my_worlds:Lak-v0": "env.id=my_worlds:Lak-v0: my_worlds registers no Lak-v0; did you mean Lake-v0?",
    "env.id=": "env.id='': must be a Gymnasium id",
    "env.captions=": "env.captions='': my_worlds:Lake-v0 is a world of your own, which needs",
    "env.captions=bad:text": "expected a list of at most 10000 texts, empty where nothing can be said, got 'row 1'",
    "env.captions=bad:numbers": "expected a list of at most 10000 texts, empty where nothing can be said, got [1, 2]",
    "env.captions=bad:raises": "env.captions=bad:raises: raised KeyError: 'x' for the goal 0",
    "env.captions=bad:silent": "env.captions=bad:silent: says nothing of any of ",
    "env.captions=bad:always": "got only ones that hold wherever an episode begins",
    "env.success=bad:nothing": "env.success=bad:nothing: bad has no function nothing",
    "env.captions=broken:text": "env.captions=broken:text: importing broken raised ZeroDivisionError",
    "env.id=bad:Tuple-v0": "observation space: expected Box, Discrete, MultiBinary, MultiDiscrete, or a Dict",
    "env.id=bad:Text-v0": "observation space: expected Box, Discrete, MultiBinary, MultiDiscrete, or a Dict",
    "env.id=bad:Dict-v0": "observation space: expected a Dict with 'observation', got one of ['a']",
    "env.id=bad:Actions-v0": "action space: expected Discrete from 0 on or a bounded Box, got MultiDiscrete([2 2])",
    "env.id=bad:Unbounded-v0": "expected Discrete from 0 on or a bounded Box, got Box(-inf, inf, (1,), float32)",
    "env.id=bad:Never-v0": "env.id=bad:Never-v0: raised OSError: no such thing as it was made",
    "data=expert": "data.kind=expert: must be one of random, minari",
}
KNOWN_LATE = ("env.captions=bad:silent", "env.captions=bad:always")  # once there are data
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
def bad_module(users_folder: Path) -> Iterator[None]:
    """A module with every mistake that a user's may have."""
    (users_folder / "bad.py").write_text(BAD)
    (users_folder / "broken.py").write_text("1 / 0\n")
    yield
    sys.modules.pop("bad", None)


@pytest.mark.usefixtures("bad_module")
@pytest.mark.parametrize("setting", REFUSED)
def test_refuses_in_one_line_before_anything_is_written(script: Any, tiny: tuple[str, ...], setting: str) -> None:
    refused = script("train", *TRAINED["lake"], *tiny, *SMALL, setting, "run_dir=run").error
    assert REFUSED[setting] in refused
    assert Path("run").exists() == (setting in KNOWN_LATE)


def test_evaluating_refuses_what_this_world_does_not_have(script: Any, trained: Any, tiny: tuple[str, ...]) -> None:
    run = trained("dot", *TRAINED["dot"], *tiny, *SMALL)
    for setting, words in (
        ("suite=ambiguous", "suite=ambiguous: no such setting for agents of gym, only of maze"),
        ("levels=[GoTo]", "levels=[GoTo]: no such setting for agents of gym, only of babyai"),
        ("bridge_goals=9999", "bridge_goals=9999: expected at most the agent's 40"),
        ("estimators=[planned]", "planned: expected goals that are states, to go on from; try logsumexp"),
        ("estimators=[bot]", "estimators=bot: must be one of direct, "),
    ):
        assert words in script("evaluate", f"run_dir={run}", TRUSTED, setting).error
    Path("my_worlds.py").unlink()
    sys.modules.pop("my_worlds")
    assert "there is no module my_worlds in " in script("evaluate", f"run_dir={run}", TRUSTED).error


LEAST = {"lake": 0.75, "pendulum": 0.9, "dot": 0.9, "maze": 0.75}  # of success; a lake has cells that few ever reach


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_a_whole_training_beats_chance_and_is_no_worse_than_direct(script: Any, text_cache: Path, name: str) -> None:
    if name == "maze":
        pytest.importorskip("gymnasium_robotics", reason="needs the extra 'robotics'")
    quiet = (f"encoder.cache_dir={text_cache}", "train.evaluate_every=0")
    done = script("train", *arguments(name, 0), "run_dir=run", *quiet)
    assert done.code == 0, done.err
    asked = ("episodes=150", "seed=7500000", "rollouts=0", "estimators=[logsumexp,direct,random]")
    assert script("evaluate", "run_dir=run", TRUSTED, *asked).code == 0
    found = json.loads(Path("run/evaluation.json").read_text())["estimators"]
    ours, direct, random = (found[one]["success"]["mean"] for one in ("logsumexp", "direct", "random"))
    assert ours > LEAST[name]
    assert ours >= max(direct, random) - 0.02
    # Random play stumbles on most captions sooner or later, but later.
    assert found["logsumexp"]["steps"]["high"] < found["random"]["steps"]["low"]


FAILING = """
import gymnasium
from gymnasium import spaces

class World(gymnasium.Env):
    observation_space, action_space = spaces.Box(0, 1, (2,)), spaces.Discrete(2)
    steps = 0

    def __init__(self, error):
        self.error = error

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.random(2, dtype="float32"), {}

    def step(self, action):
        World.steps += 1
        if World.steps > 150:
            raise self.error
        return self.np_random.random(2, dtype="float32"), 0.0, False, False, {}

errors = {"Lost": ConnectionError("simulator lost"), "Memory": MemoryError(), "Key": KeyError("door")}
for name, error in errors.items():
    gymnasium.register(f"{name}-v0", World, kwargs={"error": error})

def text(goal):
    return ["left" if goal[0] < 0.5 else "right"]

def sometimes(goal):
    assert goal[0] < 0.9, "too far"
    return text(goal)

def many(goal):
    return ["left"] * 10**6
"""


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (("env.id=failing:Lost-v0",), "env.id=failing:Lost-v0: raised ConnectionError: simulator lost in step "),
        (("env.id=failing:Memory-v0",), "env.id=failing:Memory-v0: raised MemoryError: in step "),
        (("env.id=failing:Key-v0",), "env.id=failing:Key-v0: raised KeyError: 'door' in step "),
        (
            ("env.captions=failing:sometimes",),
            "env.captions=failing:sometimes: raised AssertionError: too far for the goal",
        ),
        (
            ("env.captions=failing:many",),
            "expected a list of at most 10000 texts, empty where nothing can be said, got a list",
        ),
    ],
)
def test_users_code_that_fails_in_mid_run_is_named(
    script: Any, tiny: tuple[str, ...], users_folder: Path, settings: tuple[str, ...], says: str
) -> None:
    (users_folder / "failing.py").write_text(FAILING)
    own = ("env=own", "env.id=failing:Lost-v0", "env.captions=failing:text", *tiny, *SMALL, "run_dir=run")
    error = script("train", *own, *settings).error
    assert says in error
    assert not list(Path().glob("run/**/*.partial"))
    sys.modules.pop("failing")
