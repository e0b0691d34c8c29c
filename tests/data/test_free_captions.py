"""Captions in anyone's own words: each text its own label, true of every goal that it was given to."""

import numpy as np
import pytest

from goalbridge.data import CaptionPairs, DatasetError
from goalbridge.data.collect import caption_goals
from goalbridge.data.free_captions import FreeCaptions

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
