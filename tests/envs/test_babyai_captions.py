"""Captions of BabyAI goals: what is true of hand-made goals, and wordings in two disjoint splits."""

import re

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX

from goalbridge.configs.splits import SPLITS
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.four_rooms import EVALUATION_TEMPLATES, ROOMS, room_at
from goalbridge.envs.babyai.lexicon import HELD_OUT_WORDS
from goalbridge.envs.babyai.phrasing import (
    COLOURS,
    FIRST_TYPE,
    TYPES,
    correct_articles,
    other_action,
    templates,
)
from goalbridge.envs.spaces import INSTRUCTION_SPACE

SIZES = (0, 1, 5, 20, 1000)


@pytest.fixture(scope="module", params=SIZES)
def captions(request: pytest.FixtureRequest) -> GridCaptions:
    return GridCaptions(lexicon_size=request.param)


@pytest.fixture(scope="module")
def plain() -> GridCaptions:
    return GridCaptions()


def goal(x: int, y: int, width: int, height: int, faced: str, colour: str = "red") -> list[int]:
    return [x, y, 0, width, height, OBJECT_TO_IDX[faced], COLOR_TO_IDX[colour]]


def truths(captions: GridCaptions, *goals: list[int]) -> list[list[str]]:
    return [[captions.labels[label] for label in row if label >= 0] for row in captions.true_labels(goals).tolist()]


def test_ids_are_minigrids() -> None:
    assert {colour: place for place, colour in enumerate(COLOURS)} == COLOR_TO_IDX
    assert all(OBJECT_TO_IDX[kind] == FIRST_TYPE + place for place, kind in enumerate(TYPES))


def test_labels_are_the_same_at_any_size_of_the_lexicon(captions: GridCaptions, plain: GridCaptions) -> None:
    assert captions.labels == plain.labels == captions.all_texts("label")
    assert len(set(plain.labels)) == 24 + 4 + 6 + 4 + 4
    assert {"red ball", "grey door", "ball", "red", "left side", "top side", "top left", "bottom right"} < {
        *plain.labels
    }


def test_truths_of_hand_made_goals(plain: GridCaptions) -> None:
    assert truths(
        plain,
        goal(1, 1, 8, 8, "ball", "red"),
        goal(6, 3, 8, 8, "door", "grey"),
        goal(4, 4, 9, 9, "box", "yellow"),
        goal(4, 7, 9, 9, "wall", "grey"),
        goal(7, 4, 9, 9, "empty"),
        goal(4, 4, 9, 9, "goal", "green"),
        goal(10, 10, 22, 22, "key", "purple"),
        goal(3, 8, 8, 19, "unseen"),
    ) == [
        ["red ball", "ball", "red", "left side", "top side", "top left"],
        ["grey door", "door", "grey", "right side", "top side", "top right"],
        ["yellow box", "box", "yellow"],
        ["bottom side"],
        ["right side"],
        [],
        ["purple key", "key", "purple", "left side", "top side", "top left"],
        ["left side", "top side", "top left"],
    ]


def test_truths_pad_at_the_end_and_take_what_collecting_gives(plain: GridCaptions) -> None:
    goals = np.array([goal(4, 7, 9, 9, "wall"), goal(1, 1, 8, 8, "ball")], dtype=np.float32)
    labels = plain.true_labels(np.pad(goals, ((0, 0), (0, 3))))
    assert labels.shape == (2, 6)
    assert labels.dtype == np.int64
    assert labels[0].tolist() == [plain.labels.index("bottom side"), -1, -1, -1, -1, -1]
    assert (np.diff(labels[1]) > 0).all()
    assert plain.true_labels(np.zeros((0, 7))).shape == (0, 6)
    for wrong in (np.zeros(7), np.zeros((2, 6))):
        with pytest.raises(ValueError, match=r"goals: expected"):
            plain.true_labels(wrong)


def test_truths_agree_with_a_loop_over_random_goals(plain: GridCaptions) -> None:
    rng = np.random.default_rng(0)
    width, height = rng.integers(4, 23, size=(2, 500))
    numbers = [rng.integers(width), rng.integers(height), rng.integers(4, size=500), width, height]
    goals = np.stack([*numbers, rng.integers(11, size=500), rng.integers(6, size=500)], axis=1)
    names = {number: name for name, number in OBJECT_TO_IDX.items()}
    for (x, y, _, w, h, faced, colour), row in zip(goals.tolist(), truths(plain, *goals.tolist()), strict=True):
        side = "left" if x < (w - 1) / 2 else "right" if x > (w - 1) / 2 else ""
        level = "top" if y < (h - 1) / 2 else "bottom" if y > (h - 1) / 2 else ""
        expected = {f"{side} side"} if side else set()
        expected |= {f"{level} side"} if level else set()
        expected |= {f"{level} {side}"} if level and side else set()
        if names[faced] in TYPES:
            expected |= {names[faced], COLOURS[colour], f"{COLOURS[colour]} {names[faced]}"}
        assert set(row) == expected
        assert len(row) == len(expected)


def test_quadrants_are_the_rooms_of_four_rooms(plain: GridCaptions) -> None:
    for x in range(1, 18):
        for y in range(1, 18):
            said = [label for label in truths(plain, goal(x, y, 19, 19, "wall"))[0] if label in ROOMS]
            room = room_at(x, y)
            assert said == ([] if room is None else [room])


def test_every_label_has_distinct_wordings_of_its_own(captions: GridCaptions) -> None:
    for split in SPLITS:
        parts = [captions.phrasings(label, split) for label in range(len(captions.labels))]
        texts = captions.all_texts(split)
        assert texts == tuple(text for part in parts for text in part)
        assert min(map(len, parts)) >= 1
        assert len(set(texts)) == len(texts)
        assert all(INSTRUCTION_SPACE.contains(text) and text == text.strip() for text in texts)
    with pytest.raises(ValueError, match=r"phrasings: expected .* got 'test'"):
        captions.phrasings(0, "test")  # type: ignore[arg-type]


def test_training_shares_no_text_with_held_out_and_none_of_minigrids_opening(captions: GridCaptions) -> None:
    train, held_out = set(captions.all_texts("train")), set(captions.all_texts("held_out"))
    assert not train & held_out
    assert not [text for text in train if text.startswith("go to") or "go to" in text]
    heads = {
        template.partition("{")[0].removesuffix("a ").removesuffix("the ") for template in templates("thing", "train")
    } - {""}
    assert not [held for held in templates("thing", "held_out") for head in heads if head in held]


def test_held_out_wordings_do_not_depend_on_the_lexicon(captions: GridCaptions, plain: GridCaptions) -> None:
    assert captions.all_texts("held_out") == plain.all_texts("held_out")
    assert set(plain.all_texts("train")) <= set(captions.all_texts("train"))


def test_no_training_text_has_a_held_out_word(captions: GridCaptions) -> None:
    words = {word for text in captions.all_texts("train") for word in text.split()}
    assert not [(word, held) for word in words for held in HELD_OUT_WORDS if held in word]


def test_lexicon_words_are_further_wordings_in_a_few_templates(plain: GridCaptions) -> None:
    captions = GridCaptions(lexicon_size=5)
    label = captions.labels.index("blue ball")
    further = set(captions.phrasings(label, "train")) - set(plain.phrasings(label, "train"))
    assert len(further) == 5 * 4
    assert sum("sky ball" in text for text in further) == 4
    assert sum(" a " in f" {text}" or " an " in f" {text}" for text in further) == 10
    everywhere = {
        text.replace("sky ", "").replace(kind, "{what}")
        for kind in TYPES
        for text in captions.phrasings(captions.labels.index(f"blue {kind}"), "train")
        if "sky" in text
    }
    assert everywhere == set(templates("thing", "train"))
    assert any("something sky" in text for text in captions.phrasings(captions.labels.index("blue"), "train"))
    for same in ("ball", "left side", "top left"):
        label = captions.labels.index(same)
        assert captions.phrasings(label, "train") == plain.phrasings(label, "train")


def test_promised_wordings(plain: GridCaptions) -> None:
    assert {"walk to the red ball", "find a red ball"} < set(plain.phrasings(plain.labels.index("red ball"), "train"))
    assert {"something red", "a red object", "walk to the red thing"} < set(
        plain.phrasings(plain.labels.index("red"), "train")
    )
    assert {"go to a key", "go to the key"} < set(plain.phrasings(plain.labels.index("key"), "held_out"))
    assert "somewhere at the top" in plain.phrasings(plain.labels.index("top side"), "held_out")
    assert "somewhere on the left" in plain.phrasings(plain.labels.index("left side"), "held_out")
    for label, room in enumerate(ROOMS, start=len(plain.labels) - 4):
        assert plain.labels[label] == room
        assert {template.format(room=room) for template in EVALUATION_TEMPLATES} < set(
            plain.phrasings(label, "held_out")
        )


def test_articles(captions: GridCaptions) -> None:
    texts = [text for split in SPLITS for text in captions.all_texts(split)]
    assert not [text for text in texts if re.search(r"\ba [aeiou]|\ban [^aeiou]", text)]
    assert [
        correct_articles(text) for text in ("a azure key", "find an ball", "An red box", "the box", "a", "A orb")
    ] == [
        "an azure key",
        "find a ball",
        "A red box",
        "the box",
        "a",
        "An orb",
    ]
    assert [correct_articles(f"a {word}") for word in ("unique one", "umber box", "one", "eucalyptus door")] == [
        "a unique one",
        "an umber box",
        "a one",
        "a eucalyptus door",
    ]


def test_every_wording_leads_back_to_its_label(captions: GridCaptions) -> None:
    for label in range(len(captions.labels)):
        for split in SPLITS:
            assert {captions.label_id(text) for text in captions.phrasings(label, split)} == {label}
    assert captions.label_id("  Go to THE\n red ball ") == captions.labels.index("red ball")
    assert captions.label_id("go to the red sofa") is None


@pytest.mark.parametrize(
    "level", ["GoToRedBallGrey", "GoToRedBall", "GoToLocal", "GoToDoor", "GoToRedBlueBall", "GoToObjMazeS4R2"]
)
def test_minigrids_own_missions_are_held_out_wordings(level: str, plain: GridCaptions) -> None:
    held_out = set(plain.all_texts("held_out"))
    env = gymnasium.make(f"BabyAI-{level}-v0")
    for seed in range(8):
        mission = env.reset(seed=seed)[0]["mission"]
        assert mission in held_out
        label = plain.label_id(mission)
        assert label is not None
        assert mission.endswith(plain.labels[label])
    env.close()


def test_further_nouns_are_said_in_training_only() -> None:
    captions = GridCaptions(lexicon_size=2, nouns={"ball": ("ball", "round toy")})
    label = captions.labels.index("blue ball")
    assert captions.nouns["ball"] == ("ball", "round toy")
    assert {"walk to the blue ball", "walk to the blue round toy"} < set(captions.phrasings(label, "train"))
    assert [sum(f"{thing}" in text for text in captions.phrasings(label, "train")) for thing in ("sky", "denim")] == [
        4,
        4,
    ]
    assert "find a round toy" in captions.phrasings(captions.labels.index("ball"), "train")
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
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        GridCaptions(size, nouns)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("mission", "action"),
    [
        ("pick up the red ball", "pick up"),
        ("open the yellow door", "open"),
        ("put the blue key next to the green box", "put"),
        ("go to the red ball after you pick up a key", "pick up"),
        ("go to the green door", None),
        ("move over to the top left room", None),
    ],
)
def test_missions_of_other_levels_are_told_apart(mission: str, action: str | None) -> None:
    assert other_action(mission) == action
