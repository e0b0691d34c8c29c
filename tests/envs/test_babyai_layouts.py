"""Layouts as minigrid generates them, with no held-out object in any."""

from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from numpy.typing import NDArray

from goalbridge.envs.babyai.layouts import HELD_OUT_COMBINATIONS, draw_layouts, free_cells, free_poses
from goalbridge.envs.babyai.levels import LEVELS

NAMES = ("GoToLocal", "GoToObjDoor", "GoToObjS4", "FourRooms", "GoToOpen", "GoToObjS6", "GoToSeqS5R2")
HOLDABLE = ("ball", "box", "key")


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pairs(grids: NDArray[np.uint8]) -> set[tuple[int, int]]:
    """All (type, colour) of what could be carried."""
    carried = np.isin(grids[..., 0], [OBJECT_TO_IDX[kind] for kind in HOLDABLE])
    return {(int(kind), int(colour)) for kind, colour, _ in grids[carried]}


def test_layouts_are_those_that_minigrid_resets_to_with_walls_around(capsys: pytest.CaptureFixture[str]) -> None:
    layouts = draw_layouts(NAMES, 2 * len(NAMES), generator())
    assert capsys.readouterr().out == ""  # minigrid rejects some, and says so
    assert len(layouts) == 14
    assert layouts.grids.shape == (14, 22, 22, 3)
    assert layouts.grids.dtype == np.uint8
    assert layouts.level.tolist() == [*range(7), *range(7)]
    for index, seed in enumerate(generator().integers(2**31, size=len(layouts)).tolist()):
        world: Any = gymnasium.make(LEVELS[NAMES[index % len(NAMES)]].minigrid_id).unwrapped
        world.reset(seed=seed)
        grid, (width, height) = layouts.grids[index], layouts.sizes[index]
        assert (width, height) == (world.width, world.height)
        np.testing.assert_array_equal(grid[:width, :height], world.grid.encode())
        assert (grid[width:] == (2, 5, 0)).all()
        assert (grid[:, height:] == (2, 5, 0)).all()
    assert draw_layouts(["GoToObjS4", "GoToLocalS5N2"], 3, generator()).grids.shape == (3, 5, 5, 3)


def test_the_generator_decides() -> None:
    one, same, other = (draw_layouts(NAMES, 8, generator(seed), HELD_OUT_COMBINATIONS) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.grids, same.grids)
    assert (one.grids != other.grids).any()


def test_held_out_combinations_are_balanced() -> None:
    assert len(HELD_OUT_COMBINATIONS) == 9
    colours, kinds = ([pair[part] for pair in HELD_OUT_COMBINATIONS] for part in (0, 1))
    assert [kinds.count(kind) for kind in HOLDABLE] == [3, 3, 3]
    assert all(1 <= colours.count(colour) <= 2 for colour in COLOR_TO_IDX)
    assert not HELD_OUT_COMBINATIONS & {("red", "ball"), ("blue", "ball")}  # what four levels ask for


def test_no_layout_shows_what_is_held_out() -> None:
    levels = ["GoToLocal", "GoToRedBallGrey", "GoToObjDoor"]
    plain = draw_layouts(levels, 150, generator())
    seen = draw_layouts(levels, 150, generator(), HELD_OUT_COMBINATIONS)
    held = {(OBJECT_TO_IDX[kind], COLOR_TO_IDX[colour]) for colour, kind in HELD_OUT_COMBINATIONS}
    everything = {(OBJECT_TO_IDX[kind], colour) for kind in HOLDABLE for colour in range(6)}
    assert pairs(plain.grids) == everything
    assert pairs(seen.grids) == everything - held
    # Nothing else has changed: not what may stay, nor any door, though doors of every colour are there.
    changed = (plain.grids != seen.grids).any(axis=-1)
    assert {tuple(cell[:2]) for cell in plain.grids[changed].tolist()} == held
    np.testing.assert_array_equal(plain.grids[..., [0, 2]], seen.grids[..., [0, 2]])
    assert set(seen.grids[seen.grids[..., 0] == OBJECT_TO_IDX["door"]][:, 1].tolist()) == set(range(6))


def test_new_colours_are_uniform() -> None:
    held_out = [("grey", "key"), ("red", "key"), ("green", "key")]
    plain, repainted = (draw_layouts(["GoToRedBallGrey"], 300, generator(), out).grids for out in ((), held_out))
    keys = plain[..., 0] == OBJECT_TO_IDX["key"]  # all of them grey
    share = np.bincount(repainted[keys][:, 1], minlength=6) / keys.sum()
    np.testing.assert_allclose(share, [0, 0, 1 / 3, 1 / 3, 1 / 3, 0], atol=0.06)


@pytest.mark.parametrize(
    ("levels", "count", "held_out", "message"),
    [
        ([], 1, [], r"levels: .* got none"),
        (["GoToLocal"], 0, [], r"count: .* got 0"),
        (["PickupLoc"], 1, [], r"level: .*'PickupLoc'"),
        (["GoToLocal"], 1, [("crimson", "key")], r"held_out: .*crimson"),
        (["GoToLocal"], 1, [("red", "door")], r"held_out: .*door"),
        (["GoToLocal"], 1, [(colour, "box") for colour in COLOR_TO_IDX], "at least one colour left for a box"),
    ],
)
def test_bad_input(levels: list[str], count: int, held_out: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_layouts(levels, count, generator(), held_out)


def test_free_cells_and_poses() -> None:
    cells = [(kind, 1, 0) for kind in range(11)] + [(4, 1, 1), (4, 1, 2)]
    free = free_cells(np.array(cells, dtype=np.uint8))
    assert np.flatnonzero(free).tolist() == [1, 3, 4, 8, 9, 11]  # all but a locked door, walls and things
    grid = np.full((5, 4, 3), (2, 5, 0), dtype=np.uint8)
    grid[1:4, 1] = [(1, 0, 0), (4, 2, 1), (6, 2, 0)]
    expected = [[x, 1, direction] for x in (1, 2) for direction in range(4)]
    assert free_poses(grid).tolist() == free_poses(grid, np.array([5, 4])).tolist() == expected
    assert free_poses(grid, np.array([2, 4])).tolist() == expected[:4]
    assert free_poses(grid).dtype == np.int64
