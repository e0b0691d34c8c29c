"""BabyAI's navigation levels in batches, against Gymnasium's own batches of the single environments."""

import copy
import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai.levels import LEVELS, LevelError
from goalbridge.envs.babyai.vector import BabyAIVectorEnv


def make(name: str, **kwargs: Any) -> Any:
    """A single environment."""
    return gymnasium.make(LEVELS[name].id, **kwargs)


def make_vec(name: str, **kwargs: Any) -> Any:
    """A batch, whose own attributes the tests may read."""
    return gymnasium.make_vec(LEVELS[name].id, **kwargs)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("GoToLocal", "full"),
        ("GoToObjMazeS4R2", "full"),
        ("GoToSeqS5R2", "full"),
        ("FourRooms", "full"),
        ("GoToLocalS5N2", "partial"),
        ("FourRooms", "partial"),
    ],
)
def test_the_batch_is_bit_for_bit_the_single_environments(name: str, view: str, mode: AutoresetMode) -> None:
    size = 3
    batch = make_vec(name, num_envs=size, view=view, autoreset_mode=mode)
    singles = SyncVectorEnv([lambda: make(name, view=view)] * size, autoreset_mode=mode)
    assert batch.observation_space == singles.observation_space
    assert batch.action_space == singles.action_space
    assert data_equivalence(batch.reset(seed=11), singles.reset(seed=11), exact=True)
    rng = np.random.default_rng(0)
    ends = np.zeros(2, dtype=int)
    for _ in range(350):
        actions = rng.choice(4, size=size, p=[0.2, 0.2, 0.5, 0.1])
        ours, theirs = batch.step(actions), singles.step(actions)
        assert data_equivalence(ours, theirs, exact=True)
        assert ours[0] in batch.observation_space
        ends += [ours[2].sum(), ours[3].sum()]
    assert ends.sum() >= size
    if "Local" in name:
        assert (ends > 0).all() or name == "GoToLocalS5N2"


def test_gymnasium_makes_it_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = make_vec("GoToLocal", num_envs=16)
        batch.reset(seed=0)
        batch.step(batch.action_space.sample())
    assert isinstance(batch, BabyAIVectorEnv)
    assert batch.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert len(batch.envs) == 16
    theirs = gymnasium.make("BabyAI-GoToLocal-v0").unwrapped
    minigrids: list[Any] = [env.unwrapped for env in batch.envs]
    assert all(type(raw) is type(theirs) for raw in minigrids)
    assert batch.missions == tuple(raw.mission for raw in minigrids)
    assert batch.level is LEVELS["GoToLocal"]


def test_an_ended_episode_waits_where_autoreset_is_disabled() -> None:
    size = 4
    batch = make_vec("GoToLocalS5N2", num_envs=size, autoreset_mode="Disabled")
    batch.reset(seed=0)
    rng = np.random.default_rng(1)
    outcome: Any = None
    ended = np.zeros(size, dtype=bool)
    for _ in range(25):
        before, outcome = outcome, batch.step(rng.choice(4, size=size))
        observation, rewards, terminated, truncated, infos = outcome
        for row in np.flatnonzero(ended):
            assert rewards[row] == 0
            assert (terminated[row], truncated[row]) == (before[2][row], before[3][row])
            assert infos["is_success"][row] == before[4]["is_success"][row]
            np.testing.assert_array_equal(observation["achieved_goal"][row], before[0]["achieved_goal"][row])
            grids = observation["observation"]["grid"], before[0]["observation"]["grid"]
            np.testing.assert_array_equal(grids[0][row], grids[1][row])
            assert observation["instruction"][row] == before[0]["instruction"][row]
        ended = terminated | truncated
        np.testing.assert_array_equal(infos["is_success"], terminated)
    assert ended.all()
    assert outcome[4]["is_success"].any()
    counts = [env.unwrapped.step_count for env in batch.envs]
    batch.step(np.zeros(size, dtype=np.int64))
    assert [env.unwrapped.step_count for env in batch.envs] == counts

    mask = np.array([True, False, True, False])
    _, infos = batch.reset(seed=[5, 6, 7, 8], options={"reset_mask": mask})
    np.testing.assert_array_equal(infos["_is_success"], mask)
    fresh, *_ = make("GoToLocalS5N2").reset(seed=7)
    assert batch.missions[2] == fresh["instruction"]
    _, _, terminated, truncated, _ = batch.step(np.ones(size, dtype=np.int64))
    np.testing.assert_array_equal((terminated | truncated)[~mask], True)
    assert not truncated[mask].any()


def test_a_masked_reset_is_gymnasiums() -> None:
    batch = make_vec("GoToObj", num_envs=3)
    singles = SyncVectorEnv([lambda: make("GoToObj")] * 3)
    mask = np.array([False, True, False])
    for env in (batch, singles):
        env.reset(seed=[4, 5, 6])
        env.step(np.array([1, 1, 2]))
    given = {"reset_mask": mask}
    ours = batch.reset(options=given)
    assert data_equivalence(ours, singles.reset(options={"reset_mask": mask.copy()}), exact=True)
    assert list(given) == ["reset_mask"]
    assert ours[1]["_is_success"] is not mask
    actions = np.array([2, 2, 2])
    assert data_equivalence(batch.step(actions), singles.step(actions), exact=True)


def test_what_it_returned_stays_as_it_was() -> None:
    batch = make_vec("GoToLocal", num_envs=4, autoreset_mode="SameStep")
    kept = [batch.reset(seed=0)]
    copies = [copy.deepcopy(kept[0])]
    rng = np.random.default_rng(0)
    for _ in range(120):
        kept.append(batch.step(rng.integers(4, size=4)))
        copies.append(copy.deepcopy(kept[-1]))
    assert data_equivalence(kept, copies, exact=True)


@pytest.mark.parametrize("view", ["full", "partial"])
def test_copies_go_on_alike(view: str) -> None:
    batch = make_vec("GoToObjMazeS4R2", num_envs=2, view=view)
    batch.reset(seed=0)
    others = [copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))]
    rng = np.random.default_rng(0)
    for _ in range(60):
        actions = rng.integers(4, size=2)
        outcome = batch.step(actions)
        assert all(data_equivalence(other.step(actions), outcome, exact=True) for other in others)


def test_gymnasiums_wrappers_and_processes_take_it() -> None:
    batch = RecordEpisodeStatistics(make_vec("GoToLocalS5N2", num_envs=2))
    batch.reset(seed=0)
    rng = np.random.default_rng(0)
    infos = [batch.step(rng.integers(4, size=2))[4] for _ in range(60)]
    assert any("episode" in info for info in infos)

    # Gymnasium reads texts in shared memory once, at the beginning, so they must come by the pipes.
    processes = AsyncVectorEnv([lambda: make("GoToObjMazeS4R2")] * 2, shared_memory=False, context="fork")
    ours = make_vec("GoToObjMazeS4R2", num_envs=2)
    try:
        assert data_equivalence(processes.reset(seed=3), ours.reset(seed=3), exact=True)
        actions = np.array([2, 0])
        assert data_equivalence(processes.step(actions), ours.step(actions), exact=True)
    finally:
        processes.close()


def test_minigrid_draws_each() -> None:
    assert make_vec("GoToLocal", num_envs=1).render() is None
    batch = make_vec("GoToLocal", num_envs=2, render_mode="rgb_array")
    assert batch.render() is None
    batch.reset(seed=0)
    frames = batch.render()
    assert [(frame.shape, frame.dtype) for frame in frames] == [((192, 192, 3), np.uint8)] * 2
    assert (frames[0] != frames[1]).any()
    np.testing.assert_array_equal(frames[0], batch.envs[0].unwrapped.get_frame(tile_size=24))
    batch.close()


def test_bad_input_is_refused_in_one_line() -> None:
    batch = make_vec("GoToLocal", num_envs=2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        batch.step(np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="all, at first"):
        batch.reset(options={"reset_mask": np.array([True, False])})
    batch.reset(seed=0)
    for bad in (np.zeros(3, dtype=np.int64), np.zeros(2), np.array([0, 4]), np.array([-1, 0]), 0):
        with pytest.raises(ValueError, match=r"^actions: expected"):
            batch.step(bad)
    for mask in ([True, False], np.zeros(2, dtype=bool), np.ones(3, dtype=bool)):
        with pytest.raises(ValueError, match=r"^reset_mask: expected"):
            batch.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match=r"^options: expected none, got 'position'"):
        batch.reset(options={"position": 1})
    with pytest.raises(ValueError, match=r"^seed: .*got 3"):
        batch.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match=r"^num_envs: .*got 0"):
        make_vec("GoToLocal", num_envs=0)
    with pytest.raises(ValueError, match=r"^view: .*'above'"):
        make_vec("GoToLocal", num_envs=1, view="above")
    with pytest.raises(ValueError, match=r"^render_mode: .*'human'"):
        make_vec("GoToLocal", num_envs=1, render_mode="human")
    with pytest.raises(LevelError, match="got 'GoToSomewhere'"):
        BabyAIVectorEnv(2, "GoToSomewhere")
