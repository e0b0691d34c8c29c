"""What a policy remembers of each episode: goals ruled out, actions that changed nothing, the goal settled on.

An instruction that holds where the agent stands would have ended the episode: that an episode goes on rules out the
goals where it has been (visited-goal elimination). An action that left the observation as it was is masked for a while.
And an agent that stays where it is, between goals worth the same or misled, settles on one goal (stall recovery).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, TypeVar

import torch
from torch import Tensor

from goalbridge.agents.expressions import Instruction
from goalbridge.agents.lru import LRU

EPISODES_KEPT: Final = 10_000  # or as many as are shown at once

REACH: Final = 0.5  # of the longest step so far: goals nearer than that to where an episode has been are ruled out
LEAST_LEFT: Final = -6.0  # nats of the posterior: where less would remain, what was ruled out counts again
FAR: Final = 2.5  # longest steps: who is farther away than that from where it was is in another episode

MASKED_STEPS: Final = 4
LIKE: Final = 0.5
STILL: Final = 1e-3

WINDOW: Final = 10  # steps looked back on
STAYED: Final = 3.0  # longest steps: who has not been farther apart than that within the window has stalled
SETTLED: Final = 20  # steps for which one goal is followed

_BLANK: Final = 0  # the slot of episodes of which nothing is known

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def cached(cache: LRU[K, V], keys: Sequence[K], make: Callable[[Sequence[K]], Iterable[V]]) -> list[V]:
    """The value of each key; those of new keys are made together and kept."""
    found = {key: cache.get(key) for key in dict.fromkeys(keys)}
    new = [key for key, value in found.items() if value is None]
    if new:
        found |= {key: cache.put(key, value) for key, value in zip(new, make(new), strict=True)}
    return [value for key in keys if (value := found[key]) is not None]


class VectorMemory:
    """Remembers episodes whose states are vectors, many at a time; any hashable key tells them apart.

    goals: [M, G] the policy's. execution: [A, A], row i the probabilities of what is executed when i is chosen: two
    actions are alike where their rows overlap by at least half of what a row overlaps with itself; only the action
    itself if the actuator obeys. extent: [S], the range of each observed coordinate; less than a thousandth of it
    counts as no change. eliminates, masks, settles: which of the three it does; the first and last need states of the
    goals' space.
    """

    def __init__(
        self, goals: Tensor, execution: Tensor, extent: Tensor, eliminates: bool, masks: bool, settles: bool
    ) -> None:
        self.eliminates, self.masks, self.settles = eliminates, masks, settles
        self._goals, self._still = goals, STILL * extent  # [M, G], [S]
        overlap = execution @ execution.T  # [A, A]
        self._alike = overlap >= LIKE * overlap.diagonal().unsqueeze(1)  # [A, A]
        self.reset()

    def reset(self) -> None:
        """Forgets all episodes."""
        self._slots: LRU[Hashable, int] = LRU(forgotten=lambda _key, slot: self._free.append(slot))
        self._free: list[int] = []
        self._last: tuple[Sequence[Hashable], Tensor] = ((), torch.empty(0, dtype=torch.long))
        self._asked: list[Instruction | None] = []
        self._had: list[list[int]] = []  # goals settled on so far
        goals, dims = (len(self._goals) if self.eliminates else 0), len(self._still)
        device = self._goals.device
        self._tried = torch.zeros(0, goals, dtype=torch.bool, device=device)  # [E, M]
        self._states = torch.zeros(0, dims if self.eliminates else 0, dtype=torch.float32, device=device)  # [E, S]
        self._steps = torch.zeros(0, dtype=torch.float32, device=device)  # [E], the longest so far
        self._observation = torch.zeros(0, dims if self.masks else 0, dtype=torch.float32, device=device)  # [E, S]
        self._chosen = torch.zeros(0, dtype=torch.long, device=device)  # [E]
        self._masked = torch.zeros(0, len(self._alike), dtype=torch.long, device=device)  # [E, A], steps that are left
        width = dims if self.settles else 0
        self._recent = torch.zeros(0, WINDOW, width, dtype=torch.float32, device=device)  # [E, W, S], the present last
        self._goal = torch.zeros(0, dtype=torch.long, device=device)  # [E], the goal settled on; -1 for none
        self._left = torch.zeros(0, dtype=torch.long, device=device)  # [E], steps that are left for it
        self._grow(1)

    def note(self, states: Tensor, instructions: Sequence[Instruction], keys: Sequence[Hashable]) -> None:
        """Episodes that go on are in the states [B, S] now."""
        if not self.eliminates:
            return
        slots = self._slots_of(keys)  # [B]
        asked = [self._asked[slot] == told for slot, told in zip(slots.tolist(), instructions, strict=True)]
        moved, before = (states - self._states[slots]).norm(dim=1), self._steps[slots]  # [B] each
        same = torch.tensor(asked, dtype=torch.bool, device=states.device) & ~((before > 0) & (moved > FAR * before))
        self._steps[slots] = torch.where(same, torch.maximum(moved, before), 0.0)
        self._states[slots] = states
        for slot, told in zip(slots.tolist(), instructions, strict=True):
            self._asked[slot] = told
        near = torch.cdist(states, self._goals) < REACH * self._steps[slots].unsqueeze(1)  # [B, M]
        self._tried[slots] = near | (self._tried[slots] & same.unsqueeze(1))
        if self.settles:
            self._follow(states, slots, torch.logical_not(same))

    def _follow(self, states: Tensor, slots: Tensor, begun: Tensor) -> None:
        fresh = slots[begun]
        self._recent[fresh], self._goal[fresh], self._left[fresh] = torch.nan, -1, 0
        for slot in fresh.tolist():
            self._had[slot] = []
        self._recent[slots] = torch.cat([self._recent[slots, 1:], states.unsqueeze(1)], dim=1)
        self._left[slots] -= 1
        self._goal[slots] = torch.where(self._left[slots] > 0, self._goal[slots], -1)

    def eliminate(self, log_bc: Tensor, keys: Sequence[Hashable]) -> Tensor:
        """log_bc [B, M] with -inf for goals that were ruled out, unless next to nothing of it would be left."""
        if not self.eliminates or not len(self._slots) or not len(keys):
            return log_bc
        tried = self._tried[self._slots_of(keys, create=False)]  # [B, M]
        left = log_bc.masked_fill(tried, -torch.inf)  # [B, M]
        spent = (left.logsumexp(dim=1) <= log_bc.logsumexp(dim=1) + LEAST_LEFT).nonzero()[:, 0]  # [R]
        left[spent] = log_bc[spent]
        return left

    def settled(self, log_bc: Tensor, keys: Sequence[Hashable]) -> Tensor:
        """The goal [B] that each episode has settled on, the likeliest that is left of log_bc [B, M]; -1 for none."""
        if not self.settles or not len(self._slots) or not len(keys):
            return torch.full((len(keys),), -1, dtype=torch.long, device=log_bc.device)
        slots = self._slots_of(keys, create=False)  # [B]
        recent = self._recent[slots]  # [B, W, S]
        steps = recent.diff(dim=1).norm(dim=-1).amax(dim=1)  # [B]; NaN at first
        extent = (recent.amax(dim=1) - recent.amin(dim=1)).norm(dim=-1)  # [B]
        gone = (self._goal[slots] >= 0) & log_bc.gather(1, self._goal[slots].clamp(min=0)[:, None])[:, 0].isneginf()
        self._goal[slots[gone]] = -1
        rows = ((extent < STAYED * steps) & (self._goal[slots] < 0)).nonzero()[:, 0]  # [R]
        if len(rows):
            self._settle(slots[rows], log_bc[rows])
        return self._goal[slots]

    def _settle(self, slots: Tensor, log_bc: Tensor) -> None:
        choices = log_bc.clone()
        for row, slot in enumerate(slots.tolist()):
            choices[row, self._had[slot]] = -torch.inf
            if choices[row].isneginf().all():
                choices[row] = log_bc[row]
                self._had[slot] = []
        goals = choices.argmax(dim=1)  # [R]
        for slot, goal in zip(slots.tolist(), goals.tolist(), strict=True):
            self._had[slot].append(goal)
        self._goal[slots], self._left[slots] = goals, SETTLED
        self._recent[slots] = torch.nan  # it is given time to get away

    def mask(self, scores: Tensor, observation: Tensor, keys: Sequence[Hashable]) -> Tensor:
        """Scores [B, A] with -inf for masked actions; as they are where all would be masked."""
        if not self.masks:
            return scores
        slots = self._slots_of(keys)  # [B]
        stuck = ((observation - self._observation[slots]).abs() < self._still).all(dim=1)  # [B]; False at first (NaN)
        # Masks run out only while it moves: pressed against a wall, one kind of blocked action after another goes.
        masked = torch.where(stuck.unsqueeze(1), self._masked[slots], (self._masked[slots] - 1).clamp(min=0))  # [B, A]
        blocked = stuck.unsqueeze(1) & self._alike[self._chosen[slots]]  # [B, A]
        masked = torch.where(blocked, MASKED_STEPS, masked)
        self._masked[slots] = masked
        shut = masked > 0
        return scores.masked_fill(shut & ~shut.all(dim=1, keepdim=True), -torch.inf)

    def chose(self, observation: Tensor, chosen: Tensor, keys: Sequence[Hashable]) -> None:
        """Keeps what was observed [B, S] and chosen [B]."""
        if self.masks:
            slots = self._slots_of(keys)
            self._observation[slots], self._chosen[slots] = observation, chosen

    def _slots_of(self, keys: Sequence[Hashable], create: bool = True) -> Tensor:
        """Rows [B] of what is kept of the episodes; the blank one of those that are not known, unless they are made."""
        if keys is self._last[0]:  # one step asks several times
            return self._last[1]
        for key in keys:
            self._slots.get(key)  # makes it recent: no episode of this batch is forgotten for another of it
        found = []
        for key in keys:
            slot = self._slots.get(key)
            if slot is None and create:
                slot = self._new(key, len(keys))
            found.append(_BLANK if slot is None else slot)
        slots = torch.tensor(found, dtype=torch.long, device=self._goals.device)
        if create and isinstance(keys, tuple):
            self._last = (keys, slots)
        return slots

    def _new(self, key: Hashable, at_once: int) -> int:
        """A slot for a new episode, of the one that was not met for longest where there are enough."""
        known, most = len(self._slots), max(EPISODES_KEPT, at_once)
        if known >= most:
            self._slots.forget_oldest()
        elif not self._free:
            self._grow(min(max(at_once - known, known, 1), most - known))
        slot = self._slots.put(key, self._free.pop())
        self._clear(slot)
        return slot

    def _grow(self, more: int) -> None:
        first = len(self._asked)
        for name in ("tried", "states", "steps", "observation", "chosen", "masked", "recent", "goal", "left"):
            kept: Tensor = getattr(self, f"_{name}")
            setattr(self, f"_{name}", torch.cat([kept, kept.new_zeros(more, *kept.shape[1:])]))
        self._asked += [None] * more
        self._had += [[] for _ in range(more)]
        for slot in range(first, first + more):
            self._clear(slot)
        self._free += [slot for slot in reversed(range(first, first + more)) if slot != _BLANK]

    def _clear(self, slot: int) -> None:
        self._tried[slot], self._states[slot], self._steps[slot] = False, 0.0, 0.0
        self._observation[slot], self._chosen[slot], self._masked[slot] = torch.nan, 0, 0
        self._recent[slot], self._goal[slot], self._left[slot] = torch.nan, -1, 0
        self._asked[slot], self._had[slot] = None, []
