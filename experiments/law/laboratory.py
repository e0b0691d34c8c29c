"""One seed's data, models and scores: what the table, the curves and the pictures have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from goalbridge.agents.bridge import bridge_scores, direct_scores
from goalbridge.agents.model import Critic
from goalbridge.experiments.law.importance import Encode, ImportanceBridge
from goalbridge.experiments.law.quadratic import QuadraticBridge
from goalbridge.experiments.law.smoothing import SmoothedBridge
from goalbridge.experiments.law.store import trained
from goalbridge.experiments.law.training import ContrastiveModel, Pair, Pairs, Recipe
from goalbridge.experiments.law.world import LinearWorld

KINDS = ("cosine", "dot", "neg_squared_l2")
SHARED, INDEPENDENT = "shared", "independent"
PAIRS, HELD_OUT = 20_000, 256
SMALL, LARGE = 5000, 100_000  # bridge goals
AB, BC, AC = ("A", "B"), ("B", "C"), ("A", "C")


class Laboratory:
    """The world of one seed: training pairs, held-out triplets, and a bridge pool, all drawn independently."""

    def __init__(self, seed: int, bypass: float = 0.0, pool: int = LARGE) -> None:
        self.name = f"{seed}_{bypass}"
        self.world = LinearWorld(seed, bypass)
        ab, bc, ac = (self.world.draw(PAIRS) for _ in range(3))
        self.data: Pairs = {
            AB: (ab.a.float(), ab.b.float()),
            BC: (bc.b.float(), bc.c.float()),
            AC: (ac.a.float(), ac.c.float()),
        }
        self.held_out = self.world.draw(HELD_OUT)
        self.pool = self.world.draw_b(pool)  # [M, 16]


@dataclass(frozen=True)
class Bridged:
    """Embeddings of held-out A [N, d] and C [N, d'], a bridge pool [M, 16] and its two embeddings, and the critics.

    encode_ab, encode_bc: the encoders that made the latter.
    """

    a: Tensor
    c: Tensor
    goals: Tensor
    bridge_ab: Tensor
    bridge_bc: Tensor
    critic_ab: Critic
    critic_bc: Critic
    encode_ab: Encode
    encode_bc: Encode

    def pool(self, count: int, start: int = 0) -> Bridged:
        """The same with `count` goals of the pool alone, from `start` on."""
        goals = slice(start, start + count)
        parts = {name: getattr(self, name)[goals] for name in ("goals", "bridge_ab", "bridge_bc")}
        return replace(self, **parts)

    def pairs(self, count: int) -> Bridged:
        """The same with the first `count` held-out A and C alone."""
        return replace(self, a=self.a[:count], c=self.c[:count])

    def monte_carlo(self) -> Tensor:
        """Lemma 1 by plain LogSumExp over the pool: [N, N]."""
        return bridge_scores(self.a, self.c, self.bridge_ab, self.bridge_bc, self.critic_ab, self.critic_bc)

    def smoothed(self, smoothing: float) -> Tensor:
        """Lemma 1 by the smoothed pool: [N, N]."""
        bridge = SmoothedBridge(self.bridge_ab, self.bridge_bc, self.critic_ab, self.critic_bc, smoothing)
        return bridge.scores(self.a, self.c)

    def quadratic(self) -> Tensor:
        """Lemma 1 by quadratics fitted to the logits over the pool: [N, N]."""
        bridge = QuadraticBridge(self.goals, self.bridge_ab, self.bridge_bc, self.critic_ab, self.critic_bc)
        return bridge.scores(self.a, self.c)

    def importance(self, draws: int = 64, seed: int = 0) -> Tensor:
        """Lemma 1 by `draws` goals drawn for each pair, the pool telling what goals are like: [N, N]."""
        encoders, critics = (self.encode_ab, self.encode_bc), (self.critic_ab, self.critic_bc)
        return ImportanceBridge(self.goals, *encoders, *critics, draws, seed).scores(self.a, self.c)

    def direct(self) -> Tensor:
        """C compared with A by the critic of A and B: [N, N]."""
        return direct_scores(self.a, self.c, self.critic_ab)


@torch.no_grad()
def bridged(lab: Laboratory, model_ab: ContrastiveModel, model_bc: ContrastiveModel) -> Bridged:
    """The embeddings of a laboratory's held-out triplets and pool by the models of A-B and B-C (one, or two)."""
    pool = lab.pool.float()
    encode_ab = partial(model_ab.encode, "B")
    encode_bc = encode_ab if model_bc is model_ab else partial(model_bc.encode, "B")
    return Bridged(
        model_ab.encode("A", lab.held_out.a.float()),
        model_bc.encode("C", lab.held_out.c.float()),
        pool,
        encode_ab(pool),
        encode_bc(pool),
        model_ab.critic(AB),
        model_bc.critic(BC),
        encode_ab,
        encode_bc,
    )


def train_bridged(
    labs: Sequence[Laboratory], kind: str, sharing: str, recipe: Recipe, report: Callable[[], None] = lambda: None
) -> list[Bridged]:
    """Models of A-B and B-C for every laboratory, with one encoder of B (``shared``) or two (``independent``)."""
    groups = [(AB, BC)] if sharing == SHARED else [(AB,), (BC,)]
    models = [_models(labs, kind, group, recipe, report) for group in groups]
    return [bridged(lab, ab, bc) for lab, ab, bc in zip(labs, models[0], models[-1], strict=True)]


def oracle_scores(labs: Sequence[Laboratory], kind: str, recipe: Recipe, report: Callable[[], None]) -> list[Tensor]:
    """Scores [N, N] of models that were trained on pairs of A and C themselves."""
    return [
        model.critic(AC)(model.encode("A", lab.held_out.a.float()), model.encode("C", lab.held_out.c.float()))
        for lab, model in zip(labs, _models(labs, kind, (AC,), recipe, report), strict=True)
    ]


def _models(
    labs: Sequence[Laboratory], kind: str, group: Sequence[Pair], recipe: Recipe, report: Callable[[], None]
) -> list[ContrastiveModel]:
    data = [{pair: lab.data[pair] for pair in group} for lab in labs]
    return trained([model_name(lab, kind, group) for lab in labs], data, kind, recipe, report)


def model_name(lab: Laboratory, kind: str, group: Sequence[Pair]) -> str:
    """What a laboratory's model of a group of pairs is called on disk."""
    return "_".join([kind, *("".join(pair) for pair in group), lab.name])
