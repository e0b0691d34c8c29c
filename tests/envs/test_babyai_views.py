"""The map that a 7x7 view leaves of a level, against a plain, cell by cell reading of minigrid's own."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs.babyai.navigation import make_navigation

RANDOM_PLAY = (0.15, 0.15, 0.45, 0.25)


def visible(raw: Any) -> NDArray[np.bool_]:
    """Bool [W, H]: the cells that minigrid shows now, asked one by one; the agent's own among them."""
    _, mask = raw.gen_obs_grid()
    shown = np.zeros((raw.width, raw.height), dtype=np.bool_)
    for x in range(raw.width):
        for y in range(raw.height):
            at = raw.relative_coords(x, y)
            shown[x, y] = at is not None and mask[at]
    return shown


@pytest.mark.parametrize("name", ["GoToLocal", "GoToObjDoor", "GoTo", "GoToOpen", "GoToObjMazeS4R2", "FourRooms"])
def test_the_map_holds_what_was_seen_and_nothing_else(name: str) -> None:
    env = make_navigation(name, view="partial")
    raw: Any = env.unwrapped
    rng = np.random.default_rng(3)
    expected = np.zeros((raw.width, raw.height, 3), dtype=np.uint8)
    resets = hidden = remembered = on_doors = 0
    done = True
    for step in range(500):
        if done or step % 120 == 0:  # well before the limits of the large levels, too
            observation, _ = env.reset(seed=step)
            expected[:] = 0
            done = False
            resets += 1
        else:
            observation, _, terminated, truncated, _ = env.step(rng.choice(4, p=RANDOM_PLAY))
            done = terminated or truncated
        truth, shown = raw.grid.encode(), visible(raw)
        expected[shown] = truth[shown]
        grid = observation["observation"]["grid"]
        np.testing.assert_array_equal(grid, expected)
        hidden += int((grid[..., 0] == 0).sum())
        remembered += int(((grid[..., 0] != 0) & ~shown).sum())
        on_doors += truth[tuple(raw.agent_pos)][0] == 4
        np.testing.assert_array_equal(observation["observation"]["pose"], [*raw.agent_pos, raw.agent_dir])
        np.testing.assert_array_equal(observation["achieved_goal"][5:], truth[tuple(raw.front_pos)][:2])
    assert resets >= 2
    assert hidden or name == "GoToLocal"
    assert remembered
    assert on_doors or name in ("GoToLocal", "GoToObjDoor", "FourRooms", "GoTo")


def test_what_is_out_of_view_stays_as_it_was_last_seen() -> None:
    env = make_navigation("GoToRedBall", view="partial")
    raw: Any = env.unwrapped
    observation, _ = env.reset(seed=0)
    before = observation["observation"]["grid"]
    while True:  # turn until something that was in view is behind the agent
        observation, *_ = env.step(0)
        known = observation["observation"]["grid"][..., 0] >= 5
        behind = np.argwhere(known & ~visible(raw))
        if len(behind):
            break
    x, y = behind[0]
    kept = observation["observation"]["grid"][x, y].copy()
    assert before.shape == (8, 8, 3)
    raw.grid.set(x, y, None)
    observation, *_ = env.step(0)
    while not visible(raw)[x, y]:
        np.testing.assert_array_equal(observation["observation"]["grid"][x, y], kept)
        observation, *_ = env.step(0)
    np.testing.assert_array_equal(observation["observation"]["grid"][x, y], (1, 0, 0))


def test_a_reset_forgets() -> None:
    env, rng = make_navigation("GoTo", view="partial"), np.random.default_rng(0)
    first, _ = env.reset(seed=0)
    for _ in range(60):
        last, *_ = env.step(rng.choice(4, p=RANDOM_PLAY))
    again, _ = env.reset(seed=0)
    np.testing.assert_array_equal(first["observation"]["grid"], again["observation"]["grid"])
    known = [int((seen["observation"]["grid"][..., 0] != 0).sum()) for seen in (first, last)]
    assert known[0] < min(known[1], 50)


def test_what_the_agent_carries_is_not_taken_for_the_ground() -> None:
    env = make_navigation("GoToLocal", view="partial")
    env.reset(seed=0)
    raw: Any = env.unwrapped
    for _ in range(200):
        raw.step(3)  # somebody else picks up what the agent happens to face
        if raw.carrying is not None:
            break
        raw.step(int(np.random.default_rng(raw.step_count).choice([0, 1, 2, 2])))
    assert raw.carrying is not None
    observation, *_ = env.step(0)
    x, y = raw.agent_pos
    np.testing.assert_array_equal(observation["observation"]["grid"][x, y], (1, 0, 0))
