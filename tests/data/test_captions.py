"""Captions: true of their goals, in training words only, as often as they weigh; duplicates; free texts."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from goalbridge.configs.splits import Split
from goalbridge.data import CaptionPairs, DatasetError
from goalbridge.data.captions import caption_goals
from goalbridge.data.free_captions import FreeCaptions
from goalbridge.envs.places import MazePlaces, Place
from goalbridge.envs.point_maze import MazeSurface
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import make_world


@pytest.fixture(scope="module")
def maze() -> MazeSurface:
    return make_world(MazeSettings("goalbridge/ForkMaze-v0"), 1)


@pytest.fixture(scope="module")
def places(maze: MazeSurface) -> MazePlaces:
    return MazePlaces(maze.layout)


def captioned(maze: MazeSurface, split: Split = "train", seed: int = 0, repeats: int = 20) -> CaptionPairs:
    return caption_goals(MazePlaces(maze.layout), np.repeat(maze.candidate_goals(), repeats, axis=0), split, seed)


def holds(place: Place | None, goal: np.ndarray[Any, Any]) -> bool:
    assert place is not None
    row, column = np.floor(goal).astype(int)
    return bool(place.region[row, column])


@pytest.mark.parametrize("split", ["train", "label"])
def test_captions_are_true_and_worded_in_their_split(maze: MazeSurface, places: MazePlaces, split: Split) -> None:
    pairs = captioned(maze, split, repeats=3)
    allowed = set(places.all_texts(split))
    for goal, text, label in zip(pairs.goals, pairs.text, pairs.label, strict=True):
        words = pairs.texts[text]
        assert words in allowed
        place = places.find(words)
        assert holds(place, goal)
        assert place is places.places[label]
    np.testing.assert_array_equal(pairs.true_labels, places.true_labels(pairs.goals))
    assert not set(pairs.texts) & {*places.all_texts("held_out"), *places.all_texts("validation")}


def test_captions_are_as_often_as_they_weigh_and_uniform_over_wordings(maze: MazeSurface, places: MazePlaces) -> None:
    goal = maze.candidate_goals()[7]
    pairs = caption_goals(places, np.tile(goal, (40_000, 1)), "train", 3)
    true = [label for label in pairs.true_labels[0] if label >= 0]
    total = places.weights[true].sum()
    texts = np.bincount(pairs.text, minlength=len(pairs.texts))
    expected = np.zeros(len(pairs.texts))
    for label in true:
        wordings = places.phrasings(label, "train")
        share = places.weights[label] / total / len(wordings)
        expected[[pairs.texts.index(text) for text in wordings]] = 40_000 * share
    assert not texts[expected == 0].any()
    assert stats.chisquare(texts[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_captions_depend_on_the_seed_alone(maze: MazeSurface) -> None:
    first, again, other = captioned(maze), captioned(maze), captioned(maze, seed=1)
    np.testing.assert_array_equal(first.text, again.text)
    assert not np.array_equal(first.text, other.text)


def test_duplicates_are_the_captions_that_are_true_of_another_goal(maze: MazeSurface, places: MazePlaces) -> None:
    pairs = captioned(maze)
    batch = pairs.sample(np.random.default_rng(0), 40)
    for i, goal in enumerate(batch.goals):
        for j, text in enumerate(batch.texts):
            assert batch.duplicates[i, j] == holds(places.find(pairs.texts[text]), goal)
    assert batch.duplicates.diagonal().all()
    assert 0 < batch.duplicates.sum() - 40 < 40 * 39
    again = pairs.sample(np.random.default_rng(0), 40)
    np.testing.assert_array_equal(batch.goals, again.goals)
    np.testing.assert_array_equal(batch.texts, again.texts)


def test_padding_is_true_of_nothing() -> None:
    pairs = CaptionPairs(
        np.arange(4, dtype=np.float32).reshape(2, 2), ["a", "b"], np.array([0, 1]), np.array([5, 6]),
        np.array([[5, -1], [6, 5]]),
    )  # fmt: skip
    batch = pairs.sample(np.random.default_rng(0), 30)
    first, second = batch.texts == 0, batch.texts == 1
    assert batch.duplicates[np.ix_(second, first)].all()  # caption "a" (5) is true of the second goal too
    assert not batch.duplicates[np.ix_(first, second)].any()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"goals": np.zeros((0, 2))}, "needs at least one captioned goal"),
        ({"text": np.array([0])}, "1 entries of text for 2 goals"),
        ({"label": np.array([5, 6, 7])}, "3 entries of label for 2 goals"),
        ({"true_labels": np.array([[5]])}, "1 entries of true_labels for 2 goals"),
        ({"true_labels": np.array([5, 6])}, r"true_labels has shape \(2,\)"),
        ({"label": np.array([5, 9])}, "not among what is true of its goal"),
        ({"label": np.array([5, -1])}, "below 0"),
        ({"text": np.array([0, 2])}, "beyond the 2 texts"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], says: str) -> None:
    whole: dict[str, Any] = {
        "goals": np.zeros((2, 2)),
        "texts": ["a", "b"],
        "text": np.array([0, 1]),
        "label": np.array([5, 6]),
        "true_labels": np.array([[5, 4], [6, -1]]),
    }
    with pytest.raises(DatasetError, match=says) as caught:
        CaptionPairs(**(whole | change))
    assert "\n" not in str(caught.value)


GOALS = np.array([[0.0, 1.0], [2.0, 3.0], [0.0, 1.0], [4.0, 5.0]], dtype=np.float32)
TEXTS = [["by the door", "in the kitchen"], ["in the hall"], ["somewhere warm", "by the door"], []]


def test_all_that_was_said_of_equal_goals_is_true_of_them() -> None:
    captions = FreeCaptions(GOALS, TEXTS)
    assert captions.labels == ("by the door", "in the kitchen", "in the hall", "somewhere warm")
    true = captions.true_labels(np.array([[-0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [9.0, 9.0]]))
    assert true.tolist() == [[0, 1, 3], [2, -1, -1], [-1, -1, -1], [-1, -1, -1]]
    for split in ("train", "validation", "held_out", "label"):
        assert captions.all_texts(split) == captions.labels
        assert [captions.phrasings(label, split) for label in range(4)] == [(text,) for text in captions.labels]


def test_pairs_take_what_is_true_and_leave_out_goals_without_a_word() -> None:
    captions = FreeCaptions(GOALS, TEXTS)
    pairs = caption_goals(captions, np.repeat(GOALS, 200, axis=0), "train", 0)
    assert len(pairs.goals) == 600
    said = {(tuple(goal), pairs.texts[text]) for goal, text in zip(pairs.goals.tolist(), pairs.text, strict=True)}
    at_door = {((0.0, 1.0), text) for text in ("by the door", "in the kitchen", "somewhere warm")}
    assert said == at_door | {((2.0, 3.0), "in the hall")}


@pytest.mark.parametrize(
    ("goals", "texts", "says"),
    [
        (GOALS, TEXTS[:3], "3 lists of texts for goals"),
        (GOALS, [[], [], [], []], "there are none"),
        (GOALS, [["a"], [" "], [], []], "goal 1 has the caption ' '"),
        (GOALS, [["a"], [3], [], []], "goal 1 has the caption 3"),
    ],
)
def test_what_is_no_caption_is_named(goals: np.ndarray, texts: list[list[str]], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        FreeCaptions(goals, texts)


def test_many_texts_of_many_goals_have_the_same_duplicates_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = caption_goals(FreeCaptions(GOALS, TEXTS), np.repeat(GOALS, 20, axis=0), "train", 0)
    few = pairs.sample(np.random.default_rng(0), 64)
    monkeypatch.setattr("goalbridge.data.captions._TABLE", 0)
    parts = (pairs.goals, pairs.texts, pairs.text, pairs.label, pairs.true_labels)
    many = CaptionPairs(*parts).sample(np.random.default_rng(0), 64)
    np.testing.assert_array_equal(few.duplicates, many.duplicates)
    assert 64 < few.duplicates.sum() < 64 * 64
