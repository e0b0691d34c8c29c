"""Compositions: how words are read, and how what they compose is told."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalbridge.agents.expressions import AllOf, AnyOf, Instruction, Not, read, say, texts_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("row 3", "row 3"),
        ("row 3 or else column 5", AnyOf("row 3", "column 5")),
        ("Row 3 OR column 5 Or row 7", AnyOf("Row 3", "column 5", "row 7")),
        ("row 3  and   the left half", AllOf("row 3", "the left half")),
        ("row 3, and also the left half", AllOf("row 3", "the left half")),
        ("go to row 3 or column 5", AnyOf("go to row 3", "column 5")),
        ("come to row 3 or column 5, please", AnyOf("come to row 3", "column 5, please")),
        ("the top half but not in row 0", AllOf("the top half", Not("row 0"))),
        ("the top half and not row 0", AllOf("the top half", Not("row 0"))),
        ("the top half but outside row 0", AllOf("the top half", Not("row 0"))),
        ("the top half but outside of row 0", AllOf("the top half", Not("row 0"))),
        # A comma between coordinates joins nothing.
        ("row 3, column 5 or row 1, column 2", AnyOf("row 3, column 5", "row 1, column 2")),
        # "and" binds most, then "but not", then "or", and a comma before "but not" is a pause.
        ("row 3 or column 5, but not row 7", AllOf(AnyOf("row 3", "column 5"), Not("row 7"))),
        ("row 3 or column 5, except row 7 or row 8", AllOf(AnyOf("row 3", "column 5"), Not(AnyOf("row 7", "row 8")))),
        ("the border but not row 0 and the left half", AllOf("the border", Not(AllOf("row 0", "the left half")))),
        # "either" and "both" only announce what comes.
        ("go to either row 3 or column 5", AnyOf("go to row 3", "column 5")),
        ("both row 3 and the left half", AllOf("row 3", "the left half")),
        ("either row 3 or both column 5 and the left half", AnyOf("row 3", AllOf("column 5", "the left half"))),
        # Without anything to join they stay.
        ("either way", "either way"),
        # Words that only hold a connective, and places with "not" of their own.
        ("order the corner in Norway", "order the corner in Norway"),
        ("the top left corner or the border", AnyOf("the top left corner", "the border")),
        ("exceptional androids", "exceptional androids"),
        ("row 3 and nothing", AllOf("row 3", "nothing")),
        ("somewhere not far from the middle", "somewhere not far from the middle"),
        ("row 3 and somewhere not far from the middle", AllOf("row 3", "somewhere not far from the middle")),
        ("not row 3", "not row 3"),
        # Nothing before or after a connective: no composition.
        ("row 3 or ", "row 3 or "),
        ("or row 3", "or row 3"),
        ("and", "and"),
        (" or ", " or "),
        ("row 3 but not", "row 3 but not"),
        ("row 3 or or row 4", "row 3 or or row 4"),
        ("", ""),
    ],
)
def test_words_are_read(text: str, expected: Instruction) -> None:
    assert read(text) == expected


NAMES = st.sampled_from(
    ["row 3", "column 5", "the left half", "row 3, column 5", "the top left corner", "Norway", "the order of Andorra"]
)


def joined(parts: st.SearchStrategy[tuple[str, Instruction]], word: str) -> st.SearchStrategy[tuple[str, Instruction]]:
    """Words and meaning of one part, or of several joined by a connective."""

    def join(several: list[tuple[str, Instruction]]) -> tuple[str, Instruction]:
        if len(several) == 1:
            return several[0]
        first, *others = (meaning for _, meaning in several)
        text = word.join(said for said, _ in several)
        if "or" in word.split():
            return text, AnyOf(first, *others)
        return text, AllOf(first, *(others if word.strip(" ,") == "and" else map(Not, others)))

    return st.lists(parts, min_size=1, max_size=3).map(join)


def sentences() -> st.SearchStrategy[tuple[str, Instruction]]:
    """Sentences with what they mean, made from the tightest connective to the loosest."""
    made: st.SearchStrategy[tuple[str, Instruction]] = NAMES.map(lambda name: (name, name))
    for words in ((" and ", ", and "), (" but not ", " except "), (" or ", ", or "), (", but not ", ", except for ")):
        made = st.one_of([joined(made, word) for word in words])
    return made


@settings(max_examples=120, deadline=None, derandomize=True)
@given(sentences())
def test_sentences_are_read_as_they_were_made(sentence: tuple[str, Instruction]) -> None:
    text, meaning = sentence
    assert read(text) == meaning
    assert read(text.upper()) == uppercase(meaning)


def uppercase(instruction: Instruction) -> Instruction:
    if isinstance(instruction, str):
        return instruction.upper()
    if isinstance(instruction, Not):
        return Not(uppercase(instruction.part))
    return type(instruction)(*map(uppercase, instruction.parts))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    st.lists(
        st.sampled_from(["or", "and", "but", "not", "except", "for", "either", "both", "else", ",", "x", "in", " "])
        | st.text(string.printable, max_size=4)
    ).map(" ".join)
)
def test_any_text_is_read_without_losing_or_inventing_words(text: str) -> None:
    meaning = read(text)
    texts = list(texts_of(meaning))
    if isinstance(meaning, str):
        assert meaning == text
    else:
        assert len(texts) > 1
        assert all(part == part.strip() and part for part in texts)
    kept = " ".join(texts).split()
    rest = iter(text.replace(",", " ,").split())
    spaced = [piece for word in kept for piece in word.replace(",", " ,").split()]
    assert all(word in rest for word in spaced)  # in order


def test_compositions_are_values() -> None:
    assert AnyOf("a", AllOf("b", Not("c"))) == AnyOf("a", AllOf("b", Not("c")))
    assert AnyOf("a", "b") != AnyOf("b", "a")
    assert len({AnyOf("a", "b"), AnyOf("a", "b"), AllOf("a", "b"), Not("a"), "a"}) == 4
    for kind in (AnyOf, AllOf):
        with pytest.raises(ValueError, match=f"{kind.__name__}: expected one or more parts, got none"):
            kind()


def test_compositions_are_said_in_one_line_and_their_texts_listed() -> None:
    meaning = AnyOf("row 3", AllOf("the top half", Not("row 0")), Not(AnyOf("x", "y")))
    assert say(meaning) == "any of (row 3; all of (the top half; not row 0); not any of (x; y))"
    assert list(texts_of(meaning)) == ["row 3", "the top half", "row 0", "x", "y"]
    assert say("row 3") == "row 3"
    assert list(texts_of("row 3")) == ["row 3"]
