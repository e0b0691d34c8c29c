"""All batched worlds against Gymnasium's own batches of the single environments."""

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
from numpy.typing import NDArray

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai.levels import LevelError
from goalbridge.envs.babyai.vector import BabyAIVectorEnv

TINY: dict[str, Any] = {"layout": [[0, 0, 1], [0, 0, 0], [1, 0, 0]]}
MAZES: list[tuple[str, dict[str, Any]]] = [
    *((f"{name}Maze", {}) for name in ("Fork", "Island", "Blank", "Slit", "Blocker")),
    ("ForkMaze", {"max_episode_steps": 130}),  # more steps than noise is drawn for at once
    ("PointMaze", TINY),
]
LEVELS: list[tuple[str, dict[str, Any]]] = [
    *((f"BabyAI-{name}", {}) for name in ("GoToLocal", "GoToObjMazeS4R2", "GoToSeqS5R2", "FourRooms")),
    *((f"BabyAI-{name}", {"view": "partial"}) for name in ("GoToLocalS5N2", "FourRooms")),
]
BOTH = [("PointMaze", TINY), ("BabyAI-GoToLocalS5N2", {"view": "partial"}), ("BabyAI-GoToObjMazeS4R2", {})]


def make_vec(name: str, num_envs: int, **kwargs: Any) -> Any:
    """A batch, whose own attributes the tests may read."""
    return gymnasium.make_vec(f"goalbridge/{name}-v0", num_envs=num_envs, **kwargs)


def singles(name: str, size: int, kwargs: dict[str, Any], mode: AutoresetMode = AutoresetMode.NEXT_STEP) -> Any:
    return SyncVectorEnv([lambda: gymnasium.make(f"goalbridge/{name}-v0", **kwargs)] * size, autoreset_mode=mode)


def actions(name: str, size: int, rng: np.random.Generator) -> NDArray[Any]:
    if name.endswith("Maze"):
        return rng.normal([0.0, 0.3], 1.0, size=(size, 2)).astype(np.float32)
    return rng.choice(4, size=size, p=[0.2, 0.2, 0.5, 0.1])


def bits(ours: Any, theirs: Any) -> bool:
    return bool(data_equivalence(ours, theirs, exact=True))


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize(("name", "kwargs"), [*MAZES, *LEVELS])
def test_the_batch_is_bit_for_bit_the_single_environments(
    name: str, kwargs: dict[str, Any], mode: AutoresetMode
) -> None:
    """Through several episodes each, with autoresets and truncations."""
    grids, size = name.startswith("BabyAI"), 3
    if grids and mode == AutoresetMode.DISABLED:
        pytest.skip("there an ended episode waits")
    batch, theirs = make_vec(name, size, autoreset_mode=mode, **kwargs), singles(name, size, kwargs, mode)
    assert batch.observation_space == theirs.observation_space
    assert batch.action_space == theirs.action_space
    assert batch.metadata["autoreset_mode"] == mode
    assert bits(batch.reset(seed=11), theirs.reset(seed=11))
    rng, ends = np.random.default_rng(0), np.zeros(2, dtype=int)
    for _ in range(350 if grids else 220):
        chosen = actions(name, size, rng)
        ours = batch.step(chosen)
        assert bits(ours, theirs.step(chosen))
        ends += [ours[2].sum(), ours[3].sum()]
        done = ours[2] | ours[3]
        if mode == AutoresetMode.DISABLED and done.any():
            assert bits(*(env.reset(options={"reset_mask": done.copy()}) for env in (batch, theirs)))
    assert ends.sum() >= size
    if "max_episode_steps" in kwargs or name == "BabyAI-GoToLocal":
        assert (ends > 0).all()


@pytest.mark.parametrize(("name", "kwargs"), BOTH)
def test_seeds_can_be_listed_and_resets_partial(name: str, kwargs: dict[str, Any]) -> None:
    batch, theirs = make_vec(name, 3, **kwargs), singles(name, 3, kwargs)
    mask, chosen = np.array([False, True, False]), actions(name, 3, np.random.default_rng(0))
    for env in (batch, theirs):
        env.reset(seed=[4, 5, 6])
        env.step(chosen)
    given = {"reset_mask": mask}
    for seed in (None, [9, 5, 9]):
        ours = batch.reset(seed=seed, options=given)
        assert bits(ours, theirs.reset(seed=seed, options={"reset_mask": mask.copy()}))
        assert list(given) == ["reset_mask"]
        assert ours[1]["_is_success"] is not mask
        assert bits(batch.step(chosen), theirs.step(chosen))


@pytest.mark.parametrize(("name", "kwargs"), BOTH)
def test_what_it_returned_stays_and_copies_go_on_alike(name: str, kwargs: dict[str, Any]) -> None:
    batch = make_vec(name, 3, autoreset_mode="SameStep", **kwargs)
    kept = [batch.reset(seed=0)]
    copies, others = [copy.deepcopy(kept[0])], [copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))]
    rng = np.random.default_rng(0)
    for _ in range(100):
        chosen = actions(name, 3, rng)
        kept.append(batch.step(chosen))
        copies.append(copy.deepcopy(kept[-1]))
        assert all(bits(other.step(chosen), kept[-1]) for other in others)
    assert bits(kept, copies)


def test_an_ended_level_waits_where_autoreset_is_disabled() -> None:
    size = 4
    batch = make_vec("BabyAI-GoToLocalS5N2", size, autoreset_mode="Disabled")
    batch.reset(seed=0)
    rng = np.random.default_rng(1)
    outcome: Any = None
    ended = np.zeros(size, dtype=bool)
    for _ in range(25):
        before, outcome = outcome, batch.step(rng.choice(4, size=size))
        observation, rewards, terminated, truncated, infos = outcome
        for row in np.flatnonzero(ended):
            assert rewards[row] == 0
            assert bits(*((seen[2][row], seen[3][row], seen[4]["is_success"][row]) for seen in (outcome, before)))
            assert bits(*(seen[0]["observation"]["grid"][row] for seen in (outcome, before)))
            assert bits(*(seen[0]["achieved_goal"][row] for seen in (outcome, before)))
            assert observation["instruction"][row] == before[0]["instruction"][row]
        ended = terminated | truncated
        np.testing.assert_array_equal(infos["is_success"], terminated)
    assert ended.all()
    assert outcome[4]["is_success"].any()
    counts = [env.unwrapped.step_count for env in batch.envs]
    batch.step(np.zeros(size, dtype=np.int64))
    assert [env.unwrapped.step_count for env in batch.envs] == counts
    mask = np.array([True, False, True, False])
    batch.reset(seed=[5, 6, 7, 8], options={"reset_mask": mask})
    fresh, _ = gymnasium.make("goalbridge/BabyAI-GoToLocalS5N2-v0").reset(seed=7)
    assert batch.missions[2] == fresh["instruction"]
    _, _, terminated, truncated, _ = batch.step(np.ones(size, dtype=np.int64))
    np.testing.assert_array_equal((terminated | truncated)[~mask], True)
    assert not truncated[mask].any()


def test_gymnasiums_wrappers_and_processes_take_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = make_vec("BabyAI-GoToLocalS5N2", 2)
        assert isinstance(plain, BabyAIVectorEnv)
        batch = RecordEpisodeStatistics(plain)
        batch.reset(seed=0)
        rng = np.random.default_rng(0)
        infos = [batch.step(rng.integers(4, size=2))[4] for _ in range(60)]
    assert any("episode" in info for info in infos)
    # Gymnasium reads texts in shared memory once, at the beginning, so they must come by the pipes.
    making = [lambda: gymnasium.make("goalbridge/BabyAI-GoToObjMazeS4R2-v0")] * 2
    processes, ours = AsyncVectorEnv(making, shared_memory=False, context="fork"), make_vec("BabyAI-GoToObjMazeS4R2", 2)
    try:
        assert bits(processes.reset(seed=3), ours.reset(seed=3))
        assert bits(processes.step(np.array([2, 0])), ours.step(np.array([2, 0])))
    finally:
        processes.close()


def test_minigrid_draws_each() -> None:
    assert make_vec("BabyAI-GoToLocal", 1).render() is None
    batch = make_vec("BabyAI-GoToLocal", 2, render_mode="rgb_array")
    assert batch.render() is None
    batch.reset(seed=0)
    frames = batch.render()
    assert [(frame.shape, frame.dtype) for frame in frames] == [((192, 192, 3), np.uint8)] * 2
    np.testing.assert_array_equal(frames[0], batch.envs[0].unwrapped.get_frame(tile_size=24))
    assert batch.missions == tuple(env.unwrapped.mission for env in batch.envs)
    batch.close()


@pytest.mark.parametrize(("name", "kwargs"), BOTH[:2])
def test_bad_input_of_any_batch_is_refused_in_one_line(name: str, kwargs: dict[str, Any]) -> None:
    batch, good = make_vec(name, 2, **kwargs), actions(name, 2, np.random.default_rng(0))
    with pytest.raises(gymnasium.error.ResetNeeded):
        batch.step(good)
    with pytest.raises(ValueError, match="reset_mask: expected all, at first"):
        batch.reset(options={"reset_mask": np.array([True, False])})
    batch.reset(seed=0)
    wrong = [good[:1], np.full_like(good, 9, dtype=np.float64) * np.nan, 0]
    wrong += [np.zeros(2), np.array([0, 4]), np.array([-1, 0])] if good.ndim == 1 else []
    for bad in wrong:
        with pytest.raises(ValueError, match="actions: expected"):
            batch.step(bad)
    for mask in ([True, False], np.zeros(2, dtype=bool), np.ones(3, dtype=bool)):
        with pytest.raises(ValueError, match="reset_mask: expected"):
            batch.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match=r"options: .*got 'positoin'"):
        batch.reset(options={"positoin": 1})
    with pytest.raises(ValueError, match=r"seed: .*got 3"):
        batch.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match=r"num_envs: .*got 0"):
        make_vec(name, 0, **kwargs)
    with pytest.raises(ValueError, match=r"render_mode: .*'human'"):
        make_vec(name, 1, **kwargs, render_mode="human")


def test_bad_levels_and_views() -> None:
    with pytest.raises(ValueError, match=r"view: .*'above'"):
        make_vec("BabyAI-GoToLocal", 1, view="above")
    with pytest.raises(LevelError, match="got 'GoToSomewhere'"):
        BabyAIVectorEnv(2, "GoToSomewhere")
