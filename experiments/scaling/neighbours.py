"""Fewer bridge goals for the same sum, without reading all of them: an instruction's neighbours and a random remainder.

Lemma 1's sum over M goals is split in two. The goals nearest to the instruction (or to what lies `between` it and the
state), found by an inverted file (faiss), count as they are. The rest is estimated from draws g ~ q, each weighted by
1 / (draws q(g)); a draw among the neighbours counts nothing. The estimate of the SUM has no bias whatever is found or
drawn, as long as q > 0 everywhere; that of its logarithm, the score, is lower by about half its variance, so about
standard_error ** 2 / 2 nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from goalbridge.agents.model import Critic
from goalbridge.configs.checks import ConfigError

PROBED: Final = 16  # cells of the inverted file that neighbours are sought in
_MEMBERS: Final = 1000  # goals a cell, about
_TRAINING: Final = 64  # goals a cell that the cells are found from


@dataclass(frozen=True, eq=False)
class Proposals:
    """Goals that stand for all M, of K instructions each.

    rows: [K, near + rest], the neighbours first. log_weights: [K, near + rest], to be added to the logits of a
    logsumexp over them that estimates the one over all M; -inf for what does not count. near: how many neighbours.
    """

    rows: Tensor
    log_weights: Tensor
    near: int


class Neighbours:
    """Goals arranged by what language says of them.

    goals: [M, d'], their embeddings for the critic B-C; kept in memory. cells: of the inverted file, by default one in
    a thousand goals, at most 4096; 1 searches all goals. spread: share in (0, 1] of the remainder that is drawn from
    all goals alike; the others come from cells in proportion to what their centre promises. seed: of the cells.

    Raises ConfigError where faiss is not installed or a setting is out of range, ValueError where goals do not fit.
    """

    def __init__(
        self,
        goals: Tensor,
        critic: Critic,
        *,
        cells: int | None = None,
        probed: int = PROBED,
        spread: float = 0.2,
        seed: int = 0,
    ) -> None:
        try:
            import faiss
        except ImportError:
            raise ConfigError("faiss: is not installed; pip install 'goalbridge[scale]' would do") from None
        if goals.ndim != 2 or not len(goals):
            raise ValueError(f"goals has shape {tuple(goals.shape)}; needs [M, d'] with M of at least 1")
        cells = min(4096, max(1, len(goals) // _MEMBERS)) if cells is None else cells
        for name, value, low, high in (("cells", cells, 1, len(goals)), ("probed", probed, 1, math.inf)):
            if not low <= value <= high:
                raise ConfigError(f"{name}={value}: must be {low} to {high:g}")
        if not 0 < spread <= 1:
            raise ConfigError(f"spread={spread}: must be above 0, at most 1")
        self._critic, self._spread, self._count, self._device = critic, spread, len(goals), goals.device
        vectors = self._searchable(goals)  # [M, d']
        dim = vectors.shape[1]
        by_product = critic.kind in ("dot", "cosine")
        metric = faiss.METRIC_INNER_PRODUCT if by_product else faiss.METRIC_L2
        self._quantizer = faiss.IndexFlat(dim, metric)  # kept: the index does not own it
        self._index = faiss.IndexIVFFlat(self._quantizer, dim, cells, metric)
        self._index.cp.seed, self._index.cp.max_points_per_centroid = seed, _TRAINING
        self._index.cp.min_points_per_centroid = 1
        self._index.train(vectors.numpy())
        self._index.add(vectors.numpy())
        self._index.nprobe = min(probed, cells)
        lists = self._index.invlists
        assert lists is not None
        sizes = [lists.list_size(cell) for cell in range(cells)]
        members = [torch.from_numpy(faiss.rev_swig_ptr(lists.get_ids(cell), n).copy()) for cell, n in enumerate(sizes)]
        self._members = torch.cat(members)  # [M], cell by cell
        self._sizes = torch.tensor(sizes)  # [cells]
        self._starts = self._sizes.cumsum(0) - self._sizes  # [cells]
        self._cell_of = torch.empty(len(goals), dtype=torch.long)  # [M]
        self._cell_of[self._members] = torch.arange(cells).repeat_interleave(self._sizes)
        self._centres = torch.from_numpy(self._quantizer.reconstruct_n(0, cells))  # [cells, d']

    @torch.no_grad()
    def propose(self, c: Tensor, near: int, rest: int, generator: torch.Generator | None = None) -> Proposals:
        """The ``near`` neighbours found of instructions c [K, d'], and ``rest`` weighted draws from all goals.

        Fewer neighbours count where the cells that are searched hold fewer. ConfigError where near + rest is 0.
        """
        if near < 0 or rest < 0 or near + rest == 0:
            raise ConfigError(f"near={near}, rest={rest}: must not be negative, nor both 0")
        near = min(near, self._count)
        found = torch.full((len(c), 0), -1, dtype=torch.long)
        if near:
            found = torch.from_numpy(self._index.search(self._searchable(c).numpy(), near)[1])  # [K, near], -1: none
        found_weights = torch.zeros(found.shape).masked_fill_(found < 0, -math.inf)
        drawn, log_chance = self._draw(c, rest, generator)  # [K, rest] each
        drawn_weights = (-log_chance - math.log(max(1, rest))).masked_fill_(_among(drawn, found), -math.inf)
        rows = torch.cat((found.clamp(min=0), drawn), dim=1)
        return Proposals(rows.to(self._device), torch.cat((found_weights, drawn_weights), dim=1).to(self._device), near)

    def _draw(self, c: Tensor, count: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Goals [K, count] drawn from q with replacement, and log q of each."""
        promise = self._critic(self._centres, c.cpu().float()).T.double() + self._sizes.log()  # [K, cells]
        alike = self._sizes / self._count  # [cells]
        chances = (1 - self._spread) * promise.softmax(dim=1) + self._spread * alike
        if not count:
            return torch.empty(len(c), 0, dtype=torch.long), torch.empty(len(c), 0)
        cells = torch.multinomial(chances, count, replacement=True, generator=generator)  # [K, count]
        sizes = self._sizes[cells]
        places = (torch.rand(cells.shape, generator=generator, dtype=torch.float64) * sizes).long()
        rows = self._members[self._starts[cells] + places.clamp(max=sizes - 1)]
        return rows, (chances.gather(1, cells) / sizes).log().float()

    def _searchable(self, x: Tensor) -> Tensor:
        x = x.detach().cpu().float().contiguous()
        return torch.nn.functional.normalize(x, dim=-1) if self._critic.kind == "cosine" else x


@torch.no_grad()
def between(a: Tensor, c: Tensor, critic_ab: Critic, critic_bc: Critic) -> tuple[Tensor, Critic]:
    """Where the sum's heaviest goals lie if one tower made them: a [B, A, d] and c [B, d] -> [B, d], and its critic.

    By completing the square, the logits s_ab |a - g|^2 + s_bc |g - c|^2 are, but for a constant of a and c,
    (s_ab + s_bc) |g - p|^2 with p the mean of a and c weighted by s. Neighbours of p, with that scale, take into
    account where the agent is. a stands for all A actions by its mean. ConfigError for critics of other kinds.
    """
    for name, critic in (("critic_ab", critic_ab), ("critic_bc", critic_bc)):
        if critic.kind != "neg_squared_l2":
            raise ConfigError(f"{name}: is of kind {critic.kind}; neighbours of both need neg_squared_l2")
    scale = critic_ab.scale + critic_bc.scale
    point = (critic_ab.scale * a.mean(dim=1) + critic_bc.scale * c) / scale  # [B, d]
    return point, Critic("neg_squared_l2", initial_log_scale=float(scale.log())).requires_grad_(False).to(c.device)


@torch.no_grad()
def proposed_scores(
    a: Tensor, log_bc: Tensor, bridge_ab: Tensor, critic_ab: Critic, proposals: Proposals, terms: int
) -> tuple[Tensor, Tensor]:
    """Lemma 1 from proposals: scores [B, A] and their standard errors [B, A] in nats (delta method).

    a: [B, A, d], state-actions of B episodes, each with its own instruction. log_bc: [B, n], f_BC of the proposed
    goals. bridge_ab: [B, n, d], their embeddings. terms: M. The error misses what neither is near nor was drawn: where
    a few heavy draws decide, it is too small. Infinite with a single draw, 0 without any.
    """
    # [B, n, d'] @ [B, d', A]: the goals lie as they were gathered.
    products = critic_ab.right_vectors(bridge_ab) @ critic_ab.left_vectors(a).transpose(1, 2)  # [B, n, A]
    logits = critic_ab.logits_from_products(products).add_((log_bc + proposals.log_weights).unsqueeze(2))
    top = logits.amax(dim=1, keepdim=True).clamp(min=torch.finfo(logits.dtype).min)  # [B, 1, A]
    summands = logits.sub_(top).mul_(math.log2(math.e)).exp2_()  # [B, n, A]
    total = summands.sum(dim=1)  # [B, A]
    scores = total.log() + top.squeeze(1) - math.log(terms)
    rest = summands[:, proposals.near :]  # [B, r, A]
    draws = rest.shape[1]
    if not draws:
        return scores, torch.zeros_like(scores)
    if draws == 1:
        return scores, torch.full_like(scores, math.inf)
    # The sum's remainder is the mean of draws * summand over them: its variance is draws times a summand's.
    return scores, (draws * rest.var(dim=1)).sqrt() / total


def _among(drawn: Tensor, found: Tensor) -> Tensor:
    """Whether each of drawn [K, r] is one of its row of found [K, n]: [K, r]."""
    if not found.shape[1] or not drawn.shape[1]:
        return torch.zeros_like(drawn, dtype=torch.bool)
    ordered = found.sort(dim=1).values
    places = torch.searchsorted(ordered, drawn).clamp(max=found.shape[1] - 1)
    return ordered.gather(1, places) == drawn
