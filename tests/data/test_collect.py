"""Collecting in BabyAI: walks of its layouts that show no held-out pair, the same for the same seed; true captions."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from minigrid.core.constants import COLOR_TO_IDX, IDX_TO_COLOR, IDX_TO_OBJECT, OBJECT_TO_IDX
from numpy.typing import NDArray

from goalbridge.configs.checks import ConfigError
from goalbridge.configs.data_schema import DataConfig
from goalbridge.configs.splits import Split
from goalbridge.data import DatasetError, TrajectoryBuffer
from goalbridge.data.captions import caption_goals
from goalbridge.encoders.grid import OWN, WINDOW
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.layouts import HELD_OUT_COMBINATIONS, draw_layouts
from goalbridge.envs.babyai.simulator import FORWARD, LEFT, RIGHT, TOGGLE
from goalbridge.envs.layouts import resolve_layout
from goalbridge.worlds.babyai.collect import collect_grids
from goalbridge.worlds.babyai.settings import BabyAISettings
from goalbridge.worlds.babyai.world import BabyAIWorld
from goalbridge.worlds.maze.collect import collect_maze
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import make_world

LEVELS = ("GoToLocal", "GoToObjMazeS4")
DATA = DataConfig(kind="random", trajectories=60, walk_length=12)
DIRECTIONS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
HELD_OUT = {(OBJECT_TO_IDX[kind], COLOR_TO_IDX[colour]) for colour, kind in HELD_OUT_COMBINATIONS}


@cache
def collected(kind: str = "random", seed: int = 0, held_out: bool = True, trajectories: int = 60) -> TrajectoryBuffer:
    home = BabyAIWorld(BabyAISettings(levels=LEVELS, layouts=20, held_out=held_out))
    return home.collect(DataConfig(kind=kind, trajectories=trajectories, walk_length=12), seed)


def pairs_in(seen: NDArray[np.uint8]) -> set[tuple[int, int]]:
    """Every (type, colour) that situations show, in front or around."""
    around = np.stack([seen[:, OWN : OWN + WINDOW], seen[:, OWN + WINDOW :]], axis=-1).reshape(-1, 2)
    return {(kind, colour) for kind, colour in np.unique(np.concatenate([around, seen[:, 5:7]]), axis=0).tolist()}


@pytest.mark.parametrize("kind", ["random", "mixed", "expert"])
def test_the_same_seed_collects_the_same(kind: str) -> None:
    first, other = collected(kind), collected(kind, seed=1)
    collected.cache_clear()
    again = collected(kind)
    for name in ("observations", "actions", "lengths", "groups", "places"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.observations, other.observations)
    assert not np.array_equal(first.actions, other.actions)


def test_trajectories_are_spread_over_the_layouts() -> None:
    buffer = collected()
    assert buffer.groups is not None
    assert buffer.places is not None
    assert np.bincount(buffer.groups).tolist() == [3] * 20
    assert (buffer.lengths == 12).all()
    assert buffer.observations.dtype == np.uint8
    assert buffer.goals is buffer.observations
    starts = buffer.observations.reshape(60, 13, -1)[:, 0]
    np.testing.assert_array_equal(buffer.places, starts[:, :2])
    sizes = starts[:, 3:5]
    assert {tuple(size) for size in sizes.tolist()} == {(8, 8), (10, 10)}  # each grid's own, not the canvas's
    assert all(len(np.unique(sizes[buffer.groups == layout], axis=0)) == 1 for layout in range(20))


def test_fewer_trajectories_than_layouts_are_one_each() -> None:
    assert collected(trajectories=5).lengths.size == 20


@pytest.mark.parametrize("kind", ["random", "expert"])
def test_actions_lead_from_each_situation_to_the_next(kind: str) -> None:
    buffer = collected(kind)
    assert set(np.unique(buffer.actions)) == {0.0, 1.0}
    assert (buffer.actions.sum(axis=1) == 1).all()
    seen = buffer.observations.reshape(60, 13, -1).astype(np.int64)
    before, after = seen[:, :-1].reshape(720, -1), seen[:, 1:].reshape(720, -1)
    action = buffer.actions.argmax(axis=1)
    turn = (action == RIGHT).astype(int) - (action == LEFT)
    np.testing.assert_array_equal(after[:, 2], (before[:, 2] + turn) % 4)
    moved = (after[:, :2] != before[:, :2]).any(axis=1)
    assert moved.any()
    assert (action[moved] == FORWARD).all()
    np.testing.assert_array_equal((after - before)[moved, :2], DIRECTIONS[before[moved, 2]])
    changed = (after != before).any(axis=1)
    assert changed[turn != 0].all()
    assert (action[(after[:, 7] != before[:, 7]) & ~moved & (turn == 0)] == TOGGLE).all()
    if kind == "expert":
        assert changed.all()  # whoever walks to a place does nothing in vain


@pytest.mark.parametrize("kind", ["random", "mixed", "expert"])
def test_no_situation_shows_a_held_out_pair(kind: str) -> None:
    assert not pairs_in(collected(kind).observations) & HELD_OUT
    assert pairs_in(collected(kind, held_out=False).observations) & HELD_OUT


def test_half_of_a_mixed_collection_walks_somewhere() -> None:
    """Random play changes nothing now and then; who walks to a place never does."""

    def idle(buffer: TrajectoryBuffer) -> NDArray[np.bool_]:
        seen = buffer.observations.reshape(60, 13, -1)
        still: NDArray[np.bool_] = (seen[:, 1:] == seen[:, :-1]).all(axis=-1).any(axis=1)
        return still

    shares = [float(idle(collected(kind)).mean()) for kind in ("random", "mixed", "expert")]
    assert shares[0] > 0.8
    assert 0.3 < shares[1] < 0.6
    assert shares[2] == 0


def test_layouts_without_a_limit_on_pairs_are_collected_in_directly() -> None:
    layouts = draw_layouts(LEVELS, 4, np.random.default_rng(0))
    assert collect_grids(layouts, DATA, 0).lengths.size == 60


def test_a_mixture_is_for_grids() -> None:
    with pytest.raises(ConfigError, match=r"data\.kind=mixed: expected data of a maze; try data.kind=expert"):
        collect_maze(resolve_layout("fork"), DataConfig(kind="mixed"), 0)


def is_so(word: str, goal: list[int]) -> bool:
    """Whether a word of a label is true of a goal: a side, a type or a colour."""
    x, y, _, width, height, kind, colour = goal
    across, down = 2 * x - width + 1, 2 * y - height + 1
    sides = {"left": across < 0, "right": across > 0, "top": down < 0, "bottom": down > 0}
    return sides[word] if word in sides else word in (IDX_TO_OBJECT[kind], IDX_TO_COLOR[colour])


@pytest.mark.parametrize("split", ["train", "label"])
def test_captions_are_true_of_their_goals_and_worded_in_their_split(split: Split) -> None:
    captions = GridCaptions(lexicon_size=3)
    pairs = caption_goals(captions, collected().goals, split, 0)
    meant = {text: label for label in range(len(captions.labels)) for text in captions.phrasings(label, split)}
    assert set(pairs.texts) == set(meant)
    assert pairs.goals.dtype == np.uint8
    for goal, text, label, true in zip(pairs.goals, pairs.text, pairs.label, pairs.true_labels, strict=True):
        assert meant[pairs.texts[text]] == label
        assert label in true
        words = captions.labels[label].removesuffix(" side").split()
        assert all(is_so(word, goal[:7].tolist()) for word in words)
    assert len(set(pairs.label.tolist())) > 15


def standing(x: int, y: int, kind: int, colour: int = 0, size: int = 9) -> list[int]:
    return [x, y, 0, size, size, kind, colour]


def test_goals_of_which_nothing_can_be_said_are_left_out() -> None:
    middle, aside, faces = standing(4, 4, 1), standing(4, 2, 1), standing(4, 4, OBJECT_TO_IDX["ball"], 0)
    goals = np.array([middle, aside, middle, faces, middle], dtype=np.uint8)
    pairs = caption_goals(GridCaptions(), goals, "label", 0)
    np.testing.assert_array_equal(pairs.goals, goals[[1, 3]])
    said = [pairs.texts[text] for text in pairs.text]
    assert said[0] == "top side"
    assert said[1] in ("red ball", "ball", "red")


def test_no_goal_of_which_anything_can_be_said() -> None:
    goals = np.array([standing(4, 4, 1)] * 3, dtype=np.uint8)
    with pytest.raises(DatasetError, match="captions: needs at least one captioned goal"):
        caption_goals(GridCaptions(), goals, "label", 0)


def test_random_walks_leave_out_the_steps_that_did_not_move() -> None:
    layout = resolve_layout("fork")
    found = collect_maze(layout, DataConfig(kind="random", trajectories=50, walk_length=30), 0)
    assert found.transitions < 50 * 30  # walls are often in the way
    assert (found.lengths <= 30).all()
    batch = found.sample_futures(np.random.default_rng(0), 4000, 1e-9)  # the step that follows
    moved = np.linalg.norm(batch.goals - batch.states, axis=1)
    assert np.quantile(moved, 0.05) > 0.05
    assert np.median(moved) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", ["expert", "random"])
def test_collected_trajectories_are_walks_of_the_world(kind: str) -> None:
    maze = make_world(MazeSettings("goalbridge/ForkMaze-v0"), 1)
    config = DataConfig(kind=kind, trajectories=40, walk_length=9)
    buffer, again, other = (collect_maze(maze.layout, config, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(buffer.observations, again.observations)
    np.testing.assert_array_equal(buffer.actions, again.actions)
    assert not np.array_equal(buffer.observations[:5], other.observations[:5])
    assert len(buffer.lengths) == 40
    slack = 0.0
    if kind == "random":
        assert buffer.lengths.max() == 9  # steps that did not move are left out
        slack = 0.3  # what such steps slid along a wall
    np.testing.assert_array_equal(buffer.goals, buffer.observations)
    cell = np.floor(buffer.observations).astype(int)
    assert not maze.layout.walls[cell[:, 0], cell[:, 1]].any()
    np.testing.assert_allclose(np.linalg.norm(buffer.actions, axis=1), 1, atol=1e-5)
    last = np.cumsum(buffer.lengths + 1) - 1
    moves = np.delete(np.diff(buffer.observations, axis=0), last[:-1], axis=0)  # [transitions, 2]
    assert np.linalg.norm(moves, axis=1).max() < 0.501 + slack
    ahead = (moves * buffer.actions).sum(axis=1)
    assert (ahead > -1e-3 - slack).all()  # it moves where the recorded action points, or not at all
    assert np.median(ahead) > 0.3
