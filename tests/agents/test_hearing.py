"""What instructions mean over the bridge goals, and whether they mean anything: by plain formulas in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalbridge.agents import Agent
from goalbridge.agents.expressions import AllOf, AnyOf, Instruction, Not
from goalbridge.agents.familiarity import FALSE_ALARMS, KEPT, familiarity, spread_out
from goalbridge.agents.hearing import LEAST_AGREEMENT, Hearing

KNOWN = [f"{axis} {number}" for axis in ("row", "column") for number in range(10)]


def hearing_of(agent: Agent, compose: bool = True) -> Hearing:
    with torch.no_grad():
        return Hearing(agent, agent.bridge_goals, agent.encode_goals(agent.bridge_goals), compose)


@torch.no_grad()
def log_bc(agent: Agent, text: str) -> NDArray[np.float64]:
    """f_BC [M] of the bridge goals and a text, by the critic's definition."""
    b = agent.encode_goals(agent.bridge_goals).double()
    c = agent.encode_instructions([text]).double()
    return np.asarray((-agent.critic_bc.scale.double() * (b - c).square().sum(-1)).numpy())


def logits_of(hearing: Hearing, *instructions: Instruction) -> torch.Tensor:
    """Its logits [B, M]; asked for before they are looked at, for they grow by what is new."""
    rows = hearing.rows(instructions)
    return hearing.logits[rows]


def log_mean_exp(values: NDArray[np.float64]) -> float:
    return math.log(sum(math.exp(value) for value in values) / len(values))


def test_the_same_text_has_the_same_row_whenever_it_is_heard(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    hearing = hearing_of(make_agent(fake_text))
    assert hearing.logits.shape == (0, 30)
    first = hearing.rows(["row 3", "column 1", "row 3"])
    assert first.tolist() == [0, 1, 0]
    kept = hearing.logits.clone()
    later = hearing.rows(["row 7", "row 3", "row 7", "column 1"])
    assert later.tolist() == [2, 0, 2, 1]
    assert hearing.logits.shape == (3, 30)
    assert torch.equal(hearing.logits[:2], kept)
    assert hearing.rows([]).shape == (0,)


def test_equal_compositions_share_a_row_and_others_do_not(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    hearing = hearing_of(make_agent(fake_text))
    rows = hearing.rows([AnyOf("a", "b"), AllOf("a", "b"), AnyOf("a", "b"), Not("a"), "a"]).tolist()
    assert rows == [0, 1, 0, 2, 3]
    torch.testing.assert_close(logits_of(hearing, "a or b", "a and b"), hearing.logits[[0, 1]])


def test_logits_are_the_log_ratio_of_mean_one(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text)
    hearing = hearing_of(agent)
    for text in KNOWN[:5]:
        values = log_bc(agent, text)
        (found,) = logits_of(hearing, text)
        np.testing.assert_allclose(found.numpy(), values - log_mean_exp(values), rtol=1e-4, atol=1e-4)
        assert float(found.exp().mean()) == pytest.approx(1, rel=1e-4)


def test_a_composition_in_words_is_only_read_where_it_should_be(
    make_agent: Callable[..., Agent], fake_text: Any
) -> None:
    agent = make_agent(fake_text)
    composed, whole = hearing_of(agent), hearing_of(agent, compose=False)
    text = "row 3 or column 1"
    (together,) = logits_of(composed, AnyOf("row 3", "column 1"))
    torch.testing.assert_close(logits_of(composed, text)[0], together)
    values = log_bc(agent, text)
    (as_one,) = logits_of(whole, text)
    np.testing.assert_allclose(as_one.numpy(), values - log_mean_exp(values), rtol=1e-4, atol=1e-4)
    assert (as_one - together).abs().max() > 1e-2
    (given,) = logits_of(whole, AnyOf("row 3", "column 1"))  # what is composed by hand stays so
    torch.testing.assert_close(given, together)
    assert whole.understand(text).reading == ""
    assert composed.understand(text).reading == "any of (row 3; column 1)"


def test_parts_are_heard_once(make_agent: Callable[..., Agent], fake_text: Any, monkeypatch: Any) -> None:
    agent = make_agent(fake_text)
    asked: list[str] = []
    encode = agent.encode_instructions

    def listening(texts: list[str]) -> torch.Tensor:
        asked.extend(texts)
        return encode(texts)

    monkeypatch.setattr(agent, "encode_instructions", listening)
    hearing = hearing_of(agent)
    hearing.rows(["row 3 or column 1", AllOf("row 3", Not("column 1")), "row 3"])
    hearing.rows(["column 1", "row 3 or column 1"])
    assert sorted(asked) == ["column 1", "row 3"]


@pytest.mark.parametrize(
    "instruction", [AnyOf("row 3", "column 1"), "row 3 or column 1", AllOf("row 3", Not("column 1"))]
)
def test_agents_of_labels_compose_too(make_agent: Callable[..., Agent], instruction: Instruction) -> None:
    """They know no words but their labels, of which a composition is made."""
    agent = make_agent()
    policy = agent.policy("logsumexp")
    states = np.full((1, 2), 7.5, np.float32)
    assert policy.scores(states, [instruction]).isfinite().all()
    assert policy.understand(instruction).reading


def test_compositions_may_be_longer_than_a_text(make_agent: Callable[..., Agent]) -> None:
    """A text has at most 256 characters; what is composed of texts has no such limit."""
    agent = make_agent()
    policy = agent.policy("logsumexp")
    every = AnyOf(*(f"row {i}" for i in range(15)), *(f"column {i}" for i in range(15)), *("row 0" for _ in range(20)))
    assert policy.scores(np.full((1, 2), 7.5, np.float32), [every]).isfinite().all()


def test_what_was_understood_is_told_field_by_field(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text)
    agent.fit_ood_threshold(fake_text.encode(KNOWN), fake_text.encode(KNOWN[:10]))
    hearing = hearing_of(agent)
    for instruction in ("row 3", "row 3 or strange words", AllOf("row 3", "row 4"), Not("column 2")):
        found = hearing.understand(instruction, likeliest=4)
        logits = logits_of(hearing, instruction)[0].double().numpy()
        chances = np.exp(logits) / np.exp(logits).sum()
        assert found.entropy == pytest.approx(-sum(p * math.log(p) for p in chances), rel=1e-5)
        best = sorted(range(30), key=lambda g: -chances[g])[:4]
        np.testing.assert_array_equal(found.likeliest, agent.bridge_goals[best].numpy())
        np.testing.assert_allclose(found.chances, chances[best], rtol=1e-5)
        assert (np.diff(found.chances) <= 0).all()
        assert found.understood is (found.known and found.consistent)
    assert hearing.understand("row 3").reading == ""
    assert hearing.understand("row 3").agreement == 0
    assert hearing.understand("row 3 or strange words").reading == "any of (row 3; strange words)"
    assert hearing.understand(AllOf("row 3", Not("row 4"))).reading == "all of (row 3; not row 4)"
    assert len(hearing.understand("row 3").likeliest) == 3
    assert len(hearing.understand("row 3", likeliest=99).likeliest) == 30


def test_familiarity_is_the_cosine_with_the_nearest_caption_of_the_least_familiar_part(
    make_agent: Callable[..., Agent], fake_text: Any
) -> None:
    agent = make_agent(fake_text)
    agent.fit_ood_threshold(fake_text.encode(KNOWN), fake_text.encode(KNOWN))
    hearing = hearing_of(agent)

    def expected(text: str) -> float:
        (x,) = fake_text.encode([text]).astype(np.float64)
        others = fake_text.encode(KNOWN).astype(np.float64)
        return max(float(x @ y / np.linalg.norm(x) / np.linalg.norm(y)) for y in others)

    for text in ("row 3", "make me a sandwich", "open the window"):
        assert hearing.understand(text).familiarity == pytest.approx(expected(text), abs=1e-5)
    assert hearing.understand("row 3").familiarity == pytest.approx(1, abs=1e-5)
    mixed = AllOf("row 3", Not(AnyOf("column 1", "open the window")))
    assert hearing.understand(mixed).familiarity == pytest.approx(expected("open the window"), abs=1e-5)


def test_what_is_less_familiar_than_hardly_any_validation_text_is_not_known(
    make_agent: Callable[..., Agent], fake_text: Any
) -> None:
    agent = make_agent(fake_text)
    hearing = hearing_of(agent)
    assert hearing.understand("make me a sandwich").known  # without acquaintance nothing is held to be strange
    agent.fit_ood_threshold(fake_text.encode(KNOWN), fake_text.encode(KNOWN))
    hearing = hearing_of(agent)
    assert hearing.understand("row 3").understood
    strange = hearing.understand("make me a sandwich")
    assert not strange.known
    assert strange.consistent
    assert not strange.understood
    assert not hearing.understand("row 3 or make me a sandwich").known
    with torch.no_grad():
        agent.least_familiarity.fill_(-1.0)
    assert hearing.understand("make me a sandwich").known


def test_the_threshold_is_a_low_quantile_of_validation_texts(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text)
    texts = [f"validation {i}" for i in range(400)]
    agent.fit_ood_threshold(fake_text.encode(KNOWN), fake_text.encode(texts))
    hearing = hearing_of(agent)
    hearing.rows(texts)
    unknown = [text for text in texts if not hearing.understand(text).known]
    assert abs(len(unknown) - FALSE_ALARMS * 400) <= 1


def test_every_label_is_known_to_agents_of_labels(make_agent: Callable[..., Agent]) -> None:
    """Their features are numbers of labels, of which none is more familiar than another; others are refused."""
    agent = make_agent()
    features = agent.text.encode(KNOWN)
    agent.fit_ood_threshold(features, features)
    hearing = hearing_of(agent)
    assert all(hearing.understand(text).known for text in KNOWN)


def test_parts_that_exclude_each_other_are_not_consistent(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text)
    with torch.no_grad():
        agent.critic_bc.log_scale.add_(4.0)  # sharp posteriors, which hardly ever agree
    hearing = hearing_of(agent)
    found = [hearing.understand(AllOf(first, second)) for first in KNOWN[:10] for second in KNOWN[10:]]
    assert {one.consistent for one in found} == {True, False}
    for one in found:
        assert one.consistent is (one.agreement >= LEAST_AGREEMENT)
        assert one.understood is one.consistent
    pair = found[0]
    a, b = (np.exp(values - log_mean_exp(values)) for values in (log_bc(agent, KNOWN[0]), log_bc(agent, KNOWN[10])))
    assert pair.agreement == pytest.approx(math.log((a * b).mean()), abs=1e-2)


def test_the_policy_tells_what_it_understood(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    agent = make_agent(fake_text)
    policy = agent.policy("logsumexp")
    found = policy.understand("row 3 or column 1")
    posterior = policy.goal_posterior(["row 3 or column 1"])[0]
    np.testing.assert_allclose(found.chances, np.sort(posterior)[::-1][:3], rtol=1e-4)
    assert found.reading == "any of (row 3; column 1)"


def test_kept_texts_are_spread_out() -> None:
    rng = np.random.default_rng(0)
    features = torch.as_tensor(rng.normal(size=(500, 5)), dtype=torch.float32)
    kept = spread_out(features, 60)
    assert kept.shape == (60, 5)
    torch.testing.assert_close(kept.norm(dim=1), torch.ones(60))
    assert familiarity(kept, torch.nn.functional.normalize(features, dim=1)).min() > 1 - 1e-5  # some of the given ones
    farthest = familiarity(features, kept).min()
    at_random = familiarity(features, torch.nn.functional.normalize(features[:60], dim=1)).min()
    assert farthest > at_random
    few = spread_out(features[:4])
    assert few.shape == (KEPT, 5)
    assert familiarity(features[:4], few).min() > 1 - 1e-5
