"""Words beyond BabyAI's own: held-out lists, colour words labelled by CIELAB, missions in other words."""

import re
from itertools import chain

import numpy as np
import pytest

from goalbridge.envs.babyai.lexicon import (
    DEVELOPMENT_WORDS,
    HELD_OUT_WORDS,
    TEST_WORDS,
    cielab,
    is_held_out,
    lexicon,
    nearest_colour,
    reword,
)
from goalbridge.envs.babyai.phrasing import COLOURS, TYPES

BOTH = [*chain(*DEVELOPMENT_WORDS.values()), *chain(*TEST_WORDS.values())]


def test_held_out_lists_cover_everything_and_do_not_overlap() -> None:
    for words in (DEVELOPMENT_WORDS, TEST_WORDS):
        assert tuple(words) == (*COLOURS, *("ball", "box", "key", "door"))
        assert min(len(words[colour]) for colour in COLOURS) >= 3
        assert all(words[kind] for kind in TYPES)
    assert len(BOTH) == len(set(BOTH)) == len(HELD_OUT_WORDS)
    assert not set(BOTH) & {*COLOURS, *TYPES}
    # What prototypes were tried on can be no test.
    assert not {"crimson", "emerald", "sphere", "crate"} & {*chain(*TEST_WORDS.values())}


def test_cielab_of_known_colours() -> None:
    # Red, green, blue, white and black of sRGB under D65, as commonly tabled.
    rgb = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=np.float64)
    expected = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100.0, 0.0, 0.0], [0.0] * 3]
    np.testing.assert_allclose(cielab(rgb), expected, atol=0.1)


def test_words_are_plain_distinct_of_one_colour_and_not_held_out() -> None:
    words, every = lexicon(), [*chain(*lexicon().values())]
    assert tuple(words) == COLOURS
    assert len(every) == len(set(every))
    assert all(re.fullmatch(r"[a-z]+( [a-z]+)?", word) for word in every)
    assert not {*every} & {*COLOURS}
    for colour, several in words.items():
        assert len(several) >= 10
        assert not [word for word in several if {*word.split()} & {*COLOURS, *TYPES, "pink", "orange"} - {colour}]
        names_it = [colour in word.split() for word in several]  # such words teach little, so they come last
        assert names_it == sorted(names_it)
        assert not names_it[3]
    assert not [(name, held) for name in every for held in BOTH if is_held_out(name) or held in name]
    assert all(is_held_out(name) for name in (*BOTH, "navy blue", "dark slate", "gold", "spearmint"))
    assert not any(is_held_out(name) for name in (*COLOURS, *TYPES, "sky blue", "brick", "dark brick"))
    assert words["red"][:5] == ("firebrick", "strawberry", "blood", "rouge", "brick")
    assert words["grey"][:2] == ("gray", "silver")


def test_labels_are_those_that_people_would_give() -> None:
    by_people = {
        "red": {"firebrick", "strawberry", "brick", "dark red"},
        "green": {"forest", "olive", "grass", "sea green"},
        "blue": {"sky", "denim", "royal blue"},
        "purple": {"eggplant", "aubergine", "royal purple"},
        "yellow": {"straw", "sunflower", "pale yellow"},
        "grey": {"silver", "steel", "dim grey"},
    }
    for colour, words in by_people.items():
        assert words <= {*lexicon()[colour]}
        assert {nearest_colour(word)[0] for word in words} == {colour}


def test_disputed_rude_and_misspelt_words_are_left_out() -> None:
    names = {*chain(*lexicon().values())}
    words = {word for name in names for word in name.split()}
    disputed = {"tomato", "maroon", "chartreuse", "indigo", "teal", "coral", "khaki", "stone", "royal", "key lime"}
    rude = {"puke", "poop", "snot", "vomit", "shit", "piss", "booger", "ugly", "kermit", "forrest", "liliac"}
    assert not names & disputed
    assert not words & rude


def test_margins_are_shares_and_small_where_people_disagree() -> None:
    margins = {name: nearest_colour(name)[1] for name in ("strawberry", "maroon", "stone", "sky", "silver")}
    assert all(0 <= margin <= 1 for margin in margins.values())
    assert max(margins["maroon"], margins["stone"]) < 0.1 < 0.5 < min(margins["strawberry"], margins["sky"])
    with pytest.raises(KeyError):
        nearest_colour("no such name")


WORDS = {"red": "azure", "ball": "sphere", "blue": "red"}


@pytest.mark.parametrize(
    ("mission", "words", "said"),
    [
        ("go to a red ball", WORDS, "go to an azure sphere"),
        ("go to the blue ball", WORDS, "go to the red sphere"),
        ("go to an azure ball", {"azure": "blue"}, "go to a blue ball"),
        ("put the ball in a ballroom", WORDS, "put the sphere in a ballroom"),
        ("go to a key", {"key": "old latchkey"}, "go to an old latchkey"),
        ("go to a red ball", {}, "go to a red ball"),
        ("a red ball and a green box", {"green": "emerald", "box": "chest"}, "a red ball and an emerald chest"),
    ],
)
def test_missions_in_other_words(mission: str, words: dict[str, str], said: str) -> None:
    assert reword(mission, words) == said
