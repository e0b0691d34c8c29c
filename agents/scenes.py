"""Bridge goals where every episode has a layout of its own: they are read off each grid.

A *scene* is one grid's candidate goals and their representations; it lasts as long as the grid looks the same. A *plan*
is what each of them is worth to an instruction (`agents.planning`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.composition import Task, parse
from goalbridge.agents.expressions import Instruction, log_truth, read, texts_of
from goalbridge.agents.planning import Hops, aims_of, find_hops, propagate
from goalbridge.encoders.readers import GridView, imaginable

if TYPE_CHECKING:
    from goalbridge.agents.agent import Agent

# A goal fits an instruction if it does so at least so well beside the best imaginable one: what is asked for lies
# within about 3 nats of it wherever it stands, all else below (measured with combinations held out from training).
FOUND: Final = 0.05
_AT_ONCE: Final = 1500  # goals that are read together


class Scene:
    """The bridge goals of one grid: goals [M, S], their representations, and where they lead."""

    def __init__(
        self,
        agent: Agent,
        view: GridView,
        rows: NDArray[np.uint8],
        bridge: Tensor,
        meaning: Tensor,
        left: Tensor | None,
    ) -> None:
        self.agent, self.layout = agent, view.layout
        self.rows = rows  # [M, S]
        self.frontier = view.frontier(rows).astype(np.float64)  # [M]
        self.bridge = bridge  # [M, d]
        self.meaning = meaning  # [M, d']
        self.hops: Hops | None = None if left is None else self._find_hops(left)

    @cached_property
    def _right(self) -> Tensor:
        """The goals' side of f_AB, [d', M]."""
        return self.agent.critic_ab.right_vectors(self.bridge).T.contiguous()

    def _find_hops(self, left: Tensor) -> Hops:
        """Where each action leads from each goal; left: [M, A, d'], the other side of f_AB."""
        share = self.agent.policy_config.hop_share
        return find_hops(lambda start, stop: self.logits_of(left[start:stop]), len(left), left.shape[1], share)

    def logits_of(self, left: Tensor) -> Tensor:
        """f_AB of state-actions and the scene's goals, [..., M], from the left side of f_AB, [..., d']."""
        return self.agent.critic_ab.logits_from_products(left @ self._right)

    def logits(self, a: Tensor) -> Tensor:
        """f_AB of state-actions [A, d] and the scene's goals, [A, M]."""
        output: Tensor = self.agent.critic_ab(a, self.bridge)
        return output


def read_scenes(agent: Agent, views: Sequence[GridView], with_hops: bool = False) -> list[Scene]:
    """The scenes of several grids, each with its hops if they are asked for.

    Small ones are read together, which saves calls, but no more than stay in a processor's cache.
    """
    everywhere = agent.policy_config.candidate_goals == "all"
    every = [view.goals(everywhere) for view in views]  # [M, S] each
    scenes: list[Scene] = []
    while len(scenes) < len(views):
        first = len(scenes)
        fitting = int(np.searchsorted(np.cumsum([len(rows) for rows in every[first:]]), _AT_ONCE, "right"))
        part = slice(first, first + max(1, fitting))
        counts = [len(rows) for rows in every[part]]
        goals = torch.as_tensor(np.concatenate(every[part]), device=agent.device)  # [sum of M, S]
        bridge, meaning = (torch.split(encode(goals), counts) for encode in (agent.encode_goals, agent.encode_meanings))
        left: Sequence[Tensor | None] = [None] * len(counts)
        if with_hops:
            a = agent.encode_state_actions(goals.unsqueeze(1), agent.candidate_actions)  # [sum of M, A, d]
            left = torch.split(agent.critic_ab.left_vectors(a), counts)
        read = zip(views[part], every[part], bridge, meaning, left, strict=True)
        scenes += [Scene(agent, *one) for one in read]
    return scenes


@dataclass(frozen=True, eq=False)
class Known:
    """An instruction as it was understood.

    task: its parts in time. readings: what each of them composes. texts: the representation [d] of every text in them,
    and how well it fits what it fits best of all imaginable things. partial: whether the grid is seen in part.
    """

    agent: Agent
    task: Task
    readings: tuple[Instruction, ...]
    texts: Mapping[str, tuple[Tensor, float]]
    partial: bool

    @classmethod
    def of(cls, agent: Agent, instruction: str, view: GridView) -> Known:
        """Takes an instruction apart, in time and at the bridge, and looks up all its texts."""
        task = parse(instruction)
        readings = tuple(read(part) if agent.policy_config.compose else part for part in task.parts)
        texts = list(dict.fromkeys(text for reading in readings for text in texts_of(reading)))
        language = agent.encode_instructions(texts)  # [K, d]
        things = torch.as_tensor(imaginable(*view.grid.shape[:2]), device=agent.device)  # [I, S]
        best = agent.critic_bc(agent.encode_meanings(things), language).amax(dim=0).tolist()  # K
        partial = bool((view.grid[..., 0] == 0).any())
        return cls(agent, task, readings, dict(zip(texts, zip(language, best, strict=True), strict=True)), partial)

    def fits(self, meaning: Tensor, part: int) -> Tensor:
        """How much worse goals fit a part than what fits it best, in nats: meaning [M, d'] to [M]."""

        def log_fit(text: str) -> Tensor:
            language, best = self.texts[text]
            output: Tensor = self.agent.critic_bc(meaning, language.unsqueeze(0)).squeeze(1) - best
            return output

        return log_truth(self.readings[part], log_fit)


@dataclass(frozen=True, eq=False)
class Plan:
    """aims: [P, M], how much each goal is what each part asks for. values: [M], for every set of parts done."""

    aims: NDArray[np.float64]
    values: dict[frozenset[int], NDArray[np.float64]]

    @classmethod
    def of(
        cls,
        scene: Scene,
        known: Known,
        ruled_out: NDArray[np.bool_],
        blocked: NDArray[np.integer],
        choose: Callable[[int, NDArray[np.float64]], NDArray[np.float64]] = lambda _part, aim: aim,
    ) -> Plan:
        """Works out what each goal is worth at each stage of the task, from its end backwards.

        A part's goals are worth as much as what remains from there. Where nothing seen fits a part, the aim is to see
        more: the frontier. ruled_out: [M], goals that have been tried. blocked: rows of the hops that were. choose:
        what to make of a part's aim [M].
        """
        assert scene.hops is not None
        hops = scene.hops.without(blocked)
        config, task = scene.agent.policy_config, known.task
        aims = np.stack(
            [choose(part, _aim(scene, known, part, ruled_out)) for part in range(len(task.parts))]
        )  # [P, M]
        values: dict[frozenset[int], NDArray[np.float64]] = {task.all_parts: np.ones(len(scene.rows))}
        for done in task.stages()[1:]:
            options = [aims[part] * values[done | {part}] for part in task.open_parts(done)]  # each [M]
            values[done] = propagate(hops, np.maximum.reduce(options), config.hop_discount, config.sweeps)
        return cls(aims, values)


def _aim(scene: Scene, known: Known, part: int, ruled_out: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much each goal is what one part asks for, [M] in [0, 1]; the frontier where nothing seen fits.

    Where there is no frontier either, what fits best.
    """
    fits = known.fits(scene.meaning, part).cpu().numpy()  # [M]
    if not ruled_out.all():
        fits = np.where(ruled_out, -np.inf, fits)
    aim = aims_of(fits, 0.0 if known.partial else None, FOUND)  # [M]
    if known.partial and aim.max(initial=0.0) < FOUND:
        return scene.frontier if scene.frontier.any() else aims_of(fits)
    return aim
