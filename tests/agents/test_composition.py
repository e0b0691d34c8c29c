"""Instructions composed in time: BabyAI's own sentences against its own verifiers, and the stages of what is left."""

from __future__ import annotations

import contextlib
import io
from itertools import product
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
import pytest
from hypothesis import given
from hypothesis import strategies as st
from minigrid.envs.babyai.core.verifier import AfterInstr, AndInstr, BeforeInstr

from goalbridge.agents.composition import Composition, parse

A, B, C, D = "go to the red ball", "go to a blue key", "go to the grey door", "go to a box"
NONE: frozenset[int] = frozenset()


def task(*parts: str, **before: tuple[int, ...]) -> Composition:
    """`task(A, B, _1=(0,))`: B after A."""
    return Composition(parts, tuple(frozenset(before.get(f"_{i}", ())) for i in range(len(parts))))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (A, task(A)),
        (f"{A}, then {B}", task(A, B, _1=(0,))),
        (f"{A} then {B}", task(A, B, _1=(0,))),
        (f"{A} and then {B}", task(A, B, _1=(0,))),
        (f"{A} after you {B}", task(B, A, _1=(0,))),
        (f"{A}, after you {B}", task(B, A, _1=(0,))),
        (f"{A} and {B}", task(A, B)),
        (f"{A} and {B}, then {C}", task(A, B, C, _2=(0, 1))),
        (f"{A}, then {B} and {C}", task(A, B, C, _1=(0,), _2=(0,))),
        (f"{A} and {B}, then {C} and {D}", task(A, B, C, D, _2=(0, 1), _3=(0, 1))),
        (f"{A} after you {B} and {C}", task(B, C, A, _2=(0, 1))),
        (f"{A} and {B} after you {C}", task(C, A, B, _1=(0,), _2=(0,))),
        (f"{A} and {B} after you {C} and {D}", task(C, D, A, B, _2=(0, 1), _3=(0, 1))),
        (f"{A}, then {B}, then {C}", task(A, B, C, _1=(0,), _2=(0, 1))),
        (f"{A} and {A}", task(A, A)),
    ],
)
def test_sentences_are_taken_apart(text: str, expected: Composition) -> None:
    assert parse(text) == expected
    shouted = parse(text.upper())
    assert [part.lower() for part in shouted.parts] == [part.lower() for part in expected.parts]
    assert shouted.before == expected.before


WHOLE = """
    go to the red and the blue ball|go to the red and blue ball|find a ball and a key|go to the landing
    then go to the ball|go to the top left room|go to the strengthened door|athena, look after your ball|and
"""
JOINED = """
    walk to the red ball|find something blue|head for the left side|reach a box|look for the key|get to a door
    stand in front of a ball|face the green door|move up to a key|come over to the top half|be in the top left corner
    stay on the left side|step into the room at the bottom left|make for the top right room|navigate to the purple box
    approach a red thing|take me to the grey object|enter the top left room
"""


def texts_in(table: str) -> list[str]:
    return [text for line in table.strip().splitlines() for text in line.strip().split("|")]


@pytest.mark.parametrize("text", [*texts_in(WHOLE), "", " "])
def test_what_joins_no_instructions_stays_one_part(text: str) -> None:
    assert parse(text) == Composition((text.strip() or text,), (NONE,))


@pytest.mark.parametrize("text", texts_in(JOINED))
def test_whatever_begins_with_a_verb_can_be_joined(text: str) -> None:
    for joint in (", then ", " after you ", " and "):
        assert set(parse(f"{A}{joint}{text}").parts) == {A, text}


def own_order(instruction: Any, env: Any) -> Composition:
    """The parts and their order as minigrid's own verifier has them."""
    several: Any = AndInstr
    if isinstance(instruction, BeforeInstr | AfterInstr):
        first, last = instruction.instr_a, instruction.instr_b
        if isinstance(instruction, AfterInstr):
            first, last = last, first
        early, late = own_order(first, env), own_order(last, env)
        assert len(early.parts) <= 2 >= len(late.parts)
        every = frozenset(range(len(early.parts)))
        return Composition(early.parts + late.parts, (*(NONE for _ in early.parts), *(every for _ in late.parts)))
    if isinstance(instruction, several):
        return Composition((instruction.instr_a.surface(env), instruction.instr_b.surface(env)), (NONE, NONE))
    return Composition((instruction.surface(env),), (NONE,))


def test_minigrids_own_sequences_are_understood_as_it_judges_them() -> None:
    env: Any = gymnasium.make("BabyAI-GoToSeqS5R2-v0").unwrapped
    env.gen_obs = dict
    shapes = set()
    for seed in range(150):
        with contextlib.redirect_stdout(io.StringIO()):
            env.reset(seed=seed)
        understood = parse(env.mission)
        assert understood == own_order(env.instrs, env), env.mission
        halves = getattr(env.instrs, "instr_a", None), getattr(env.instrs, "instr_b", None)
        shapes.add((type(env.instrs).__name__, *(isinstance(half, AndInstr) for half in halves)))
    sequences = {(name, *ands) for name in ("BeforeInstr", "AfterInstr") for ands in product((False, True), repeat=2)}
    assert shapes == sequences | {("GoToInstr", False, False), ("AndInstr", False, False)}


def linear_extensions(task: Composition) -> list[tuple[int, ...]]:
    """Every order in which the parts may be done."""
    orders: list[tuple[int, ...]] = [()]
    for _ in task.parts:
        orders = [(*order, part) for order in orders for part in task.open_parts(frozenset(order))]
    return orders


sentences = st.lists(
    st.lists(st.sampled_from((A, B, C, D)), min_size=1, max_size=3).map(" and ".join), min_size=1, max_size=3
).flatmap(
    lambda halves: st.lists(
        st.sampled_from((", then ", " after you ")), min_size=len(halves) - 1, max_size=len(halves) - 1
    ).map(lambda joints: halves[0] + "".join(j + h for j, h in zip(joints, halves[1:], strict=True)))
)


@given(sentences)
def test_nothing_is_lost_and_all_can_be_done(text: str) -> None:
    understood = parse(text)
    assert sorted(understood.parts) == sorted(part for part in (A, B, C, D) for _ in range(text.count(part)))
    assert understood.all_parts == frozenset(range(len(understood.parts)))
    assert linear_extensions(understood)
    for part, earlier in enumerate(understood.before):
        assert part not in earlier


@given(sentences)
def test_stages_are_all_that_can_come_about_each_after_those_it_leads_to(text: str) -> None:
    understood = parse(text)
    stages = understood.stages()
    prefixes = {frozenset(order[:n]) for order in linear_extensions(understood) for n in range(len(order) + 1)}
    assert set(stages) == prefixes
    assert len(stages) == len(prefixes)
    assert (stages[0], stages[-1]) == (understood.all_parts, NONE)
    place = {done: index for index, done in enumerate(stages)}
    for done in stages:
        assert all(place[done | {part}] < place[done] for part in understood.open_parts(done))


def test_open_parts_are_those_whose_turn_it_is() -> None:
    understood = parse(f"{A} and {B}, then {C}")
    expected = {(): (0, 1), (0,): (1,), (1,): (0,), (0, 1): (2,), (0, 1, 2): ()}
    for done, is_open in expected.items():
        assert understood.open_parts(frozenset(done)) == is_open
    assert understood.stages() == [frozenset(done) for done in ((0, 1, 2), (0, 1), (0,), (1,), ())]
