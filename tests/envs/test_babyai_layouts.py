"""Layouts as minigrid generates them, with no held-out object in any."""

from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from numpy.typing import NDArray

from goalbridge.envs.babyai.layouts import HELD_OUT_COMBINATIONS, Layouts, draw_layouts, free_poses
from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.babyai.phrasing import COLOURS, FIRST_TYPE, TYPES
from goalbridge.envs.babyai.simulator import BALL, BOX, DOOR, KEY, free_cells

NAMES = ("GoToLocal", "GoToObjDoor", "GoToObjS4", "FourRooms", "GoToOpen", "GoToObjS6", "GoToSeqS5R2")


def draw(names: Any, count: int, held_out: Any = (), seed: int = 0) -> Layouts:
    return draw_layouts(names, count, np.random.default_rng(seed), held_out)


def pairs(grids: NDArray[np.uint8]) -> set[tuple[int, ...]]:
    """All (type, colour) of what could be carried."""
    return set(map(tuple, grids[np.isin(grids[..., 0], [BALL, BOX, KEY])][:, :2].tolist()))


def test_layouts_are_those_that_minigrid_resets_to(capsys: pytest.CaptureFixture[str]) -> None:
    """On one canvas, with walls around the smaller."""
    layouts = draw(NAMES, 2 * len(NAMES))
    assert capsys.readouterr().out == ""  # minigrid rejects some, and would say so
    assert layouts.grids.shape == (len(layouts), 22, 22, 3) == (14, 22, 22, 3)
    seeds = np.random.default_rng(0).integers(2**31, size=len(layouts)).tolist()
    for index, (grid, (width, height)) in enumerate(zip(layouts.grids, layouts.sizes, strict=True)):
        world: Any = gymnasium.make(LEVELS[NAMES[index % len(NAMES)]].minigrid_id).unwrapped
        world.reset(seed=seeds[index])
        assert (width, height) == (world.width, world.height)
        np.testing.assert_array_equal(grid[:width, :height], world.grid.encode())
        assert (grid[width:] == (2, 5, 0)).all()
        assert (grid[:, height:] == (2, 5, 0)).all()
    assert draw(["GoToObjS4", "GoToLocalS5N2"], 3).grids.shape == (3, 5, 5, 3)


def test_the_generator_decides() -> None:
    one, same, other = (draw(NAMES, 8, HELD_OUT_COMBINATIONS, seed).grids for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_held_out_combinations_are_balanced() -> None:
    colours, kinds = ([pair[part] for pair in HELD_OUT_COMBINATIONS] for part in (0, 1))
    assert [kinds.count(kind) for kind in ("ball", "box", "key")] == [3, 3, 3]
    assert all(1 <= colours.count(colour) <= 2 for colour in COLOURS)
    assert not HELD_OUT_COMBINATIONS & {("red", "ball"), ("blue", "ball")}  # what four levels ask for


def test_no_layout_shows_what_is_held_out() -> None:
    levels = ["GoToLocal", "GoToRedBallGrey", "GoToObjDoor"]
    plain, seen = draw(levels, 150).grids, draw(levels, 150, HELD_OUT_COMBINATIONS).grids
    held = {(FIRST_TYPE + TYPES.index(kind), COLOURS.index(colour)) for colour, kind in HELD_OUT_COMBINATIONS}
    everything = {(kind, colour) for kind in (BALL, BOX, KEY) for colour in range(6)}
    assert pairs(plain) == everything
    assert pairs(seen) == everything - held
    # Nothing else has changed: not what may stay, nor any door, though doors of every colour are there.
    assert {tuple(cell[:2]) for cell in plain[(plain != seen).any(axis=-1)].tolist()} == held
    np.testing.assert_array_equal(plain[..., [0, 2]], seen[..., [0, 2]])
    assert set(seen[seen[..., 0] == DOOR][:, 1].tolist()) == set(range(6))


def test_new_colours_are_uniform() -> None:
    plain = draw(["GoToRedBallGrey"], 300).grids
    repainted = draw(["GoToRedBallGrey"], 300, [("grey", "key"), ("red", "key"), ("green", "key")]).grids
    keys = plain[..., 0] == KEY  # all of them grey
    share = np.bincount(repainted[keys][:, 1], minlength=6) / keys.sum()
    np.testing.assert_allclose(share, [0, 0, 1 / 3, 1 / 3, 1 / 3, 0], atol=0.06)


@pytest.mark.parametrize(
    ("levels", "count", "held_out", "message"),
    [
        ([], 1, [], "levels: expected at least one"),
        (["GoToLocal"], 0, [], "count: expected 1 or more"),
        (["PickupLoc"], 1, [], "level: .*'PickupLoc'"),
        (["GoToLocal"], 1, [("crimson", "key")], "held_out: .*crimson"),
        (["GoToLocal"], 1, [("red", "door")], "held_out: .*door"),
        (["GoToLocal"], 1, [(colour, "box") for colour in COLOURS], "held_out: .*colour left for a box"),
    ],
)
def test_bad_input(levels: list[str], count: int, held_out: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(levels, count, held_out)


def test_free_cells_and_poses() -> None:
    cells = [(kind, 0, 0) for kind in range(9)] + [(DOOR, 1, 1), (DOOR, 1, 2)]
    assert np.flatnonzero(free_cells(np.array(cells, dtype=np.uint8))).tolist() == [1, 3, 4, 8, 9]
    grid = np.full((5, 4, 3), (2, 5, 0), dtype=np.uint8)
    grid[1:4, 1] = [(1, 0, 0), (DOOR, 2, 1), (BALL, 2, 0)]
    expected = [[x, 1, direction] for x in (1, 2) for direction in range(4)]
    assert free_poses(grid).tolist() == free_poses(grid, np.array([5, 4])).tolist() == expected
    assert free_poses(grid, np.array([2, 4])).tolist() == expected[:4]
    assert free_poses(grid).dtype == np.int64
