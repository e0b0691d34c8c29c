"""What instructions mean over goals, and whether they mean anything: by plain formulas in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.agents.expressions import AllOf, AnyOf, Instruction, Not
from goalbridge.agents.instructions import LEAST_AGREEMENT, InstructionEncoder, Understanding
from goalbridge.agents.ood import FALSE_ALARMS, KEPT, familiarity, spread_out

KNOWN = [f"{axis} {number}" for axis in ("row", "column") for number in range(10)]
STATE = np.full((1, 2), 7.5, np.float32)


def understood(agent: Agent, instruction: Instruction, likeliest: int = 3) -> Understanding:
    return agent.policy("logsumexp").understand(instruction, likeliest=likeliest)


@torch.no_grad()
def ratio(agent: Agent, text: str) -> NDArray[np.float64]:
    """p(g | text) / p(g) [M], by the critic's definition: of mean one."""
    b = agent.encode_goals(agent.bridge_goals).double()
    c = agent.encode_instructions([text]).double()
    found = np.exp((-agent.critic_bc.scale.double() * (b - c).square().sum(-1)).numpy())
    return np.asarray(found / found.mean())


def test_what_is_composed_is_what_its_parts_say(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text)
    a, b = ratio(agent, "row 3"), ratio(agent, "column 1")
    weights = [math.exp(-(part * np.log(part)).mean()) for part in (a, b)]
    both, either = AllOf("row 3", "column 1"), AnyOf("row 3", "column 1")
    cases: list[tuple[Instruction, NDArray[np.float64]]] = [(both, a * b), (either, weights[0] * a + weights[1] * b)]
    for instruction, posterior in cases:
        found = agent.policy().goal_posterior([instruction])[0]
        np.testing.assert_allclose(found, posterior / posterior.sum(), rtol=1e-3)
    agreement = math.log((a * b).mean())
    assert understood(agent, both).agreement == pytest.approx(min(0.0, agreement), abs=1e-3)


def test_a_composition_in_words_is_only_read_where_it_should_be(
    make_agent: Callable[..., Agent], fake_text: Any
) -> None:
    agent, text, given = make_agent(fake_text), "row 3 or column 1", AnyOf("row 3", "column 1")
    composed = agent.policy()
    np.testing.assert_array_equal(*composed.goal_posterior([text, given]))
    assert composed.understand(text).reading == "any of (row 3; column 1)"
    agent.policy_config = replace(agent.policy_config, parse_compositions=False)
    whole = agent.policy()
    expected = ratio(agent, text)
    np.testing.assert_allclose(whole.goal_posterior([text])[0], expected / expected.sum(), rtol=1e-3)
    assert whole.understand(text).reading == ""
    # What is composed by hand stays so.
    np.testing.assert_array_equal(whole.goal_posterior([given]), composed.goal_posterior([given]))


def test_texts_are_encoded_once_and_together(
    make_agent: Callable[..., Agent], fake_text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, asked = make_agent(fake_text), list[list[str]]()
    encode = agent.encode_instructions

    def counting(texts: list[str]) -> torch.Tensor:
        asked.append(list(texts))
        return encode(texts)

    monkeypatch.setattr(agent, "encode_instructions", counting)
    policy = agent.policy()
    policy.goal_posterior(["row 3 or column 1", AllOf("row 3", Not("column 1")), "row 3"])
    policy.goal_posterior(["column 1", "row 3 or column 1"])
    assert asked == [["row 3", "column 1"]]
    assert policy.goal_posterior([]).shape == (0, 30)


def test_parts_in_time_are_taken_apart_where_the_world_has_them(
    make_agent: Callable[..., Agent], fake_text: Any
) -> None:
    text = "go to the red ball or the key, then go to a box"
    (in_time,) = InstructionEncoder(make_agent(fake_text), in_time=True).parsed([text])
    assert in_time.task.parts == ("go to the red ball or the key", "go to a box")
    assert in_time.reading == "any of (go to the red ball; the key), then go to a box"
    assert list(in_time.texts) == ["go to the red ball", "the key", "go to a box"]
    (at_once,) = InstructionEncoder(make_agent(fake_text), in_time=False).parsed([text])
    assert len(at_once.task.parts) == 1


@pytest.mark.parametrize(
    "instruction",
    [
        AnyOf("row 3", "column 1"),
        "row 3 or column 1",
        AllOf("row 3", Not("column 1")),
        AnyOf(*(f"{axis} {i}" for axis in ("row", "column") for i in range(15)), *["row 0"] * 20),  # longer than a text
    ],
)
def test_agents_of_labels_compose_too(make_agent: Callable[..., Agent], instruction: Instruction) -> None:
    policy = make_agent().policy("logsumexp")
    assert policy.scores(STATE, [instruction]).isfinite().all()
    assert policy.understand(instruction).reading


def test_what_was_understood_is_told_field_by_field(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text)
    agent.fit_ood_threshold(fake_text.encode(KNOWN), fake_text.encode(KNOWN[:10]))
    for told in ("row 3", "row 3 or strange words", AllOf("row 3", "row 4"), Not("column 2")):
        found, chances = understood(agent, told, 4), agent.policy().goal_posterior([told])[0].astype(np.float64)
        assert found.entropy == pytest.approx(-sum(p * math.log(p) for p in chances), rel=1e-4)
        best = sorted(range(30), key=lambda g: -chances[g])[:4]
        np.testing.assert_array_equal(found.likeliest, agent.bridge_goals[best].numpy())
        np.testing.assert_allclose(found.chances, chances[best], rtol=1e-4)
        assert found.understood is (found.known and found.consistent)
    assert (understood(agent, "row 3").reading, understood(agent, "row 3").agreement) == ("", 0)
    assert understood(agent, "row 3 or strange words").reading == "any of (row 3; strange words)"
    assert understood(agent, AllOf("row 3", Not("row 4"))).reading == "all of (row 3; not row 4)"
    assert [len(understood(agent, "row 3", most).likeliest) for most in (3, 99)] == [3, 30]


def test_familiarity_is_the_cosine_with_the_nearest_caption_of_the_least_familiar_part(
    make_agent: Callable[..., Agent], fake_text: Any
) -> None:
    agent, strange = make_agent(fake_text), "open the window"
    agent.fit_ood_threshold(fake_text.encode(KNOWN), fake_text.encode(KNOWN))

    def expected(text: str) -> float:
        (x,), others = fake_text.encode([text]).astype(np.float64), fake_text.encode(KNOWN).astype(np.float64)
        return max(float(x @ y / np.linalg.norm(x) / np.linalg.norm(y)) for y in others)

    for text in ("row 3", "make me a sandwich", strange):
        assert understood(agent, text).familiarity == pytest.approx(expected(text), abs=1e-5)
    mixed = AllOf("row 3", Not(AnyOf("column 1", strange)))
    assert understood(agent, mixed).familiarity == pytest.approx(expected(strange), abs=1e-5)


def test_what_is_less_familiar_than_hardly_any_validation_text_is_not_known(
    make_agent: Callable[..., Agent], fake_text: Any
) -> None:
    agent = make_agent(fake_text)
    assert understood(agent, "make me a sandwich").known  # before the threshold is fitted nothing is strange
    agent.fit_ood_threshold(fake_text.encode(KNOWN), fake_text.encode(KNOWN))
    assert understood(agent, "row 3").understood
    strange = understood(agent, "make me a sandwich")
    assert (strange.known, strange.consistent, strange.understood) == (False, True, False)
    assert not understood(agent, "row 3 or make me a sandwich").known
    texts = [f"validation {i}" for i in range(400)]
    agent.fit_ood_threshold(fake_text.encode(KNOWN), fake_text.encode(texts))
    policy = agent.policy()
    unknown = [text for text in texts if not policy.understand(text).known]
    assert abs(len(unknown) - FALSE_ALARMS * 400) <= 1


def test_every_label_is_known_to_agents_of_labels(make_agent: Callable[..., Agent]) -> None:
    """Their features are numbers of labels, of which none is more familiar than another; others are refused."""
    agent = make_agent()
    features = agent.text.encode(KNOWN)
    agent.fit_ood_threshold(features, features)
    assert all(understood(agent, text).known for text in KNOWN)


def test_parts_that_exclude_each_other_are_not_consistent(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text)
    with torch.no_grad():
        agent.critic_bc.log_scale.add_(4.0)  # sharp posteriors, which hardly ever agree
    policy = agent.policy()
    found = [policy.understand(AllOf(first, second)) for first in KNOWN[:10] for second in KNOWN[10:]]
    assert {one.consistent for one in found} == {True, False}
    for one in found:
        assert one.understood is one.consistent is (one.agreement >= LEAST_AGREEMENT)


def test_kept_texts_are_spread_out() -> None:
    features = torch.as_tensor(np.random.default_rng(0).normal(size=(500, 5)), dtype=torch.float32)
    unit, kept = torch.nn.functional.normalize(features, dim=1), spread_out(features, 60)
    assert kept.shape == (60, 5)
    torch.testing.assert_close(kept.norm(dim=1), torch.ones(60))
    assert familiarity(kept, unit).min() > 1 - 1e-5  # some of the given ones
    assert familiarity(features, kept).min() > familiarity(features, unit[:60]).min()
    few = spread_out(features[:4])
    assert few.shape == (KEPT, 5)
    assert familiarity(features[:4], few).min() > 1 - 1e-5
