"""FourRooms, unmodified underneath, with commands about its rooms."""

from typing import Any

import gymnasium
import numpy as np
import pytest

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai.four_rooms import EVALUATION_TEMPLATES, ROOMS, room_at
from goalbridge.envs.babyai.navigation import make_navigation

FREE = {"top left": (4, 4), "top right": (14, 4), "bottom left": (4, 14), "bottom right": (14, 14)}


def put(env: Any, x: int, y: int) -> None:
    """Move the agent, facing right."""
    env.unwrapped.agent_pos, env.unwrapped.agent_dir = (x, y), 0


def asked_for(room: str) -> Any:
    """The level, begun with a seed whose command asks for a room."""
    env: Any = make_navigation("FourRooms")
    for seed in range(60):
        env.reset(seed=seed)
        if env.env.room == room:
            break
    return env


def test_rooms_are_what_lies_inside_the_walls() -> None:
    env: Any = make_navigation("FourRooms")
    env.reset(seed=0)
    inside = dict.fromkeys(ROOMS, 0)
    for x, y in np.ndindex(19, 19):
        room = room_at(x, y)
        if room is None:
            assert x in (0, 9, 18) or y in (0, 9, 18)
        else:
            inside[room] += 1
            assert room == f"{'bottom' if y > 9 else 'top'} {'right' if x > 9 else 'left'}"
            cell = env.unwrapped.grid.get(x, y)
            assert cell is None or cell.type == "goal"
    assert inside == dict.fromkeys(ROOMS, 64)


def test_commands_ask_for_another_room_in_every_wording() -> None:
    env, asked, from_doorways = make_navigation("FourRooms"), set[tuple[str, str]](), 0
    for seed in range(400):
        observation, _ = env.reset(seed=seed)
        here = room_at(*(int(value) for value in observation["observation"]["pose"][:2]))
        (room,) = (room for room in ROOMS if room in observation["instruction"])
        (template,) = (t for t in EVALUATION_TEMPLATES if t.format(room=room) == observation["instruction"])
        assert room != here
        asked.add((room, template))
        from_doorways += here is None
    assert len(asked) == len(ROOMS) * len(EVALUATION_TEMPLATES)
    assert from_doorways


def test_layouts_and_limits_are_minigrids_own() -> None:
    env, theirs = make_navigation("FourRooms"), gymnasium.make("MiniGrid-FourRooms-v0").unwrapped
    for seed in range(5):
        env.reset(seed=seed)
        theirs.reset(seed=seed)
        assert env.unwrapped.hash() == theirs.hash()  # type: ignore[attr-defined]
    assert [env.step(0)[2:4] for _ in range(100)] == [(False, False)] * 99 + [(False, True)]


@pytest.mark.parametrize("room", ROOMS)
def test_being_in_the_room_ends_the_episode(room: str) -> None:
    env = asked_for(room)
    for other in ROOMS:
        if other != room:
            put(env, *FREE[other])
            assert env.step(0)[1:4] == (0.0, False, False)
    put(env, *FREE[room])
    _, reward, terminated, truncated, info = env.step(1)
    assert reward == pytest.approx(1 - 0.9 * 4 / env.unwrapped.max_steps)
    assert (terminated, truncated, info) == (True, False, {"is_success": True})


def test_the_doorway_is_not_yet_the_room() -> None:
    env = asked_for("top right")
    raw = env.unwrapped
    gap = next(y for y in range(1, 9) if raw.grid.get(9, y) is None)
    raw.grid.set(10, gap, None)
    put(env, 8, gap)
    assert env.step(2)[1:3] == (0.0, False)
    assert tuple(raw.agent_pos) == (9, gap)
    _, reward, terminated, *_ = env.step(2)
    assert reward > 0
    assert terminated


def test_the_green_square_is_scenery() -> None:
    env, crossed = make_navigation("FourRooms"), 0
    judge: Any = env.env
    for seed in range(40):
        env.reset(seed=seed)
        (index,) = (i for i, cell in enumerate(judge.unwrapped.grid.grid) if cell and cell.type == "goal")
        y, x = divmod(index, 19)
        if room_at(x, y) in (None, judge.room) or room_at(x - 1, y) is None:
            continue
        put(env, x - 1, y)
        observation, reward, terminated, truncated, info = env.step(2)
        np.testing.assert_array_equal(observation["observation"]["pose"][:2], [x, y])
        assert (reward, terminated, truncated, info) == (0.0, False, False, {"is_success": False})
        crossed += 1
    assert crossed > 5
