"""Every estimator keeps the contract with fixed goals and in grids, and is its formula, by brute force in float64."""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents import Agent, Policy
from goalbridge.agents.estimators import ScoringBatch
from goalbridge.agents.estimators.resampled import propose, space_filling_order
from goalbridge.agents.observed_goals import FOUND
from goalbridge.agents.shortest_paths import HOP, NEIGHBOURS
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.registries import estimators
from goalbridge.configs.schema import CRITICS
from goalbridge.encoders.readers import imaginable, read_grids, states_of
from goalbridge.envs.babyai.layouts import draw_layouts, free_poses

Floats = NDArray[np.float64]
NAMES = estimators.names()
ONLY_FIXED = ("resampled", "shortest")
IN_GRIDS = tuple(name for name in NAMES if name not in ONLY_FIXED)
BOTH = [("maze", name) for name in NAMES] + [("grid", name) for name in IN_GRIDS]
B, M = 4, 24
TEXTS = {"maze": ["row 3", "column 1", "row 3", "row 7"], "grid": ["the red ball", "find a key", "a box", "a blue key"]}
STATES = np.random.default_rng(1).uniform(1, 14, size=(B, 2)).astype(np.float32)
RULED_OUT = {0: [0, 5, 7], 1: [], 2: [3], 3: list(range(1, M))}  # of each row
KEYS: list[Any] = [10**7, "a", (1, 2), None]


@dataclass
class Place:
    """An agent, what it observes and what it is told."""

    agent: Agent
    observation: Any
    texts: list[str]

    def policy(self, name: str, **settings: Any) -> Policy:
        plain = {} if self.in_grids else {"average_noise": False}
        return self.agent.policy(name, **(plain | settings))

    @property
    def in_grids(self) -> bool:
        return isinstance(self.observation, dict)


@pytest.fixture
def place(make_agent: Callable[..., Agent], make_grid_agent: Callable[..., Agent], fake_text: Any) -> Any:
    """`place("maze")` or `place("grid")`; more arguments are settings of the networks."""

    def make(kind: str, **settings: Any) -> Place:
        if kind == "maze":
            agent = make_agent(fake_text, bridge_goals=M, **settings)
            agent.policy_config = replace(agent.policy_config, proposals=16, language_temperature=0.4)
            return Place(agent, STATES, TEXTS[kind])
        agent = make_grid_agent(**({"language_in_actions": True} | settings))
        agent.policy_config = replace(agent.policy_config, language_temperature=0.4)
        rng = np.random.default_rng(3)
        grids = draw_layouts(["GoToObjMazeS4R2"], B, rng).grids
        return Place(agent, {"grid": grids, "pose": np.stack([rng.choice(free_poses(g)) for g in grids])}, TEXTS[kind])

    return make


def rows_of(place: Place, rows: Sequence[int]) -> Any:
    if isinstance(place.observation, dict):
        return {key: values[list(rows)] for key, values in place.observation.items()}
    return place.observation[list(rows)]


# The contract.


@pytest.mark.parametrize("keys", [None, KEYS], ids=["numbered", "any keys"])
@pytest.mark.parametrize(("kind", "name"), BOTH)
def test_scores_are_one_a_candidate_and_the_same_again_after_a_reset(
    place: Callable[..., Place], kind: str, name: str, keys: list[Any] | None
) -> None:
    here = place(kind)
    policy = here.policy(name, seed=3)
    scores = policy.scores(here.observation, here.texts, keys)
    assert scores.shape == (B, len(policy.actions))
    assert not scores.isnan().any()
    assert not scores.requires_grad
    finite = scores.isfinite().all() if "planned" not in name else scores.isfinite().any()
    assert finite
    torch.testing.assert_close(policy.scores(here.observation, here.texts, keys), scores)  # asking changes nothing
    actions = policy.act(here.observation, here.texts, keys)
    best = policy.actions[scores.argmax(dim=1)]
    expected = best.argmax(dim=1) if here.agent.world.discrete else best
    np.testing.assert_array_equal(actions, expected)
    assert actions.dtype == (np.int64 if here.agent.world.discrete else np.float32)
    second = policy.act(here.observation, here.texts, keys)
    policy.reset()
    np.testing.assert_array_equal(policy.act(here.observation, here.texts, keys), actions)
    np.testing.assert_array_equal(policy.act(here.observation, here.texts, keys), second)


@pytest.mark.parametrize(("kind", "name"), BOTH)
def test_a_batch_is_one_at_a_time_in_any_order(place: Callable[..., Place], kind: str, name: str) -> None:
    here = place(kind)
    together = here.policy(name, seed=1).scores(here.observation, here.texts, KEYS)
    alone = here.policy(name, seed=1)
    for row in (2, 0, 3, 1):
        found = alone.scores(rows_of(here, [row]), [here.texts[row]], [KEYS[row]])
        torch.testing.assert_close(found[0], together[row], rtol=1e-4, atol=1e-4)
    order = [3, 0, 2]
    mixed = alone.scores(rows_of(here, order), [here.texts[row] for row in order], [KEYS[row] for row in order])
    torch.testing.assert_close(mixed, together[order], rtol=1e-4, atol=1e-4)


REFUSALS = [
    ("grid", "resampled", "policy.name=resampled: expected goals that are the same in every episode; try planned"),
    ("grid", "shortest", "policy.name=shortest: expected goals that are the same in every episode; try planned"),
    ("unlike", "planned", "policy.name=planned: expected goals that are states, to go on from; try logsumexp"),
    ("unlike", "planned_sample", "policy.name=planned_sample: expected goals that are states"),
    ("unlike", "shortest", "policy.name=shortest: expected goals that are states"),
    (
        "plain",
        "direct",
        "policy.name=direct: expected an agent trained with agent.language_in_actions=true",
    ),
    ("maze", "logsumxp", "policy.name=logsumxp: expected one of .*; did you mean logsumexp"),
    ("grid", "plan", "policy.name=plan: expected one of .*; did you mean planned"),
]


@pytest.mark.parametrize(("kind", "name", "says"), REFUSALS)
def test_what_an_agent_cannot_use_is_refused_by_name(
    place: Callable[..., Place], kind: str, name: str, says: str
) -> None:
    agent = (
        place("grid", language_in_actions=False).agent
        if kind == "plain"
        else place("maze" if kind == "unlike" else kind).agent
    )
    if kind == "unlike":
        agent.world = replace(agent.world, goal_low=(-1.0, -1.0))
    with pytest.raises(ConfigError, match=says.replace(".n", r"\.n")) as caught:
        agent.policy(name)
    assert "\n" not in str(caught.value)
    assert agent.policy("logsumexp").name == "logsumexp"


THEIRS = """
    from goalbridge.agents.estimators import Estimator, register

    @register("softened")
    class Softened(Estimator):
        def scores(self, batch):
            return (batch.logits() + 0.5 * batch.log_bc.unsqueeze(1)).logsumexp(dim=2)
"""


@pytest.mark.parametrize("kind", ["maze", "grid"])
def test_a_third_partys_estimator_in_one_file_works_everywhere(
    place: Callable[..., Place], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_estimator.py").write_text(dedent(THEIRS))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("their_estimator")
    here = place(kind)
    here.agent.policy_config = replace(here.agent.policy_config, language_temperature=2.0)
    theirs, ours = (here.policy(name).scores(here.observation, here.texts) for name in ("softened", "tempered"))
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


# The formulas.


@dataclass
class Exact:
    """Logits of one row in float64, by loops over networks alone.

    ab: [A, M]. bc: [M]. ac: [A], f_AB of language. onward: [M, A, M], where actions lead from goals. own: [M], goals
    where it stands and does not want to stay.
    """

    ab: Floats
    bc: Floats
    ac: Floats
    onward: Floats
    own: NDArray[np.bool_]


def similarity(kind: str, critic: Any, x: Tensor, y: Tensor) -> Floats:
    """The critic's definition: x [..., d] and y [..., d] to [...]."""
    a, b = x.double().numpy(), y.double().numpy()
    if kind == "neg_squared_l2":
        values = -np.square(a - b).sum(-1)
    elif kind == "neg_l2":
        values = -np.linalg.norm(a - b, axis=-1)
    else:
        values = (a * b).sum(-1)
        if kind == "cosine":
            values = values / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.asarray(math.exp(float(critic.log_scale)) * values)


@torch.no_grad()
def exact(here: Place, row: int) -> Exact:
    """Networks in float64 where they can be: those of grids look entries up in float32."""
    agent = here.agent
    if not here.in_grids:
        agent = copy.deepcopy(agent, memo={id(agent.text): agent.text}).double()
    features = torch.as_tensor(agent.text.encode([here.texts[row]])).to(agent.critic_ab.log_scale.dtype)
    c, kind, actions = agent.encode_language(features), agent.config.critic, agent.candidate_actions

    def fits(goals: Tensor) -> Floats:
        return similarity(kind, agent.critic_bc, agent.encode_meanings(goals), c)

    if here.in_grids:
        (view,) = read_grids(rows_of(here, [row]), (22, 22))
        goals, state = (torch.from_numpy(rows) for rows in (view.goals(), states_of([view])))
        zero = fits(torch.from_numpy(imaginable(*view.grid.shape[:2]))).max()  # what fits best
        stays = fits(state)[0] - zero >= math.log(FOUND)
        own = (goals[:, :3] == state[:, :3]).all(dim=1).numpy() & (not stays)
    else:
        goals, state = agent.bridge_goals, torch.as_tensor(STATES[row : row + 1]).double()
        zero = np.log(np.exp(fits(goals)).mean())  # log p(g | instruction) / p(g)
        own = np.zeros(len(goals), dtype=bool)
    a = agent.encode_state_actions(state.unsqueeze(1), actions)[0]  # [A, d]
    onward = agent.encode_state_actions(goals.unsqueeze(1), actions).unsqueeze(2)  # [M, A, 1, d]
    b = agent.encode_goals(goals)  # [M, d]
    return Exact(
        similarity(kind, agent.critic_ab, a.unsqueeze(1), b),
        fits(goals) - zero,
        similarity(kind, agent.critic_ab, agent.language_part(a), c) if agent.has_language_part else np.zeros(len(a)),
        similarity(kind, agent.critic_ab, onward, b),
        own,
    )


@torch.no_grad()
def batch_of(policy: Policy, here: Place, ruled_out: dict[int, list[int]]) -> ScoringBatch:
    """What an estimator goes by where some goals of each row are ruled out."""
    batch = policy.source.batch(policy.source.read(here.observation, here.texts, range(B)))
    for row, goals in ruled_out.items() or {0: []}.items():
        batch.log_bc[row, goals] = -torch.inf
    return batch


@torch.no_grad()
def scores_of(policy: Policy, batch: ScoringBatch) -> Tensor:
    found: Tensor = estimators.get(policy.name)(policy.agent).scores(batch)
    return found


def log_sum(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values)) if math.isfinite(top) else -math.inf


def expected(name: str, values: Exact, left: list[int], agent: Agent, drawn: int) -> Floats:
    """Scores [A] by the definition, one action at a time, over the goals that are left."""
    config, bc, scores = agent.policy_config, values.bc, []
    likeliest = next(g for g in left if bc[g] >= max(bc[left]) - 1e-5)  # the first of those alike
    for action, ab in enumerate(values.ab):
        if name in ("logsumexp", "tempered"):
            over = config.language_temperature if name == "tempered" else 1.0
            scores.append(log_sum([ab[g] + bc[g] / over for g in left]))
        elif name == "max":
            scores.append(max(ab[g] + bc[g] for g in left))
        elif name == "likeliest":
            scores.append(ab[likeliest])
        elif name == "sample":
            scores.append(ab[drawn])
        elif name == "direct":
            scores.append(values.ac[action])
        else:
            order = torch.as_tensor(space_filling_order(agent.bridge_goals.numpy()))
            which, weights = propose(torch.as_tensor(bc), order, config.proposals, 0.5)
            pairs = zip(which.tolist(), weights.tolist(), strict=True)
            terms = [ab[g] + bc[g] + weight for g, weight in pairs if g in left]
            scores.append(log_sum(terms or [ab[g] + bc[g] for g in left]))
    return np.array(scores)


FORMULAS = [(kind, name) for kind, name in BOTH if "planned" not in name and name != "shortest"]
CASES = [("maze", name, critic, out) for _, name in FORMULAS[: len(NAMES) - 3] for critic in CRITICS for out in (0, 1)]
CASES += [("grid", name, "neg_squared_l2", out) for kind, name in FORMULAS if kind == "grid" for out in (0, 1)]


@pytest.mark.parametrize(("kind", "name", "critic", "out"), CASES)
def test_scores_are_the_formula_over_what_is_not_ruled_out(
    place: Callable[..., Place], kind: str, name: str, critic: str, out: int
) -> None:
    here = place(kind, critic=critic)
    policy, ruled_out = here.policy(name, seed=3), RULED_OUT if out else {}
    batch = batch_of(policy, here, ruled_out)
    found = scores_of(policy, batch).double().numpy()
    drawn = batch.drawn() if name == "sample" else [0] * B
    for row in range(B):
        values = exact(here, row)
        left = [g for g in range(len(values.bc)) if g not in ruled_out.get(row, [])]
        wanted = expected(name, values, left, here.agent, drawn[row])
        assert drawn[row] in left or name != "sample"
        np.testing.assert_allclose(found[row], wanted, rtol=3e-4, atol=4e-4)
        assert wanted.std() > 1e-3  # actions differ, so the comparison says something


def values_by_sweeps(onward: Floats, weights: Floats, share: float, discount: float) -> Floats:
    """V [M] by dense value iteration over onward [M, A, M]."""
    chances = np.exp(onward - onward.max(axis=2, keepdims=True))
    chances[chances < share] = 0.0
    chances[np.arange(len(onward)), :, np.arange(len(onward))] = 0.0  # to stay is no way on
    total = chances.sum(axis=2, keepdims=True)
    chances = np.divide(chances, total, out=np.zeros_like(chances), where=total > 0)
    values = weights
    for _ in range(400):
        values = np.maximum(weights, discount * (chances @ values).max(axis=1))
    return values


@pytest.mark.parametrize("out", [{}, {0: [0, 5, 7], 2: [3]}], ids=["all", "ruled out"])
@pytest.mark.parametrize("kind", ["maze", "grid"])
@pytest.mark.parametrize("name", ["planned", "planned_sample"])
def test_plans_are_values_handed_on_from_goal_to_goal(
    place: Callable[..., Place], name: str, kind: str, out: dict[int, list[int]]
) -> None:
    here = place(kind)
    with torch.no_grad():
        here.agent.critic_ab.log_scale.add_(0.0 if kind == "maze" else 4.0)  # more than 32 ways on are cut
    here.agent.policy_config = config = replace(here.agent.policy_config, hop_discount=0.9, hop_share=0.6)
    policy = here.policy(name, seed=1)
    ruled_out = out if kind == "maze" else {}  # in grids that is the plan's: test_observed_goals.py
    batch, led = batch_of(policy, here, ruled_out), 0
    found = scores_of(policy, batch).numpy()
    for row in range(B):
        values = exact(here, row)
        weights = np.exp(values.bc - values.bc.max())
        weights[weights < 0.05] = 0.0
        if name == "planned_sample":
            drawn = batch.drawn()[row] if kind == "maze" else policy.source.episodes.get(row).drawn[0]  # type: ignore[attr-defined]
            assert weights[drawn] > 0 or kind == "maze"
            weights = np.eye(len(weights))[drawn]
        worth = values_by_sweeps(values.onward, weights, config.hop_share, config.hop_discount)
        worth[ruled_out.get(row, [])] = 0.0
        near = np.exp(values.ab - values.ab.max(axis=1, keepdims=True))
        near[(near < config.hop_share) | values.own] = 0.0
        total = near.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = np.log(np.where(total > 0, near @ worth / total, 0.0))
        if kind == "maze" and np.isneginf(wanted).all():  # nothing nearby is worth anything
            left = [g for g in range(M) if g not in ruled_out.get(row, [])]
            wanted = np.array([log_sum([ab[g] + values.bc[g] for g in left]) for ab in values.ab])
        np.testing.assert_allclose(found[row], wanted, rtol=1e-3, atol=1e-3)
        led += int(np.isfinite(wanted).any())
    assert led or name == "planned_sample"


@pytest.mark.parametrize("out", [{}, {0: [0, 5, 7], 2: [3]}], ids=["all", "ruled out"])
def test_shortest_paths_are_those_of_all_pairs(place: Callable[..., Place], out: dict[int, list[int]]) -> None:
    here = place("maze")
    policy = here.policy("shortest")
    found, best = scores_of(policy, batch_of(policy, here, out)), exact(here, 0).onward.max(axis=1)  # [M, M]
    nearest = best.max(axis=0)
    costs = np.full((M, M), np.inf)
    for m in range(M):
        near = sorted((g for g in range(M) if g != m), key=lambda g: nearest[g] - best[m, g])[:NEIGHBOURS]
        costs[m, near] = nearest[near] - best[m, near] + HOP
    np.fill_diagonal(costs, 0.0)
    for via in range(M):  # Floyd and Warshall
        costs = np.minimum(costs, costs[:, via, None] + costs[None, via])
    for row in range(B):
        values = exact(here, row)
        weights = np.exp(values.bc - values.bc.max())
        ends = np.flatnonzero(weights >= 0.05)
        away = (costs[:, ends] - HOP * np.log(weights[ends])).min(axis=1)  # [M]
        away[out.get(row, [])] = np.inf
        apart = np.maximum(0.0, nearest - values.ab)  # [A, M]
        wanted = [log_sum(list(-(one + HOP + away) / HOP)) for one in apart]
        np.testing.assert_allclose(found[row].numpy(), wanted, rtol=2e-3, atol=2e-3)


def test_resampling_approaches_the_whole_sum(make_agent: Callable[..., Agent], fake_text: Any) -> None:
    """Up to a constant of the row, and the nearer the more goals are drawn."""
    agent = make_agent(fake_text, bridge_goals=400)
    whole = agent.policy("logsumexp", average_noise=False).scores(STATES, TEXTS["maze"])
    errors = []
    for count in (8, 64, 4096):
        agent.policy_config = replace(agent.policy_config, proposals=count)
        found = agent.policy("resampled", average_noise=False).scores(STATES, TEXTS["maze"])
        errors.append(float((found - whole - math.log(count / 400)).abs().max()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.4
    assert errors[2] < 0.02


def test_resampling_looks_at_all_goals_where_what_it_drew_is_ruled_out(place: Callable[..., Place]) -> None:
    here = place("maze")
    here.agent.policy_config = replace(here.agent.policy_config, proposals=3)
    policy, whole = here.policy("resampled"), here.policy("logsumexp")
    drawn = batch_of(policy, here, {}).proposed(3)[0].tolist()
    out = {0: sorted(set(drawn[0])), 1: drawn[1][:1], 3: sorted(set(drawn[3]))}
    found, rest = (scores_of(one, batch_of(one, here, out)) for one in (policy, whole))
    torch.testing.assert_close(found[[0, 3]], rest[[0, 3]], rtol=1e-4, atol=1e-4)
    assert found.isfinite().all()


# What is drawn.


@pytest.mark.parametrize("kind", ["maze", "grid"])
def test_goals_are_drawn_from_the_posterior_and_depend_on_seed_and_key_alone(
    place: Callable[..., Place], kind: str
) -> None:
    here = place(kind)
    policy, count = here.policy("sample", seed=4), 800
    (posterior,) = policy.goal_posterior(here.texts[:1], rows_of(here, [0]))
    keys: list[Any] = list(range(count))

    @torch.no_grad()
    def drawn(policy: Policy, keys: list[Any]) -> list[int]:
        source = policy.source
        seen = source.read(rows_of(here, [0] * len(keys)), here.texts[:1] * len(keys), keys)
        return source.batch(seen).drawn()

    goals = drawn(policy, keys)
    share = np.bincount(goals, minlength=len(posterior)) / count
    assert (np.abs(share - posterior) < 5 * np.sqrt(posterior * (1 - posterior) / count) + 2e-3).all()
    assert drawn(policy, keys[::-1]) == goals[::-1]  # kept
    again = here.policy("sample", seed=4)
    assert [drawn(again, [key])[0] for key in keys[99:0:-1]] == goals[99:0:-1]
    assert drawn(here.policy("sample", seed=5), ["x", *keys])[2:] == drawn(here.policy("sample", seed=6), keys)[:-1]
    assert len(set(drawn(policy, [("a", key) for key in keys]))) > 1


@pytest.mark.parametrize("name", ["sample", "planned_sample"])
def test_a_drawn_goal_is_kept_until_it_is_ruled_out_or_something_else_is_asked(
    place: Callable[..., Place], name: str
) -> None:
    here = place("maze")
    policy = here.policy(name, seed=0)

    def drawn(out: dict[int, list[int]]) -> list[int]:
        return batch_of(policy, here, out).drawn()

    first = drawn({})
    assert drawn({row: [g for g in range(M) if g != first[row]][:5] for row in range(B)}) == first
    second = drawn({1: [first[1]]})
    assert second[1] != first[1]
    assert [second[row] for row in (0, 2, 3)] == [first[row] for row in (0, 2, 3)]
    assert drawn({row: [g for g in range(M) if g != 9] for row in range(B)}) == [9] * B
    here.texts = [f"row {row}" for row in (8, 9, 10, 11)]
    assert drawn({}) != [9] * B
