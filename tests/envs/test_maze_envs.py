"""The mazes as Gymnasium environments, over every registered id; batches against single ones are in test_vector.py."""

import copy
import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.commands import Command
from goalbridge.envs.layouts import LayoutError

IDS = sorted(name for name in gymnasium.registry if name.startswith("goalbridge/") and "BabyAI" not in name)
TWO_PARTS = [[0, 0, 1, 0], [0, 0, 1, 0]]


def make(name: str, **kwargs: Any) -> Any:
    """A single environment, whose own attributes the tests may read."""
    return gymnasium.make(f"goalbridge/{name}Maze-v0", **kwargs)


def make_vec(name: str, **kwargs: Any) -> Any:
    """A batch of them."""
    return gymnasium.make_vec(f"goalbridge/{name}Maze-v0", **kwargs)


@pytest.mark.parametrize("name", ["Fork", "Island", "Blank", "Slit", "Blocker", "Point"])
def test_gymnasium_accepts_it_and_a_seed_gives_its_episode_again(name: str) -> None:
    assert f"goalbridge/{name}Maze-v0" in IDS
    assert len(IDS) == 6
    kwargs: dict[str, Any] = {"layout": [[0, 0, 1], [0, 0, 0], [1, 0, 0]]} if name == "Point" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(name, render_mode="rgb_array", **kwargs).unwrapped, skip_render_check=True)

    def episode(seed: int) -> list[Any]:
        env = make(name, **kwargs)
        env.action_space.seed(3)
        seen: list[Any] = [env.reset(seed=seed)]
        for _ in range(100):
            seen.append(env.step(env.action_space.sample()))
            if seen[-1][2] or seen[-1][3]:
                seen.append(env.reset())
        return seen

    assert data_equivalence(episode(7), episode(7), exact=True)
    assert not data_equivalence(episode(7), episode(8), exact=True)


@pytest.mark.parametrize(("override", "steps"), [({}, 100), ({"max_episode_steps": 7}, 7)])
def test_episodes_are_truncated(override: dict[str, int], steps: int) -> None:
    stay = np.zeros(2, dtype=np.float32)
    env, batch = make("Fork", **override), make_vec("Fork", num_envs=2, **override)
    env.reset(seed=0)
    batch.reset(seed=0)
    for step in range(1, steps + 1):
        assert env.step(stay)[3] == (step == steps)
        assert batch.step(np.stack([stay, stay]))[3].tolist() == [step == steps] * 2
    unlimited = make_vec("Fork", num_envs=1, max_episode_steps=-1)
    unlimited.reset(seed=0)
    assert not any(unlimited.step(stay[None])[3].any() for _ in range(250))


def test_reward_success_and_end_come_with_the_command() -> None:
    env = make("Blank", action_noise_degrees=0.0)
    observation, info = env.reset(options={"position": (5.5, 5.5), "instruction": "Go to  row 7"})
    assert observation["instruction"] == "Go to row 7"
    assert info == {"is_success": False}
    outcomes = [env.step(np.array([1.0, 0.0], dtype=np.float32)) for _ in range(3)]
    assert [outcome[1] for outcome in outcomes] == [0.0, 0.0, 1.0]
    assert [outcome[2] for outcome in outcomes] == [False, False, True]
    assert [outcome[4]["is_success"] for outcome in outcomes] == [False, False, True]
    np.testing.assert_allclose(outcomes[-1][0]["observation"], [7.0, 5.5], atol=2e-4)


def test_starts_and_commands_are_uniform() -> None:
    batch = make_vec("Point", num_envs=8000, layout=TWO_PARTS, phrasings="label")
    observation, _ = batch.reset(seed=0)
    cell = np.floor(observation["observation"]).astype(int)
    index = batch.unwrapped.layout.cell_index[cell[:, 0], cell[:, 1]]
    np.testing.assert_allclose(np.bincount(index) / 8000, 1 / 6, atol=0.02)
    offset = observation["observation"] - cell
    np.testing.assert_allclose(np.bincount((4 * offset.ravel()).astype(int)) / 16000, 0.25, atol=0.02)
    texts = np.array(observation["instruction"])
    left = texts[(cell == [0, 0]).all(axis=1)]
    assert set(left) == {"row 1", "column 1"}
    assert np.mean(left == "row 1") == pytest.approx(0.5, abs=0.05)
    assert set(texts[cell[:, 1] == 3]) == {"row 0", "row 1"}
    for split in ("train", "held_out", "label"):
        batch = make_vec("Fork", num_envs=300, phrasings=split)
        assert set(batch.reset(seed=0)[0]["instruction"]) <= set(batch.unwrapped.commands.all_texts(split))


def test_fixing_the_start_leaves_the_noise_alone() -> None:
    first, second = make("Fork"), make("Fork")
    begun, _ = first.reset(seed=4)
    options = {"position": begun["observation"].astype(np.float64), "instruction": "row 9"}
    fixed, _ = second.reset(seed=4, options=options)
    np.testing.assert_allclose(begun["observation"], fixed["observation"], atol=1e-6)
    steps = [env.step(np.array([0.0, 1.0], dtype=np.float32))[0]["observation"] for env in (first, second)]
    np.testing.assert_allclose(steps[0], steps[1], atol=1e-5)


def test_a_batch_takes_positions_and_instructions() -> None:
    batch = make_vec("Blank", num_envs=3, action_noise_degrees=0.0)
    region = np.zeros((10, 10), dtype=bool)
    region[0, 3] = True
    corner = Command("somewhere up there", "corner", "cell", region)
    positions = np.array([[1.2, 3.5], [5.5, 5.5], [1.2, 3.5]])
    options = {"position": positions, "instructions": ["go to row 0", "go to row 9", corner]}
    observation, _ = batch.reset(seed=0, options=options)
    assert options.keys() == {"position", "instructions"}
    np.testing.assert_allclose(observation["achieved_goal"], positions, atol=1e-6)
    assert observation["instruction"] == ("go to row 0", "go to row 9", "somewhere up there")
    assert batch.unwrapped.current_commands[2] is corner
    _, reward, terminated, _, _ = batch.step(np.tile(np.array([-1.0, 0.0], dtype=np.float32), (3, 1)))
    assert terminated.tolist() == [True, False, True]
    assert reward.tolist() == [1.0, 0.0, 1.0]
    observation, *_ = batch.step(np.zeros((3, 2), dtype=np.float32))
    assert observation["instruction"][2] != "somewhere up there"  # the next episode is sampled again
    shared, _ = batch.reset(options={"instruction": corner})
    assert shared["instruction"] == ("somewhere up there",) * 3
    assert not region[tuple(np.floor(shared["observation"]).astype(int).T)].any()


EVERYWHERE, ELSEWHERE = (Command("stay", "all", "all", np.ones(shape, dtype=bool)) for shape in ((2, 4), (3, 3)))


@pytest.mark.parametrize("build", [make, lambda name, **kwargs: make_vec(name, num_envs=2, **kwargs)])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"position": (0.5, 2.5)}, r"position: .* got \[0.5, 2.5\] in a wall"),
        ({"position": (-0.5, 2.5)}, "outside"),
        ({"position": (2.0, 0.5)}, "outside"),
        ({"position": (np.nan, 0.5)}, "two finite numbers"),
        ({"position": (1.0, 2.0, 3.0)}, "position: expected"),
        ({"position": ("a", "b")}, "expected numbers"),
        ({"instruction": "dance"}, "expected a command of this maze, got 'dance'; try"),
        ({"instruction": 7}, "expected a command of this maze, got 7"),
        ({"position": (0.5, 0.5), "instruction": "go to column 3"}, "in reach of"),
        ({"instruction": EVERYWHERE}, "it holds wherever it is reached"),
        ({"instruction": ELSEWHERE}, r"got \(3, 3\)"),
        ({"instruction": Command("in", "wall", "all", np.array(TWO_PARTS) == 1)}, "got walls only"),
        ({"positon": (0.5, 0.5)}, r"options: .*got 'positon'; did you mean 'position'"),
    ],
)
def test_bad_options_say_what_is_expected(options: dict[str, Any], says: str, build: Any) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        build("Point", layout=TWO_PARTS).reset(seed=0, options=options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"position": np.zeros((3, 2))}, r"position: .* got \(3, 2\)"),
        ({"instructions": ["row 0"]}, "a list of 2"),
        ({"instructions": "row 0"}, "a list of 2"),
    ],
)
def test_bad_options_of_a_batch(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_vec("Blank", num_envs=2).reset(options=options)


@pytest.mark.parametrize(
    ("kwargs", "error", "says"),
    [
        ({"layout": [[0, 1]]}, LayoutError, "a free cell with another row or column in reach"),
        ({"layout": "froke"}, LayoutError, "did you mean 'fork'"),
        ({"layout": "fork", "action_noise_degrees": -1.0}, ValueError, r"action_noise_degrees: .* got -1.0"),
        ({"layout": "fork", "phrasings": "test"}, ValueError, r"phrasings: expected .* got 'test'"),
    ],
)
def test_bad_arguments_say_what_is_expected(kwargs: dict[str, Any], error: type[Exception], says: str) -> None:
    for build in (make, make_vec):
        with pytest.raises(error, match=says) as caught:
            build("Point", **kwargs)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"max_episode_steps: .* got 0"):
        make_vec("Fork", max_episode_steps=0)


def test_bad_actions_and_missing_resets() -> None:
    env, stay = make("Fork", disable_env_checker=True).unwrapped, np.zeros((2, 2), dtype=np.float32)
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(stay[0])
    env.reset(seed=0)
    for bad in (stay[0, :1], stay[0] * np.nan):
        with pytest.raises(ValueError, match=r"action: expected .*finite"):
            env.step(bad)
    batch = make_vec("Fork", num_envs=2, autoreset_mode="Disabled", max_episode_steps=1)
    batch.reset(seed=0)
    batch.step(stay)
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"ended episodes \[0, 1\]"):
        batch.step(stay)


def test_sampled_actions_are_uniform_unit_vectors() -> None:
    batch = make_vec("Fork", num_envs=4000)
    batch.action_space.seed(0)
    sample = batch.action_space.sample()
    assert sample.shape == (4000, 2)
    assert sample in batch.action_space
    assert batch.single_action_space.sample() in batch.single_action_space
    np.testing.assert_allclose(np.linalg.norm(sample, axis=1), 1.0, atol=1e-6)
    octant = np.floor(np.arctan2(sample[:, 1], sample[:, 0]) / (np.pi / 4)).astype(int)
    np.testing.assert_allclose(np.bincount(octant + 4, minlength=8)[:8] / 4000, 1 / 8, atol=0.02)


def test_both_offer_learners_the_same_surface() -> None:
    for surface in (make("Fork").unwrapped, make_vec("Fork", num_envs=2).unwrapped):
        goals = surface.candidate_goals()
        assert goals.dtype == np.float32
        assert goals.shape == (16 * 155, 2)
        cell = np.floor(goals).astype(int)
        assert not surface.layout.walls[cell[:, 0], cell[:, 1]].any()
        assert [surface.commands.labels[label] for label in surface.true_labels(goals)[0]] == ["row 0", "column 0"]
        assert surface.candidate_actions(8).shape == (8, 2)
        assert surface.execution_kernel(8)[0, 0] == pytest.approx(0.739, abs=1e-3)


def test_environments_survive_copies_and_pickles() -> None:
    env = make("Fork").unwrapped
    env.reset(seed=3)
    action = np.array([1.0, 0.0], dtype=np.float32)
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    expected = [env.step(action) for _ in range(3)]
    for twin in twins:
        assert data_equivalence([twin.step(action) for _ in range(3)], expected, exact=True)
