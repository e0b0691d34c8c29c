"""Gymnasium's spaces as rows, actions worth weighing, random play."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from goalbridge.agents.spec import WorldSpec, as_rows
from goalbridge.configs.checks import ConfigError
from goalbridge.worlds.gym.spaces import Actions, RandomPlay, read_space

SPACES = (
    (spaces.Box(-1, 1, (3,), np.float64), "box", 3, ()),
    (spaces.Box(-1, 1, (2, 3)), "box", 6, ()),
    (spaces.Box(0, 255, (16, 8, 3), np.uint8), "image", 384, (16, 8, 3)),
    (spaces.Box(0, 255, (16, 8), np.uint8), "image", 128, (16, 8, 1)),
    (spaces.Box(0, 255, (4,), np.uint8), "box", 4, ()),  # too small for a picture
    (spaces.Discrete(5), "number", 5, ()),
    (spaces.MultiBinary(4), "box", 4, ()),
    (spaces.MultiDiscrete([3, 5]), "box", 2, ()),
    (spaces.Box(-9, 9, (2,), np.int64), "box", 2, ()),
)


@pytest.mark.parametrize(("space", "kind", "size", "shape"), SPACES)
def test_values_become_rows_and_come_back(
    space: spaces.Space[object], kind: str, size: int, shape: tuple[int, ...]
) -> None:
    reading = read_space(space, "observation")
    assert (reading.kind, reading.size, reading.shape) == (kind, size, shape)
    space.seed(0)
    for _ in range(5):
        value = space.sample()
        row = reading.row(value)
        assert row.shape == (size,)
        assert not np.shares_memory(row, value)  # environments may reuse their arrays
        assert np.allclose(np.asarray(reading.value(row), np.float64), np.asarray(value, np.float64), atol=1e-6)
        assert space.contains(reading.value(row)) or kind == "number"
        assert np.array_equal(as_rows(np.asarray(value)[None], kind, size)[0].astype(row.dtype), row)


@pytest.mark.parametrize("number", [5, 0.5])
def test_numbers_out_of_range_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="whole numbers from 0 to 4"):
        as_rows(np.array([number]), "number", 5)


def test_bounds_come_from_the_space_or_else_the_data() -> None:
    space = spaces.Box(np.array([-2, -np.inf, 0]), np.array([2, np.inf, np.inf]), dtype=np.float64)
    rows = np.array([[0, -3, 7], [1, 5, 7]], np.float32)
    assert read_space(space, "observation").bounds(rows) == ((-2.0, -3.0, 0.0), (2.0, 5.0, 7.0))
    still = spaces.Box(-np.inf, np.inf, (1,))
    assert read_space(still, "observation").bounds(np.full((3, 1), 4.0)) == ((3.5,), (4.5,))  # never no width


@pytest.mark.filterwarnings("error")
def test_limits_that_claim_many_times_what_the_data_take_up_are_not_believed() -> None:
    """A 6 x 6 grid as Box(-1e6, 1e6): scaled by that, all its cells would be alike to a network."""
    rows = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2).astype(np.float32)
    for low, high, dtype in ((-1e6, 1e6, np.float64), (-(2**62), 2**62, np.int64)):
        reading = read_space(spaces.Box(low, high, (2,), dtype), "env.id=x: observation")
        with pytest.warns(UserWarning, match="x: observation: number 0 may be from .* lie between 0 and 5; scaled by"):
            assert reading.bounds(rows) == ((0.0, 0.0), (5.0, 5.0))
    assert read_space(spaces.Box(0, 5, (2,)), "x").bounds(rows) == ((0.0, 0.0), (5.0, 5.0))
    assert read_space(spaces.Box(-20, 20, (2,)), "x").bounds(rows) == ((-20.0, -20.0), (20.0, 20.0))


def test_observations_that_are_not_finite_or_of_another_size_are_refused() -> None:
    reading = read_space(spaces.Box(-1, 1, (2,)), "env.id=x: observation")
    for value, got in (([0, np.nan], "finite numbers, got"), ([0.0, 1.0, 2.0], "Box"), (["a", 1], "Box")):
        with pytest.raises(ConfigError, match=rf"env\.id=x: observation: expected .*{got}"):
            reading.row(value)


def test_whole_numbers_of_a_box_are_all_played_and_no_others() -> None:
    actions = Actions(spaces.Box(np.array([-1, 0]), np.array([1, 3]), dtype=np.int64), "x")
    drawn = actions.draw(400, np.random.default_rng(0))
    both = {(a, b) for a in (-1, 0, 1) for b in (0, 1, 2, 3)}
    assert set(map(tuple, drawn.tolist())) == both
    assert set(map(tuple, actions.candidates(32).tolist())) <= both
    given = actions.to_env(np.array([0.6, 2.6], np.float32))
    assert given.dtype == np.int64
    assert given.tolist() == [1, 3]


def test_whole_actions_and_grids_of_a_box() -> None:
    four = Actions(spaces.Discrete(4), "x")
    assert np.array_equal(four.candidates(32), np.eye(4))
    assert four.given(np.eye(4)[[2, 0]]).tolist() == [2, 0]
    line = Actions(spaces.Box(-2, 2, (1,)), "x").candidates(5)
    assert line[:, 0].tolist() == [-2, -1, 0, 1, 2]
    plane = Actions(spaces.Box(np.array([-1, 0]), np.array([1, 3]), dtype=np.float64), "x").candidates(32)
    assert len(plane) == 25
    assert {(-1.0, 0.0), (1.0, 3.0), (0.0, 1.5)} <= set(map(tuple, plane.tolist()))
    many = Actions(spaces.Box(-1, 1, (8,)), "x").candidates(32)
    assert many.shape == (32, 8)
    assert len(np.unique(many, axis=0)) == 32
    assert np.abs(many).max() <= 1


def test_actions_go_to_the_environment_in_its_own_form() -> None:
    box = spaces.Box(-1, 1, (2, 2), np.float64)
    assert box.contains(Actions(box, "x").to_env(np.array([0.5, 2, -3, 0], np.float32)))
    assert Actions(spaces.Discrete(3), "x").to_env(np.int64(2)) == 2


@pytest.mark.parametrize("space", [spaces.MultiDiscrete([2, 2]), spaces.Discrete(3, start=1), spaces.Box(0, np.inf)])
def test_other_actions_are_refused(space: spaces.Space[object]) -> None:
    with pytest.raises(
        ConfigError, match=r"env.id=x: action space: expected Discrete from 0 on or a bounded Box, got "
    ):
        Actions(space, "env.id=x")


@pytest.mark.parametrize(
    "space",
    [spaces.Text(5), spaces.Discrete(3, start=1), spaces.Box(0, 1, (0,)), spaces.Box(0, 255, (3, 9, 9), np.uint8)],
)
def test_other_observations_are_refused(space: spaces.Space[object]) -> None:
    with pytest.raises(ConfigError, match=r"env.id=x: observation space: expected .*, got"):
        read_space(space, "env.id=x: observation")


def test_random_play_holds_actions_and_repeats_itself() -> None:
    actions = Actions(spaces.Discrete(6), "x")
    played = []
    for _ in range(2):
        rng = np.random.default_rng(3)
        plays = [RandomPlay(actions, rng) for _ in range(40)]
        played.append(np.array([[play.act().argmax() for _ in range(64)] for play in plays]))  # [40, 64]
    assert np.array_equal(played[0], played[1])
    repeats = (np.diff(played[0]) == 0).mean(axis=1)  # [40]
    assert repeats.min() < 0.3  # drawn anew at each step
    assert repeats.max() > 0.8  # held for eight
    assert set(played[0].ravel()) == set(range(6))


def test_goals_are_states_unless_the_world_says_otherwise() -> None:
    ends = ((0.0,), (1.0,), (0.0,), (1.0,), 2)
    assert WorldSpec("x", "y", *ends).goals_are_states
    assert not WorldSpec("x", "y", *ends, goals_apart=True).goals_are_states
    assert not WorldSpec("x", "y", (0.0, 0.0), (1.0, 1.0), (0.0,), (1.0,), 2).goals_are_states
