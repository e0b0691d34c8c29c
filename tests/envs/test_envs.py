"""Every registered environment, alone and in batches: what Gymnasium asks for, and the same numbers either way."""

import copy
import pickle
import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.common import OrderEnforcing, PassiveEnvChecker, TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai.levels import LEVELS, LevelError
from goalbridge.envs.layouts import LayoutError
from goalbridge.envs.vector import row_of

TINY = [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
FORK, ISLAND, POINT, *OTHERS = (
    f"goalbridge/{name}Maze-v0" for name in ("Fork", "Island", "Point", "Blank", "Slit", "Blocker")
)
MAZES: dict[str, dict[str, Any]] = {POINT: {"layout": TINY}, **{name: {} for name in (FORK, ISLAND, *OTHERS)}}
LOCAL = LEVELS["GoToLocal"].id
EACH = [(ISLAND, {}), (LEVELS["GoToObjMazeS4R2"].id, {}), (LEVELS["GoToLocalS5N2"].id, {"view": "partial"})]
Kwargs = dict[str, Any]


def make(name: str, **kwargs: Any) -> Any:
    """A single environment, whose own attributes the tests may read."""
    return gymnasium.make(name, **kwargs)


def make_vec(name: str, **kwargs: Any) -> Any:
    """A batch of them."""
    return gymnasium.make_vec(name, **kwargs)


def singles(name: str, size: int, mode: AutoresetMode = AutoresetMode.NEXT_STEP, **kwargs: Any) -> SyncVectorEnv:
    """Gymnasium's own batch of single environments."""
    return SyncVectorEnv([lambda: make(name, **kwargs)] * size, autoreset_mode=mode)


def actions(env: Any, rng: np.random.Generator, size: int = 1) -> NDArray[Any]:
    """One for each of a batch, mostly forwards."""
    if "Maze-v0" in env.spec.id:
        return rng.normal([0.0, 0.3], 1.0, size=(size, 2)).astype(np.float32)
    return rng.choice(4, size=size, p=[0.2, 0.2, 0.5, 0.1])


def play(env: Any, steps: int, seed: int = 7) -> list[Any]:
    """All that a single environment gives in a few episodes."""
    rng = np.random.default_rng(3)
    seen: list[Any] = [env.reset(seed=seed)]
    for _ in range(steps):
        seen.append(env.step(actions(env, rng)[0]))
        if seen[-1][2] or seen[-1][3]:
            seen.append(env.reset())
    return seen


def test_the_promised_ids_are_registered() -> None:
    assert {*MAZES, *(level.id for level in LEVELS.values())} == {
        name for name in gymnasium.registry if name.startswith("goalbridge/")
    }


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("", ("scipy", "PIL", "networkx", "minigrid", "pygame", "torch", "matplotlib")),
        ("envs.vector", ("scipy", "PIL", "torch")),
        ("envs.babyai.vector, goalbridge.envs.babyai.captions", ("scipy", "PIL", "networkx", "minigrid", "pygame")),
        ("envs.babyai.layouts", ("scipy.ndimage", "networkx", "minigrid", "pygame")),
        ("envs.suite, goalbridge.envs.optimal", ("scipy.ndimage", "scipy.special", "PIL")),
    ],
)
def test_libraries_are_loaded_where_they_are_used(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, goalbridge.{module or 'envs'}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [*MAZES.items(), *((level.id, {"view": view}) for level in LEVELS.values() for view in ("full", "partial"))],
)
def test_gymnasium_accepts_it(name: str, kwargs: Kwargs) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = make(name, **kwargs)
        env.reset(seed=0)
        for _ in range(4):
            assert env.step(env.action_space.sample())[0] in env.observation_space
        assert make_vec(name, num_envs=2, **kwargs).metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")
        alone = env
        while isinstance(alone, OrderEnforcing | PassiveEnvChecker | TimeLimit):
            alone = alone.env
        check_env(alone, skip_render_check=True)


@pytest.mark.parametrize(("name", "kwargs"), [*MAZES.items(), *EACH, (LEVELS["FourRooms"].id, {})])
def test_a_seed_and_a_spec_give_the_same_episodes(name: str, kwargs: Kwargs) -> None:
    env = make(name, **kwargs)
    first = play(env, 150)
    assert data_equivalence(first, play(gymnasium.make(env.spec), 150), exact=True)
    assert not data_equivalence(first, play(env, 150, seed=8), exact=True)


NEXT, SAME, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED


@pytest.mark.parametrize(
    ("name", "kwargs", "mode"),
    [(name, kwargs, mode) for name, kwargs in MAZES.items() for mode in AutoresetMode]
    + [(FORK, {"max_episode_steps": 130}, mode) for mode in AutoresetMode]  # more steps than noise is drawn at once
    + [
        (LEVELS[name].id, {"view": view}, mode)
        for view, names in {
            "full": ("GoToLocal", "GoToObjMazeS4R2", "GoToSeqS5R2", "FourRooms"),
            "partial": ("GoToLocalS5N2", "FourRooms"),
        }.items()
        for name in names
        for mode in (NEXT, SAME)
    ],
)
def test_the_batch_is_bit_for_bit_the_single_environments(name: str, kwargs: Kwargs, mode: AutoresetMode) -> None:
    """Through several episodes each, with autoresets and truncations; what was given before stays as it was."""
    batch, theirs, rng = make_vec(name, num_envs=4, autoreset_mode=mode, **kwargs), None, np.random.default_rng(0)
    theirs = singles(name, 4, mode, **kwargs)
    assert batch.observation_space == theirs.observation_space
    assert batch.action_space == theirs.action_space
    given = [batch.reset(seed=11)]
    assert data_equivalence(given[0], theirs.reset(seed=11), exact=True)
    copies, ends = [copy.deepcopy(given[0])], np.zeros(2, dtype=int)
    for _ in range(220 if name in MAZES else 350):
        chosen = actions(batch, rng, 4)
        given.append(batch.step(chosen))
        assert data_equivalence(given[-1], theirs.step(chosen), exact=True)
        done = given[-1][2] | given[-1][3]
        ends += [given[-1][2].sum(), given[-1][3].sum()]
        copies.append(copy.deepcopy(given[-1]))
        if mode == DISABLED and done.any():
            again, same = (env.reset(options={"reset_mask": done.copy()}) for env in (batch, theirs))
            assert data_equivalence(again, same, exact=True)
    assert data_equivalence(given, copies, exact=True)
    assert ends.sum() >= 4
    assert ends.min() >= 1 or name in MAZES or "GoToLocal-v0" not in name
    assert ends[1] >= 1 or not kwargs.get("max_episode_steps")


@pytest.mark.parametrize(("name", "kwargs"), EACH)
def test_seeds_can_be_listed_and_resets_partial(name: str, kwargs: Kwargs) -> None:
    batch, theirs = make_vec(name, num_envs=3, **kwargs), singles(name, 3, **kwargs)
    first = batch.reset(seed=[5, 6, 7])
    assert data_equivalence(first, theirs.reset(seed=[5, 6, 7]), exact=True)
    chosen, mask = actions(batch, np.random.default_rng(0), 3), np.array([True, False, True])
    options = {"reset_mask": mask}
    seeds: tuple[Any, ...] = (None, [5, 9, 9])
    for seed in seeds:
        assert data_equivalence(batch.step(chosen), theirs.step(chosen), exact=True)
        ours = batch.reset(seed=seed, options=options)
        assert data_equivalence(ours, theirs.reset(seed=seed, options={"reset_mask": mask.copy()}), exact=True)
        assert ours[1]["_is_success"].tolist() == mask.tolist()
    assert list(options) == ["reset_mask"]
    assert ours[1]["_is_success"] is not mask
    assert ours[0]["instruction"][0] == first[0]["instruction"][0]


@pytest.mark.parametrize(("name", "kwargs"), EACH)
def test_copies_and_pickles_go_on_alike(name: str, kwargs: Kwargs) -> None:
    batch, env = make_vec(name, num_envs=2, **kwargs), make(name, **kwargs)
    for world, size in ((batch, 2), (env, 1)):
        world.reset(seed=1)
        twins, rng = [copy.deepcopy(world), pickle.loads(pickle.dumps(world))], np.random.default_rng(0)
        for _ in range(40):
            chosen = actions(world, rng, size)
            chosen = chosen if size > 1 else chosen[0]
            outcome = world.step(chosen)
            assert all(data_equivalence(twin.step(chosen), outcome, exact=True) for twin in twins)
            if size == 1 and (outcome[2] or outcome[3]):
                break


@pytest.mark.parametrize(("name", "kwargs"), EACH)
def test_gymnasiums_wrappers_and_processes_take_it(name: str, kwargs: Kwargs) -> None:
    batch, rng = RecordEpisodeStatistics(make_vec(name, num_envs=4, **kwargs)), np.random.default_rng(0)
    batch.reset(seed=0)
    assert any("episode" in batch.step(actions(batch, rng, 4))[4] for _ in range(150))
    processes = AsyncVectorEnv([lambda: make(name, **kwargs)] * 2, context="fork")
    ours = make_vec(name, num_envs=2, **kwargs)
    try:
        for seed in (0, 3):  # other texts in the same shared memory
            assert data_equivalence(processes.reset(seed=seed), ours.reset(seed=seed), exact=True)
        chosen = actions(ours, rng, 2)
        assert data_equivalence(processes.step(chosen), ours.step(chosen), exact=True)
    finally:
        processes.close()


@pytest.mark.parametrize("name", [ISLAND, LOCAL])
def test_batches_draw_what_single_ones_draw(name: str) -> None:
    assert name == LOCAL or make(name).unwrapped.render() is None
    assert make_vec(name, num_envs=1).render() is None
    env, batch = make(name, render_mode="rgb_array"), make_vec(name, num_envs=2, render_mode="rgb_array")
    assert batch.render() is None
    env.reset(seed=4)
    batch.reset(seed=4)
    chosen = actions(batch, np.random.default_rng(0), 2)
    env.step(chosen[0])
    batch.step(chosen)
    frame, (first, second) = env.render(), batch.render()
    assert (frame.dtype, frame.ndim) == (np.uint8, 3)
    np.testing.assert_array_equal(frame, first)
    assert (first != second).any()
    batch.close()


@pytest.mark.filterwarnings("ignore:.*render_mode='ansi'")
@pytest.mark.parametrize(
    ("name", "kwargs", "error", "says"),
    [
        (POINT, {"layout": [[0, 1]]}, LayoutError, "expected a free cell with another row or column in reach"),
        (POINT, {"layout": "froke"}, LayoutError, "did you mean 'fork'"),
        (POINT, {"layout": "fork", "action_noise_degrees": -1.0}, ValueError, "action_noise_degrees: .*-1.0"),
        (POINT, {"layout": "fork", "phrasings": "test"}, ValueError, "phrasings: .*'test'"),
        (LOCAL, {"view": "above"}, ValueError, "view: expected full or partial, got 'above'"),
        (LOCAL, {"level": "GoToSomewhere"}, LevelError, "got 'GoToSomewhere'"),
        (LOCAL, {"render_mode": "ansi"}, ValueError, "render_mode: .*'ansi'"),
        (FORK, {"render_mode": "ansi"}, ValueError, "render_mode: .*'ansi'"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(name: str, kwargs: Kwargs, error: type[Exception], says: str) -> None:
    for build in (make, make_vec):
        with pytest.raises(error, match=says) as caught:
            build(name, **kwargs)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [FORK, LOCAL])
def test_bad_arguments_of_a_batch(name: str) -> None:
    wrong: dict[str, Any] = {"num_envs": 0, "render_mode": "human", "autoreset_mode": "No", "max_episode_steps": 0}
    for argument, value in wrong.items():
        if argument != "max_episode_steps" or name == FORK:  # levels have limits of their own
            with pytest.raises(ValueError, match=f"({argument}: .*{value!r}|'No')"):
                make_vec(name, **({"num_envs": 1} | {argument: value}))


@pytest.mark.parametrize("name", [FORK, LOCAL])
def test_bad_resets_change_nothing(name: str) -> None:
    batch = make_vec(name, num_envs=2)
    for mask in (np.ones(3, dtype=bool), [True, True], np.zeros(2, dtype=bool), np.array([True, False])):
        with pytest.raises(ValueError, match=r"reset_mask: expected (a bool array|all, at first)"):
            batch.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match=r"options: .*'positon'"):
        batch.reset(options={"positon": 1})
    with pytest.raises(ValueError, match="seed: expected one for each of 2 environments, got 3"):
        batch.reset(seed=[1, 2, 3])
    assert data_equivalence(batch.reset(seed=0), make_vec(name, num_envs=2).reset(seed=0), exact=True)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        (FORK, (np.zeros((2, 1)), np.full((2, 2), np.nan), np.zeros((3, 2)))),
        (LOCAL, (np.zeros(3, dtype=np.int64), np.zeros(2), np.array([0, 4]), np.array([-1, 0]), 0)),
    ],
)
def test_bad_actions_and_missing_resets(name: str, bad: tuple[Any, ...]) -> None:
    env, batch = make(name, disable_env_checker=True), make_vec(name, num_envs=2)
    alone = env.env.env if name == FORK else env.env
    with pytest.raises(gymnasium.error.ResetNeeded):
        batch.step(np.zeros_like(bad[0][:2]) if name == LOCAL else np.zeros((2, 2)))
    with pytest.raises(gymnasium.error.ResetNeeded):
        alone.step(0 if name == LOCAL else np.zeros(2))
    env.reset(seed=0)
    batch.reset(seed=0)
    for wrong in bad:
        with pytest.raises(ValueError, match="actions: expected"):
            batch.step(wrong)
    numbers, directions = (4, -1, 1.5, np.zeros(2, dtype=np.int64), None), (np.zeros(1), np.full(2, np.inf))
    for wrong in numbers if name == LOCAL else directions:
        with pytest.raises(ValueError, match=r"actions?: expected"):
            env.step(wrong)


def test_ended_mazes_may_not_be_stepped_where_autoreset_is_disabled() -> None:
    batch = make_vec(FORK, num_envs=2, autoreset_mode="Disabled", max_episode_steps=1)
    batch.reset(seed=0)
    batch.step(np.zeros((2, 2)))
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"for ended episodes \[0, 1\]"):
        batch.step(np.zeros((2, 2)))


def test_ended_levels_wait_where_autoreset_is_disabled() -> None:
    batch = make_vec(LEVELS["GoToLocalS5N2"].id, num_envs=4, autoreset_mode="Disabled")
    batch.reset(seed=0)
    rng, ended, frozen = np.random.default_rng(1), np.zeros(4, dtype=bool), dict[int, Any]()
    for _ in range(25):
        observation, rewards, terminated, truncated, infos = batch.step(rng.choice(4, size=4))
        np.testing.assert_array_equal(infos["is_success"], terminated)
        assert not rewards[ended].any()
        ended = terminated | truncated
        for row in np.flatnonzero(ended).tolist():
            stays = copy.deepcopy((row_of(observation, row), terminated[row], truncated[row]))
            assert data_equivalence(frozen.setdefault(row, stays), stays, exact=True)
    assert ended.all()
    assert terminated.any()
    counts = [env.unwrapped.step_count for env in batch.envs]
    batch.step(np.zeros(4, dtype=np.int64))
    assert [env.unwrapped.step_count for env in batch.envs] == counts
    mask = np.array([True, False, True, False])
    batch.reset(seed=[5, 6, 7, 8], options={"reset_mask": mask})
    _, _, terminated, truncated, _ = batch.step(np.ones(4, dtype=np.int64))
    np.testing.assert_array_equal((terminated | truncated)[~mask], True)
    assert not truncated[mask].any()
