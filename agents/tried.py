"""That an episode goes on tells what was not meant: the goals where it has been."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from goalbridge.agents.expressions import Instruction

REACH: Final = 0.5  # of the longest step so far: goals nearer than that to where an episode has been were tried
LEAST_LEFT: Final = -6.0  # nats of the posterior: where less would remain, what was tried counts again
FAR: Final = 2.5  # longest steps: who is farther away than that from where it was is in another episode


class Tried:
    """Remembers, for each numbered episode, which of M bridge goals [M, G] it has come by in vain.

    States must be of the goals' space. An instruction that fits where the agent stands would have ended the episode.
    """

    def __init__(self, goals: Tensor) -> None:
        self._goals = goals
        self.forget()

    def forget(self) -> None:
        """Begins anew, with no episode known."""
        self._asked: list[Instruction | None] = []  # E instructions
        self._states = self._goals.new_empty(0, self._goals.shape[1])  # [E, G]
        self._steps = self._goals.new_empty(0)  # [E], the longest so far
        self._tried = torch.empty(0, len(self._goals), dtype=torch.bool, device=self._goals.device)  # [E, M]

    def note(self, states: Tensor, instructions: Sequence[Instruction], episodes: Sequence[int]) -> Tensor:
        """Episodes that go on are in the states [B, G] now; bool [B]: those that are new."""
        self._grow(max(episodes, default=-1) + 1)
        keys = torch.as_tensor(episodes, dtype=torch.long, device=states.device)  # [B]
        asked = [self._asked[key] == told for key, told in zip(episodes, instructions, strict=True)]
        moved, before = (states - self._states[keys]).norm(dim=1), self._steps[keys]  # [B] each
        same = torch.tensor(asked, dtype=torch.bool, device=states.device) & ~((before > 0) & (moved > FAR * before))
        self._steps[keys] = torch.where(same, torch.maximum(moved, before), 0.0)
        self._states[keys] = states
        for key, told in zip(episodes, instructions, strict=True):
            self._asked[key] = told
        near = torch.cdist(states, self._goals) < REACH * self._steps[keys].unsqueeze(1)  # [B, M]
        self._tried[keys] = near | (self._tried[keys] & same.unsqueeze(1))
        return torch.logical_not(same)

    def exclude(self, log_bc: Tensor, episodes: Sequence[int]) -> Tensor:
        """log_bc [B, M] with -inf for goals that were tried, unless next to nothing would be left of the posterior."""
        if not self._asked or not len(episodes):
            return log_bc
        self._grow(max(episodes) + 1)
        tried = self._tried[torch.as_tensor(episodes, dtype=torch.long, device=log_bc.device)]  # [B, M]
        left = log_bc.masked_fill(tried, -torch.inf)  # [B, M]
        spent = (left.logsumexp(dim=1) <= log_bc.logsumexp(dim=1) + LEAST_LEFT).nonzero()[:, 0]  # [R]
        left[spent] = log_bc[spent]
        return left

    def _grow(self, count: int) -> None:
        missing = count - len(self._asked)
        if missing > 0:
            self._asked += [None] * missing
            self._states = torch.cat([self._states, self._states.new_zeros(missing, self._states.shape[1])])
            self._steps = torch.cat([self._steps, self._steps.new_zeros(missing)])
            self._tried = torch.cat([self._tried, self._tried.new_zeros(missing, self._tried.shape[1])])
