"""Few goals instead of a million: decisions a second against agreement with the sum over all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from goalbridge.agents import Agent
from goalbridge.agents.bridge import bridge_scores_per_row
from goalbridge.agents.model import Critic
from goalbridge.benchmarks.scaling import seconds
from goalbridge.experiments.scaling.neighbours import Neighbours, Proposals, between, proposed_scores
from goalbridge.worlds.maze.settings import MazeSettings
from goalbridge.worlds.maze.world import make_world

COUNTS: Final = (64, 256, 1024, 4096)  # goals instead of all
# What neighbours are of, and which share of the goals they are.
WAYS: Final = {
    "instruction: neighbours": ("instruction", 1.0),
    "instruction: half drawn": ("instruction", 0.5),
    "instruction: drawn": ("instruction", 0.0),
    "and state: neighbours": ("both", 1.0),
    "and state: half drawn": ("both", 0.5),
    "and state: drawn": ("both", 0.0),
}
SEED: Final = 60_000_000
_FULL_AT_ONCE, _ESTIMATED_AT_ONCE = 8, 4  # decisions: [8, M] logits of language, [4, n, d] embeddings


@dataclass(frozen=True)
class Decisions:
    """B decisions among A actions: a [B, A, d], c [B, d], goals [M, d] for either critic, and whose critics."""

    a: Tensor
    c: Tensor
    goals: Tensor
    critic_ab: Critic
    critic_bc: Critic


def synthetic(terms: int, decisions: int) -> Decisions:
    """Goals on a manifold of 6 dimensions in 64; an action moves a state a little, an instruction is true of a region.

    Temperatures are those of pairs that differ by normal noise: .3 between state and goal, .5 between goal and words.
    """
    generator = torch.Generator().manual_seed(SEED)
    turn = torch.linalg.qr(torch.randn(64, 64, generator=generator))[0][:6]  # [6, 64]

    def latent(*shape: int) -> Tensor:
        return torch.randn(*shape, 6, generator=generator)

    states, steps = latent(decisions, 1), torch.nn.functional.normalize(latent(1, 8), dim=-1)
    near, told = Critic(embedding_dim=64), Critic(embedding_dim=64)
    with torch.no_grad():
        near.log_scale.fill_(-math.log(2 * 0.3**2))
        told.log_scale.fill_(-math.log(2 * 0.5**2))
    a, c, goals = states + 0.3 * steps, states[:, 0] + latent(decisions), latent(terms)
    return Decisions(a @ turn, c @ turn, goals @ turn, near, told)


def maze(terms: int, decisions: int) -> Decisions:
    """The shipped agent of fork: starts and commands that no training has met; goals uniform over the free area."""
    agent = Agent.from_pretrained("pretrained/fork_maze")
    world = make_world(MazeSettings("goalbridge/ForkMaze-v0"), decisions, "held_out")
    observation, _ = world.reset(seed=SEED)
    commands = [command.text for command in world.current_commands]
    rng = np.random.default_rng(SEED)
    cells = world.layout.free_cells  # [F, 2]
    positions = cells[rng.integers(len(cells), size=terms)] + rng.random((terms, 2))
    with torch.no_grad():
        states = torch.as_tensor(np.asarray(observation["observation"], dtype=np.float32))
        a = agent.encode_state_actions(states.unsqueeze(1), agent.candidate_actions.unsqueeze(0))  # [B, A, d]
        parts = torch.as_tensor(positions, dtype=torch.float32).split(100_000)  # type: ignore[no-untyped-call]
        goals = torch.cat([agent.encode_goals(part) for part in parts])  # [M, d]
        return Decisions(a, agent.encode_instructions(commands), goals, agent.critic_ab, agent.critic_bc)


@torch.no_grad()
def measure(of: Decisions, repeats: int) -> dict[str, Any]:
    """Rates and agreement of every way to choose goals."""
    terms, decisions = len(of.goals), len(of.c)
    whole: list[Tensor] = []
    (full_time,) = seconds([lambda: whole.append(full_scores(of))], 1)
    full = whole[0]  # [B, A]
    point, critic = between(of.a, of.c, of.critic_ab, of.critic_bc)  # [B, d]
    queries = {"instruction": of.c, "both": point}
    built: dict[str, Neighbours] = {}
    (build_time,) = seconds([lambda: built.update(instruction=Neighbours(of.goals, of.critic_bc))], 1)
    built["both"] = Neighbours(of.goals, critic)
    rows: list[dict[str, Any]] = []
    for name, (by, share) in WAYS.items():
        for count in COUNTS:
            near = round(share * count)
            choose = _chooser(built[by], queries[by], near, count - near)
            (time_taken,) = seconds([lambda choose=choose: _estimate(of, choose())], repeats)  # type: ignore[misc]
            row = {"way": name, "goals": count, "actions_per_second": decisions / time_taken}
            rows.append(row | agreement(full, *_estimate(of, choose())))
    return {
        "terms": terms,
        "decisions": decisions,
        "actions": of.a.shape[1],
        "full_actions_per_second": decisions / full_time,
        "build_seconds": build_time,
        "rows": rows,
    }


def agreement(full: Tensor, scores: Tensor, errors: Tensor) -> dict[str, float]:
    """How far scores [B, A] with standard errors [B, A] do as the full sum's do.

    same_action: share of decisions. regret: nats by which the action chosen is worse, in the full sum. error: mean
    absolute one of scores. covered: share of scores whose 95 % interval holds the full sum's.
    """
    chosen = scores.argmax(dim=1, keepdim=True)  # [B, 1]
    best = full.amax(dim=1, keepdim=True)
    apart = (scores - full).abs()
    return {
        "same_action": float((chosen == full.argmax(dim=1, keepdim=True)).float().mean()),
        "regret": float((best - full.gather(1, chosen)).mean()),
        "error": float(apart.mean()),
        "stated_error": float(errors.mean()),
        "covered": float((apart <= 1.96 * errors).float().mean()),
    }


def _chooser(neighbours: Neighbours, c: Tensor, near: int, rest: int) -> Callable[[], Proposals]:
    generator = torch.Generator().manual_seed(0)
    return lambda: neighbours.propose(c, near, rest, generator)


def _estimate(of: Decisions, proposals: Proposals) -> tuple[Tensor, Tensor]:
    parts = []
    for start in range(0, len(of.c), _ESTIMATED_AT_ONCE):
        part = slice(start, start + _ESTIMATED_AT_ONCE)
        some = Proposals(proposals.rows[part], proposals.log_weights[part], proposals.near)
        chosen = of.goals[some.rows]  # [b, n, d]
        log_bc = of.critic_bc(chosen, of.c[part].unsqueeze(1)).squeeze(2)  # [b, n]
        parts.append(proposed_scores(of.a[part], log_bc, chosen, of.critic_ab, some, len(of.goals)))
    scores, errors = zip(*parts, strict=True)
    return torch.cat(scores), torch.cat(errors)


def full_scores(of: Decisions) -> Tensor:
    scores = []
    for start in range(0, len(of.c), _FULL_AT_ONCE):
        part = slice(start, start + _FULL_AT_ONCE)
        log_bc = of.critic_bc(of.c[part], of.goals)  # [b, M]; critics are symmetric
        scores.append(bridge_scores_per_row(of.a[part], log_bc, of.goals, of.critic_ab))
    return torch.cat(scores) - math.log(len(of.goals))
