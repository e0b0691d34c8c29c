"""BabyAI's navigation levels as single Gymnasium environments."""

import copy
import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai.levels import LEVELS, LevelError
from goalbridge.envs.babyai.navigation import Navigation, make_navigation
from goalbridge.envs.babyai.simulator import BOX, DOOR, MINIGRID_ACTIONS

MIXED = ("GoToLocal", "GoToObjDoor", "GoToObjMazeS4R2", "GoTo", "FourRooms", "GoToSeqS5R2")
RANDOM_PLAY = (0.2, 0.2, 0.4, 0.2)
VIEWS = pytest.mark.parametrize("view", ["full", "partial"])


def make(name: str, **kwargs: Any) -> Any:
    """A level as users make it."""
    return gymnasium.make(LEVELS[name].id, **kwargs)


def raw_level(name: str) -> Any:
    """minigrid's own environment."""
    return gymnasium.make(LEVELS[name].minigrid_id, disable_env_checker=True).unwrapped


@VIEWS
@pytest.mark.parametrize("name", LEVELS)
def test_gymnasium_accepts_it_and_its_spec(name: str, view: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = make(name, view=view)
        again = gymnasium.make(env.spec)
        assert data_equivalence(env.reset(seed=0), again.reset(seed=0), exact=True)
        for action in range(4):
            env.step(action)
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")
        alone = make_navigation(name, view)
        alone.unwrapped.spec = env.unwrapped.spec
        check_env(alone, skip_render_check=True)


@pytest.mark.parametrize("name", LEVELS)
def test_minigrid_is_unmodified_underneath(name: str) -> None:
    env, theirs = make(name), raw_level(name)
    assert type(env.unwrapped) is type(theirs)
    theirs.reset(seed=5)
    env.reset(seed=5)
    assert env.unwrapped.hash() == theirs.hash()
    assert "gen_obs" not in vars(env.unwrapped)
    for action in (0, 2, 3, 2, 1):
        env.step(action)
        theirs.step(MINIGRID_ACTIONS[action])
    np.testing.assert_array_equal(env.unwrapped.gen_obs()["image"], theirs.gen_obs()["image"])


def test_the_view_is_left_out_during_our_own_calls_only(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_navigation("GoToLocal")
    raw: Any = env.unwrapped
    real, calls = type(raw).gen_obs, []

    def counted(self: Any) -> Any:
        calls.append(1)
        return real(self)

    def broken(action: Any) -> bool:
        raise RuntimeError(action)

    monkeypatch.setattr(type(raw), "gen_obs", counted)
    env.reset(seed=0)
    env.step(0)
    assert not calls
    raw.step(0)
    assert len(calls) == 1
    monkeypatch.setattr(raw.instrs, "verify", broken)
    with pytest.raises(RuntimeError):
        env.step(0)
    assert "gen_obs" not in vars(raw)
    raw.gen_obs = "somebody's own"
    monkeypatch.undo()
    env.step(0)
    assert vars(raw)["gen_obs"] == "somebody's own"


@VIEWS
@pytest.mark.parametrize("name", [name for name in MIXED if name != "FourRooms"])
def test_missions_rewards_and_ends_are_minigrids(name: str, view: str) -> None:
    env, theirs = make(name, view=view), raw_level(name)
    rng, successes = np.random.default_rng(1), 0
    for seed in range(4):
        (observation, info), (expected, _) = env.reset(seed=seed), theirs.reset(seed=seed)
        assert info == {"is_success": False}
        done = False
        while not done:
            assert observation["instruction"] == expected["mission"]
            np.testing.assert_array_equal(observation["observation"]["pose"], [*theirs.agent_pos, theirs.agent_dir])
            action = rng.choice(4, p=RANDOM_PLAY)
            observation, *ours, info = env.step(action)
            expected, *wanted, _ = theirs.step(MINIGRID_ACTIONS[action])
            assert ours == wanted
            assert info == {"is_success": wanted[0] > 0}
            done = ours[1] or ours[2]
        successes += info["is_success"]
    assert successes or name != "GoToLocal"


@pytest.mark.parametrize("name", MIXED)
def test_the_grid_is_minigrids_encoding_throughout(name: str) -> None:
    env = make(name)
    raw, rng = env.unwrapped, np.random.default_rng(2)
    seen, before, ended = {DOOR: 0, BOX: 0}, np.zeros(()), True
    for step in range(2500):
        begins = ended
        if begins:
            observation, _ = env.reset(seed=step)
            ended = False
        else:
            observation, _, terminated, truncated, _ = env.step(rng.choice(4, p=RANDOM_PLAY))
            ended = terminated or truncated
        grid = observation["observation"]["grid"]
        np.testing.assert_array_equal(grid, raw.grid.encode())
        assert observation in env.observation_space
        goal = [*raw.agent_pos, raw.agent_dir, raw.width, raw.height, *grid[tuple(raw.front_pos)][:2]]
        np.testing.assert_array_equal(observation["achieved_goal"], goal)
        for kind in () if begins else seen:
            seen[kind] += (before[(grid != before).any(axis=-1)][:, 0] == kind).any()
        before = grid
    assert seen[BOX] or name in ("FourRooms", "GoToObjMazeS4R2")  # in the latter, to face the only object is the end
    assert seen[DOOR] or name in ("FourRooms", "GoToLocal")


def test_steps_that_somebody_else_takes_are_noticed() -> None:
    env = make("GoToLocal")
    env.reset(seed=0)
    raw, rng = env.unwrapped, np.random.default_rng(0)
    for _ in range(400):
        raw.step(rng.integers(7))  # picks things up and drops them, too
        observation, *_ = env.step(0)
        np.testing.assert_array_equal(observation["observation"]["grid"], raw.grid.encode())


@pytest.mark.parametrize("name", ["GoToSeq", "GoToRedBlueBall"])
def test_resets_are_silent(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for env, heard in ((make(name), False), (raw_level(name), True)):
        for seed in range(12):
            env.reset(seed=seed)
        assert ("Sampling rejected" in capsys.readouterr().out) == heard


def test_the_longest_missions_fit_their_space() -> None:
    env = make("GoToSeqS5R2")
    space = env.observation_space["instruction"]
    missions = [env.reset(seed=seed)[0]["instruction"] for seed in range(300)]
    assert all(mission in space for mission in missions)
    assert all(any(joint in mission for mission in missions) for joint in (" after you ", ", then "))
    assert max(len(mission) for mission in missions) > 80
    assert " after you ".join(["go to a yellow door and go to a purple ball"] * 2) in space
    assert env.observation_space.sample() in env.observation_space


@pytest.mark.parametrize("name", ["GoToLocal", "FourRooms"])
def test_the_same_seed_gives_the_same_episodes(name: str) -> None:
    def play(seed: int) -> list[Any]:
        env, rng = make(name), np.random.default_rng(0)
        seen: list[Any] = [env.reset(seed=seed)]
        for _ in range(150):
            seen.append(env.step(rng.integers(4)))
            if seen[-1][2] or seen[-1][3]:
                seen.append(env.reset())
        return seen

    assert data_equivalence(play(7), play(7), exact=True)
    assert not data_equivalence(play(7), play(8), exact=True)


@VIEWS
def test_copies_go_on_alike_and_apart(view: str) -> None:
    env = make_navigation("GoToObjMazeS4R2", view)
    env.reset(seed=1)
    others, kept = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))], env.observe()
    for action in (3, 2, 0, 3, 2, 2, 1, 3):
        outcome = env.step(action)
        assert all(data_equivalence(other.step(action), outcome, exact=True) for other in others)
    assert data_equivalence(kept, make_navigation("GoToObjMazeS4R2", view).reset(seed=1)[0], exact=True)


def test_bad_input_is_refused_and_minigrid_draws() -> None:
    env = make_navigation("GoToLocal", render_mode="rgb_array")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    frame = env.render()
    assert isinstance(frame, np.ndarray)
    assert frame.dtype == np.uint8
    assert frame.shape == (8 * 24, 8 * 24, 3)
    for bad in (4, -1, 1.5, np.zeros(2, dtype=np.int64), None):
        with pytest.raises(ValueError, match=r"^action: expected 0"):
            env.step(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^options: expected none, got 'position'$"):
        env.reset(options={"position": (1, 1)})
    with pytest.raises(ValueError, match=r"^view: expected full or partial, got 'above'$"):
        make("GoToLocal", view="above")
    with pytest.raises(ValueError, match=r"^render_mode: .*got 'ansi'$"):
        make("GoToLocal", render_mode="ansi")
    with pytest.raises(LevelError, match="expected a navigation level, got 'GoToImpUnlock'"):
        Navigation("GoToImpUnlock")
