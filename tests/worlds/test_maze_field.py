"""The direction field: where its arrows stand, that they follow the policy, and that it is drawn as asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.envs import rendering
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.places import MazePlaces
from goalbridge.envs.rendering import draw, draw_field
from goalbridge.worlds.maze.pictures import MOST_ARROWS, arrow_places, directions, field_commands, field_picture

MakeAgent = Callable[..., Agent]
FORK = LAYOUTS["fork"]


def near(frame: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(frame.astype(int) - np.array(colour)) <= 12).all(axis=-1))


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_arrows_stand_in_free_cells_outside_the_region(name: str) -> None:
    layout = LAYOUTS[name]
    region = np.zeros_like(layout.walls)
    region[0] = ~layout.walls[0]
    positions, spacing = arrow_places(layout, region)
    cells = {(int(row), int(column)) for row, column in positions}
    assert cells == set(map(tuple, np.argwhere(~layout.walls & ~region).tolist()))  # each such cell has one
    assert len(positions) <= MOST_ARROWS
    assert spacing in (0.5, 1.0)
    nearest = np.abs(positions[:, None] - positions[None]).sum(axis=-1) + 99 * np.eye(len(positions))
    assert nearest.min() == pytest.approx(spacing)


def test_large_mazes_have_no_more_arrows_than_can_be_seen() -> None:
    layout = Layout.from_array(np.zeros((90, 70), bool))
    positions, spacing = arrow_places(layout, np.zeros_like(layout.walls))
    assert MOST_ARROWS / 2 < len(positions) <= MOST_ARROWS * 1.1
    assert spacing == 4
    assert not (positions == np.floor(positions)).any()  # off the cells' faces


def test_the_commands_are_fixed_and_of_four_kinds() -> None:
    commands = field_commands(MazePlaces(FORK))
    assert [command.text for command in commands] == [
        "row 3", "the top left corner", "somewhere on the left", "row 3 or column 5",
    ]  # fmt: skip
    assert [command.category for command in commands] == ["line", "region", "vague", "compound"]
    np.testing.assert_array_equal(commands[3].region, commands[0].region | MazePlaces(FORK).find("column 5").region)  # type: ignore[union-attr]


def test_commands_are_what_the_maze_and_the_captions_have() -> None:
    labels = [command.text for command in field_commands(MazePlaces(FORK), label=True)]
    assert labels == ["row 3", "top left corner", "somewhere on the left"]
    small = field_commands(MazePlaces(Layout.from_text("...\n.#.", "small")))
    assert small[0].text == "row 1"
    assert all((~command.region & ~np.array([[0, 0, 0], [0, 1, 0]], bool)).any() for command in small)
    lines = field_commands(MazePlaces(FORK, ("line",)))
    assert [command.text for command in lines] == ["row 3", "row 3 or column 5"]
    assert field_commands(MazePlaces(FORK, ("exact",))) == ()


@pytest.mark.parametrize("name", ["logsumexp", "direct", "sample", "resampled"])
def test_directions_are_those_that_the_policy_takes_first(make_agent: MakeAgent, name: str) -> None:
    agent = make_agent()
    positions = np.array([[0.5, 0.5], [2.5, 12.5], [14.2, 3.7]])
    towards = directions(agent.policy(name), positions, "row 3")
    assert towards.shape == (3, 2)
    np.testing.assert_allclose(np.linalg.norm(towards, axis=1), 1, atol=1e-6)
    if name != "sample":  # which draws a goal for each episode, here one for all
        np.testing.assert_array_equal(towards, agent.policy(name).act(positions, ["row 3"] * 3))
    policy = agent.policy(name)
    policy.act(positions, ["row 3"] * 3)  # nothing that was done before counts
    for _ in range(2):
        np.testing.assert_array_equal(directions(policy, positions, "row 3"), towards)


class Rightwards:
    """Always goes right."""

    actions = torch.tensor([[0.0, 1.0], [1.0, 0.0]])

    def reset(self) -> None: ...

    def scores(self, positions: Any, instructions: Any, episodes: Any) -> Any:
        return torch.tensor([[1.0, 0.0]]).expand(len(positions), 2)


def test_the_picture_is_a_field_of_arrows_over_the_maze() -> None:
    layout = LAYOUTS["blocker"]
    (command,) = field_commands(MazePlaces(layout, ("region",)))
    policy: Any = Rightwards()
    frame = field_picture(layout, policy, command)
    arrows = near(frame, rendering.PATH_COLOUR)
    assert arrows.any()
    still = draw(layout, np.array([0.5, 0.5]), np.zeros((0, 2)), command.region, title=command.text)
    assert frame.shape == still.shape
    assert near(frame, rendering.REGION_COLOUR).any()
    heat = np.where(command.region, 1.0, 0.0)
    warm = field_picture(layout, policy, command, heat).astype(int)
    purple = (warm[..., 0] > warm[..., 1] + 60) & (warm[..., 2] > warm[..., 1] + 40)
    assert purple.sum() > 0.7 * command.region.sum() * (480 // 11) ** 2
    assert not (purple & arrows).any()
    np.testing.assert_array_equal(field_picture(layout, policy, command), frame)  # the same each time


@pytest.mark.parametrize("direction", [(0.0, 1.0), (0.0, -3.0), (1.0, 0.0), (-0.5, 0.0)])
def test_an_arrow_points_where_it_says(direction: tuple[float, float]) -> None:
    layout = Layout.from_array(np.zeros((3, 3), bool))
    nowhere = np.zeros_like(layout.walls)
    middle = np.array([[1.5, 1.5]])
    frame = draw_field(layout, middle, np.array([direction]), nowhere, size_px=300)
    painted = np.argwhere(near(frame, rendering.PATH_COLOUR)).astype(float)
    along = painted @ np.sign(np.array(direction))
    across = painted @ np.abs(np.sign(np.array(direction)))[::-1]
    assert np.ptp(along) == pytest.approx(0.7 * 100, abs=4)
    # Its head, which is wider than its shaft, is in front.
    front, back = (across[part] for part in (along > along.mean() + 10, along < along.min() + 25))
    assert np.ptp(front) > 2 * np.ptp(back)
    nothing = draw_field(layout, middle, np.zeros((1, 2)), nowhere, size_px=300)
    assert not near(nothing, rendering.PATH_COLOUR).any()
    np.testing.assert_array_equal(nothing, draw_field(layout, middle[:0], middle[:0], nowhere, size_px=300))
    with pytest.raises(ValueError, match="size_px: expected 3 or more for this maze, got 2"):
        draw_field(layout, middle, np.array([direction]), nowhere, size_px=2)
