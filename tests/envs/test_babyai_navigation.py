"""BabyAI's levels: minigrid's own underneath, what is seen of them, and FourRooms' commands."""

import warnings
from collections import Counter
from itertools import groupby
from typing import Any
from unittest.mock import Mock

import gymnasium
import minigrid
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from minigrid.core.actions import Actions
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai import simulator
from goalbridge.envs.babyai.four_rooms import EVALUATION_TEMPLATES, ROOMS, room_at
from goalbridge.envs.babyai.levels import LEVELS, LevelError, level
from goalbridge.envs.babyai.navigation import make_navigation
from goalbridge.envs.babyai.phrasing import COLOURS, FIRST_TYPE, TYPES
from goalbridge.envs.babyai.simulator import ACTIONS, MINIGRID_ACTIONS

MIXED = ("GoToLocal", "GoToObjDoor", "GoToObjMazeS4R2", "GoTo", "FourRooms", "GoToSeqS5R2")


def make(name: str, **kwargs: Any) -> Any:
    """A level as users make it."""
    return gymnasium.make(LEVELS[name].id, **kwargs)


def raw_level(name: str) -> Any:
    """minigrid's own environment."""
    return gymnasium.make(LEVELS[name].minigrid_id, disable_env_checker=True).unwrapped


def test_our_numbers_are_minigrids() -> None:
    for theirs in (OBJECT_TO_IDX, STATE_TO_IDX):
        assert {name: getattr(simulator, name.upper()) for name in theirs} == theirs
    assert {colour: number for number, colour in enumerate(COLOURS)} == COLOR_TO_IDX
    assert [OBJECT_TO_IDX[kind] - FIRST_TYPE for kind in TYPES] == [0, 1, 2, 3]
    assert tuple(int(Actions[name]) for name in ACTIONS) == MINIGRID_ACTIONS


@pytest.mark.parametrize("name", LEVELS)
def test_minigrid_is_unmodified_underneath(name: str) -> None:
    env, theirs, known = make(name), raw_level(name), LEVELS[name]
    assert type(env.unwrapped) is type(theirs)
    for one in (env, theirs):
        one.reset(seed=5)
    assert (known.name, known.width, known.height) == (name, theirs.width, theirs.height)
    assert env.unwrapped.hash() == theirs.hash()
    assert "gen_obs" not in vars(env.unwrapped)
    for action in (0, 2, 3, 2, 1):
        env.step(action)
        theirs.step(MINIGRID_ACTIONS[action])
    np.testing.assert_array_equal(env.unwrapped.gen_obs()["image"], theirs.gen_obs()["image"])


def test_no_level_about_going_somewhere_is_left_out_and_each_is_known_by_every_name() -> None:
    theirs = {name for name in gymnasium.registry if name.startswith("BabyAI-GoTo")} - {"BabyAI-GoToImpUnlock-v0"}
    assert {known.minigrid_id for known in LEVELS.values()} == theirs | {"MiniGrid-FourRooms-v0"}
    families = [family for family, _ in groupby(known.family for known in LEVELS.values())]
    assert families == ["room", "doors", "maze", "four_rooms", "sequence"]
    for name, known in LEVELS.items():
        assert level(name) is level(known.minigrid_id) is level(known.id) is known
    assert level("goalbridge/BabyAI-GoToObjS6-v0").minigrid_id == "BabyAI-GoToObjS6-v1"
    assert level("goalbridge/BabyAI-FourRooms-v0").minigrid_id == "MiniGrid-FourRooms-v0"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GoToLocla", "GoToLocal"),
        ("gotoseq", "GoToSeq"),
        ("BabyAI-GoToObjMazeS8-v0", r"GoToObjMazeS\d"),
        ("MiniGrid-FourRoom-v0", "FourRooms"),
        ("goalbridge/BabyAI-GoToDor-v0", "GoToDoor"),
        ("BabyAI-GoToLocal-v7", "GoToLocal"),
        ("GoToImpUnlock", r"\w+"),
        ("BabyAI-PickupLoc-v0", r"\w+"),
        ("", r"\w+"),
    ],
)
def test_other_levels_are_refused_with_the_nearest_first(name: str, meant: str) -> None:
    with pytest.raises(LevelError, match=f"^level: expected .*, got {name!r}; try one of {meant}, ") as caught:
        level(name)
    assert "\n" not in str(caught.value)
    assert sorted(str(caught.value).split("; try one of ")[1].split(", ")) == sorted(LEVELS)


@pytest.mark.parametrize("version", ["3.3.0", "3.20.1", "3.1.0", "4.0.0", "3.2.0", "3.2.17", "3.2"])
def test_an_untested_minigrid_is_warned_of_once(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minigrid, "__version__", version)
    for build in (lambda: make("GoToLocal"), lambda: gymnasium.make_vec(LEVELS["GoToLocal"].id, num_envs=3)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            build()
        start = f"minigrid: expected version 3.2.x, got {version}; "
        assert [str(one.message).startswith(start) for one in caught] == [True] * (version.split(".")[:2] != ["3", "2"])


def test_the_view_is_left_out_during_our_own_calls_only(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_navigation("GoToLocal")
    raw: Any = env.unwrapped
    counted = Mock(return_value={})
    monkeypatch.setattr(type(raw), "gen_obs", counted)
    env.reset(seed=0)
    env.step(0)
    counted.assert_not_called()
    raw.step(0)
    counted.assert_called_once()
    monkeypatch.setattr(raw.instrs, "verify", Mock(side_effect=RuntimeError))
    with pytest.raises(RuntimeError):
        env.step(0)
    assert "gen_obs" not in vars(raw)
    raw.gen_obs = "somebody's own"
    monkeypatch.undo()
    env.step(0)
    assert vars(raw)["gen_obs"] == "somebody's own"


def visible(raw: Any) -> NDArray[np.bool_]:
    """Bool [W, H]: the cells that minigrid shows now, asked one by one; the agent's own among them."""
    _, mask = raw.gen_obs_grid()
    shown = np.zeros((raw.width, raw.height), dtype=np.bool_)
    for x, y in np.ndindex(shown.shape):
        at = raw.relative_coords(x, y)
        shown[x, y] = at is not None and mask[at]
    return shown


@pytest.mark.parametrize("view", ["full", "partial"])
@pytest.mark.parametrize("name", MIXED)
def test_episodes_are_minigrids_and_the_grid_is_what_was_seen(name: str, view: str) -> None:
    """Side by side with minigrid's own: missions, rewards, ends, poses, what is in front, and the whole grid or map."""
    env, theirs, rng = make(name, view=view), raw_level(name), np.random.default_rng(1)
    known = np.zeros((theirs.width, theirs.height, 3), dtype=np.uint8)
    met, done, before = Counter[str](), True, known
    for step in range(360 if view == "partial" else 1200):
        begins = done or (view == "partial" and step % 120 == 0)  # well before the limits of the large levels, too
        action = rng.choice(4, p=(0.15, 0.15, 0.45, 0.25))
        if begins:
            (observation, info), (expected, _) = env.reset(seed=step), theirs.reset(seed=step)
            assert info == {"is_success": False}
            known[:], done = 0, False
        else:
            observation, reward, terminated, truncated, info = env.step(action)
            expected, *wanted = theirs.step(MINIGRID_ACTIONS[action])[:4]
            assert info == {"is_success": reward > 0}
            if name == "FourRooms":  # has commands of our own
                assert truncated == wanted[2]
            else:
                assert [reward, terminated, truncated] == wanted
            done = terminated or truncated
            met["success"] += reward > 0
        assert observation["instruction"] == expected["mission"] or name == "FourRooms"
        truth, shown = theirs.grid.encode(), visible(theirs) if view == "partial" else np.ones(known.shape[:2], bool)
        known[shown] = truth[shown]
        grid = observation["observation"]["grid"]
        np.testing.assert_array_equal(grid, known)
        pose = [*theirs.agent_pos, theirs.agent_dir]
        np.testing.assert_array_equal(observation["observation"]["pose"], pose)
        facing = truth[tuple(theirs.front_pos)][:2]
        np.testing.assert_array_equal(observation["achieved_goal"], [*pose, theirs.width, theirs.height, *facing])
        met["reset"] += begins
        met["hidden"] += (known[..., 0] == 0).any()
        met["remembered"] += ((known[..., 0] != 0) & ~shown).any()
        met["stood in a door"] += truth[tuple(theirs.agent_pos)][0] == simulator.DOOR
        for kind in (simulator.DOOR, simulator.BOX):
            met[f"changed {kind}"] += not begins and (before[(grid != before).any(axis=-1)][:, 0] == kind).any()
        before = grid
    assert met["reset"] >= 2
    if view == "partial":
        assert met["remembered"]
        assert met["hidden"] or name == "GoToLocal"
        assert met["stood in a door"] or name not in ("GoToObjMazeS4R2", "GoToSeqS5R2")
    else:  # in GoToObjMazeS4R2, to face the only object is the end
        assert met[f"changed {simulator.BOX}"] or name in ("FourRooms", "GoToObjMazeS4R2")
        assert met[f"changed {simulator.DOOR}"] or name in ("FourRooms", "GoToLocal")
        assert met["success"] or name != "GoToLocal"


def test_steps_that_somebody_else_takes_are_noticed() -> None:
    env, rng = make("GoToLocal"), np.random.default_rng(0)
    env.reset(seed=0)
    raw = env.unwrapped
    for _ in range(400):
        raw.step(rng.integers(7))  # picks things up and drops them, too
        observation, *_ = env.step(0)
        np.testing.assert_array_equal(observation["observation"]["grid"], raw.grid.encode())


@pytest.mark.parametrize("name", ["GoToSeq", "GoToRedBlueBall"])
def test_resets_are_silent(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    env, theirs = make(name), raw_level(name)
    for one, heard in ((env, False), (theirs, True)):
        for seed in range(12):
            one.reset(seed=seed)
        assert ("Sampling rejected" in capsys.readouterr().out) is heard


def test_the_longest_missions_fit_their_space() -> None:
    env = make("GoToSeqS5R2")
    space = env.observation_space["instruction"]
    missions = [env.reset(seed=seed)[0]["instruction"] for seed in range(300)]
    assert all(mission in space for mission in missions)
    assert any(" after you " in mission for mission in missions)
    assert any(", then " in mission for mission in missions)
    assert " after you ".join(["go to a yellow door and go to a purple ball"] * 2) in space
    assert env.observation_space.sample() in env.observation_space


@pytest.mark.parametrize("view", ["full", "partial"])
def test_what_was_observed_stays_as_it_was(view: str) -> None:
    env = make_navigation("GoToObjMazeS4R2", view)
    kept = [env.reset(seed=1)[0], env.observe()]
    for action in (3, 2, 0, 3, 2, 2, 1, 3):
        env.step(action)
    assert data_equivalence(kept[0], kept[1], exact=True)
    assert data_equivalence(kept[0], env.reset(seed=1)[0], exact=True)


def test_what_is_out_of_view_stays_as_it_was_last_seen() -> None:
    env = make_navigation("GoToRedBall", view="partial")
    raw: Any = env.unwrapped
    env.reset(seed=0)
    behind = np.zeros((0, 2), dtype=int)
    while not len(behind):  # turn until something that was in view is behind the agent
        known = env.step(0)[0]["observation"]["grid"][..., 0] >= 5
        behind = np.argwhere(known & ~visible(raw))
    x, y = behind[0]
    kept = env.grid[x, y].copy()
    raw.grid.set(x, y, None)
    env.step(0)
    while not visible(raw)[x, y]:
        np.testing.assert_array_equal(env.grid[x, y], kept)
        env.step(0)
    np.testing.assert_array_equal(env.grid[x, y], (1, 0, 0))


def test_what_the_agent_carries_is_not_taken_for_the_ground() -> None:
    env = make_navigation("GoToLocal", view="partial")
    env.reset(seed=0)
    raw: Any = env.unwrapped
    while raw.carrying is None:
        raw.step(int(np.random.default_rng(raw.step_count).choice([0, 1, 2, 2])))
        raw.step(3)  # somebody else picks up what the agent happens to face
    env.step(0)
    np.testing.assert_array_equal(env.grid[tuple(raw.agent_pos)], (1, 0, 0))


# FourRooms


def four_rooms(room: str) -> Any:
    """An episode whose command is that room."""
    env = make_navigation("FourRooms")
    for seed in range(100):
        env.reset(seed=seed)
        if room in env.mission:
            return env
    raise AssertionError(room)


def put(env: Any, x: int, y: int, direction: int = 0) -> None:
    env.unwrapped.agent_pos, env.unwrapped.agent_dir = (x, y), direction


def test_rooms_are_what_lies_inside_the_walls() -> None:
    grid, inside = four_rooms("top left").grid, Counter[str]()
    for x, y in np.ndindex(19, 19):
        room = room_at(x, y)
        assert (room is None) == bool({x, y} & {0, 9, 18})
        if room is not None:
            inside[room] += 1
            assert room == f"{'bottom' if y > 9 else 'top'} {'right' if x > 9 else 'left'}"
            assert grid[x, y, 0] in (1, 8)
    assert inside == dict.fromkeys(ROOMS, 64)


def test_commands_ask_for_another_room_in_every_wording() -> None:
    env = make_navigation("FourRooms")
    asked = set[tuple[str, str]]()
    from_doorways = False
    for seed in range(400):
        observation, _ = env.reset(seed=seed)
        here = room_at(*observation["observation"]["pose"][:2].tolist())
        (room,) = (room for room in ROOMS if room in env.mission)
        (template,) = (t for t in EVALUATION_TEMPLATES if t.format(room=room) == env.mission)
        assert room != here
        asked.add((room, template))
        from_doorways |= here is None
    assert len(asked) == len(ROOMS) * len(EVALUATION_TEMPLATES)
    assert from_doorways


@pytest.mark.parametrize("room", ROOMS)
def test_being_in_the_room_ends_the_episode(room: str) -> None:
    env = four_rooms(room)
    free = {name: (14 if "right" in name else 4, 14 if "bottom" in name else 4) for name in ROOMS}
    for other in ROOMS:
        if other != room:
            put(env, *free[other])
            assert env.step(0)[1:4] == (0.0, False, False)
    put(env, *free[room])
    _, reward, *flags = env.step(1)
    assert reward == pytest.approx(1 - 0.9 * 4 / env.unwrapped.max_steps)
    assert flags == [True, False, {"is_success": True}]


def test_the_doorway_is_not_yet_the_room() -> None:
    env = four_rooms("top right")
    grid = env.unwrapped.grid
    gap = next(y for y in range(1, 9) if grid.get(9, y) is None)
    grid.set(10, gap, None)
    put(env, 8, gap)
    assert env.step(2)[1:3] == (0.0, False)
    assert tuple(env.unwrapped.agent_pos) == (9, gap)
    assert env.step(2)[2]


def test_the_green_square_is_scenery() -> None:
    env: Any = make_navigation("FourRooms")
    crossed = 0
    for seed in range(40):
        env.reset(seed=seed)
        x, y = np.argwhere(env.grid[..., 0] == OBJECT_TO_IDX["goal"])[0].tolist()
        if room_at(x, y) is None or room_at(x, y) in env.mission or room_at(x - 1, y) is None:
            continue
        put(env, x - 1, y)
        observation, *outcome = env.step(2)
        np.testing.assert_array_equal(observation["observation"]["pose"][:2], [x, y])
        assert outcome == [0.0, False, False, {"is_success": False}]
        crossed += 1
    assert crossed > 5
