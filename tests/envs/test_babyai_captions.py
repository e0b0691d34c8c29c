"""Captions of BabyAI goals: what is true of hand-made goals, and wordings in two disjoint splits."""

import re

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX

from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.four_rooms import ROOMS, room_at
from goalbridge.envs.babyai.lexicon import HELD_OUT_WORDS
from goalbridge.envs.babyai.phrasing import COLOURS, TYPES, correct_articles, other_action, templates

PLAIN = GridCaptions()
THINGS = templates("thing", "train")


@pytest.fixture(scope="module", params=[0, 1, 5, 20, 1000])
def captions(request: pytest.FixtureRequest) -> GridCaptions:
    return GridCaptions(lexicon_size=request.param)


def said(captions: GridCaptions, label: str, split: str = "train") -> set[str]:
    return set(captions.phrasings(captions.labels.index(label), split))  # type: ignore[arg-type]


def goal(x: int, y: int, width: int, height: int, faced: str, colour: str = "red") -> list[int]:
    return [x, y, 0, width, height, OBJECT_TO_IDX[faced], COLOR_TO_IDX[colour]]


def truths(*goals: list[int]) -> list[list[str]]:
    return [[PLAIN.labels[label] for label in row if label >= 0] for row in PLAIN.true_labels(goals).tolist()]


def test_labels_are_the_same_at_any_size_of_the_lexicon(captions: GridCaptions) -> None:
    assert captions.labels == PLAIN.labels == captions.all_texts("label")
    assert len(set(PLAIN.labels)) == 24 + 4 + 6 + 4 + 4
    assert {"red ball", "grey door", "ball", "red", "left side", "top side", "top left"} < {*PLAIN.labels}
    assert captions.all_texts("held_out") == PLAIN.all_texts("held_out")
    assert set(PLAIN.all_texts("train")) <= set(captions.all_texts("train"))


def test_truths_pad_at_the_end_and_take_what_collecting_gives() -> None:
    goals = np.array([goal(4, 7, 9, 9, "wall"), goal(1, 1, 8, 8, "ball")], dtype=np.float32)
    labels = PLAIN.true_labels(np.pad(goals, ((0, 0), (0, 3))))
    assert labels.dtype == np.int64
    assert labels[0].tolist() == [PLAIN.labels.index("bottom side"), -1, -1, -1, -1, -1]
    assert (np.diff(labels[1]) > 0).all()
    assert PLAIN.true_labels(np.zeros((0, 7))).shape == (0, 6)
    for wrong in (np.zeros(7), np.zeros((2, 6))):
        with pytest.raises(ValueError, match=r"goals: expected"):
            PLAIN.true_labels(wrong)


def test_truths_agree_with_a_loop_over_random_goals() -> None:
    rng = np.random.default_rng(0)
    width, height = rng.integers(4, 23, size=(2, 500))
    numbers = [rng.integers(width), rng.integers(height), rng.integers(4, size=500), width, height]
    goals = np.stack([*numbers, rng.integers(11, size=500), rng.integers(6, size=500)], axis=1)
    names = {number: name for name, number in OBJECT_TO_IDX.items()}
    for (x, y, _, w, h, faced, colour), row in zip(goals.tolist(), truths(*goals.tolist()), strict=True):
        side = "left" if x < (w - 1) / 2 else "right" if x > (w - 1) / 2 else ""
        level = "top" if y < (h - 1) / 2 else "bottom" if y > (h - 1) / 2 else ""
        expected = {f"{one} side" for one in (side, level) if one} | ({f"{level} {side}"} if level and side else set())
        if names[faced] in TYPES:
            expected |= {names[faced], COLOURS[colour], f"{COLOURS[colour]} {names[faced]}"}
        assert sorted(row) == sorted(expected)


def test_quadrants_are_the_rooms_of_four_rooms() -> None:
    for x, y in np.ndindex(17, 17):
        room = room_at(x + 1, y + 1)
        quadrants = [label for label in truths(goal(x + 1, y + 1, 19, 19, "wall"))[0] if label in ROOMS]
        assert quadrants == ([] if room is None else [room])


def test_training_has_none_of_minigrids_openings_nor_of_the_held_out_words(captions: GridCaptions) -> None:
    train = captions.all_texts("train")
    assert not [text for text in train if "go to" in text]
    heads = {form.partition("{")[0].removesuffix("a ").removesuffix("the ") for form in THINGS} - {""}
    assert not [held for held in templates("thing", "held_out") for head in heads if head in held]
    words = {word for text in train for word in text.split()}
    assert not [(word, held) for word in words for held in HELD_OUT_WORDS if held in word]


def test_lexicon_words_are_further_wordings_in_a_few_templates() -> None:
    captions = GridCaptions(lexicon_size=5)
    further = said(captions, "blue ball") - said(PLAIN, "blue ball")
    assert len(further) == 5 * 4
    assert sum("sky ball" in text for text in further) == 4
    assert sum(" a " in f" {text}" or " an " in f" {text}" for text in further) == 10
    everywhere = {
        text.replace("sky ", "").replace(kind, "{what}")
        for kind in TYPES
        for text in said(captions, f"blue {kind}")
        if "sky" in text
    }
    assert everywhere == set(THINGS)
    assert any("something sky" in text for text in said(captions, "blue"))
    assert all(said(captions, same) == said(PLAIN, same) for same in ("ball", "left side", "top left"))


def test_articles() -> None:
    wrong = ("a azure key", "find an ball", "An red box", "A orb", "a umber box")
    right = ("an azure key", "find a ball", "A red box", "An orb", "an umber box")
    fine = (*right, "the box", "a", "a unique one", "a one", "a eucalyptus door")
    assert tuple(map(correct_articles, (*wrong, *fine))) == (*right, *fine)


@pytest.mark.parametrize(
    "level", ["GoToRedBallGrey", "GoToRedBall", "GoToLocal", "GoToDoor", "GoToRedBlueBall", "GoToObjMazeS4R2"]
)
def test_minigrids_own_missions_are_held_out_wordings(level: str) -> None:
    env = gymnasium.make(f"BabyAI-{level}-v0")
    for seed in range(8):
        mission = env.reset(seed=seed)[0]["mission"]
        assert mission in PLAIN.all_texts("held_out")
        label = PLAIN.label_id(mission)
        assert label is not None
        assert mission.endswith(PLAIN.labels[label])


def test_further_nouns_are_said_in_training_only() -> None:
    captions = GridCaptions(lexicon_size=2, nouns={"ball": ("ball", "round toy")})
    assert captions.nouns["ball"] == ("ball", "round toy")
    texts = said(captions, "blue ball")
    assert {"walk to the blue ball", "walk to the blue round toy"} < texts
    assert [sum(word in text for text in texts) for word in ("sky", "denim")] == [4, 4]
    assert "find a round toy" in said(captions, "ball")
    assert not [text for text in captions.all_texts("held_out") if "toy" in text]
    assert len(set(captions.all_texts("train"))) == len(captions.all_texts("train"))


@pytest.mark.parametrize(
    ("size", "nouns", "message"),
    [
        (-1, {}, "lexicon_size: expected 0 or more, got -1"),
        (0, {"sofa": ("couch",)}, "nouns: expected types door, key, ball, box, got 'sofa'"),
        (0, {"ball": ("shiny globe",)}, "held out for testing, got 'shiny globe' of 'ball'"),
        (0, {"ball": ("toy",), "box": ("toy",)}, "got 'toy' for 'ball' and 'box'"),
        (0, {"ball": ("box",)}, "got 'box' for"),
    ],
)
def test_bad_settings_are_refused(size: int, nouns: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        GridCaptions(size, nouns)


def test_missions_of_other_levels_are_told_apart() -> None:
    actions = {
        "pick up the red ball": "pick up",
        "open the yellow door": "open",
        "put the blue key next to the green box": "put",
        "go to the red ball after you pick up a key": "pick up",
        "go to the green door": None,
        "move over to the top left room": None,
    }
    assert {mission: other_action(mission) for mission in actions} == actions
