"""Episodes of the mazes: what ends and rewards them, what is drawn by chance, and what a reset may fix."""

from typing import Any

import gymnasium
import numpy as np
import pytest

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.configs.splits import SPLITS
from goalbridge.envs.commands import Command

TWO_PARTS = [[0, 0, 1, 0], [0, 0, 1, 0]]


def make(name: str, **kwargs: Any) -> Any:
    return gymnasium.make(f"goalbridge/{name}-v0", **kwargs)


def make_vec(name: str, num_envs: int, **kwargs: Any) -> Any:
    return gymnasium.make_vec(f"goalbridge/{name}-v0", num_envs=num_envs, **kwargs)


@pytest.mark.parametrize(("override", "steps"), [({}, 100), ({"max_episode_steps": 7}, 7)])
def test_episodes_are_truncated(override: dict[str, int], steps: int) -> None:
    stay = np.zeros(2, dtype=np.float32)
    env, batch = make("ForkMaze", **override), make_vec("ForkMaze", 2, **override)
    env.reset(seed=0)
    batch.reset(seed=0)
    for step in range(1, steps + 1):
        assert env.step(stay)[3] == (step == steps)
        assert batch.step(np.stack([stay, stay]))[3].tolist() == [step == steps] * 2
    unlimited = make_vec("ForkMaze", 1, max_episode_steps=-1)
    unlimited.reset(seed=0)
    assert not any(unlimited.step(stay[None])[3].any() for _ in range(250))


def test_reward_success_and_end_come_with_the_command() -> None:
    env = make("BlankMaze", action_noise_degrees=0.0)
    observation, info = env.reset(options={"position": (5.5, 5.5), "instruction": "Go to  row 7"})
    assert observation["instruction"] == env.unwrapped.command.text == "Go to row 7"
    assert info == {"is_success": False}
    outcomes = [env.step(np.array([1.0, 0.0], dtype=np.float32)) for _ in range(3)]
    for index in (1, 2):
        assert [outcome[index] for outcome in outcomes] == [0, 0, 1]
    assert [outcome[4]["is_success"] for outcome in outcomes] == [False, False, True]
    np.testing.assert_allclose(outcomes[-1][0]["observation"], [7.0, 5.5], atol=2e-4)


def test_starts_and_commands_are_uniform() -> None:
    batch = make_vec("PointMaze", 8000, layout=TWO_PARTS, phrasings="label")
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


def test_fixing_the_start_leaves_the_noise_alone() -> None:
    pair = [make("ForkMaze") for _ in range(2)]
    first, _ = pair[0].reset(seed=4)
    position = first["observation"].astype(np.float64)
    second, _ = pair[1].reset(seed=4, options={"position": position, "instruction": "row 9"})
    np.testing.assert_allclose(first["observation"], second["observation"], atol=1e-6)
    steps = [env.step(np.array([0.0, 1.0], dtype=np.float32))[0]["observation"] for env in pair]
    np.testing.assert_allclose(steps[0], steps[1], atol=1e-5)


def test_wordings_come_from_their_split() -> None:
    for split in SPLITS:
        batch = make_vec("ForkMaze", 300, phrasings=split)
        assert set(batch.reset(seed=0)[0]["instruction"]) <= set(batch.unwrapped.commands.all_texts(split))


def test_a_batch_takes_positions_and_instructions() -> None:
    batch = make_vec("BlankMaze", 3, action_noise_degrees=0.0)
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


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"position": (0.5, 2.5)}, r"position: .*\[0.5, 2.5\] in a wall"),
        ({"position": (-0.5, 2.5)}, "outside"),
        ({"position": (2.0, 0.5)}, "outside"),
        ({"position": (np.nan, 0.5)}, "position: expected two finite numbers"),
        ({"position": (1.0, 2.0, 3.0)}, "position: expected"),
        ({"position": np.zeros((3, 2))}, "position: expected"),
        ({"position": ("a", "b")}, "position: expected numbers"),
        ({"instruction": "dance"}, "instruction: expected a command of this maze, got 'dance'; try '"),
        ({"instruction": 7}, "instruction: .*got 7"),
        ({"position": (0.5, 0.5), "instruction": "go to column 3"}, "expected one in reach of"),
        ({"instruction": Command("stay", "all", "all", np.ones((2, 4), dtype=bool))}, "holds wherever it is reached"),
        ({"instruction": Command("else", "all", "all", np.ones((3, 3), dtype=bool))}, r"region .*got \(3, 3\)"),
        ({"instruction": Command("in", "wall", "all", np.array(TWO_PARTS) == 1)}, "got walls only"),
        ({"positon": (0.5, 0.5)}, "options: .*'positon'; did you mean 'position'"),
        ({"instructions": ["row 0"]}, "instructions: expected a list of 2|options: .*'instructions'"),
        ({"instructions": "row 0"}, "instructions: expected a list of 2|options: .*'instructions'"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any], says: str) -> None:
    for env in (make("PointMaze", layout=TWO_PARTS), make_vec("PointMaze", 2, layout=TWO_PARTS)):
        with pytest.raises(ValueError, match=says) as caught:
            env.reset(seed=0, options=options)
        assert "\n" not in str(caught.value)


def test_sampled_actions_are_uniform_unit_vectors() -> None:
    batch = make_vec("ForkMaze", 4000)
    batch.action_space.seed(0)
    sample = batch.action_space.sample()
    assert sample.shape == (4000, 2)
    assert sample in batch.action_space
    assert batch.single_action_space.sample() in batch.single_action_space
    np.testing.assert_allclose(np.linalg.norm(sample, axis=1), 1.0, atol=1e-6)
    octant = np.floor(np.arctan2(sample[:, 1], sample[:, 0]) / (np.pi / 4)).astype(int)
    np.testing.assert_allclose(np.bincount(octant + 4, minlength=8)[:8] / 4000, 1 / 8, atol=0.02)


def test_both_offer_learners_the_same_surface() -> None:
    for surface in (make("ForkMaze").unwrapped, make_vec("ForkMaze", 2).unwrapped):
        goals = surface.candidate_goals()
        assert (goals.dtype, goals.shape) == (np.float32, (16 * 155, 2))
        cell = np.floor(goals).astype(int)
        assert not surface.layout.walls[cell[:, 0], cell[:, 1]].any()
        labels = surface.commands.true_labels(goals)
        assert [surface.commands.labels[label] for label in labels[0]] == ["row 0", "column 0"]
