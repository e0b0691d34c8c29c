"""Grids to vectors: situations against a plain loop and the simulator, and what the towers may and may not read."""

from itertools import combinations, product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.agents.model import Critic
from goalbridge.configs.schema import CRITICS
from goalbridge.encoders.grid import (
    OWN,
    RADIUS,
    SITUATION,
    WINDOW,
    GridFeatures,
    GridMeaningEncoder,
    Rotary,
    possible_situations,
    situations,
    standing_poses,
)
from goalbridge.encoders.towers import GoalEncoder, StateActionEncoder
from goalbridge.envs.babyai.layouts import draw_layouts, free_poses
from goalbridge.envs.babyai.simulator import TOGGLE, GridBatch

EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL = 1, 2, 3, 4, 5, 6, 7, 8
OPEN, CLOSED, LOCKED = 0, 1, 2
RED, GREEN, BLUE, GREY = 0, 1, 2, 5
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
PLACES = pytest.mark.parametrize("places", [False, True])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def random_grid(width: int, height: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A walled grid [W, H, 3] full of all that minigrid encodes, doors of every state side by side included."""
    grid = np.zeros((width, height, 3), dtype=np.uint8)
    kinds = (EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL)
    grid[..., 0] = rng.choice(kinds, size=(width, height), p=(0.4, 0.1, 0.03, 0.25, 0.06, 0.06, 0.06, 0.04))
    is_coloured = ~np.isin(grid[..., 0], (EMPTY, WALL))
    grid[..., 1] = rng.integers(6, size=(width, height)) * is_coloured + GREY * (grid[..., 0] == WALL)
    grid[..., 2] = rng.integers(3, size=(width, height)) * (grid[..., 0] == DOOR)
    grid[[0, -1]] = grid[:, [0, -1]] = (WALL, GREY, 0)
    grid[1, 1] = (EMPTY, 0, 0)
    return grid


def looked_at(grid: NDArray[np.uint8], pose: tuple[int, ...], size: tuple[int, ...]) -> list[int]:
    """One situation, cell by cell."""
    x, y, direction = pose
    dx, dy = STEPS[direction]
    kinds, colours = [], []
    for column, row in product(range(x - RADIUS, x + RADIUS + 1), range(y - RADIUS, y + RADIUS + 1)):
        kind, colour, state = WALL, 0, 0
        if 0 <= column < grid.shape[0] and 0 <= row < grid.shape[1]:
            kind, colour, state = grid[column, row].tolist()
        is_shut = kind == DOOR and state != OPEN and (column, row) != (x, y)
        kinds.append(10 + state if is_shut else kind)
        colours.append(colour)
    return [x, y, direction, *size, *grid[x + dx, y + dy].tolist(), *kinds, *colours]


@pytest.mark.parametrize("canvas", [(3, 3), (4, 4), (5, 12), (13, 7), (22, 22)])
def test_situations_are_what_a_plain_loop_sees(canvas: tuple[int, int]) -> None:
    rng = np.random.default_rng(canvas)
    grids = np.stack([random_grid(*canvas, rng) for _ in range(12)])
    own = np.argwhere(np.isin(grids[..., 0], (EMPTY, FLOOR, DOOR, GOAL)))  # [C, 3], doors of every state stood in
    which, poses = own[:, 0], np.column_stack([own[:, 1:], rng.integers(4, size=len(own))])
    seen = situations(grids[which], poses)
    assert seen.shape == (len(own), SITUATION) == (len(own), 8 + 2 * 81)
    assert seen.dtype == np.uint8
    expected = [looked_at(grids[n], tuple(pose), canvas) for n, pose in zip(which, poses.tolist(), strict=True)]
    np.testing.assert_array_equal(seen, expected)


def test_sizes_are_each_grids_own_where_the_canvas_is_larger() -> None:
    rng = np.random.default_rng(1)
    canvas = np.empty((2, 14, 11, 3), dtype=np.uint8)
    canvas[:] = (WALL, GREY, 0)
    small, large = random_grid(6, 9, rng), random_grid(14, 11, rng)
    canvas[0, :6, :9], canvas[1] = small, large
    poses, sizes = np.array([(1, 1, 2), (1, 1, 0)]), np.array([(6, 9), (14, 11)])
    seen = situations(canvas, poses, sizes)
    assert seen[:, 3:5].tolist() == sizes.tolist()
    alone = situations(small[None], poses[:1])
    np.testing.assert_array_equal(seen[:1, : OWN + WINDOW], alone[:, : OWN + WINDOW])  # beyond the grid: walls


def test_poses_stand_on_free_cells_and_in_doors_that_open() -> None:
    grid = random_grid(9, 7, np.random.default_rng(2))
    expected = [
        (x, y, direction)
        for x, y, direction in product(range(9), range(7), range(4))
        if grid[x, y, 0] in (EMPTY, FLOOR, GOAL) or (grid[x, y, 0] == DOOR and grid[x, y, 2] != LOCKED)
    ]
    assert standing_poses(grid).tolist() == [list(pose) for pose in expected]


@pytest.mark.parametrize("run", range(4))
def test_possible_situations_are_all_poses_and_each_closed_door_opened(run: int) -> None:
    grid = random_grid(10, 8, np.random.default_rng(run))
    poses = standing_poses(grid)
    before = situations(np.broadcast_to(grid, (len(poses), *grid.shape)), poses)
    faces_closed = (before[:, 5] == DOOR) & (before[:, 7] == CLOSED)
    assert 0 < faces_closed.sum() < len(poses)
    rows = possible_situations(grid)
    assert len(rows) == len(poses) + faces_closed.sum()
    np.testing.assert_array_equal(rows[: len(poses)], before)
    batch = GridBatch(np.broadcast_to(grid, (int(faces_closed.sum()), *grid.shape)), poses[faces_closed])
    assert batch.step(np.full(len(batch.poses), TOGGLE)).all()
    np.testing.assert_array_equal(rows[len(poses) :], situations(batch.grids, batch.poses))


def test_wherever_play_leads_was_possible() -> None:
    rng = np.random.default_rng(5)
    layouts = draw_layouts(["GoToSeqS5R2", "GoToObjMazeS4"], 6, rng)
    starts = [rng.choice(free_poses(grid, size)) for grid, size in zip(layouts.grids, layouts.sizes, strict=True)]
    batch = GridBatch(layouts.grids, np.stack(starts), layouts.sizes)
    doorways = 0
    for _ in range(60):
        batch.step(rng.choice(4, size=len(layouts), p=(0.15, 0.15, 0.4, 0.3)))
        for grid, pose, (width, height) in zip(batch.grids, batch.poses, batch.sizes.tolist(), strict=True):
            own = grid[:width, :height]
            (seen,) = situations(own[None], pose[None])
            assert (possible_situations(own) == seen).all(axis=1).sum() == 1
            doorways += grid[pose[0], pose[1], 0] == DOOR
    assert doorways > 0


def state_encoder(out_features: int = 10, **features: bool) -> StateActionEncoder:
    return StateActionEncoder(GridFeatures(doors_apart=True, **features), 4, 32, 2, out_features)


def goal_encoder(out_features: int = 10, places: bool = False) -> GoalEncoder:
    return GoalEncoder(GridFeatures(doors_apart=False, places=places), 32, 2, out_features)


def rows(count: int, rng_seed: int = 0) -> torch.Tensor:
    """Situations [count, S] from random grids."""
    rng = np.random.default_rng(rng_seed)
    grid = random_grid(12, 9, rng)
    return torch.from_numpy(rng.choice(possible_situations(grid), size=count, replace=False))


def moved(seen: torch.Tensor, x: int, y: int) -> torch.Tensor:
    """The same situations somewhere else; no tower of the pair A-B may tell but by the position."""
    elsewhere = seen.clone()
    elsewhere[..., 0] += x
    elsewhere[..., 1] += y
    return elsewhere


def test_rotary_products_depend_on_the_displacement_only() -> None:
    rotary = Rotary(8).double()
    left, right = torch.randn(2, 8).double()
    here, there, shift = torch.tensor([(3.0, 5.0), (7.0, 1.0), (2.0, 9.0)]).double()
    score = rotary(left, here) @ rotary(right, there)
    torch.testing.assert_close(rotary(left, here + shift) @ rotary(right, there + shift), score)
    torch.testing.assert_close(rotary(left, here - there) @ right, score)
    torch.testing.assert_close(rotary(left, here * 0), left)
    torch.testing.assert_close(rotary(left, here).norm(), left.norm())
    assert (rotary(left, here + shift) @ rotary(right, there) - score).abs() > 1e-3


@pytest.mark.parametrize("kind", CRITICS)
def test_scores_of_every_critic_stay_when_state_and_goal_move_together(kind: str) -> None:
    rotary = Rotary(16)
    encode_state, encode_goal = state_encoder(16), goal_encoder(16)
    critic, actions = Critic(kind, embedding_dim=16), torch.eye(4)
    states, goals = rows(5).unsqueeze(1), rows(7, 1)

    def scores(states: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
        turned = rotary.turn(encode_state(states, actions), states), rotary.turn(encode_goal(goals), goals)
        logits: torch.Tensor = critic(*turned)  # [5, 4, 7]
        return logits

    before = scores(states, goals)
    torch.testing.assert_close(scores(moved(states, 8, 3), moved(goals, 8, 3)), before, rtol=1e-3, atol=1e-3)
    assert (scores(moved(states, 8, 3), goals) - before).abs().max() > 0.02


@PLACES
@pytest.mark.parametrize("things", [False, True])
def test_features_and_meanings_take_any_leading_axes(places: bool, things: bool) -> None:
    seen, features = rows(12).reshape(4, 3, SITUATION), GridFeatures(True, places, things)
    for encoder, size in ((features, features.out_features), (GridMeaningEncoder(16, 10), 10)):
        output = encoder(seen)
        assert output.shape == (4, 3, size)
        torch.testing.assert_close(output[2, 1], encoder(seen[2, 1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("turns", [6, 10])
def test_only_the_first_numbers_turn_with_the_position(turns: int) -> None:
    vectors, states = torch.randn(5, 3, 10), rows(5).unsqueeze(1)
    rotary = Rotary(turns)
    turned = rotary.turn(vectors, states)
    torch.testing.assert_close(turned[2, 1, :turns], rotary(vectors[2, 1, :turns], states[2, 0, :2].float()))
    torch.testing.assert_close(turned[..., turns:], vectors[..., turns:])


@PLACES
def test_towers_know_positions_only_when_asked(places: bool) -> None:
    state, goal = state_encoder(places=places), goal_encoder(places=places)
    seen, action = rows(5), torch.ones(4)
    for step in ((1, 0), (0, 1)):
        there = moved(seen, *step)
        for change in (state(there, action) - state(seen, action), goal(there) - goal(seen)):
            assert (change.abs().max() > 1e-4) == places


def beside(cell: tuple[int, int]) -> dict[str, torch.Tensor]:
    """Situations [1, S] of one who faces (5, 4) in a room, empty but for something in a cell."""
    grid = np.zeros((9, 9, 3), dtype=np.uint8)
    grid[:] = (WALL, GREY, 0)
    grid[1:-1, 1:-1] = (EMPTY, 0, 0)
    ways = {"empty": (EMPTY, 0, 0), "wall": (WALL, GREY, 0), "ball": (BALL, RED, 0), "blue ball": (BALL, BLUE, 0)}
    ways |= {"key": (KEY, RED, 0), "open": (DOOR, RED, 0), "closed": (DOOR, RED, 1), "locked": (DOOR, RED, 2)}
    seen = {}
    for name, encoded in ways.items():
        grid[cell] = encoded
        seen[name] = torch.from_numpy(situations(grid[None], np.array([(4, 4, 0)])))
    return seen


@pytest.mark.parametrize("cell", [(5, 4), (4, 6)], ids=["in front", "aside"])
def test_state_and_goal_read_what_stands_in_the_way_and_things_only_when_asked(cell: tuple[int, int]) -> None:
    state, goal, looks_around, action = state_encoder(), goal_encoder(), state_encoder(things=True), torch.ones(4)
    seen = beside(cell)
    acted = {name: state(row, action) for name, row in seen.items()}
    for outputs in (acted, {name: goal(row) for name, row in seen.items()}):
        for name in ("ball", "blue ball", "key", "locked"):  # they stand in the way, as a wall does, and that is all
            torch.testing.assert_close(outputs[name], outputs["wall"], msg=name)
        alike = {("open", "closed")} if outputs is not acted and cell == (4, 6) else set()
        for one, other in combinations(("wall", "empty", "open", "closed"), 2):
            # To a goal, the doors around it are doors: they may have been opened on the way.
            assert ((outputs[one] - outputs[other]).abs().max() > 1e-4) == ((one, other) not in alike), (one, other)
    for one, other in combinations(("wall", "ball", "blue ball", "key", "locked"), 2):
        assert (looks_around(seen[one], action) - looks_around(seen[other], action)).abs().max() > 1e-4, (one, other)


def meanings(encoder: GridMeaningEncoder, goals: list[list[int]]) -> torch.Tensor:
    """What the encoder makes of goals given by their first seven numbers."""
    output: torch.Tensor = encoder(torch.nn.functional.pad(torch.tensor(goals, dtype=torch.uint8), (0, SITUATION - 7)))
    return output


def test_meanings_read_type_and_colour_apart() -> None:
    encoder, place = GridMeaningEncoder(16, 10), [3, 4, 1, 8, 8]
    for kind, other in ((BALL, KEY), (DOOR, BOX)):
        pairs = [[kind, RED], [kind, BLUE], [other, RED], [other, BLUE]]
        red, blue, other_red, other_blue = meanings(encoder, [place + pair for pair in pairs])
        torch.testing.assert_close(blue - red, other_blue - other_red)
        torch.testing.assert_close(other_red - red, other_blue - blue)
        assert (blue - red).abs().max() > 0.1
    empty, other_empty, wall, green_wall = meanings(
        encoder, [place + pair for pair in ([EMPTY, RED], [EMPTY, BLUE], [WALL, GREY], [WALL, GREEN])]
    )
    torch.testing.assert_close(empty, other_empty)  # an empty cell, encoded with colour 0, is not red
    torch.testing.assert_close(wall, green_wall)


def test_meanings_depend_on_the_share_of_the_grid_and_on_no_direction_or_window() -> None:
    encoder = GridMeaningEncoder(16, 10)
    one, turned, larger, mirrored = meanings(
        encoder, [[x, 6, d, w, 9, BALL, RED] for x, d, w in ((2, 0, 9), (2, 3, 9), (4, 0, 17), (6, 0, 9))]
    )
    torch.testing.assert_close(one, turned)
    torch.testing.assert_close(one, larger)
    assert (one - mirrored).abs().max() > 0.01
    goals = rows(6)
    around = goals.clone()
    around[:, OWN:] = 0
    torch.testing.assert_close(encoder(around), encoder(goals))


@PLACES
@pytest.mark.parametrize("things", [False, True])
def test_gradients_reach_every_parameter(places: bool, things: bool) -> None:
    rotary, critic = Rotary(10), Critic("dot", embedding_dim=10)
    state_action, goal = state_encoder(places=places, things=things), goal_encoder(places=places)
    meaning = GridMeaningEncoder(16, 10)
    states, goals = rows(6), rows(5, 1)
    turned = rotary.turn(state_action(states, torch.randn(6, 4)), states), rotary.turn(goal(goals), goals)
    (critic(*turned).square().mean() + meaning(goals).square().mean()).backward()
    for module in (state_action, goal, meaning, rotary):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name
