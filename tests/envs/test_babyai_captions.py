"""Captions of BabyAI goals: what is true of hand-made goals, and wordings in two disjoint splits."""

import re

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import numpy as np
import pytest

from goalbridge.configs.splits import SPLITS
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.encoding import BALL, BOX, COLOURS, DOOR, EMPTY, GOAL, KEY, TYPES, UNSEEN, WALL
from goalbridge.envs.babyai.four_rooms import EVALUATION_TEMPLATES, ROOMS, room_at
from goalbridge.envs.babyai.lexicon import HELD_OUT_WORDS
from goalbridge.envs.babyai.phrasing import HELD_OUT_TEMPLATES, TRAIN_TEMPLATES, correct_articles, other_action
from goalbridge.envs.spaces import INSTRUCTION_SPACE


@pytest.fixture(scope="module", params=(0, 1, 5, 20, 1000))
def captions(request: pytest.FixtureRequest) -> GridCaptions:
    return GridCaptions(lexicon_size=request.param)


@pytest.fixture(scope="module")
def plain() -> GridCaptions:
    return GridCaptions()


def goal(x: int, y: int, width: int, height: int, faced: int, colour: str = "red") -> list[int]:
    return [x, y, 0, width, height, faced, COLOURS.index(colour)]


def truths(captions: GridCaptions, *goals: list[int]) -> list[list[str]]:
    return [[captions.labels[label] for label in row if label >= 0] for row in captions.true_labels(goals).tolist()]


def said(captions: GridCaptions, label: str, split: str = "train") -> set[str]:
    return set(captions.phrasings(captions.labels.index(label), split))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "true"),
    [
        (goal(1, 1, 8, 8, BALL, "red"), "red ball, ball, red, left side, top side, top left"),
        (goal(6, 3, 8, 8, DOOR, "grey"), "grey door, door, grey, right side, top side, top right"),
        (goal(4, 4, 9, 9, BOX, "yellow"), "yellow box, box, yellow"),
        (goal(4, 7, 9, 9, WALL, "grey"), "bottom side"),
        (goal(7, 4, 9, 9, EMPTY), "right side"),
        (goal(4, 4, 9, 9, GOAL, "green"), ""),
        (goal(10, 10, 22, 22, KEY, "purple"), "purple key, key, purple, left side, top side, top left"),
        (goal(3, 8, 8, 19, UNSEEN), "left side, top side, top left"),
    ],
)
def test_truths_of_hand_made_goals(plain: GridCaptions, one: list[int], true: str) -> None:
    assert ", ".join(truths(plain, one)[0]) == true


def test_truths_pad_at_the_end_and_take_what_collecting_gives(plain: GridCaptions) -> None:
    goals = np.array([goal(4, 7, 9, 9, WALL), goal(1, 1, 8, 8, BALL)], dtype=np.float32)
    labels = plain.true_labels(np.pad(goals, ((0, 0), (0, 3))))
    assert labels.dtype == np.int64
    assert labels[0].tolist() == [plain.labels.index("bottom side"), -1, -1, -1, -1, -1]
    assert (np.diff(labels[1]) > 0).all()
    assert plain.true_labels(np.zeros((0, 7))).shape == (0, 6)
    for wrong in (np.zeros(7), np.zeros((2, 6))):
        with pytest.raises(ValueError, match=r"goals: expected \[N, 7 or more\], got "):
            plain.true_labels(wrong)


def test_truths_agree_with_a_loop_over_random_goals(plain: GridCaptions) -> None:
    rng = np.random.default_rng(0)
    width, height = rng.integers(4, 23, size=(2, 500))
    numbers = [rng.integers(width), rng.integers(height), rng.integers(4, size=500), width, height]
    goals = np.stack([*numbers, rng.integers(11, size=500), rng.integers(6, size=500)], axis=1)
    for (x, y, _, w, h, faced, colour), row in zip(goals.tolist(), truths(plain, *goals.tolist()), strict=True):
        side = "left" if x < (w - 1) / 2 else "right" if x > (w - 1) / 2 else ""
        level = "top" if y < (h - 1) / 2 else "bottom" if y > (h - 1) / 2 else ""
        expected = {f"{name} side" for name in (side, level) if name}
        expected |= {f"{level} {side}"} if level and side else set()
        if DOOR <= faced <= BOX:
            kind = TYPES[faced - DOOR]
            expected |= {kind, COLOURS[colour], f"{COLOURS[colour]} {kind}"}
        assert sorted(row) == sorted(expected)


def test_quadrants_are_the_rooms_of_four_rooms(plain: GridCaptions) -> None:
    for x in range(1, 18):
        for y in range(1, 18):
            named = [label for label in truths(plain, goal(x, y, 19, 19, WALL))[0] if label in ROOMS]
            assert named == [room for room in [room_at(x, y)] if room is not None]


def test_labels_are_the_same_at_any_size_of_the_lexicon(captions: GridCaptions, plain: GridCaptions) -> None:
    assert captions.labels == plain.labels == captions.all_texts("label")
    assert len(set(plain.labels)) == 24 + 4 + 6 + 4 + 4
    named = {"red ball", "grey door", "ball", "red", "left side", "top side", "top left", "bottom right"}
    assert named < {*plain.labels}


def test_every_label_has_distinct_wordings_of_its_own(captions: GridCaptions) -> None:
    for split in SPLITS:
        parts = [captions.phrasings(label, split) for label in range(len(captions.labels))]
        texts = captions.all_texts(split)
        assert texts == tuple(text for part in parts for text in part)
        assert min(map(len, parts)) >= 1
        assert len(set(texts)) == len(texts)
        assert all(INSTRUCTION_SPACE.contains(text) and text == text.strip() for text in texts)
        assert not [text for text in texts if re.search(r"\ba [aeiou]|\ban [^aeiou]", text)]
        for label, part in enumerate(parts):
            assert {captions.label_id(text) for text in part} == {label}
    assert captions.label_id("  Go to THE\n red ball ") == captions.labels.index("red ball")
    assert captions.label_id("go to the red sofa") is None
    with pytest.raises(ValueError, match=r"phrasings: expected one of .*, got 'test'"):
        captions.phrasings(0, "test")  # type: ignore[arg-type]


def test_training_shares_no_text_with_held_out_and_none_of_minigrids_opening(captions: GridCaptions) -> None:
    train, held_out = set(captions.all_texts("train")), set(captions.all_texts("held_out"))
    assert not train & held_out
    assert not [text for text in train if "go to" in text]
    heads = {template.partition("{")[0].removesuffix("a ").removesuffix("the ") for template in TRAIN_TEMPLATES} - {""}
    assert not [held for held in HELD_OUT_TEMPLATES for head in heads if head in held]
    words = {word for text in train for word in text.split()}
    assert not [(word, held) for word in words for held in HELD_OUT_WORDS if held in word]


def test_lexicon_words_are_further_wordings_in_a_few_templates(captions: GridCaptions, plain: GridCaptions) -> None:
    assert captions.all_texts("held_out") == plain.all_texts("held_out")
    assert set(plain.all_texts("train")) <= set(captions.all_texts("train"))
    five = GridCaptions(lexicon_size=5)
    further = said(five, "blue ball") - said(plain, "blue ball")
    assert len(further) == 5 * 4
    assert sum("sky ball" in text for text in further) == 4
    assert sum(" a " in f" {text}" or " an " in f" {text}" for text in further) == 10
    everywhere = {
        text.replace("sky ", "").replace(kind, "{what}")
        for kind in TYPES
        for text in said(five, f"blue {kind}")
        if "sky" in text
    }
    assert everywhere == set(TRAIN_TEMPLATES)
    assert any("something sky" in text for text in said(five, "blue"))
    assert all(said(five, same) == said(plain, same) for same in ("ball", "left side", "top left"))


def test_promised_wordings(plain: GridCaptions) -> None:
    assert {"walk to the red ball", "find a red ball"} < said(plain, "red ball")
    assert {"something red", "a red object", "walk to the red thing"} < said(plain, "red")
    assert {"go to a key", "go to the key"} < said(plain, "key", "held_out")
    assert "somewhere at the top" in said(plain, "top side", "held_out")
    assert "somewhere on the left" in said(plain, "left side", "held_out")
    assert plain.labels[-4:] == ROOMS
    for room in ROOMS:
        assert {template.format(room=room) for template in EVALUATION_TEMPLATES} < said(plain, room, "held_out")


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("a azure key", "an azure key"),
        ("find an ball", "find a ball"),
        ("An red box", "A red box"),
        ("the box", "the box"),
        ("a", "a"),
        ("A orb", "An orb"),
        ("a unique one", "a unique one"),
        ("a umber box", "an umber box"),
        ("a one", "a one"),
        ("a eucalyptus door", "a eucalyptus door"),
    ],
)
def test_articles(text: str, correct: str) -> None:
    assert correct_articles(text) == correct


@pytest.mark.parametrize(
    "level", ["GoToRedBallGrey", "GoToRedBall", "GoToLocal", "GoToDoor", "GoToRedBlueBall", "GoToObjMazeS4R2"]
)
def test_minigrids_own_missions_are_held_out_wordings(level: str, plain: GridCaptions) -> None:
    held_out, env = set(plain.all_texts("held_out")), gymnasium.make(f"BabyAI-{level}-v0")
    for seed in range(8):
        mission = env.reset(seed=seed)[0]["mission"]
        label = plain.label_id(mission)
        assert mission in held_out
        assert label is not None
        assert mission.endswith(plain.labels[label])


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
        (-1, {}, "lexicon_size: expected 0 .*, got -1"),
        (0, {"sofa": ("couch",)}, "nouns: expected types of door, key, ball, box, got 'sofa'"),
        (0, {"ball": ("shiny globe",)}, "nouns: 'shiny globe' of 'ball' is held out for testing"),
        (0, {"ball": ("toy",), "box": ("toy",)}, "nouns: expected one type for 'toy', got 'ball' and 'box'"),
        (0, {"ball": ("box",)}, "nouns: expected one type for 'box'"),
    ],
)
def test_bad_settings_are_refused(size: int, nouns: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}[^\n]*$"):
        GridCaptions(size, nouns)


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
